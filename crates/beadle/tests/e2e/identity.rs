//! Tests that Beadle never writes to the wrong repository. If a name now belongs to another
//! repository, Beadle removes nothing because of this.

use std::time::Duration;

use serde_json::{Value, json};

use crate::repair::{POLICY, declared};
use crate::world::{Ran, World, acme};

/// A part of the query that a run sends before its first write.
const LOOKUP: &str = "... on Repository { databaseId name owner { login } }";

/// Applies the policy. Runs `meanwhile` after the plan and before the first write, to change the
/// state.
async fn apply_and_meanwhile(world: &World, meanwhile: impl AsyncFn()) -> Ran {
    world.fault(json!({ "path": "/graphql", "contains": LOOKUP, "hold": true, "count": 1 })).await;
    let applied = async { world.beadle(&["apply", "--yes"]).await };
    let changed = async {
        world.until_held().await;
        meanwhile().await;
        world.no_faults().await;
    };
    tokio::join!(applied, changed).0
}

fn drifted() -> Value {
    let mut repository = declared();
    repository["id"] = json!(5001);
    repository["teams"]["contractors"] = json!("admin");
    repository
}

/// Returns a repository of somebody else. Beadle must not change this repository.
fn stranger() -> Value {
    json!({ "id": 6001, "visibility": "public", "teams": { "contractors": "admin" }, "branches": { "main": {} } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_recreated_between_plan_and_write_is_not_changed() {
    let world = World::new(acme(json!({ "widgets": drifted() }))).await;
    world.policy("settings.yml", POLICY);
    let applied = apply_and_meanwhile(&world, async || {
        world.patch(json!({ "widgets": null }), false).await;
        world.patch(json!({ "widgets": stranger() }), false).await;
    })
    .await
    .expect(1);
    assert!(applied.err.contains("no longer exists; nothing was written"), "{}", applied.err);
    assert_eq!(world.writes(), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_that_takes_the_name_between_plan_and_write_is_not_changed() {
    let world = World::new(acme(json!({ "widgets": drifted() }))).await;
    world.policy("settings.yml", POLICY);
    apply_and_meanwhile(&world, async || {
        world.patch(json!({ "widgets": null }), false).await;
        world.patch(json!({ "renamed": drifted(), "widgets": stranger() }), false).await;
    })
    .await
    .expect(0);
    assert!(
        world.repository("renamed")["teams"].get("contractors").is_none(),
        "it is repaired under its new name"
    );
    assert!(!world.writes().is_empty());
    let touched = world.writes().iter().any(|call| call["path"].as_str().unwrap().ends_with("/widgets"));
    assert!(!touched, "the stranger was written to: {:?}", world.writes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_transferred_between_plan_and_write_is_not_changed() {
    let mut state = acme(json!({ "widgets": drifted() }));
    state["orgs"]["elsewhere"] = json!({ "teams": { "contractors": {} } });
    let world = World::new(state).await;
    world.policy("settings.yml", POLICY);
    let applied = apply_and_meanwhile(&world, async || {
        let patch = json!({ "orgs": { "acme": { "repos": { "widgets": null } } } });
        let url = format!("{}/_sim/state", world.sim.url());
        world.http.patch(&url).body(patch.to_string()).send().await.unwrap();
        let patch = json!({ "orgs": { "elsewhere": { "repos": { "widgets": drifted() } } } });
        world.http.patch(&url).body(patch.to_string()).send().await.unwrap();
    })
    .await
    .expect(1);
    assert!(applied.err.contains("was transferred to elsewhere/widgets"), "{}", applied.err);
    assert_eq!(world.writes(), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_of_a_transferred_or_deleted_repository_is_handled() {
    let mut state = acme(json!({ "widgets": declared() }));
    state["orgs"]["elsewhere"] = json!({ "repos": { "moved": { "id": 7001 } } });
    let world = World::new(state).await;
    world.policy("settings.yml", POLICY);
    let _serving = world.serve().await;
    for (id, node) in [(7001, "R_kgDO00007001"), (8001, "R_kgDO00008001"), (9001, "nonsense")] {
        let body = json!({ "action": "edited", "organization": { "login": "acme" },
            "repository": { "id": id, "node_id": node, "owner": { "login": "acme" } } });
        let sent = world
            .delivery(&format!("d{id}"), "repository", body.to_string().as_bytes())
            .send()
            .await
            .unwrap();
        assert_eq!(sent.status(), 202);
    }
    world.until_idle().await;
    for _ in 0..800 {
        if world.beadle(&["queue", "--json"]).await.expect(0).out.is_empty() {
            assert_eq!(world.writes(), Vec::<Value>::new());
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{}", world.beadle(&["queue"]).await.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_id_of_another_repository_is_not_trusted() {
    let mut victim = declared();
    victim["has_wiki"] = json!(true);
    let world = World::new(acme(json!({ "widgets": declared(), "victim": victim }))).await;
    world.policy("settings.yml", POLICY);
    let (widgets, victim) = (world.repository("widgets"), world.repository("victim"));
    let node = |repository: &Value| format!("R_kgDO{:08}", repository["id"].as_u64().unwrap());
    world.beadle(&["apply", "--yes"]).await.expect(0); // the test is not about the first sweep
    world.patch(json!({ "victim": { "has_wiki": true }, "widgets": { "has_wiki": true } }), false).await;
    let serving = world.serve().await;
    world.until("victim", "the sweep", |repository| repository["has_wiki"] == json!(false)).await;
    world.until("widgets", "the sweep", |repository| repository["has_wiki"] == json!(false)).await;
    world.patch(json!({ "victim": { "has_wiki": true }, "widgets": { "has_wiki": true } }), false).await;
    let body = json!({ "action": "edited", "organization": { "login": "acme" },
        "repository": { "id": widgets["id"], "node_id": node(&victim), "owner": { "login": "acme" } } });
    world.delivery("d", "repository", body.to_string().as_bytes()).send().await.unwrap();
    world.until("widgets", "repair", |repository| repository["has_wiki"] == json!(false)).await;
    assert_eq!(
        world.repository("victim")["has_wiki"],
        json!(true),
        "only the key that was named is looked at"
    );
    drop(serving);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_no_longer_resolves_removes_nobody() {
    let world = World::new(acme(json!({ "widgets": drifted() }))).await;
    world.policy("settings.yml", &POLICY.replace("name: platform", "name: platfrom"));
    let plan = world.beadle(&["plan"]).await.expect(2);
    assert!(plan.out.contains("there is no team `platfrom` in acme (settings.yml:8)"), "{}", plan.out);
    let applied = world.beadle(&["apply", "--yes"]).await.expect(1);
    assert!(applied.out.contains("1 unknown"), "{}", applied.out);
    let teams = world.repository("widgets")["teams"].clone();
    assert_eq!(teams, json!({ "platform": "admin", "engineering": "push", "contractors": "admin" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_cannot_be_read_changes_nothing() {
    let world = World::new(acme(json!({ "widgets": drifted() }))).await;
    world.policy("settings.yml", POLICY);
    // The content is not text.
    std::fs::write(world.path().join("policy/repos/widgets.yml"), [0xff, 0xfe, 0x00]).unwrap();
    let applied = world.beadle(&["apply", "--yes"]).await.expect(1);
    assert!(applied.err.contains("cannot read") && applied.err.contains("widgets.yml"), "{}", applied.err);
    std::fs::remove_dir_all(world.path().join("policy")).unwrap();
    let applied = world.beadle(&["apply", "--yes"]).await.expect(1);
    assert!(applied.err.contains("cannot read"), "{}", applied.err);
    assert_eq!(world.writes(), Vec::<Value>::new());
}
