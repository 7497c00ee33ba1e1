//! Tests that `beadle import` creates mappings. Groups with equal members become mappings, and
//! ambiguous groups become comments.

use serde_json::json;

use super::world::{World, accounts, held, of, people};

#[tokio::test(flavor = "multi_thread")]
async fn groups_with_equal_members_become_mappings_and_no_member_changes() {
    let group = |name: &str, members| json!({ "profile": { "name": name }, "members": members });
    let directory = json!({ "users": people(8), "groups": {
        "00g1": group("AWS_Dev", of(0..3)),
        "00g2": group("AWS_Ops", of(3..5)),
        "00g3": group("Everybody", of(0..6)),
        "00g4": group("Twin A", of(5..7)),
        "00g5": group("Twin B", of(5..7)),
        "00g6": group("Alone", of(7..8)),
    } });
    let made = |name: &str, members| json!({ "displayName": name, "members": members });
    let target = json!({ "users": accounts(8), "groups": {
        "g1": made("Dev", held(0..3)),
        "g2": made("Ops", held(3..5)),
        "g3": made("All", held(0..6)),
        "g4": made("Twin", held(5..7)),
        "g5": made("Other", held(0..2)),
    } });
    let mut world = World::new([directory, target]).await;
    world.groups = "include = [\"Nothing_*\"]\n".into();
    let into = world.path().join("imported");
    world.beadle(&["import", "--into", into.to_str().unwrap()]).await.expect(0);
    assert!(world.writes().is_empty(), "an import writes nothing");
    let text = std::fs::read_to_string(into.join("groups.toml")).unwrap();
    for said in [
        "include = [\"AWS_Dev\", \"AWS_Ops\"]\nstrip_prefix = \"AWS_\"\n",
        "include = [\"Everybody\"]\ninto = \"All\"\n",
        "# left out: aws: `Twin A` of corp: other groups of directories have the same members as `Twin`\n",
        "# left out: aws: `Twin B` of corp: ",
    ] {
        assert!(text.contains(said), "{said}:\n{text}");
    }
    assert!(!text.contains("Alone") && !text.contains("Other\""), "{text}");
    std::fs::rename(into.join("groups.toml"), world.path().join("groups.toml")).unwrap();
    world.first = "groups_from = [\"groups.toml\"]\n".into();
    let plan = world.beadle(&["plan"]).await;
    assert!(plan.out.contains("take over"), "{plan:?}");
    assert!(!plan.out.contains("remove") && !plan.out.contains("p0@"), "{plan:?}");
}
