//! Tests target groups whose members come from several groups of a directory.

use serde_json::{Value, json};

use super::world::{World, of, state};

#[tokio::test(flavor = "multi_thread")]
async fn a_union_holds_its_leavers_while_one_of_its_sources_is_suddenly_empty() {
    let groups = json!({
        "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..20) },
        "00g2": { "profile": { "name": "AWS_Dev" }, "members": of(20..22) },
        "00g3": { "profile": { "name": "AWS_New" }, "members": {} },
    });
    let mut world = World::new(state(22, &groups)).await;
    world.groups =
        "include = [\"AWS_*\"]\ninto = \"All\"\nmode = \"enforce\"\non_missing_group = \"create\"\n".into();
    world.beadle(&["sweep"]).await.expect(0);
    world.until_holds("All", 0..22).await;
    // A source that never had members does not count as suddenly empty.
    world.okta.patch(&json!({ "groups": { "00g1": { "members": { "00u00000": null } } } }));
    world.beadle(&["sweep"]).await.expect(0);
    world.until_holds("All", 1..22).await;
    // 2 removals are far below the limit of a group with 21 members.
    world.okta.patch(&json!({ "groups": { "00g2": { "members": { "00u00020": null, "00u00021": null } } } }));
    let swept = world.beadle(&["sweep"]).await.expect(2);
    let why = "corp/00g2, a source of the group, had members and is empty now";
    assert!(swept.out.contains(why), "{}", swept.out);
    world.until_holds("All", 1..22).await;
    let held = world.beadle(&["holds", "--json"]).await.expect(0).out;
    let hold: Value = serde_json::from_str(held.lines().next().unwrap()).unwrap();
    world.beadle(&["approve", hold["digest"].as_str().unwrap(), "--reason", "as meant"]).await.expect(0);
    world.beadle(&["sweep"]).await.expect(0);
    world.until_holds("All", 1..20).await;
    // After the approval, the guard no longer holds changes because of the empty source.
    world.okta.patch(&json!({ "groups": { "00g1": { "members": { "00u00001": null } } } }));
    world.beadle(&["sweep"]).await.expect(0);
    world.until_holds("All", 2..20).await;
    world.beadle(&["plan"]).await.expect(0);
}
