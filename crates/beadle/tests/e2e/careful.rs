//! Tests that Beadle does not make these mistakes: incomplete restrictions, wrong exclusions,
//! checks without their source, and changes to the wrong repository.

use serde_json::{Value, json};

use crate::world::{World, acme};

async fn world(repository: Value, policy: &str) -> World {
    let world = World::new(acme(json!({ "widgets": repository }))).await;
    world.policy("settings.yml", policy);
    world
}

/// Applies the policy, and checks that the next plan is empty.
async fn settles(world: &World) {
    world.beadle(&["apply", "--yes"]).await.expect(0);
    world.beadle(&["plan"]).await.expect(0);
}

fn main_rule(world: &World) -> Value {
    world.repository("widgets")["protection"]["main"].clone()
}

const RESTRICTED: &str = "branches:
  - name: main
    protection: { restrictions: { teams: [platform] } }
";

#[tokio::test(flavor = "multi_thread")]
async fn a_restriction_and_its_exceptions_are_written_together_or_not_at_all() {
    // GitHub removes each person or team without write access from a restriction.
    let live = json!({
        "branches": { "main": {} }, "protection": { "main": {} }, "teams": { "platform": "push" } });
    let mut world = world(live, RESTRICTED).await;
    world.mode = "add-only";
    settles(&world).await;
    assert_eq!(main_rule(&world)["restrictions"], json!({ "users": [], "teams": ["platform"], "apps": [] }));
    // Without the restriction, the protection of the branch is weaker. So Beadle skips the whole
    // change in this mode, and the team keeps its access.
    world.policy("settings.yml", "branches:\n  - { name: main, protection: { restrictions: null } }\n");
    world.beadle(&["apply", "--yes"]).await.expect(2);
    assert_eq!(main_rule(&world)["restrictions"], json!({ "users": [], "teams": ["platform"], "apps": [] }));
    world.mode = "enforce";
    settles(&world).await;
    assert_eq!(main_rule(&world)["restrictions"], json!(null));
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_keep_their_source_unless_the_policy_names_one() {
    let live = json!({ "main": { "required_status_checks": { "strict": false, "checks": [
        { "context": "build", "app_id": 15368 }, { "context": "lint", "app_id": null } ] } } });
    let repository = json!({ "branches": { "main": {} }, "protection": live });
    let checks = |text: &str| {
        format!(
            "branches:\n  - name: main\n    protection: {{ required_status_checks: {{ strict: false, {text} }} }}\n"
        )
    };
    let world = world(repository, &checks("contexts: [build, lint]")).await;
    world.beadle(&["plan"]).await.expect(0);
    world.policy("settings.yml", &checks("contexts: [build, lint, new]"));
    settles(&world).await;
    let after = main_rule(&world)["required_status_checks"]["checks"].clone();
    assert_eq!(after[0], json!({ "context": "build", "app_id": 15368 }), "{after}");
    world.policy("settings.yml", &checks("contexts: ['{{EXTERNALLY_DEFINED}}']"));
    world.beadle(&["plan"]).await.expect(0);
    world.policy(
        "settings.yml",
        &checks("checks: [{ context: build, app_id: -1 }, { context: lint }, { context: new }]"),
    );
    let plan = world.beadle(&["plan"]).await.expect(2);
    assert!(plan.out.contains("! weakens"), "any source is weaker than one: {}", plan.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_branch_stays_until_the_declared_branch_exists() {
    let policy = "repository:\n  default_branch: main\nbranches:\n  - { name: default, protection: { enforce_admins: true } }\n";
    let world = world(json!({ "default_branch": "master", "branches": { "master": {} } }), policy).await;
    let applied = world.beadle(&["apply", "--yes"]).await.expect(1);
    assert!(applied.out.contains("the branch `main` does not exist"), "{}", applied.out);
    assert_eq!(world.repository("widgets")["protection"]["master"]["enforce_admins"], json!(true));
    assert!(world.repository("widgets")["protection"].get("main").is_none());
    world.patch(json!({ "widgets": { "branches": { "main": {} } } }), false).await;
    settles(&world).await;
    assert_eq!(world.repository("widgets")["default_branch"], "main");
    assert_eq!(world.repository("widgets")["protection"]["main"]["enforce_admins"], json!(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rule_of_a_named_branch_overrides_the_default_rule() {
    let policy = "branches:
  - name: default
    protection: { required_pull_request_reviews: { required_approving_review_count: 2 } }
";
    let world = world(json!({ "branches": { "main": {} } }), policy).await;
    world
        .policy("repos/widgets.yml", "branches:\n  - { name: main, protection: { enforce_admins: true } }\n");
    settles(&world).await;
    assert_eq!(main_rule(&world)["enforce_admins"], json!(true));
    assert_eq!(main_rule(&world)["required_pull_request_reviews"]["required_approving_review_count"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_rule_that_replaces_a_pattern_counts_as_more_than_an_addition() {
    let repository = json!({ "branches": { "main": {} }, "protection": { "*": { "enforce_admins": true } } });
    let mut world =
        world(repository, "branches:\n  - { name: main, protection: { required_linear_history: true } }\n")
            .await;
    world.mode = "add-only";
    let plan = world.beadle(&["plan"]).await.expect(2);
    assert!(plan.out.contains("! weakens") && plan.out.contains("protected by *"), "{}", plan.out);
    world.beadle(&["apply", "--yes"]).await.expect(2);
    assert!(world.repository("widgets")["protection"].get("main").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_depend_on_each_other_are_written_together() {
    let policy = "repository:
  description: >
    Makes widgets
  allow_squash_merge: true
  squash_merge_commit_message: BLANK
  allow_merge_commit: false
  merge_commit_title: PR_TITLE
  merge_commit_message: BLANK
  allow_forking: true
  visibility: public
";
    let live = json!({
        "visibility": "public", "branches": { "main": {} }, "squash_merge_commit_title": "PR_TITLE" });
    let world = world(live, policy).await;
    settles(&world).await;
    let after = world.repository("widgets");
    assert_eq!(
        (&after["description"], &after["squash_merge_commit_message"]),
        (&json!("Makes widgets"), &json!("BLANK"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_narrower_of_private_and_visibility_counts_and_a_change_to_private_is_a_removal() {
    let world = world(
        json!({ "visibility": "public", "branches": { "main": {} } }),
        "repository:\n  visibility: private\n",
    )
    .await;
    let plan = world.beadle(&["plan"]).await.expect(2);
    assert!(plan.out.contains("- removes settings"), "{}", plan.out);
    world.policy("repos/widgets.yml", "repository:\n  private: false\n");
    world.beadle(&["plan"]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn access_from_teams_owners_and_organisation_roles_is_left_alone() {
    let mut state = acme(json!({ "widgets": {
        "branches": { "main": {} }, "collaborators": { "ann": "pull" }, "teams": { "platform": "admin" } } }));
    state["orgs"]["acme"]["owners"] = json!(["ann"]);
    state["orgs"]["acme"]["teams"]["security"] = json!({ "organization_role": "pull" });
    let world = World::new(state).await;
    world.policy(
        "settings.yml",
        "teams:\n  - { name: platform, permission: admin }\ncollaborators:\n  - { username: ann, permission: pull }\n",
    );
    world.beadle(&["plan"]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn regular_expressions_in_exclusions_exclude_repositories() {
    let state = acme(json!({
        "secret": { "has_wiki": true }, "shop-test-2": { "has_wiki": true }, "shop": { "has_wiki": true } }));
    let world = World::new(state).await;
    world.policy("settings.yml", "repository:\n  has_wiki: false\n");
    world.policy("deployment-settings.yml", "restrictedRepos:\n  exclude: ['^secret$', '.*-test']\n");
    world.beadle(&["apply", "--yes"]).await.expect(0);
    let wikis = ["secret", "shop-test-2", "shop"].map(|name| world.repository(name)["has_wiki"].clone());
    assert_eq!(wikis, [json!(true), json!(true), json!(false)]);
    world.policy("deployment-settings.yml", "restrictedRepos:\n  exclude: ['^secret(']\n");
    assert!(world.beadle(&["check"]).await.expect(1).out.contains("invalid regular expression"));
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_contradict_each_other_or_match_nothing_are_refused() {
    let world =
        world(json!({}), "teams:\n  - { name: a, permission: pull }\n  - { name: A, permission: push }\n")
            .await;
    let checked = world.beadle(&["check"]).await.expect(1);
    assert!(checked.out.contains("settings.yml:3") && checked.out.contains("twice"), "{}", checked.out);
    world.policy("settings.yml", "teams:\n  - { name: a, permission: pull, include: ['web-[ab'] }\n");
    assert!(world.beadle(&["check"]).await.expect(1).out.contains("invalid glob"));
    world.policy("settings.yml", "repository: { has_wiki: false }\n");
    world.policy("repos/widgets.yml", "\n");
    assert!(world.beadle(&["check"]).await.expect(0).out.contains("the file is empty"));
    world.policy("repos/widgets.yml", "repository: { has_wiki: true }\n");
    world.policy("repos/widgets.yaml", "repository: { has_wiki: false }\n");
    assert!(world.beadle(&["check"]).await.expect(1).out.contains("keep one of them"));
    world.beadle(&["plan", "--repo", "typo"]).await.expect(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_belongs_to_its_first_repository() {
    let vault = json!({ "id": 4001, "visibility": "private", "branches": { "main": {} }, "teams": { "security": "admin" } });
    let world = World::new(acme(json!({ "vault": vault }))).await;
    world.policy(
        "settings.yml",
        "repository:\n  visibility: private\nteams:\n  - { name: platform, permission: pull }\n",
    );
    world.policy(
        "repos/vault.yml",
        "teams:\n  - { name: security, permission: admin }\nrepository:\n  visibility: public\n",
    );
    world.beadle(&["apply", "--yes"]).await.expect(0);
    let vault = world.repository("vault");
    // After the rename, the name of the file differs from the name of the repository. Beadle
    // removes nothing and exposes nothing.
    world.patch(json!({ "vault": null, "vault2": vault }), false).await;
    let renamed = world.beadle(&["plan"]).await.expect(2);
    assert!(
        renamed.out.contains("belongs to this repository, which is now called acme/vault2"),
        "{}",
        renamed.out
    );
    assert!(!renamed.out.contains("removes") && !renamed.out.contains("exposes"), "{}", renamed.out);
    // Another repository gets the old name. The file does not belong to this repository, so Beadle
    // does not make the repository public.
    world
        .patch(json!({ "vault": { "id": 4002, "visibility": "private", "branches": { "main": {} } } }), false)
        .await;
    let applied = world.beadle(&["apply", "--yes"]).await.expect(1);
    assert!(applied.out.contains("belongs to repository 4001"), "{}", applied.out);
    assert_eq!(world.repository("vault")["visibility"], "private");
    world.beadle(&["rebind", "acme/vault"]).await.expect(0);
    world.beadle(&["apply", "--yes", "--repo", "vault"]).await.expect(0);
    assert_eq!(world.repository("vault")["visibility"], "public");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_was_not_in_the_shown_plan_is_not_written() {
    let policy = "repository:\n  has_wiki: false\n  topics: [managed]\n";
    let world =
        world(json!({ "branches": { "main": {} }, "has_wiki": true, "topics": ["managed"] }), policy).await;
    // The simulator delays the second read. Before this read, somebody adds a topic.
    world.fault(json!({ "path": "/graphql", "contains": "nodes(ids", "hold": true, "count": 1 })).await;
    let applied = async { world.beadle(&["apply", "--yes"]).await };
    let meanwhile = async {
        world.until_held().await;
        world.patch(json!({ "widgets": { "topics": ["managed", "theirs"] } }), false).await;
        world.no_faults().await;
    };
    let (applied, ()) = tokio::join!(applied, meanwhile);
    assert!(applied.err.contains("changed since it was shown"), "{applied:?}");
    assert_eq!(world.repository("widgets")["topics"], json!(["managed", "theirs"]));
    assert_eq!(world.repository("widgets")["has_wiki"], json!(false), "what was shown is written");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_setting_does_not_delay_the_repair_of_an_exposure() {
    let policy = "repository:\n  visibility: private\n  default_branch: main\n";
    let world = world(
        json!({ "visibility": "public", "default_branch": "master", "branches": { "master": {} } }),
        policy,
    )
    .await;
    world.beadle(&["apply", "--yes"]).await.expect(1);
    assert_eq!(world.repository("widgets")["visibility"], "private");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_a_name_follows_only_its_own_repository() {
    let gadgets = json!({ "id": 4102, "branches": { "main": {} }, "teams": { "contractors": "admin" } });
    let widgets = json!({ "id": 4101, "branches": { "main": {} } });
    let world = World::new(acme(json!({ "gadgets": gadgets, "widgets": widgets }))).await;
    world.policy(
        "repos/widgets.yml",
        "repository: { name: gizmos }\nteams:\n  - { name: platform, permission: pull }\n",
    );
    world.beadle(&["apply", "--yes"]).await.expect(0);
    assert_eq!(world.repository("gizmos")["teams"], json!({ "platform": "pull" }));
    assert_eq!(world.repository("gadgets")["teams"], json!({ "contractors": "admin" }));
    world.patch(json!({ "gizmos": { "teams": { "contractors": "admin" } } }), false).await;
    world.beadle(&["apply", "--yes"]).await.expect(0);
    assert_eq!(world.repository("gizmos")["teams"], json!({ "platform": "pull" }), "it is still the file's");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_contested_change_is_counted() {
    let mut world =
        world(json!({ "branches": { "main": {} } }), "teams:\n  - { name: platform, permission: pull }\n")
            .await;
    world.org_lines = "[org.guard]\nremoves = 2\n".into();
    let mut codes = Vec::new();
    for _ in 0..4 {
        world.patch(json!({ "widgets": { "teams": { "contractors": "admin" } } }), false).await;
        codes.push(world.beadle(&["apply", "--yes"]).await.code);
    }
    assert_eq!(codes, [0, 0, 2, 2], "the third time it is held");
    assert!(world.repository("widgets")["teams"].get("contractors").is_some());
}
