//! Tests renamed people, teams, repositories and branches. Also tests new owners of the old names.
//! Beadle identifies each object by its id. So the new owner of a name gets nothing without an
//! approval.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{World, acme};

/// Changes the state of the organisation `acme` and of people directly.
async fn patch(world: &World, organisation: Value, users: Value) {
    let url = format!("{}/_sim/state?webhooks=false", world.sim.url());
    let patch = json!({ "orgs": { "acme": organisation }, "users": users });
    let answer = world.http.patch(url).body(patch.to_string()).send().await.unwrap();
    assert!(answer.status().is_success());
}

/// Runs `plan` and `apply`. Both commands must report `doubt` and write nothing.
async fn only_said(world: &World, doubt: &str) {
    let (state, writes) = (world.sim.state(), world.writes().len());
    let plan = world.beadle(&["plan"]).await.expect(2);
    assert!(plan.out.contains(doubt), "`{doubt}` is not reported:\n{}", plan.out);
    let applied = world.beadle(&["apply", "--yes"]).await.expect(1);
    assert!(applied.out.contains(doubt), "`{doubt}` is not reported:\n{}", applied.out);
    assert_eq!(world.writes().len(), writes, "{:?}", world.writes());
    assert_eq!(world.sim.state()["orgs"], state["orgs"]);
}

