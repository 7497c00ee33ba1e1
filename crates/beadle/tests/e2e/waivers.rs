//! Tests waivers. Beadle does not change an exempt key until its waiver ends. Then Beadle repairs
//! the key, even if no event arrives.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::repair::{POLICY, declared, is_declared};
use crate::world::{World, acme};

/// The maximum time that a test waits. The time is long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// The exempt key. The policy uses the name `default` for this branch.
const KEY: &str = "branches.main.enforce_admins";
/// The exempt key in the form that the policy uses.
const DECLARED: &str = "branches[default].enforce_admins";

fn waive(until: &'static str) -> [&'static str; 10] {
    ["waive", "acme/widgets", "--keys", KEY, "--until", until, "--reason", "release", "--as", "mona"]
}

fn admins_are_free() -> Value {
    json!({ "protection": { "main": { "enforce_admins": false } } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waived_weakening_is_no_drift_until_an_operator_ends_the_waiver() {
    let world = World::new(acme(json!({ "widgets": declared() }))).await;
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    world.connect();
    world.until_swept(&serving).await;
    let waived = world.beadle(&waive("2d")).await.expect(0);
    let shown = format!("{}{}", waived.out, waived.err);
    assert!(!shown.contains("does not declare"), "{shown}");
    let mut changed = admins_are_free();
    changed["has_wiki"] = json!(true);
    world.patch(json!({ "widgets": changed }), true).await;
    world.until("widgets", "the repair of the wiki", |widgets| widgets["has_wiki"] == json!(false)).await;
    world.until_idle().await;
    assert_eq!(world.repository("widgets")["protection"]["main"]["enforce_admins"], json!(false));
    let plan = world.beadle(&["plan"]).await.expect(0);
    assert!(plan.out.contains(&format!("{DECLARED} until ")), "{}", plan.out);
    let explained = world.beadle(&["explain", "acme/widgets"]).await.expect(0);
    assert!(explained.out.contains(&format!("{DECLARED} until ")), "{}", explained.out);
    let explained = world.beadle(&["explain", "acme/widgets", KEY]).await.expect(0);
    assert!(explained.out.contains("no value applies until the waiver ends"), "{}", explained.out);
    let listed = world.beadle(&["waivers", "--json"]).await.expect(0).json();
    assert_eq!((&listed["in_force"], &listed["owner"]), (&json!(true), &json!("mona")), "{listed}");
    let url = format!("http://127.0.0.1:{}/api/v1/repositories/acme/widgets", world.operator());
    let page: Value = world.http.get(url).send().await.unwrap().text().await.unwrap().parse().unwrap();
    assert_eq!(page["waivers"][0]["code"], listed["code"], "the page of the repository lacks the waiver");
    let url = format!("http://127.0.0.1:{}/api/v1/journal?key=acme/widgets", world.operator());
    let page: Value = world.http.get(url).send().await.unwrap().text().await.unwrap().parse().unwrap();
    assert!(page["entries"].as_array().is_some_and(|entries| !entries.is_empty()), "{page}");
    let end = ["waivers", "--end", listed["code"].as_str().unwrap(), "--as", "ann", "--reason", "released"];
    world.beadle(&end).await.expect(0);
    world.until("widgets", "the repair after the waiver", is_declared).await;
    assert_eq!(serving.stop().await, Some(0));
    let journal = world.beadle(&["journal", "--format", "ndjson"]).await.expect(0);
    for entry in
        ["\"waived_until\"", "\"ended_waiver\"", "\"by\":\"mona (system user ", "\"reason\":\"released\""]
    {
        assert!(journal.out.contains(entry), "{entry}: {}", journal.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiver_that_ends_while_the_service_is_down_is_enforced_after_its_start() {
    let world = World::new(acme(json!({ "widgets": declared() }))).await;
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    world.until_swept(&serving).await;
    assert_eq!(serving.stop().await, Some(0));
    world.beadle(&waive("2s")).await.expect(0);
    // No webhook reports this change.
    world.patch(json!({ "widgets": admins_are_free() }), false).await;
    let begun = Instant::now();
    loop {
        let listed = world.beadle(&["waivers", "--json"]).await.expect(0).json();
        if listed["in_force"] == json!(false) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{listed}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let serving = world.serve().await;
    world.until("widgets", "the repair after the waiver", is_declared).await;
    serving.until_logged("waiver ended").await;
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_waiver_is_named_and_keeps_no_other_waiver_from_its_end() {
    let world = World::new(acme(json!({ "widgets": declared() }))).await;
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    world.until_swept(&serving).await;
    world.beadle(&waive("2s")).await.expect(0);
    let store = rusqlite::Connection::open(world.path().join("beadle.db")).unwrap();
    store.execute("INSERT INTO note VALUES ('waiver:acme:c1', '{')", []).unwrap();
    serving.until_logged("waiver ended").await;
    let begun = Instant::now();
    loop {
        let tasks = world.beadle(&["tasks"]).await.out;
        if tasks.contains("the waiver c1 of acme") {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{tasks}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let url = format!("http://127.0.0.1:{}/api/v1/repositories/acme/widgets", world.operator());
    // The task deletes a waiver after the task has recorded the end of the waiver.
    loop {
        let page = world.http.get(&url).send().await.unwrap().text().await.unwrap();
        let page: Value = page.parse().unwrap();
        assert_eq!(page["unreadable_waivers"], json!(["the waiver c1 of acme"]), "{page}");
        if page["waivers"] == json!([]) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{page}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(serving.stop().await, Some(0));
}
