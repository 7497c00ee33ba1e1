//! Tests that raised limits of the guard must pass the gate. Without the gate, raised limits would
//! release held changes.

use std::time::Duration;

use serde_json::{Value, json};

use crate::gate::held;
use crate::repair::{POLICY, declared};
use crate::world::{World, acme};

const LOW: &str = "[org.gate]\npercent = 10\n[org.guard]\nremoves = 10\nrepositories = 10\n";
const RAISED: &str =
    "[org.gate]\npercent = 10\n[org.guard]\nremoves = 500\nrepositories = 500\npercent = 100\n";

/// Creates this number of repositories, each with an undeclared team. The guard allows Beadle to
/// remove the team from only 10 of these repositories.
async fn world(count: usize) -> World {
    let mut repositories = json!({});
    for n in 0..count {
        let mut repository = declared();
        repository["teams"]["contractors"] = json!("admin");
        repositories[format!("r{n:02}")] = repository;
    }
    let mut world = World::new(acme(repositories)).await;
    world.org_lines = LOW.into();
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    world.until_swept(&serving).await;
    world.until_idle().await;
    assert_eq!(with_team(&world), count - 10, "{}", serving.log());
    assert_eq!(serving.stop().await, Some(0));
    world
}

fn with_team(world: &World) -> usize {
    world.sim.look(|state| {
        let repositories = state["orgs"]["acme"]["repos"].as_object().unwrap().values();
        repositories.filter(|repository| repository["teams"].get("contractors").is_some()).count()
    })
}

async fn until_none_has_the_team(world: &World) {
    for _ in 0..3000 {
        if with_team(world) == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{} repositories still have the team", with_team(world));
}

#[tokio::test(flavor = "multi_thread")]
async fn raised_limits_release_no_held_change_before_one_approval() {
    let mut world = world(30).await;
    world.org_lines = RAISED.into();
    let serving = world.serve().await;
    world.run_task("limits").await;
    let held_now = held(&world).await;
    assert_eq!(held_now.len(), 1, "{}", serving.log());
    assert_eq!(held_now[0]["organisation"], "acme");
    assert_eq!(held_now[0]["sums"]["risks"]["removes"], json!(20), "{}", held_now[0]);
    // The old limits stay in force for a command too.
    let swept = world.beadle(&["sweep"]).await.expect(2);
    assert!(swept.err.contains("the service has not accepted the raised limits"), "{}", swept.err);
    world.connect();
    world.patch(json!({ "r00": { "teams": { "engineering": null } } }), true).await;
    world.until("r00", "the repaired drift", |found| found["teams"]["engineering"] == json!("push")).await;
    world.until_idle().await;
    assert_eq!(with_team(&world), 20);
    let generation = held_now[0]["generation"].as_str().unwrap();
    world.beadle(&["approve", generation, "--reason", "as meant"]).await.expect(0);
    world.run_task("limits").await;
    until_none_has_the_team(&world).await;
    assert_eq!(held(&world).await, Vec::<Value>::new());
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn held_limits_end_when_the_old_limits_are_set_again() {
    let mut world = world(30).await;
    world.org_lines = RAISED.into();
    let serving = world.serve().await;
    world.run_task("limits").await;
    assert_eq!(held(&world).await.len(), 1, "{}", serving.log());
    assert_eq!(serving.stop().await, Some(0));
    world.org_lines = LOW.into();
    let serving = world.serve().await;
    world.run_task("limits").await;
    assert_eq!(held(&world).await, Vec::<Value>::new());
    let journal = world.beadle(&["journal", "--format", "ndjson"]).await.expect(0);
    assert!(journal.out.contains("withdrawn_generation"), "{}", journal.out);
    world.until_idle().await;
    assert_eq!(with_team(&world), 20);
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn raised_limits_that_release_few_changes_need_no_approval() {
    let mut world = world(12).await;
    world.org_lines = RAISED.into();
    let serving = world.serve().await;
    world.run_task("limits").await;
    until_none_has_the_team(&world).await;
    assert_eq!(held(&world).await, Vec::<Value>::new());
    assert!(serving.log().contains("limits in force"), "{}", serving.log());
    assert_eq!(serving.stop().await, Some(0));
}
