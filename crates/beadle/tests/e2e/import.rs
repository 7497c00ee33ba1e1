//! Tests `beadle import`. The plan of the imported policy is empty, the files are short, and the
//! command overwrites no file.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::world::{World, acme};

/// Returns the texts of the files in a folder. The path of a file is its key in the map.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inside) = folders.pop() {
        for entry in std::fs::read_dir(inside).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                found.insert(name, std::fs::read_to_string(path).unwrap());
            }
        }
    }
    found
}

/// Imports the organisation, and makes the result its policy.
async fn import(world: &World) -> BTreeMap<String, String> {
    let into = world.path().join("imported");
    world.beadle(&["import", "--into", into.to_str().unwrap()]).await.expect(0);
    assert_eq!(world.writes(), Vec::<Value>::new(), "an import writes nothing to GitHub");
    std::fs::remove_dir_all(world.path().join("policy")).unwrap();
    std::fs::rename(into, world.path().join("policy")).unwrap();
    files(&world.path().join("policy"))
}

/// Checks that every repository is as the policy declares.
async fn expect_empty_plan(world: &World, files: &BTreeMap<String, String>) {
    let plan = world.beadle(&["plan"]).await;
    assert_eq!(plan.code, 0, "{}\n{}\n{files:#?}", plan.out, plan.err);
    assert!(plan.out.contains("nothing to change"), "{}", plan.out);
    world.beadle(&["check"]).await.expect(0);
}

