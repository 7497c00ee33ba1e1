//! What the old connector could not do, each by name.

use beadle_sim::okta::Hook;
use serde_json::json;

use super::world::{World, of, state};

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_is_one_line_and_the_old_one_works() {
    let groups = json!({
        "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..3) },
        "00g2": { "profile": { "name": "Everyone" }, "members": of(0..5) },
    });
    let world = World::new(state(5, &groups)).await;
    let _serving = world.serve().await;
    world.connect(Hook::default());
    world.until_holds("Ops", 0..3).await;
    assert_eq!(world.members("Everyone"), None);
    world.okta.patch(&json!({ "groups": { "00g1": { "members": of([4]) } } }));
    world.until_holds("Ops", [0, 1, 2, 4]).await;
    world.okta.patch(&json!({ "groups": { "00g1": { "members": { "00u00001": null } } } }));
    world.until_holds("Ops", [0, 2, 4]).await;
}
