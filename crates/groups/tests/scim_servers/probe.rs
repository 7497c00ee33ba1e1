//! Tests of the probe that creates a test group and writes to it.

use beadle_scim::{Dialect, Removal, probe_writes};
use beadle_sim::scim::Quirk;
use serde_json::json;

use crate::stage;

#[tokio::test(start_paused = true)]
async fn the_probe_tries_writes_on_a_group_of_its_own() {
    let array = Dialect { removal: Removal::Array, ..Dialect::RFC7644 };
    for (dialect, quirks, does) in [
        (Dialect::RFC7644, vec![Quirk::Generic], "removes them"),
        (Dialect::AWS, vec![], "removes them"),
        (array, vec![Quirk::Generic, Quirk::ArrayEmpties], "leaves 0 members where 2 have to be"),
    ] {
        let stage = stage(dialect, &quirks).await;
        let before = stage.sim.state();
        let probed = probe_writes(&stage.scim.0, &stage.scim.1).await.unwrap();
        assert_eq!(probed.evidence.0["remove members"], does, "{probed:?}");
        assert_eq!(probed.contradicts(), does != "removes them");
        assert_eq!(probed.writes_as_asked(), does == "removes them");
        assert!(!stage.scim.0.probe().await.unwrap().writes_as_asked(), "it only asked");
        assert_eq!(stage.sim.state()["groups"], before["groups"], "the probe's group is gone");
    }
}

#[tokio::test(start_paused = true)]
async fn the_probe_deletes_what_a_killed_probe_left_behind_and_nothing_else() {
    let stage = stage(Dialect::AWS, &[]).await;
    let group = |name: &str, external: &str| json!({ "displayName": name, "externalId": external });
    let left = "beadle-probe-1799990000000";
    let running = "beadle-probe-1799999999000";
    stage.sim.patch(&json!({ "groups": {
        "left": group(left, left),
        "running": group(running, running),
        "anothers": group("beadle-probe-1799990000001", "00g9"),
        "renamed": group("Probes", "beadle-probe-1799990000002"),
        "similar": group("beadle-probe-old", "beadle-probe-old"),
        "padded": group("beadle-probe-01799990000000", "beadle-probe-01799990000000"),
    } }));
    let mut wanted = stage.sim.state()["groups"].clone();
    wanted.as_object_mut().unwrap().remove("left");
    let probed = probe_writes(&stage.scim.0, &stage.scim.1).await.unwrap();
    assert!(probed.findings.iter().any(|finding| finding.to_string().contains(left)), "{probed:?}");
    assert_eq!(stage.sim.state()["groups"], wanted);
}
