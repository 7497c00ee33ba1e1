//! Tests that no work is lost or stuck after a fault. The faults are a deleted store, a denied
//! credential, and an unknown node id.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::directory::world as directory;
use crate::repair::{POLICY, declared, is_declared};
use crate::world::{Serving, World, acme};

fn edited(id: &Value, node: &str) -> String {
    let body = json!({
        "action": "edited", "organization": { "login": "acme" }, "sender": { "login": "ann" },
        "repository": { "id": id, "node_id": node, "name": "one", "owner": { "login": "acme" } },
    });
    body.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_only_read_create_no_store_and_report_a_missing_one() {
    let world = World::new(acme(json!({ "one": declared() }))).await;
    world.policy("settings.yml", POLICY);
    for command in ["holds", "queue", "journal", "deliveries"] {
        let said = world.beadle(&[command]).await.expect(1);
        assert!(said.err.contains("there is no store") && said.out.is_empty(), "{command}: {said:?}");
        assert!(!world.path().join("beadle.db").exists(), "`{command}` made a store");
    }
    let doctor = world.beadle(&["doctor"]).await;
    assert!(doctor.out.contains("does not exist yet"), "{}", doctor.out);
    assert!(!world.path().join("beadle.db").exists(), "`doctor` made a store");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_store_is_deleted_accepts_no_webhook() {
    let world = World::new(acme(json!({ "one": declared() }))).await;
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    let id = world.repository("one")["id"].clone();
    let body = edited(&id, "R_1");
    assert_eq!(world.delivery("a", "repository", body.as_bytes()).send().await.unwrap().status(), 202);
    std::fs::remove_file(world.path().join("beadle.db")).unwrap();
    assert_eq!(world.delivery("b", "repository", body.as_bytes()).send().await.unwrap().status(), 503);
    let begun = Instant::now();
    while !serving.log().contains("deleted or replaced") {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", serving.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_credential_parks_no_key_and_work_continues_afterwards() {
    let mut repositories = json!({});
    for n in 0..5 {
        repositories[format!("r{n:02}")] = declared();
    }
    let world = World::new(acme(repositories)).await;
    world.policy("settings.yml", POLICY);
    let _serving = world.serve().await;
    world.connect();
    world.until("r00", "repair", is_declared).await;
    world.fault(json!({ "path": "/graphql", "status": 401 })).await;
    let mut drift = json!({});
    for n in 0..5 {
        drift[format!("r{n:02}")] = json!({ "teams": { "contractors": "admin" } });
    }
    world.patch(drift, true).await;
    // During this wait, Beadle makes three attempts, and waits between the attempts.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let queue = world.beadle(&["queue"]).await.expect(0);
    assert!(queue.out.contains(" 0 parked"), "{}", queue.out);
    world.no_faults().await;
    let begun = Instant::now();
    while !(0..5).all(|n| is_declared(&world.repository(&format!("r{n:02}")))) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", world.beadle(&["queue"]).await.out);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_writes_nothing_before_beadle_has_asked_for_its_own_login() {
    let mut drifted = declared();
    drifted["has_wiki"] = json!(true);
    let world = World::new(acme(json!({ "one": drifted }))).await;
    world.policy("settings.yml", POLICY);
    let command = world.command();
    // The configuration contains the id of the installation. So Beadle makes the delayed call only
    // when it reads the login.
    let org = world.sim.look(|state| state["orgs"]["acme"]["id"].as_u64().unwrap());
    let config = world.path().join("beadle.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let key = "key = \"file:app.pem\"";
    assert!(text.contains(key), "{text}");
    let text = text.replace(key, &format!("{key}, installation = {}", org + 40_000_000));
    std::fs::write(&config, text).unwrap();
    world.fault(json!({ "path": "/orgs/acme/installation", "hold": true })).await;
    let serving = Serving::start(command, world.path()).ready(world.operator()).await;
    world.until_held().await;
    world.run_task("sweep%20of%20acme").await;
    world.until_idle().await;
    assert!(world.writes().is_empty(), "{:?}\n{}", world.writes(), serving.log());
    world.no_faults().await;
    world.until("one", "repair", is_declared).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_node_id_in_a_webhook_does_no_harm() {
    let world = World::new(acme(json!({ "one": declared() }))).await;
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    // A sweep because of a new policy would also find the drift. So the test waits until this sweep
    // has ended.
    world.until_swept(&serving).await;
    world.patch(json!({ "one": { "teams": { "contractors": "admin" } } }), false).await;
    let id = world.repository("one")["id"].clone();
    let body = edited(&id, "R_kgDOnowhere");
    assert_eq!(world.delivery("a", "repository", body.as_bytes()).send().await.unwrap().status(), 202);
    world.until("one", "repair", is_declared).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_team_parks_no_repository_and_is_logged_once() {
    let mut repositories = json!({});
    for n in 0..8 {
        let mut drifted = declared();
        drifted["has_wiki"] = json!(true);
        repositories[format!("r{n}")] = drifted;
    }
    let world = World::new(acme(repositories)).await;
    world.policy(
        "settings.yml",
        &POLICY.replace("teams:\n", "teams:\n  - { name: gone, permission: pull }\n"),
    );
    let serving = world.serve().await;
    world.until_swept(&serving).await;
    let queue = world.beadle(&["queue"]).await.expect(0);
    assert!(queue.out.contains(" 0 parked"), "{}", queue.out);
    assert_eq!(serving.log().matches("cannot be resolved").count(), 1, "{}", serving.log());
    for n in 0..8 {
        assert!(is_declared(&world.repository(&format!("r{n}"))), "the rest goes on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_a_due_key_runs_as_soon_as_its_target_is_open() {
    let groups = json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": directory::of(0..3) } });
    let world = directory::World::new(directory::state(4, &groups)).await;
    let serving = world.serve().await;
    world.until_holds("Ops", 0..3).await;
    assert_eq!(serving.stop().await, Some(0));
    world.beadle(&["queue", "--retry", "target-group:aws:corp/00g1"]).await.expect(0);
    let serving = world.serve().await;
    let begun = Instant::now();
    loop {
        let queue = world.beadle(&["queue"]).await.expect(0).out;
        if queue.contains("0 event, 0 manual") && queue.contains(" 0 running") {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(9), "{queue}\n{}", serving.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!serving.log().contains("is not available yet"), "{}", serving.log());
}
