//! Tests the gate with a raised limit. The limit is the maximum number of members that Beadle
//! removes from one group.

use std::time::Duration;

use beadle_sim::okta::Hook;
use serde_json::{Value, json};

use super::world::{World, of, state};

/// Returns all held changes and held generations. Only a held generation has `groups`.
async fn holds(world: &World) -> Vec<Value> {
    let holds = world.beadle(&["holds", "--json"]).await.expect(0);
    holds.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect()
}

async fn held_generations(world: &World) -> Vec<Value> {
    holds(world).await.into_iter().filter(|hold| hold.get("groups").is_some()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn raised_limits_of_a_group_release_no_held_leaver_before_one_approval() {
    let groups = json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..22) } });
    let mut world = World::new(state(22, &groups)).await;
    world.target_lines = "guard = { removes = 5 }\n".into();
    let serving = world.serve().await;
    world.connect(&Hook::default());
    world.until_holds("Ops", 0..22).await;
    world.until_idle().await;
    let gone: serde_json::Map<String, Value> = (0..15).map(|n| (format!("00u{n:05}"), Value::Null)).collect();
    world.okta.patch(&json!({ "groups": { "00g1": { "members": gone } } }));
    for _ in 0..600 {
        if !holds(&world).await.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.until_idle().await;
    assert_eq!(holds(&world).await.len(), 1, "{}", serving.log());
    assert_eq!(serving.stop().await, Some(0));
    world.target_lines += "group_guard = { percent = 100 }\n";
    let serving = world.serve().await;
    world.run_task("target%20aws").await;
    world.run_task("limits").await;
    let held = held_generations(&world).await;
    assert_eq!(held.len(), 1, "{}", serving.log());
    assert_eq!(held[0]["sums"]["risks"]["removes"], json!(15), "{}", held[0]);
    world.beadle(&["apply", "--yes", "--group", "AWS_Ops"]).await.expect(2);
    world.until_holds("Ops", 0..22).await;
    let generation = held[0]["generation"].as_str().unwrap();
    world.beadle(&["approve", generation, "--reason", "they moved"]).await.expect(0);
    world.run_task("limits").await;
    world.until_holds("Ops", 15..22).await;
    assert_eq!(held_generations(&world).await, Vec::<Value>::new());
    assert_eq!(serving.stop().await, Some(0));
}
