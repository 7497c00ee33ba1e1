//! Tests a policy in a repository. After a merge, Beadle starts to use the policy. If Beadle cannot
//! accept the policy, the previous generation stays in force.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::repair::{POLICY, declared, is_declared};
use crate::world::{Serving, World, acme};

const SETTINGS: &str = ".github/settings.yml";

/// Returns an organisation with a policy. The files of the policy are in the repository `admin`.
async fn world(files: Value) -> World {
    let admin = json!({ "branches": { "main": {} }, "contents": files });
    let mut world = World::unlimited(acme(json!({ "widgets": declared(), "admin": admin }))).await;
    world.source = "{ repository = \"admin\", path = \".github\" }".into();
    world
}

/// Merges a change of files. Deletes a file if its text is null.
async fn merge(world: &World, files: Value, author: &str, message: &str) {
    let commit = json!({ "author": author, "message": message });
    world.patch(json!({ "admin": { "contents": files, "commit": commit } }), true).await;
}

fn wiki(is_on: bool) -> String {
    POLICY.replace("has_wiki: false", &format!("has_wiki: {is_on}"))
}

/// Returns the journal entries about policies that came into force.
async fn policies(world: &World) -> Vec<Value> {
    let printed = world.beadle(&["journal", "--format", "ndjson"]).await.expect(0);
    let entries = printed.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    entries.filter(|entry| entry["detail"].get("in_force").is_some()).collect()
}

