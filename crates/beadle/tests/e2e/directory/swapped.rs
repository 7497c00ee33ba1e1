//! Tests groups that swap their names while several processes run.

use serde_json::json;

use super::world::{World, of, state};

#[tokio::test(flavor = "multi_thread")]
async fn two_groups_swap_their_names_in_two_processes() {
    let named = |ops: &str, dev: &str| json!({ "00g1": { "profile": { "name": ops } }, "00g2": { "profile": { "name": dev } } });
    let mut groups = named("AWS_Ops", "AWS_Dev");
    groups["00g1"]["members"] = of(0..3);
    groups["00g2"]["members"] = of(3..5);
    let world = World::new(state(5, &groups)).await;
    world.beadle(&["sweep"]).await.expect(0);
    world.okta.patch(&json!({ "groups": named("AWS_Dev", "AWS_Ops") }));
    for group in ["00g1", "00g2", "00g1", "00g2"] {
        let key = format!("target-group:aws:corp/{group}");
        world.beadle(&["apply", "--group", &key, "--yes"]).await;
    }
    world.until_holds("Dev", 0..3).await;
    world.until_holds("Ops", 3..5).await;
    world.beadle(&["plan"]).await.expect(0);
}
