//! Tests the gate for mappings in `beadle.toml`. The mappings change between two starts of the
//! service.

use beadle_sim::okta::Hook;
use serde_json::{Value, json};

use super::world::{World, of, state};

/// Returns the lines of a mapping. The mapping joins all groups with names that match `include`
/// into one group.
fn union(include: &str) -> String {
    format!("include = [\"{include}\"]\ninto = \"All\"\nmode = \"enforce\"\non_missing_group = \"create\"\n")
}

/// Creates two groups: `AWS_Ops` with 20 people and `AWS_Dev` with 2 people.
async fn world() -> World {
    let groups = json!({
        "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..20) },
        "00g2": { "profile": { "name": "AWS_Dev" }, "members": of(20..22) },
    });
    let mut world = World::new(state(23, &groups)).await;
    world.target_lines = "guard = { removes = 5 }".into();
    world.groups = union("AWS_*");
    world
}

/// Returns the held generations.
async fn held(world: &World) -> Vec<Value> {
    let holds = world.beadle(&["holds", "--json"]).await.expect(0);
    let holds = holds.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    holds.filter(|hold| hold.get("groups").is_some()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn mappings_that_changed_between_two_starts_write_nothing_before_one_approval() {
    let mut world = world().await;
    let serving = world.serve().await;
    world.until_holds("All", 0..22).await;
    world.until_idle().await;
    assert_eq!(serving.stop().await, Some(0));
    world.groups = union("AWS_Dev");
    let serving = world.serve().await;
    world.run_task("mappings").await;
    let held = held(&world).await;
    assert_eq!(held.len(), 1, "{}", serving.log());
    assert_eq!(held[0]["organisation"], "aws");
    assert_eq!(held[0]["sums"]["risks"]["removes"], json!(20), "{}", held[0]);
    let journal = world.beadle(&["journal", "--format", "ndjson"]).await.expect(0);
    assert!(journal.out.contains("held_generation"), "{}", journal.out);
    let swept = world.beadle(&["sweep"]).await.expect(2);
    assert!(swept.err.contains("aws: the service holds these mappings"), "{}", swept.err);
    // The latest accepted mappings stay in force.
    world.connect(&Hook::default());
    world.okta.patch(&json!({ "groups": { "00g2": { "members": of([22]) } } }));
    world.until_holds("All", 0..23).await;
    let generation = held[0]["generation"].as_str().unwrap();
    world.beadle(&["approve", generation, "--reason", "only developers"]).await.expect(0);
    world.run_task("mappings").await;
    world.until_holds("All", 20..23).await;
    assert_eq!(self::held(&world).await, Vec::<Value>::new());
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn held_mappings_end_with_a_revert_and_small_changes_are_not_held() {
    let mut world = world().await;
    let serving = world.serve().await;
    world.until_holds("All", 0..22).await;
    world.until_idle().await;
    assert_eq!(serving.stop().await, Some(0));
    world.groups = union("AWS_Dev");
    let serving = world.serve().await;
    world.run_task("mappings").await;
    assert_eq!(held(&world).await.len(), 1, "{}", serving.log());
    assert_eq!(serving.stop().await, Some(0));
    world.groups = union("AWS_*");
    let serving = world.serve().await;
    world.run_task("mappings").await;
    assert_eq!(held(&world).await, Vec::<Value>::new());
    let journal = world.beadle(&["journal", "--format", "ndjson"]).await.expect(0);
    assert!(journal.out.contains("withdrawn_generation"), "{}", journal.out);
    assert_eq!(serving.stop().await, Some(0));
    // Two people would leave. The limits of the gate allow two removals.
    world.groups = union("AWS_Ops");
    let serving = world.serve().await;
    world.run_task("mappings").await;
    assert!(serving.log().contains("mappings in force"), "{}", serving.log());
    assert_eq!(held(&world).await, Vec::<Value>::new());
    assert_eq!(serving.stop().await, Some(0));
}