async fn until_logged(serving: &Serving, text: &str, times: usize) {
    for _ in 0..3000 {
        if serving.log().matches(text).count() >= times {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("`{text}` was not logged {times} times:\n{}", serving.log());
}

/// Changes the repository `widgets` so that it differs from the policy.
async fn drift(world: &World) {
    world.patch(json!({ "widgets": { "teams": { "contractors": "admin" } } }), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_is_in_force_without_a_restart_and_the_journal_names_its_author() {
    let world = world(json!({ SETTINGS: POLICY, "README.md": "not a policy" })).await;
    let _serving = world.serve().await;
    world.connect();
    merge(&world, json!({ SETTINGS: wiki(true) }), "ann", "Turn wikis on\n\nEverybody asked.").await;
    world.until("widgets", "the merged policy", |found| found["has_wiki"] == json!(true)).await;
    world.until_idle().await;
    let head = world.repository("admin")["head_commit"].as_str().unwrap().to_owned();
    let entries = policies(&world).await;
    assert_eq!(entries.len(), 2, "{entries:#?}");
    assert_eq!(
        entries[1]["detail"],
        json!({
            "in_force": head[..12], "repository": "acme/admin", "commit": head, "author": "ann",
            "subject": "Turn wikis on",
        })
    );
    let written = world.beadle(&["journal", "--repo", "acme/widgets"]).await.expect(0).out;
    let asked = format!("asked by settings.yml:4 `has_wiki: true` at {}", &head[..12]);
    assert!(written.contains(&asked), "{written}");
    let journal = format!("http://127.0.0.1:{}/journal?kind=intent", world.operator());
    let page = async || world.http.get(&journal).send().await.unwrap().text().await.unwrap();
    let link = format!("<a href=\"{}/acme/admin/blob/{head}/{SETTINGS}#L4\">", world.sim.url());
    let line = format!("{link}<code>settings.yml:4</code></a>");
    let shown = page().await;
    assert!(shown.contains(&format!("{line}: <code>has_wiki: true</code>")), "{line}: {shown}");
    // This commit changes no file of the policy, so there is no new generation.
    merge(&world, json!({ "README.md": "still not a policy" }), "bob", "Explain").await;
    world.beadle(&["tasks", "run", "policy of acme"]).await.expect(0);
    assert_eq!(policies(&world).await.len(), 2);
    assert_ne!(world.repository("admin")["head_commit"], json!(head));
    // The link to a line of an earlier generation still leads to the commit of that generation.
    merge(&world, json!({ SETTINGS: wiki(false) }), "ann", "Turn wikis off").await;
    world.until("widgets", "the last policy", |found| found["has_wiki"] == json!(false)).await;
    world.until_idle().await;
    let shown = page().await;
    assert!(shown.contains(&line), "{line}: {shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_a_merge_removes_names_the_author_and_the_last_line_of_the_team() {
    let world = world(json!({ SETTINGS: POLICY })).await;
    let serving = world.serve().await;
    world.connect();
    world.until_swept(&serving).await;
    let head = || world.repository("admin")["head_commit"].as_str().unwrap().to_owned();
    let before = head();
    let without = POLICY.replace("  - { name: engineering, permission: push }\n", "");
    merge(&world, json!({ SETTINGS: without }), "ann", "Drop engineering").await;
    world
        .until("widgets", "the merged policy", |found| found["teams"] == json!({ "platform": "admin" }))
        .await;
    world.until_idle().await;
    let head = head();
    let (policy, earlier) = (&head[..12], &before[..12]);
    let history = world.beadle(&["history", "acme/widgets", "--setting", "team engineering"]).await.expect(0);
    let journal = world.beadle(&["journal", "--repo", "acme/widgets"]).await.expect(0);
    for part in [
        format!("asked by settings.yml:7 `teams:` at {policy}"),
        "the list `teams` does not have engineering".to_owned(),
        format!("policy {policy} by ann: Drop engineering (entry "),
        format!(
            "the policy of the repository last declared `teams[engineering]` in settings.yml:9 at {earlier}"
        ),
    ] {
        assert!(history.out.contains(&part), "{part}: {}", history.out);
        assert!(journal.out.contains(&part), "{part}: {}", journal.out);
    }
    assert!(history.err.contains("`beadle journal --only policy`"), "{}", history.err);
    let of_ann = world.beadle(&["journal", "--who", "Ann", "--only", "intent"]).await.expect(0).out;
    assert!(of_ann.contains("by ann: Drop engineering"), "{of_ann}");
    let json = world.beadle(&["history", "widgets", "--setting", "team engineering", "--json"]).await;
    let json = json.expect(0).json();
    assert_eq!((&json["policy"]["author"], &json["policy"]["commit"]), (&json!("ann"), &json!(head)));
    assert_eq!((&json["absent_from"], &json["last_declared"]["commit"]), (&json!("teams"), &json!(before)));
    let link = format!("<a href=\"{}/acme/admin/blob/{before}/{SETTINGS}#L9\">", world.sim.url());
    for path in ["/repositories/acme/widgets", "/journal?kind=intent&key=acme%2Fwidgets&text=engineering"] {
        let address = format!("http://127.0.0.1:{}{path}", world.operator());
        let page = world.http.get(&address).send().await.unwrap().text().await.unwrap();
        for part in [
            "; the list <code>teams</code> does not have engineering",
            "</a> by ann: Drop engineering",
            link.as_str(),
        ] {
            assert!(page.contains(part), "{part} in {path}: {page}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_cannot_be_accepted_leaves_the_last_generation_in_force() {
    let world = world(json!({ SETTINGS: POLICY })).await;
    let _serving = world.serve().await;
    world.connect();
    let link = json!({ "mode": "120000", "text": "../../outside.yml" });
    let module = json!({ "mode": "160000", "text": "5".repeat(40) });
    let groups = "[[groups]]\nsource = \"corp\"\ntarget = \"aws\"\ninclude = [\"x\"]\n";
    for (files, said) in [
        (json!({ SETTINGS: "repository: { has_wikki: true }" }), "did you mean `has_wiki`?"),
        (json!({ SETTINGS: wiki(true), ".github/groups.toml": groups }), "there is no [[okta]] `corp`"),
        (
            json!({ ".github/groups.toml": null, ".github/repos/x.yml": link }),
            "repos/x.yml: must not be a symbolic link",
        ),
        (json!({ ".github/repos/x.yml": null, ".github/rules": module }), "rules: must not be a submodule"),
        (
            json!({ ".github/rules": null, ".github/layers/big.yml": "#".repeat(1_100_000) }),
            "layers/big.yml: must have at most 1 MiB",
        ),
    ] {
        merge(&world, files, "eve", "Change the policy").await;
        let ran = world.beadle(&["tasks", "--json", "run", "policy of acme"]).await.expect(1).json();
        let why = ran["failure"].as_str().unwrap();
        assert!(why.contains(said) && why.contains("stays in force"), "{said}: {why}");
        drift(&world).await;
        world.until("widgets", "repair by the last generation", is_declared).await;
    }
    assert_eq!(policies(&world).await.len(), 1);
    merge(&world, json!({ ".github/layers/big.yml": null }), "ann", "Repair the policy").await;
    world.until("widgets", "the repaired policy", |found| found["has_wiki"] == json!(true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_github_uses_the_last_accepted_generation() {
    let world = world(json!({ SETTINGS: POLICY })).await;
    let serving = world.serve().await;
    world.until_swept(&serving).await;
    assert_eq!(serving.stop().await, Some(0));
    world.fault(json!({ "path": "", "status": 503 })).await;
    let serving = world.serve().await;
    until_logged(&serving, "policy in force", 2).await;
    world.no_faults().await;
    world.connect();
    drift(&world).await;
    world.until("widgets", "repair by the last accepted generation", is_declared).await;
    assert_eq!(policies(&world).await.len(), 1, "it is the same generation");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_changed_file_of_a_large_policy_takes_five_calls_at_most() {
    let mut files = Map::from_iter([(SETTINGS.to_owned(), json!(POLICY))]);
    for n in 0..300 {
        files.insert(
            format!(".github/layers/l{n}.yml"),
            json!(format!(
                "rank: {}\nselect: {{ topic: t{n} }}\nrepository: {{ has_issues: true }}\n",
                n + 1
            )),
        );
    }
    let world = world(Value::Object(files)).await;
    let serving = world.serve().await;
    world.connect();
    world.until_swept(&serving).await;
    let about_policy = |call: &Value| {
        let is_read = call["path"].as_str().is_some_and(|path| path.contains("/repos/acme/admin/"));
        // An answer with the status 304 does not use the budget.
        call["status"] == 200 && (is_read || call["operation"] == "repository")
    };
    assert!(!world.sim.calls_that(about_policy).is_empty());
    world.sim.forget_calls();
    merge(&world, json!({ SETTINGS: wiki(true) }), "ann", "Turn wikis on").await;
    until_logged(&serving, "policy in force", 2).await;
    let calls = world.sim.calls_that(about_policy);
    assert!(calls.len() <= 5, "{} calls", calls.len());
    world.until("widgets", "the merged policy", |found| found["has_wiki"] == json!(true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_read_the_repository_and_link_its_lines() {
    let world = world(json!({ SETTINGS: wiki(true) })).await;
    let checked = world.beadle(&["check"]).await.expect(0);
    assert!(
        checked.err.contains("acme/admin/.github at main") && checked.err.contains("hint: check out"),
        "{checked:?}"
    );
    assert!(world.sim.calls().is_empty(), "a check asks nobody");
    let head = world.repository("admin")["head_commit"].as_str().unwrap().to_owned();
    let link = format!("{}/acme/admin/blob/{head}/{SETTINGS}#L4", world.sim.url());
    let planned = world.beadle(&["plan", "--format", "json"]).await.expect(2).json();
    let fields = planned["organisations"][0]["repositories"].to_string();
    assert!(fields.contains(&link), "{link}: {fields}");
    let page = world.beadle(&["plan", "--format", "markdown"]).await.expect(2);
    assert!(page.out.contains(&format!("[`settings.yml:4`]({link})")), "{}", page.out);
    let explained =
        world.beadle(&["explain", "acme/widgets", "repository.has_wiki", "--json"]).await.expect(0);
    assert_eq!(explained.json()["values"][0]["link"], json!(link));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_moves_to_another_repository_is_compared_with_the_accepted_one() {
    let mut world = world(json!({ SETTINGS: POLICY })).await;
    let first = "first policy waits for the gate";
    let serving = world.spawn(&[("FAILPOINTS", "settle=return")]).ready(world.operator()).await;
    until_logged(&serving, "policy in force", 1).await;
    assert!(serving.log().contains(first), "{}", serving.log());
    assert_eq!(serving.stop().await, Some(0));
    let rules = json!({ "branches": { "main": {} }, "contents": { "settings.yml": wiki(true) } });
    world.patch(json!({ "rules": rules }), false).await;
    world.source = "{ repository = \"rules\" }".into();
    let serving = world.spawn(&[("FAILPOINTS", "settle=return")]).ready(world.operator()).await;
    world.until("widgets", "the moved policy", |found| found["has_wiki"] == json!(true)).await;
    assert_eq!(serving.log().matches(first).count(), 1, "{}", serving.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_is_not_there_is_reported_with_its_reason() {
    let mut world = world(json!({ SETTINGS: POLICY })).await;
    let source = world.source.clone();
    for (wrong, reason) in [
        (source.replace("admin", "adminn"), "hint: acme/adminn does not exist, or the App or the token"),
        (source.replace(" }", ", ref = \"mian\" }"), "acme/admin has no branch, tag or commit `mian`"),
    ] {
        world.source = wrong;
        let refused = world.beadle(&["plan"]).await.expect(1);
        assert!(refused.err.contains(reason), "{}", refused.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_opens_with_a_permission_that_an_owner_accepts_later() {
    let admin = json!({ "branches": { "main": {} }, "contents": { SETTINGS: POLICY } });
    let mut state = acme(json!({ "widgets": declared(), "admin": admin }));
    state["orgs"]["acme"]["permissions"] =
        json!({ "administration": "write", "members": "read", "metadata": "read" });
    let mut world = World::unlimited(state).await;
    world.source = "{ repository = \"admin\", path = \".github\" }".into();
    let _serving = world.serve().await;
    let open = async || world.beadle(&["tasks", "run", "opening of acme"]).await;
    let refused = open().await.expect(1);
    assert!(refused.out.contains("contents: read") || refused.err.contains("contents: read"), "{refused:?}");
    let patch = json!({ "orgs": { "acme": { "permissions": { "contents": "read" } } } });
    let url = format!("{}/_sim/state?webhooks=false", world.sim.url());
    assert!(world.http.patch(url).body(patch.to_string()).send().await.unwrap().status().is_success());
    // A run of the task may use the old token. The next run must not wait for the end of this
    // token.
    let mut looks = 0;
    while policies(&world).await.is_empty() {
        looks += 1;
        assert!(looks < 10, "the organisation did not open");
        open().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_needs_a_review_is_refused_from_a_branch_without_one() {
    let mut world = world(json!({ SETTINGS: POLICY })).await;
    let unprotected = "`main` of acme/admin accepts changes of the policy without a review";
    let doctor = world.beadle(&["doctor"]).await;
    assert!(doctor.out.contains(unprotected), "{doctor:?}");
    world.source = world.source.replace(" }", ", require_review = true }");
    let refused = world.beadle(&["plan"]).await.expect(1);
    assert!(refused.err.contains(unprotected), "{}", refused.err);
    let set = "hint: `require_review` is set in `policy` of the [[org]] with the name `acme`";
    assert!(refused.err.contains(set), "{}", refused.err);
    let reviews = json!({ "required_approving_review_count": 1 });
    let rule = json!({ "enforce_admins": true, "required_pull_request_reviews": reviews });
    world.patch(json!({ "admin": { "protection": { "main": rule } } }), false).await;
    world.beadle(&["plan"]).await.expect(0);
    let ruleset = json!({
        "target": "branch", "enforcement": "active",
        "conditions": { "ref_name": { "include": ["~DEFAULT_BRANCH"], "exclude": [] } },
        "rules": [{ "type": "pull_request", "parameters": {
            "dismiss_stale_reviews_on_push": false, "require_code_owner_review": false,
            "require_last_push_approval": false, "required_approving_review_count": 1,
            "required_review_thread_resolution": false } }],
    });
    let admin = json!({ "protection": { "main": null }, "rulesets": { "reviewed": ruleset } });
    world.patch(json!({ "admin": admin }), false).await;
    world.beadle(&["plan"]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_to_a_shared_base_changes_the_policy_that_stands_on_it() {
    let mut world = world(json!({ SETTINGS: POLICY })).await;
    let change = async |world: &World, text: &str, author: &str| {
        let rules = json!({
            "branches": { "main": {} }, "contents": { "settings.yml": text }, "commit": { "author": author },
        });
        let patch = json!({ "orgs": { "shared": { "repos": { "rules": rules } } } });
        let url = format!("{}/_sim/state?webhooks=true", world.sim.url());
        let answer = world.http.patch(url).body(patch.to_string()).send().await.unwrap();
        assert!(answer.status().is_success());
    };
    change(&world, "repository: { has_wiki: true, has_projects: true }", "ann").await;
    world.lines = format!(
        "[[org]]\nname = \"shared\"\napi = \"{}\"\napp = {{ id = {}, key = \"file:app.pem\" }}\n\
         webhook_secrets = [\"file:webhook.secret\"]\npolicy = {{ repository = \"rules\" }}\n",
        world.sim.url(),
        beadle_sim::APP_ID
    );
    world.source += "\nbase = { organisation = \"shared\", repository = \"rules\" }";
    let explained = world.beadle(&["explain", "acme/widgets", "repository.has_"]).await.expect(0);
    for said in ["[settings.yml:4]", "overrides true  [base/settings.yml:1]", "base shared/rules at commit"] {
        assert!(explained.out.contains(said), "{said}: {}", explained.out);
    }
    let _serving = world.serve().await;
    world.connect();
    change(&world, "repository: { has_wiki: true, has_projects: false }", "bob").await;
    world.until("widgets", "the new base", |found| found["has_projects"] == json!(false)).await;
    assert_eq!(world.repository("widgets")["has_wiki"], json!(false), "the organisation's own file wins");
    let entries = policies(&world).await;
    let of_acme = entries.iter().filter(|entry| entry["subject"] == "acme");
    let authors = of_acme.map(|entry| entry["detail"]["base"]["author"].clone());
    assert_eq!(authors.collect::<Vec<_>>(), [json!("ann"), json!("bob")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_takes_the_name_of_the_policys_repository_writes_no_policy() {
    let world = world(json!({ SETTINGS: POLICY })).await;
    let serving = world.serve().await;
    world.connect();
    world.until_swept(&serving).await;
    let ours = world.repository("admin");
    world.patch(json!({ "admin": null, "policies": ours }), false).await;
    let theirs = json!({ "id": 9100, "branches": { "main": {} }, "contents": { SETTINGS: wiki(true) } });
    world.patch(json!({ "admin": theirs }), true).await;
    let why = "another repository with the id 9100 has this name now; if the policy means this repository, run `beadle rebind acme --repository acme/admin`";
    world.beadle(&["tasks", "run", "policy of acme"]).await;
    until_logged(&serving, why, 1).await;
    world.beadle(&["tasks", "run", "sweep of acme"]).await.expect(0);
    world.until_idle().await;
    assert_eq!(policies(&world).await.len(), 1);
    assert_eq!(world.repository("widgets")["has_wiki"], json!(false));
    let policies = world.repository("policies");
    for key in ["visibility", "has_wiki", "delete_branch_on_merge", "topics", "teams", "protection"] {
        assert_eq!(policies[key], ours[key], "the policy does not apply to its own repository: {key}");
    }
    world.beadle(&["rebind", "acme", "--repository", "acme/admin"]).await.expect(0);
    world.beadle(&["tasks", "run", "policy of acme"]).await.expect(0);
    world.until("widgets", "the confirmed policy", |found| found["has_wiki"] == json!(true)).await;
}
