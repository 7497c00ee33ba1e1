//! Tests that Beadle searches the App's log at GitHub for webhooks that Beadle did not accept. Each
//! of these webhooks takes effect once, and Beadle logs the webhook.

use std::time::Duration;

use serde_json::{Value, json};

use crate::repair::{POLICY, declared, is_declared};
use crate::world::{World, acme};

async fn journal(world: &World, kind: &str) -> Vec<Value> {
    let printed = world.beadle(&["journal", "--format", "ndjson"]).await.expect(0);
    let entries = printed.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    entries.filter(|entry| entry["kind"] == kind).collect()
}

fn note(world: &World, name: &str, value: &str) {
    let database = world.path().join("beadle.db");
    let sql = format!("INSERT OR REPLACE INTO note VALUES ('{name}', '{value}')");
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection.execute(&sql, []).unwrap();
}

async fn until_declared(world: &World, names: &[&str]) {
    for name in names {
        world.until(name, "repair", is_declared).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_that_failed_while_the_service_was_stopped_are_recovered() {
    let mut repositories = json!({});
    for name in ["one", "two", "three"] {
        repositories[name] = declared();
    }
    let mut state = acme(repositories);
    state["orgs"]["acme"]["repos"]["cop"] =
        json!({ "branches": { "master": {} }, "workflows": { "police.yml": {} }, "archived": false });
    let mut world = World::new(state).await;
    world.org_lines =
        "[[org.dispatch]]\nname = \"police\"\non = \"repository.created\"\nrepository = \"cop\"\n\
        workflow = \"police.yml\"\nref = \"master\"\nmode = \"enforce\"\n[org.dispatch.inputs]\n\
        repo = \"{{ repository.name }}\"\n"
            .into();
    // GitHub does not know the App of this organisation. Beadle must still work on the other
    // organisations.
    world.lines = format!(
        "[[org]]\nname = \"ghost\"\napi = \"{}\"\napp = {{ id = 1, key = \"file:app.pem\" }}\npolicy = \"policy\"\n",
        world.sim.url()
    );
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    world.connect();
    world.until("cop", "repair", |cop| cop["has_wiki"] == json!(false)).await;
    world.until_looked_for_missed_webhooks().await;
    assert_eq!(serving.stop().await, Some(0));

    // The service does not run. GitHub logs each failed delivery, and does not retry it.
    let team = json!({ "teams": { "contractors": "admin" } });
    world
        .patch(json!({ "one": team, "two": { "protection": { "main": { "enforce_admins": false } } } }), true)
        .await;
    world.patch(json!({ "fresh": { "branches": { "main": {} } } }), true).await;
    world.until_sent().await;

    let serving = world.serve().await;
    until_declared(&world, &["one", "two"]).await;
    for _ in 0..2000 {
        if !world.repository("cop")["runs"].as_array().unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let runs = world.repository("cop")["runs"].clone();
    assert_eq!(runs.as_array().unwrap().len(), 1, "the dispatch needed its payload again: {}", serving.log());
    assert_eq!(runs[0]["inputs"]["repo"], "fresh");
    let recovered = journal(&world, "recovery").await;
    let detail = &recovered.last().unwrap()["detail"]["recovered"];
    assert!(detail["marked"].as_u64().unwrap() >= 3 && detail["redelivered"] == 1, "{recovered:#?}");
    // If a recovered webhook arrives again later, nothing changes.
    let listed = world.beadle(&["deliveries", "--json", "--limit", "1000"]).await.expect(0);
    let row = listed.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let row = row.into_iter().find(|row| row["event"] == "team.added_to_repository").unwrap();
    let id = row["id"].as_str().unwrap();
    let body = json!({ "organization": { "login": "acme" } }).to_string();
    assert_eq!(world.delivery(id, "team", body.as_bytes()).send().await.unwrap().status(), 200);
    assert_eq!(serving.stop().await, Some(0));
    // The next search finds no further webhook.
    let before = journal(&world, "recovery").await.len();
    let _serving = world.serve().await;
    world.until_looked_for_missed_webhooks().await;
    assert_eq!(journal(&world, "recovery").await.len(), before, "it was recovered once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_in_the_log_is_reported_and_a_sweep_covers_it() {
    let world = World::new(acme(json!({ "one": declared() }))).await;
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    // The first search and the first sweep have ended.
    world.until_looked_for_missed_webhooks().await;
    world.until_swept(&serving).await;
    assert_eq!(serving.stop().await, Some(0));
    world.patch(json!({ "one": { "has_wiki": true } }), false).await;
    // The service did not run for five days.
    let name = format!("recovered:{}:acme", beadle_sim::APP_ID);
    note(&world, &name, "{\"until\":1000,\"tries\":{}}");
    let _serving = world.serve().await;
    until_declared(&world, &["one"]).await;
    let recovered = journal(&world, "recovery").await;
    assert_eq!(recovered[0]["detail"]["recovered"]["beyond"], json!(true), "{recovered:#?}");
}
