//! Tests the gate for a target. The address of the target changes between two starts of the
//! service.

use std::collections::BTreeSet;
use std::time::Duration;

use beadle_sim::scim::{ScimSim, Settings};
use serde_json::{Value, json};

use super::world::{World, accounts, held as members, login, of, state};

/// Runs the service until its target is in use. The group `All` of the target has 2 people.
async fn world() -> World {
    let groups = json!({ "00g2": { "profile": { "name": "AWS_Dev" }, "members": of(20..22) } });
    let mut world = World::new(state(22, &groups)).await;
    world.target_lines = "guard = { removes = 5 }".into();
    world.groups =
        "include = [\"AWS_Dev\"]\ninto = \"All\"\nmode = \"enforce\"\non_missing_group = \"create\"\n".into();
    let serving = world.serve().await;
    world.until_holds("All", 20..22).await;
    world.until_idle().await;
    assert_eq!(serving.stop().await, Some(0));
    world
}

/// Starts another server, and makes it the target. The group `All` of the new target has these
/// people.
async fn move_to_another_server(world: &mut World, count: usize) -> ScimSim {
    let group = json!({ "displayName": "All", "externalId": "beadle:into/All", "members": members((22 - count)..22) });
    let state = json!({ "users": accounts(22), "groups": { "other1": group } });
    let settings = Settings { record: true, state: Some(state), ..Settings::default() };
    let other = ScimSim::start(([127, 0, 0, 1], 0).into(), settings).await.unwrap();
    std::fs::write(world.path().join("aws.token"), other.token()).unwrap();
    world.scim = Some(other.url());
    other
}

/// Returns the held generations.
async fn held(world: &World) -> Vec<Value> {
    let holds = world.beadle(&["holds", "--json"]).await.expect(0);
    let holds = holds.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    holds.filter(|hold| hold.get("groups").is_some()).collect()
}

fn people(server: &ScimSim) -> BTreeSet<String> {
    let state = server.state();
    let login = |id: &String| state["users"][id]["userName"].as_str().unwrap().to_owned();
    let groups = state["groups"].as_object().unwrap();
    let all = groups.values().find(|group| group["displayName"] == "All").unwrap();
    all["members"].as_object().unwrap().keys().map(login).collect()
}

async fn until_only_developers(server: &ScimSim) {
    let wanted: BTreeSet<String> = (20..22).map(login).collect();
    for _ in 0..3000 {
        if people(server) == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the group has {:?}", people(server));
}

fn writes(server: &ScimSim) -> usize {
    server.calls().iter().filter(|call| call["method"] != "GET").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_with_another_address_is_not_written_before_one_approval() {
    let mut world = world().await;
    let other = move_to_another_server(&mut world, 22).await;
    let serving = world.serve().await;
    world.run_task("target%20aws").await;
    let held_now = held(&world).await;
    assert_eq!(held_now.len(), 1, "{}", serving.log());
    assert_eq!(held_now[0]["organisation"], "aws");
    assert_eq!(held_now[0]["sums"]["risks"]["removes"], json!(20), "{}", held_now[0]);
    let swept = world.beadle(&["sweep"]).await.expect(2);
    assert!(swept.err.contains("aws: the service holds this target"), "{}", swept.err);
    assert_eq!(writes(&other), 0, "{:?}", other.calls());
    let generation = held_now[0]["generation"].as_str().unwrap();
    world.beadle(&["approve", generation, "--reason", "the new server"]).await.expect(0);
    world.run_task("target%20aws").await;
    until_only_developers(&other).await;
    assert_eq!(held(&world).await, Vec::<Value>::new());
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_target_ends_with_a_revert_and_small_changes_are_not_held() {
    let mut world = world().await;
    let first = std::fs::read(world.path().join("aws.token")).unwrap();
    let _other = move_to_another_server(&mut world, 22).await;
    let serving = world.serve().await;
    world.run_task("target%20aws").await;
    assert_eq!(held(&world).await.len(), 1, "{}", serving.log());
    assert_eq!(serving.stop().await, Some(0));
    std::fs::write(world.path().join("aws.token"), first).unwrap();
    world.scim = None;
    let serving = world.serve().await;
    world.run_task("target%20aws").await;
    assert_eq!(held(&world).await, Vec::<Value>::new());
    assert_eq!(serving.stop().await, Some(0));
    // On this server, only one person leaves the group, so the gate lets the target pass.
    let small = move_to_another_server(&mut world, 3).await;
    let serving = world.serve().await;
    world.run_task("target%20aws").await;
    assert_eq!(held(&world).await, Vec::<Value>::new(), "{}", serving.log());
    until_only_developers(&small).await;
    assert_eq!(serving.stop().await, Some(0));
}