/// Waits until GraphQL has answered a document with this text.
async fn until_asked(world: &World, text: &str) {
    for _ in 0..1500 {
        let is_one =
            |call: &Value| call["request"]["query"].as_str().is_some_and(|query| query.contains(text));
        if world.sim.calls().iter().any(is_one) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nobody asked for `{text}`");
}

const MONA: &str = "collaborators:\n  - { username: mona, permission: push }\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_login_removes_nobody() {
    let mut state =
        acme(json!({ "widgets": { "branches": { "main": {} }, "collaborators": { "mona2": "push" } } }));
    state["users"]["mona2"] = json!({ "id": 501 });
    let world = World::new(state).await;
    world.policy("settings.yml", MONA);
    only_said(&world, "there is no user `mona` (settings.yml:2)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_user_is_followed_and_a_user_who_takes_the_login_gets_nothing() {
    let mut state = acme(json!({ "widgets": { "branches": { "main": {} } } }));
    state["orgs"]["acme"]["members"] = json!(["ann", "mona"]);
    state["users"]["mona"] = json!({ "id": 501 });
    let world = World::new(state).await;
    world.policy("settings.yml", MONA);
    world.beadle(&["apply", "--yes"]).await.expect(0);
    let people = || world.repository("widgets")["collaborators"].clone();
    assert_eq!(people(), json!({ "mona": "push" }));
    // The person has a new login.
    let renamed = json!({ "repos": { "widgets": { "collaborators": { "mona": null, "lisa": "push" } } } });
    patch(&world, renamed, json!({ "mona": null, "lisa": { "id": 501 } })).await;
    only_said(&world, "user `mona` is called `lisa` now; change the policy (settings.yml:2)").await;
    // Another person has the old login now, and already has access.
    let taken = json!({ "repos": { "widgets": { "collaborators": { "mona": "pull" } } } });
    patch(&world, taken, json!({ "mona": { "id": 502 } })).await;
    let said = "user `mona` had the id 501, but another user with the id 502 has this name now; if the policy means this user, run `beadle rebind acme --user mona`";
    only_said(&world, said).await;
    // Another person has the old login now, and Beadle would invite this person.
    let nobody = json!({ "repos": { "widgets": { "collaborators": { "mona": null, "lisa": null } } } });
    patch(&world, nobody, json!({})).await;
    only_said(&world, said).await;
    assert_eq!(people(), json!({}));
    world.beadle(&["rebind", "acme", "--user", "nobody-at-all"]).await.expect(1);
    let adopted = world.beadle(&["rebind", "acme", "--user", "mona"]).await.expect(0);
    assert!(adopted.out.contains("user `mona` (id 502)"), "{}", adopted.out);
    let journal = world.beadle(&["journal", "--format", "ndjson"]).await.expect(0);
    assert!(journal.out.contains("user mona"), "it is in the journal: {}", journal.out);
    world.beadle(&["apply", "--yes"]).await.expect(0);
    assert_eq!(people(), json!({ "mona": "push" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_team_is_followed_and_a_team_that_takes_the_slug_gets_nothing() {
    let mut state = acme(json!({ "widgets": { "branches": { "main": {} } } }));
    state["orgs"]["acme"]["teams"]["core"] = json!({ "id": 701 });
    let world = World::new(state).await;
    world.policy("settings.yml", "teams:\n  - { name: core, permission: push }\n");
    world.beadle(&["apply", "--yes"]).await.expect(0);
    let renamed = json!({
        "teams": { "core": null, "kernel": { "id": 701 } },
        "repos": { "widgets": { "teams": { "core": null, "kernel": "push" } } },
    });
    patch(&world, renamed, json!({})).await;
    only_said(&world, "team `core` is called `kernel` now; change the policy (settings.yml:2)").await;
    let another = json!({
        "teams": { "core": { "id": 702 } }, "repos": { "widgets": { "teams": { "kernel": null } } },
    });
    patch(&world, another, json!({})).await;
    only_said(&world, "with the id 702 has this name now; if the policy means this team, run `beadle rebind acme --team core`").await;
    let refused = world.beadle(&["rebind", "acme/widgets", "--team", "core"]).await.expect(1);
    assert!(refused.err.contains("needs an organisation"), "{}", refused.err);
    world.beadle(&["rebind", "acme", "--team", "core"]).await.expect(0);
    world.beadle(&["apply", "--yes"]).await.expect(0);
    assert_eq!(world.repository("widgets")["teams"], json!({ "core": "push" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_takes_a_login_cannot_bypass_a_branch_rule() {
    let live = json!({ "branches": { "main": {} }, "collaborators": { "mona": "push" } });
    let mut state = acme(json!({ "widgets": live }));
    state["users"]["mona"] = json!({ "id": 501 });
    let world = World::new(state).await;
    world.policy("settings.yml", MONA);
    world.beadle(&["apply", "--yes"]).await.expect(0);
    let renamed = json!({ "repos": { "widgets": { "collaborators": { "mona": null, "lisa": "push" } } } });
    patch(&world, renamed, json!({ "mona": { "id": 502 }, "lisa": { "id": 501 } })).await;
    let rule = "branches:\n  - name: main\n    protection: { enforce_admins: true, force_push_allowances: { users: [mona] } }\n";
    world.policy("settings.yml", rule);
    let applied = world.beadle(&["apply", "--yes"]).await.expect(1);
    assert!(applied.out.contains("run `beadle rebind acme --user mona`"), "{}", applied.out);
    let made = world.repository("widgets")["protection"]["main"].clone();
    assert_eq!(made["enforce_admins"], json!(true), "the rest of the rule is made: {made}");
    assert_eq!(made["force_push_allowances"]["users"], json!([]), "{made}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_takes_a_login_in_an_existing_rule_cannot_bypass_it() {
    let listed = |login: &str| json!({ "main": { "enforce_admins": true, "force_push_allowances": { "users": [login] } } });
    let mut state = acme(json!({ "widgets": { "branches": { "main": {} }, "protection": listed("mona") } }));
    state["users"]["mona"] = json!({ "id": 501 });
    let world = World::new(state).await;
    let rule = "branches:\n  - name: main\n    protection: { enforce_admins: true, force_push_allowances: { users: [mona] } }\n";
    world.policy("settings.yml", rule);
    world.beadle(&["apply", "--yes"]).await.expect(0);
    let renamed = json!({ "repos": { "widgets": { "protection": listed("lisa") } } });
    patch(&world, renamed, json!({ "mona": { "id": 502 }, "lisa": { "id": 501 } })).await;
    only_said(&world, "run `beadle rebind acme --user mona`").await;
}

/// A layer that protects a branch. The layer applies in addition to the policy of all repositories.
const LAYER: &str = "
teams:
  - { name: platform, permission: admin }
  - { name: security, permission: pull }
branches:
  - { name: default, protection: { enforce_admins: true } }
";

/// Protects a repository with a layer. Then an administrator changes a property of the repository
/// that the layer's selector uses.
async fn held_until_it_is_approved(select: &str, change: impl Fn(Value) -> Value) {
    let live = json!({ "id": 4001, "branches": { "main": {} }, "properties": { "tier": "gold" } });
    let mut state = acme(json!({ "pay-api": live }));
    state["orgs"]["acme"]["property_definitions"] = json!({ "tier": {} });
    let world = World::new(state).await;
    world.policy(
        "settings.yml",
        "teams:\n  - { name: platform, permission: admin }\nbranches:\n  - { name: default, protection: { enforce_admins: false } }\n",
    );
    world.policy("suborgs/pay.yml", &format!("{select}{LAYER}"));
    world.beadle(&["apply", "--yes"]).await.expect(0);
    world.patch(change(world.repository("pay-api")), false).await;
    let repository = || {
        let state = world.sim.state();
        let all = state["orgs"]["acme"]["repos"].as_object().unwrap().clone();
        all.into_iter().find(|(_, one)| one["id"] == 4001).unwrap()
    };
    let (name, _) = repository();
    let is_protected = || {
        let (_, one) = repository();
        one["teams"]["security"] == "pull" && one["protection"]["main"]["enforce_admins"] == json!(true)
    };
    let writes = world.writes().len();
    let applied = world.beadle(&["apply", "--yes"]).await.expect(2);
    let why = "suborgs/pay.yml no longer reaches this repository";
    assert!(applied.out.contains(why), "{select}: {}", applied.out);
    assert!(is_protected() && world.writes().len() == writes, "{select}: {:?}", world.writes());
    world.beadle(&["apply", "--yes"]).await.expect(2);
    assert!(is_protected(), "{select}: it waits for somebody, not for the next run");
    let holds = world.beadle(&["holds"]).await.expect(0).out;
    assert!(holds.contains(&format!("acme/{name}")) && holds.contains(why), "{holds}");
    let holds = world.beadle(&["holds", "--json"]).await.expect(0).out;
    let holds: Vec<Value> = holds.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(holds.len(), 2, "{holds:?}");
    for hold in &holds {
        world.beadle(&["approve", hold["digest"].as_str().unwrap(), "--reason", "as meant"]).await.expect(0);
    }
    world.beadle(&["apply", "--yes"]).await.expect(0);
    let (_, one) = repository();
    assert_eq!(one["teams"], json!({ "platform": "admin" }), "{select}");
    assert_eq!(one["protection"]["main"]["enforce_admins"], json!(false), "{select}");
    world.beadle(&["plan"]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loss_of_a_layer_by_a_rename_is_held() {
    let renamed = |repository: Value| json!({ "pay-api": null, "shop": repository });
    held_until_it_is_approved("suborgrepos: ['pay*']", renamed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_also_holds_the_loss_of_a_layer_by_a_rename() {
    let is_protected = |one: &Value| one["protection"]["main"]["enforce_admins"] == json!(true);
    let repositories: Value = (0..8_u64)
        .map(|n| (format!("pay-{n}"), json!({ "id": 4100 + n, "branches": { "main": {} } })))
        .collect();
    let world = World::new(acme(repositories)).await;
    world.policy("settings.yml", "branches:\n  - { name: default, protection: { enforce_admins: false } }\n");
    world.policy(
        "suborgs/pay.yml",
        "suborgrepos: ['pay*']\nbranches:\n  - { name: default, protection: { enforce_admins: true } }\n",
    );
    let serving = world.serve().await;
    world.connect();
    for n in 0..8 {
        world.until(&format!("pay-{n}"), "protection", is_protected).await;
    }
    world.patch(json!({ "pay-0": null, "shop": world.repository("pay-0") }), true).await;
    world.until_idle().await;
    let mut held = String::new();
    for _ in 0..1200 {
        held = world.beadle(&["holds"]).await.expect(0).out;
        if held.contains("acme/shop") || !is_protected(&world.repository("shop")) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(held.contains("suborgs/pay.yml no longer reaches this repository"), "{held}");
    assert!(is_protected(&world.repository("shop")));
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loss_of_an_entry_by_a_rename_is_held() {
    let live = json!({ "id": 4001, "branches": { "main": {} } });
    let world = World::new(acme(json!({ "docs": live }))).await;
    let policy = "teams:\n  - { name: platform, permission: admin }\n  - { name: security, permission: pull, include: [docs] }\n";
    world.policy("settings.yml", policy);
    world.beadle(&["apply", "--yes"]).await.expect(0);
    let both = json!({ "platform": "admin", "security": "pull" });
    assert_eq!(world.repository("docs")["teams"], both);
    world.patch(json!({ "docs": null, "shop": world.repository("docs") }), false).await;
    // If Beadle cannot read the teams, it still knows which layers applied.
    world.fault(json!({ "path": "/shop/teams", "status": 404 })).await;
    world.beadle(&["plan"]).await.expect(2);
    world.no_faults().await;
    let applied = world.beadle(&["apply", "--yes"]).await.expect(2);
    let why =
        "settings.yml (`security` in `teams`) no longer reaches this repository: it was called docs before";
    assert!(applied.out.contains(why), "{}", applied.out);
    assert_eq!(world.repository("shop")["teams"], both);
    let held = world.beadle(&["holds", "--json"]).await.expect(0).json();
    world.beadle(&["approve", held["digest"].as_str().unwrap(), "--reason", "as meant"]).await.expect(0);
    world.beadle(&["apply", "--yes"]).await.expect(0);
    assert_eq!(world.repository("shop")["teams"], json!({ "platform": "admin" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loss_of_a_layer_by_a_changed_property_is_held() {
    for value in [json!("bronze"), Value::Null] {
        let select = "suborgproperties:\n  - tier: gold";
        let changed = |_| json!({ "pay-api": { "properties": { "tier": value } } });
        held_until_it_is_approved(select, changed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loss_of_a_layer_by_a_removed_team_is_held() {
    let live = json!({ "branches": { "main": {} }, "teams": { "security": "pull" } });
    let world = World::new(acme(json!({ "pay-api": live }))).await;
    world.policy(
        "settings.yml",
        "teams:\n  - { name: platform, permission: admin }\nbranches:\n  - { name: default, protection: { enforce_admins: false } }\n",
    );
    world.policy("suborgs/pay.yml", &format!("suborgteams: [security]{LAYER}"));
    world.beadle(&["apply", "--yes"]).await.expect(0);
    let is_protected = || world.repository("pay-api")["protection"]["main"]["enforce_admins"] == json!(true);
    assert!(is_protected());
    // Even without the layer, the list of teams matches the policy. The other effects of the layer
    // must stay.
    world.patch(json!({ "pay-api": { "teams": { "security": null } } }), false).await;
    let applied = world.beadle(&["apply", "--yes"]).await.expect(2);
    assert!(applied.out.contains("suborgs/pay.yml no longer reaches this repository"), "{}", applied.out);
    assert!(is_protected(), "{}", applied.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_of_another_policy_keeps_the_remembered_layers() {
    let world = World::new(acme(json!({ "pay-api": { "id": 4001, "branches": { "main": {} } } }))).await;
    let rule = |is_strict: bool| {
        format!("branches:\n  - {{ name: default, protection: {{ enforce_admins: {is_strict} }} }}\n")
    };
    let layer = |glob: &str| format!("suborgrepos: ['{glob}']\n{}", rule(true));
    world.policy("settings.yml", &rule(false));
    world.policy("suborgs/pay.yml", &layer("pay*"));
    world.beadle(&["apply", "--yes"]).await.expect(0);
    world.patch(json!({ "pay-api": null, "shop": world.repository("pay-api") }), false).await;
    // A draft of a policy.
    world.policy("suborgs/pay.yml", &layer("pay-*"));
    world.beadle(&["plan"]).await.expect(2);
    world.policy("suborgs/pay.yml", &layer("pay*"));
    let applied = world.beadle(&["apply", "--yes"]).await.expect(2);
    assert!(applied.out.contains("suborgs/pay.yml no longer reaches this repository"), "{}", applied.out);
    assert_eq!(world.repository("shop")["protection"]["main"]["enforce_admins"], json!(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_public_repository_becomes_private_and_the_settings_of_its_file_wait() {
    let live = json!({ "id": 4001, "visibility": "private", "branches": { "main": {} } });
    let world = World::new(acme(json!({ "svc": live }))).await;
    world.policy("settings.yml", "repository: { visibility: private, has_wiki: false }\n");
    world.policy("repos/svc.yml", "repository: { description: Ours }\n");
    world.beadle(&["apply", "--yes"]).await.expect(0);
    let mut moved = world.repository("svc");
    assert_eq!(moved["description"], "Ours");
    moved["visibility"] = json!("public");
    moved["private"] = json!(false);
    moved["has_wiki"] = json!(true);
    moved["description"] = json!("Theirs");
    world.patch(json!({ "svc": null, "svc2": moved }), false).await;
    let applied = world.beadle(&["apply", "--yes"]).await.expect(1);
    assert!(
        applied.out.contains("belongs to this repository, which is now called acme/svc2"),
        "{}",
        applied.out
    );
    let now = world.repository("svc2");
    assert_eq!((&now["visibility"], &now["has_wiki"]), (&json!("private"), &json!(false)), "{}", applied.out);
    assert_eq!(now["description"], "Theirs", "what the file alone says waits");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_a_store_knows_the_repository_of_a_file_after_a_rename() {
    let live = json!({ "id": 4001, "visibility": "private", "description": "Ours", "branches": { "main": {} },
        "teams": { "platform": "admin", "security": "pull" } });
    let world = World::new(acme(json!({ "svc": live }))).await;
    let settings = "repository: { visibility: private }\nteams:\n  - { name: platform, permission: admin }\n";
    world.policy("settings.yml", settings);
    let file = "repository: { description: Ours }\nteams:\n  - { name: security, permission: pull }\n";
    world.policy("repos/svc.yml", file);
    world.beadle(&["sweep", "--without-store"]).await.expect(0);
    let mut moved = world.repository("svc");
    moved["visibility"] = json!("public");
    moved["private"] = json!(false);
    moved["description"] = json!("Theirs");
    world.patch(json!({ "svc": null, "svc2": moved }), false).await;
    let plan = world.beadle(&["plan"]).await.expect(2);
    let why = "repos/svc.yml belongs to this repository, which is now called acme/svc2";
    assert!(plan.out.contains(why) && !plan.out.contains("→ none"), "{}", plan.out);
    world.beadle(&["sweep", "--without-store"]).await.expect(1);
    let now = world.repository("svc2");
    assert_eq!((&now["visibility"], &now["description"]), (&json!("private"), &json!("Theirs")));
    assert_eq!(now["teams"], json!({ "platform": "admin", "security": "pull" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_during_the_read_of_all_teams_is_not_removed() {
    let mut repositories: Value =
        (0..25).map(|n| (format!("r{n:02}"), json!({ "teams": { "platform": "admin" } }))).collect();
    repositories["r00"]["teams"]["contractors"] = json!("pull");
    let world = World::new(acme(repositories)).await;
    let settings = "teams:\n  - { name: platform, permission: admin }\ncollaborators: { additive: [] }\n";
    world.policy("settings.yml", settings);
    let layer = "suborgteams: [security]\nteams:\n  - { name: security, permission: pull }\n  - { name: contractors, permission: pull }\n";
    world.policy("suborgs/audited.yml", layer);
    // The first read does not show the team of the layer. The simulator delays the next reads, and
    // meanwhile somebody gives the team access.
    world.fault(json!({ "path": "/invitations", "delay_ms": 3000 })).await;
    let planned = async { world.beadle(&["plan"]).await };
    let granted = async {
        until_asked(&world, "teams(first: 100").await;
        world.patch(json!({ "r00": { "teams": { "security": "pull" } } }), false).await;
    };
    let (planned, ()) = tokio::join!(planned, granted);
    let planned = planned.expect(0);
    assert!(planned.out.contains("nothing to change in 25 repositories"), "{}", planned.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_takes_the_name_during_a_run_keeps_its_labels() {
    let labels = |from: usize| -> Value {
        (from..16).map(|n| (format!("l{n:02}"), json!({ "color": "cc0000" }))).collect()
    };
    let live = |id: u64, teams: Value, from: usize| json!({ "id": id, "teams": teams, "labels": labels(from), "branches": { "main": {} } });
    let ours = || live(5001, json!({ "engineering": "push" }), 0);
    let world = World::new(acme(json!({ "widgets": ours() }))).await;
    world.policy("settings.yml", "repository: { has_issues: true }\n");
    world.policy("suborgs/tidy.yml", "suborgteams: [engineering]\nlabels: []\n");
    // The first `DELETE` call takes so long that Beadle must check the name again.
    world.fault(json!({ "method": "DELETE", "path": "/labels/l00", "delay_ms": 6000, "count": 1 })).await;
    let applied = async { world.beadle(&["apply", "--yes"]).await };
    let taken = async {
        until_asked(&world, "... on Repository { databaseId name owner { login } }").await;
        world.patch(json!({ "widgets": null }), false).await;
        // The request in progress deletes a label. The other repository does not have this label.
        world.patch(json!({ "renamed": ours(), "widgets": live(6001, json!({}), 1) }), false).await;
    };
    let (applied, ()) = tokio::join!(applied, taken);
    assert_eq!(world.repository("widgets")["labels"].as_object().unwrap().len(), 15, "{applied:?}");
    let left = world.repository("renamed")["labels"].as_object().unwrap().len();
    assert!(left <= 1, "the run goes on under the new name: {left} are left\n{applied:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_default_branch_leaves_no_old_rule() {
    let live = json!({ "default_branch": "dev", "branches": { "main": {}, "dev": {} } });
    let world = World::new(acme(json!({ "widgets": live }))).await;
    world.policy(
        "settings.yml",
        "repository: { default_branch: main }\nbranches:\n  - { name: default, protection: { enforce_admins: true } }\n",
    );
    world.beadle(&["apply", "--yes"]).await.expect(0);
    let after = world.repository("widgets");
    assert_eq!(after["default_branch"], "main");
    let rules: Vec<&String> = after["protection"].as_object().unwrap().keys().collect();
    assert_eq!(rules, ["main"], "no trace of the branch that was the default one by drift");
    world.beadle(&["plan"]).await.expect(0);
}