fn equal() -> Value {
    json!({
        "branches": { "main": {} }, "has_wiki": false, "delete_branch_on_merge": true, "topics": ["acme"],
        "teams": { "platform": "push", "security": "pull" }, "vulnerability_alerts": true,
        "protection": { "main": { "required_pull_request_reviews": { "required_approving_review_count": 1 } } },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_equal_repositories_become_one_short_file() {
    let repositories: Value = (0..40).map(|n| (format!("service-{n:02}"), equal())).collect();
    let world = World::unlimited(acme(repositories)).await;
    let files = import(&world).await;
    assert_eq!(files.keys().collect::<Vec<_>>(), ["settings.yml"], "{files:#?}");
    let settings = &files["settings.yml"];
    assert!(settings.lines().count() <= 20, "{settings}");
    for line in
        ["visibility: private", "has_wiki: false", "{ name: platform, permission: push }", "name: default"]
    {
        assert!(settings.contains(line), "`{line}` is missing:\n{settings}");
    }
    expect_empty_plan(&world, &files).await;
}

/// Returns an organisation. Each of its aspects has a value that differs from GitHub's default.
fn messy() -> Value {
    let mut repositories = json!({});
    for n in 0..4 {
        repositories[format!("service-{n}")] = equal();
    }
    for n in 0..3 {
        let mut repository = equal();
        repository["topics"] = json!(["acme", "rust"]);
        repository["labels"] = json!({ "crate": { "color": "cc0000", "description": null } });
        repositories[format!("crate-{n}")] = repository;
    }
    repositories["all-aspects"] = json!({
        "branches": { "master": {}, "develop": {} }, "default_branch": "master", "visibility": "public",
        "description": "on: \"yes\" # no", "homepage": "https://acme.example/", "allow_merge_commit": false,
        "security_and_analysis": { "secret_scanning": { "status": "enabled" } },
        "topics": ["web"], "collaborators": { "dan": "maintain" }, "properties": { "tier": "gold" },
        "labels": { "a: b # c": { "color": "5319e7", "description": "null" }, "..": { "color": "000000", "description": null } },
        "autolinks": { "T-": { "url_template": "https://t.example/<num>", "is_alphanumeric": false } },
        "environments": { "production": { "wait_timer": 30, "variables": { "REGION": "eu" },
            "reviewers": [{ "type": "Team", "id": 502 }], "prevent_self_review": true,
            "deployment_branch_policy": { "protected_branches": false, "custom_branch_policies": true },
            "branch_policies": [{ "name": "main", "type": "branch" }, { "name": "v*", "type": "tag" }] } },
        "variables": { "COLOUR": "blue" }, "secrets": { "TOKEN": { "value": "not shown" } },
        "hooks": {
            "https://ci.example.com/": { "active": true, "events": ["push", "issues"],
                "config": { "content_type": "json", "insecure_ssl": "0", "secret": "********" } },
            "https://ci.example.com/?token=abc": { "active": true, "events": ["push"],
                "config": { "content_type": "json", "insecure_ssl": "0" } },
        },
        "rulesets": { "tags": { "target": "tag", "enforcement": "active", "rules": [{ "type": "deletion" }],
            "conditions": { "ref_name": { "include": ["refs/tags/v*"], "exclude": [] } }, "bypass_actors": [] } },
        "actions": { "enabled": true, "allowed_actions": "selected", "sha_pinning_required": false,
            "github_owned_allowed": true, "verified_allowed": false, "patterns_allowed": ["acme/*"],
            "default_workflow_permissions": "write", "can_approve_pull_request_reviews": true },
        "milestones": { "v1": { "state": "closed", "description": "First", "due_on": "2027-01-31T08:00:00Z" } },
        "deploy_keys": { "ssh-ed25519 AAAA": { "title": "CI", "read_only": false } },
        "oidc_subject": { "use_default": false, "include_claim_keys": ["repo", "actor"], "use_immutable_subject": true },
        "pages": { "build_type": "legacy", "source": { "branch": "master", "path": "/" }, "cname": null,
            "https_enforced": true, "public": true },
        "immutable_releases": true, "interaction_limit": "existing_users",
        "private_vulnerability_reporting": true,
        "code_scanning": { "state": "configured", "languages": ["go"], "query_suite": "extended" },
        "protection": { "master": { "enforce_admins": true, "restrictions": { "users": [], "teams": ["platform"], "apps": ["ci"] },
            "required_status_checks": { "strict": true, "checks": [{ "context": "ci: build", "app_id": 15368 }] } },
            "release/*": { "allow_force_pushes": true } },
        "teams": { "platform": "push" },
    });
    repositories["plain"] = json!({});
    repositories["old"] = json!({ "archived": true, "branches": { "main": {} } });
    repositories[".github"] = json!({ "branches": { "main": {} } });
    let mut state = acme(repositories);
    state["orgs"]["acme"]["teams"]["platform"]["id"] = json!(502);
    state["orgs"]["acme"]["property_definitions"] = json!({ "tier": { "value_type": "string" } });
    state["orgs"]["acme"]["rulesets"] = json!({ "everywhere": {
        "target": "branch", "enforcement": "active", "rules": [{ "type": "non_fast_forward" }], "bypass_actors": [],
        "conditions": { "ref_name": { "include": ["~DEFAULT_BRANCH"], "exclude": [] },
            "repository_name": { "include": ["~ALL"], "exclude": [] } },
    } });
    state
}

#[tokio::test(flavor = "multi_thread")]
async fn every_aspect_is_imported_and_a_secret_is_not() {
    let world = World::unlimited(messy()).await;
    let into = world.path().join("look");
    let said = world.beadle(&["import", "--into", into.to_str().unwrap()]).await.expect(0);
    for note in [
        "left out old: archived",
        "all-aspects: labels: `..` is not listed",
        "has a secret that GitHub does not show",
    ] {
        assert!(said.err.contains(note), "`{note}` is not said:\n{}", said.err);
    }
    assert!(!said.err.contains("token=abc") && !said.out.contains("token=abc"), "{said:?}");
    let files = import(&world).await;
    assert!(!files.values().any(|text| text.contains("token=abc") || text.contains("****")), "{files:#?}");
    assert!(files["layers/topic-rust.yml"].contains("name: crate"), "{files:#?}");
    assert!(files["settings.yml"].contains("everywhere"), "{files:#?}");
    let odd = &files["repos/all-aspects.yml"];
    for text in [
        "visibility: public",
        "additive:",
        "patterns_allowed: [\"acme/*\"]",
        "query_suite: extended",
        "wait_timer: 30",
        "{ name: COLOUR, value: blue }",
        "release/*",
        "due_on: \"2027-01-31\"",
        "ssh-ed25519 AAAA",
        "include_claim_keys:",
        "immutable_releases: true",
        "limit: existing_users",
    ] {
        assert!(odd.contains(text), "`{text}` is missing:\n{odd}");
    }
    assert!(!files.contains_key("repos/old.yml") && !files.contains_key("repos/.github.yml"), "{files:#?}");
    expect_empty_plan(&world, &files).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_organisation_has_a_policy_too() {
    let world = World::new(acme(json!({}))).await;
    let files = import(&world).await;
    assert_eq!(files.keys().collect::<Vec<_>>(), ["settings.yml"]);
    world.beadle(&["plan"]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_said_and_never_written_as_empty() {
    let world = World::new(acme(json!({ "shop": {
        "branches": { "main": {} }, "autolinks": { "T-": { "url_template": "https://t.example/<num>" } },
    } })))
    .await;
    let forbidden = json!({ "message": "Resource not accessible by integration" });
    world.fault(json!({ "path": "/repos/acme/shop/autolinks", "status": 403, "body": forbidden })).await;
    let files = import(&world).await;
    let shop = &files["repos/shop.yml"];
    assert!(shop.contains("# autolinks could not be imported: "), "{shop}");
    assert!(!shop.lines().any(|line| line.starts_with("autolinks")), "{shop}");
    world.no_faults().await;
    expect_empty_plan(&world, &files).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_of_a_copy_that_was_applied_is_the_same() {
    let names = ["service-0", "service-1", "service-2", "service-3", "crate-0", "crate-1", "crate-2"];
    let mut state = messy();
    let repositories = state["orgs"]["acme"]["repos"].as_object_mut().unwrap();
    repositories.retain(|name, _| names.contains(&name.as_str()));
    let world = World::unlimited(state).await;
    let imported = import(&world).await;
    let empty: Value =
        names.iter().map(|name| ((*name).to_owned(), json!({ "branches": { "main": {} } }))).collect();
    let copy = World::unlimited(acme(empty)).await;
    std::fs::remove_dir_all(copy.path().join("policy")).unwrap();
    std::fs::rename(world.path().join("policy"), copy.path().join("policy")).unwrap();
    copy.beadle(&["apply", "--yes"]).await.expect(0);
    let again = copy.path().join("again");
    copy.beadle(&["import", "--into", again.to_str().unwrap()]).await.expect(0);
    assert_eq!(files(&again), imported);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_repository_gets_one_file_and_nothing_is_overwritten() {
    let world = World::new(acme(json!({ "shop": equal(), "other": equal() }))).await;
    let into = world.path().join("imported");
    let into = into.to_str().unwrap();
    world.beadle(&["import", "--repo", "shop", "--into", into]).await.expect(0);
    assert_eq!(files(Path::new(into)).keys().collect::<Vec<_>>(), ["repos/shop.yml"]);
    let calls = world.sim.call_count();
    let refused = world.beadle(&["import", "--into", into]).await.expect(1);
    assert!(refused.err.contains("must be empty or not exist"), "{}", refused.err);
    assert_eq!(world.sim.call_count(), calls, "the folder is looked at first");
    let absent = world.path().join("absent");
    let absent = absent.to_str().unwrap();
    let refused = world.beadle(&["import", "--repo", "nothing", "--into", absent]).await.expect(1);
    assert!(refused.err.contains("there is no repository `nothing`"), "{}", refused.err);
    assert!(!Path::new(absent).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_another_tool_are_converted_and_every_other_line_is_said() {
    let world = World::new(acme(json!({ "shop": { "branches": { "main": {} } } }))).await;
    let source = world.path().join("shop/.github");
    std::fs::create_dir_all(&source).unwrap();
    let source = source.join("settings.yml");
    std::fs::write(&source, "repository:\n  topics: web, rust\n  has_pages: true\nlabels: []\n").unwrap();
    let (source, into) = (source.to_str().unwrap(), world.path().join("converted"));
    let arguments = ["import", "--from", "probot", "--into", into.to_str().unwrap(), source];
    let said = world.beadle(&arguments).await.expect(0);
    assert!(
        said.out.contains("settings.yml:3:3") && said.out.contains("1 key is not converted"),
        "{}",
        said.out
    );
    assert_eq!(world.sim.call_count(), 0, "a conversion needs no network");
    let made = files(&into);
    assert_eq!(made.keys().collect::<Vec<_>>(), ["repos/shop.yml"]);
    std::fs::remove_dir_all(world.path().join("policy")).unwrap();
    std::fs::rename(&into, world.path().join("policy")).unwrap();
    world.beadle(&["check"]).await.expect(0);
    let plan = world.beadle(&["plan"]).await.expect(2);
    assert!(plan.out.contains("rust") && plan.out.contains("web"), "{}", plan.out);
    // If a file has an error, Beadle converts nothing.
    std::fs::write(source, "repository:\n  has_wiki: maybe\n").unwrap();
    let refused = world.beadle(&arguments).await.expect(1);
    assert!(refused.out.contains("wrote nothing: 1 error"), "{}", refused.out);
    assert!(!into.exists());
}
