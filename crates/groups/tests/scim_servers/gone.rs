//! Tests of groups that no longer exist.

use beadle_engine::Class;
use beadle_groups::targets::TargetReader;
use beadle_scim::Dialect;
use serde_json::json;

use crate::{Stage, stage};

#[tokio::test(start_paused = true)]
async fn a_write_to_a_group_that_is_gone_is_tried_once_and_a_missing_member_is_told_apart() {
    let stage = stage(Dialect::AWS, &[]).await;
    let patches = |stage: &Stage| stage.sim.calls().iter().filter(|call| call["method"] == "PATCH").count();
    stage.members("g2").await;
    stage.sim.fault(beadle_sim::Fault {
        method: Some("PATCH".into()),
        status: Some(404),
        count: Some(1),
        ..Default::default()
    });
    stage.add("g2", &[0, 1]).await.unwrap();
    assert_eq!((patches(&stage), stage.held("g2")), (3, 2), "both halves are tried, as the group is there");
    stage.sim.patch(&json!({ "groups": { "g2": null } }));
    stage.sim.forget_calls();
    let failure = stage.add("g2", &[2, 3, 4, 5, 6, 7, 8, 9]).await.unwrap_err();
    assert!(failure.text.contains("has no group g2 any more"), "{failure}");
    assert_eq!((failure.class, patches(&stage)), (Class::Conflict, 1));
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_gone_is_gone_and_not_empty() {
    let stage = stage(Dialect::AWS, &[]).await;
    stage.sim.patch(&json!({ "groups": { "g2": null } }));
    assert_eq!(stage.reader.members("g2").await.unwrap(), None);
}
