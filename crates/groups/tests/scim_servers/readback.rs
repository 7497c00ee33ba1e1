//! Tests that Beadle reads back each write of members, because a server can change less or more
//! than its answer states.

use beadle_engine::{Class, Failure};
use beadle_groups::mapping::Role;
use beadle_groups::targets::{ScimReader, ScimWriter, TargetReader, TargetWriter};
use beadle_scim::{Dialect, Removal};
use beadle_sim::scim::Quirk;
use serde_json::json;

use crate::notes::{Kept, Noted};
use crate::{Stage, generic, id, stage};

#[tokio::test(start_paused = true)]
async fn whom_a_removal_took_out_beside_is_put_back_and_the_target_is_stopped() {
    let dialect = Dialect { removal: Removal::Array, ..Dialect::RFC7644 };
    let stage = stage(dialect, &[Quirk::Generic, Quirk::ArrayEmpties]).await;
    assert_eq!(stage.members("g1").await.len(), 20);
    let failure = stage.remove("g1", &[3]).await.unwrap_err();
    assert!(
        failure.text.contains("19 other members") && failure.text.contains("19 were put back"),
        "{failure}"
    );
    assert_eq!(failure.class, Class::Rejected);
    assert_eq!(stage.held("g1"), 19);
    assert!(stage.sim.state()["groups"]["g1"]["members"].get(id(3)).is_none());
    let writes = |stage: &Stage| stage.sim.calls().iter().filter(|call| call["method"] != "GET").count();
    let before = writes(&stage);
    assert!(stage.add("g1", &[3]).await.unwrap_err().text.contains("the target is stopped"));
    assert!(stage.remove("g1", &[4]).await.is_err());
    assert_eq!(writes(&stage), before, "nothing more is written");
}

#[tokio::test(start_paused = true)]
async fn the_stop_is_noted_before_anybody_is_put_back() {
    let dialect = Dialect { removal: Removal::Array, ..Dialect::RFC7644 };
    let stage = stage(dialect, &[Quirk::Generic, Quirk::ArrayEmpties]).await;
    stage.members("g1").await;
    let noted = Noted { sim: stage.sim.clone(), notes: parking_lot::Mutex::default() };
    let failure = stage.writer.remove("g1", &[id(3)], &noted).await.unwrap_err();
    assert!(failure.text.contains("19 were put back"), "{failure}");
    assert_eq!(*noted.notes.lock(), [(0, true)], "a kill after it leaves the target stopped");
    assert_eq!(stage.held("g1"), 19);
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_was_lost_is_read_back_too() {
    let patch = |fault: beadle_sim::Fault| beadle_sim::Fault {
        method: Some("PATCH".into()),
        count: Some(1),
        ..fault
    };
    let dialect = Dialect { removal: Removal::Array, ..Dialect::RFC7644 };
    let stage = stage(dialect, &[Quirk::Generic, Quirk::ArrayEmpties]).await;
    stage.members("g1").await;
    stage.sim.fault(patch(beadle_sim::Fault { reset: true, ..Default::default() }));
    let failure = stage.remove("g1", &[3]).await.unwrap_err();
    assert!(failure.text.contains("19 were put back"), "{failure}");
    assert_eq!(stage.held("g1"), 19);
    assert!(stage.add("g2", &[3]).await.unwrap_err().text.contains("the target is stopped"));
    // If the server did not make a write, or made exactly this write, Beadle does not stop the
    // target. The next plan handles the result.
    for lost in [
        beadle_sim::Fault { status: Some(500), ..Default::default() },
        beadle_sim::Fault { reset: true, ..Default::default() },
    ] {
        let stage = generic(&[]).await;
        stage.members("g1").await;
        stage.sim.fault(patch(lost));
        let failure = stage.remove("g1", &[3]).await.unwrap_err();
        assert_eq!(failure.class, Class::Retry, "{failure}");
        stage.remove("g1", &[4]).await.unwrap();
    }
}

/// Returns whether a write with this error possibly changed something.
fn is_uncertain(failure: &Failure) -> bool {
    !failure.changed_nothing()
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_made_is_not_refused_whatever_its_read_back_says() {
    for status in [403, 429] {
        let stage = stage(Dialect::AWS, &[]).await;
        stage.members("g1").await;
        let (path, status) = ("groups.value".into(), Some(status));
        stage.sim.fault(beadle_sim::Fault { path, status, count: Some(1), ..Default::default() });
        let failure = stage.remove("g1", &[3]).await.unwrap_err();
        let is_refusal = matches!(failure.class, Class::Rejected | Class::RateLimited { .. });
        assert!(is_refusal, "the class is about the read-back: {failure}");
        assert!(is_uncertain(&failure), "the member is out: {failure}");
        assert_eq!(stage.held("g1"), 19);
    }
    // Another system removes a member at the same moment.
    let first = generic(&[]).await;
    first.members("g1").await;
    first.sim.patch(&json!({ "groups": { "g1": { "members": { id(9): null } } } }));
    let failure = first.remove("g1", &[3]).await.unwrap_err();
    assert_eq!(failure.class, Class::Conflict, "{failure}");
    assert!(is_uncertain(&failure), "{failure}");
    // The target removes members that are not in the write, and Beadle puts them back.
    let dialect = Dialect { removal: Removal::Array, ..Dialect::RFC7644 };
    let second = stage(dialect, &[Quirk::Generic, Quirk::ArrayEmpties]).await;
    second.members("g1").await;
    let failure = second.remove("g1", &[3]).await.unwrap_err();
    assert_eq!(failure.class, Class::Rejected, "{failure}");
    assert!(is_uncertain(&failure), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_write_in_halves_that_is_refused_in_the_middle_was_made_in_part() {
    let stage = generic(&[]).await;
    stage.members("g1").await;
    let patch = |status, contains| beadle_sim::Fault {
        method: Some("PATCH".into()),
        status: Some(status),
        contains,
        count: Some(1),
        ..Default::default()
    };
    stage.sim.fault(patch(400, id(3)));
    stage.sim.fault(patch(403, id(4)));
    let failure = stage.remove("g1", &[3, 4]).await.unwrap_err();
    assert_eq!((failure.class, is_uncertain(&failure)), (Class::Rejected, true), "{failure}");
    assert_eq!(stage.held("g1"), 19);
}

#[tokio::test(start_paused = true)]
async fn who_left_by_a_write_that_was_not_read_back_was_not_lost_by_the_next() {
    let (stage, kept) = (stage(Dialect::AWS, &[]).await, Kept::default());
    assert_eq!(stage.members("g1").await.len(), 20);
    // The client sends each read up to three times, so the fault must affect three requests.
    let path = "groups.value".into();
    stage.sim.fault(beadle_sim::Fault { path, status: Some(500), count: Some(3), ..Default::default() });
    let failure = stage.writer.remove("g1", &[id(3), id(4)], &kept).await.unwrap_err();
    assert!(failure.text.contains("reading back the write"), "{failure}");
    assert!(!kept.writes.lock().is_empty());
    stage.writer.remove("g1", &[id(5)], &kept).await.unwrap();
    assert_eq!(stage.held("g1"), 17);
    assert!(kept.writes.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_group_that_somebody_deleted_after_a_write_does_not_stop_the_target() {
    let (stage, kept) = (stage(Dialect::AWS, &[]).await, Kept::default());
    stage.members("g1").await;
    // The target accepts the write, but the group does not exist when Beadle reads the members
    // back.
    stage.sim.patch(&json!({ "groups": { "g1": null } }));
    let (method, status) = (Some("PATCH".into()), Some(204));
    stage.sim.fault(beadle_sim::Fault { method, status, count: Some(1), ..Default::default() });
    let failure = stage.writer.remove("g1", &[id(3)], &kept).await.unwrap_err();
    assert_eq!(failure.class, Class::Conflict, "{failure}");
    assert!(failure.text.contains("is gone"), "{failure}");
    assert!(stage.writer.stopped().is_none());
    assert!(kept.writes.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_write_that_nobody_could_read_back_is_read_back_before_the_next() {
    let dialect = Dialect { removal: Removal::Array, ..Dialect::RFC7644 };
    let stage = stage(dialect, &[Quirk::Generic, Quirk::ArrayEmpties]).await;
    let kept = Kept::default();
    stage.members("g1").await;
    // The client sends each read up to three times, so the fault must affect three requests.
    let (method, path) = (Some("GET".into()), "/Groups/g1".into());
    let fault = beadle_sim::Fault { method, path, status: Some(500), count: Some(3), ..Default::default() };
    stage.sim.fault(fault);
    let failure = stage.writer.remove("g1", &[id(3)], &kept).await.unwrap_err();
    assert!(failure.text.contains("reading back the write"), "{failure}");
    assert_eq!(stage.held("g1"), 0, "the server took everybody out");
    // Another process reads the group and adds one member. That process then puts back the other
    // members.
    let reader = ScimReader::new(stage.scim.0.clone());
    let writer = ScimWriter::new(stage.scim.1.clone(), &reader);
    assert_eq!(reader.members("g1").await.unwrap().unwrap().len(), 0);
    let failure = writer.add("g1", &[id(0)], Role::Member, &kept).await.unwrap_err();
    assert!(failure.text.contains("19 other members"), "{failure}");
    assert_eq!(stage.held("g1"), 19);
    assert!(writer.stopped().is_some());
    assert!(kept.writes.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_write_of_long_ago_is_not_blamed_for_members_whom_somebody_else_removed() {
    let stage = generic(&[]).await;
    let kept = Kept::default();
    stage.members("g1").await;
    // The client sends each read up to three times, so the fault must affect three requests.
    let (method, path) = (Some("GET".into()), "/Groups/g1".into());
    let fault = beadle_sim::Fault { method, path, status: Some(500), count: Some(3), ..Default::default() };
    stage.sim.fault(fault);
    stage.writer.remove("g1", &[id(3)], &kept).await.unwrap_err();
    assert!(!kept.writes.lock().is_empty());
    stage.scim.0.clock().sleep(std::time::Duration::from_secs(3600)).await;
    stage.sim.patch(&json!({ "groups": { "g1": { "members": { id(7): null, id(8): null } } } }));
    stage.writer.remove("g1", &[id(4)], &kept).await.unwrap();
    assert_eq!(stage.held("g1"), 16);
    assert!(stage.writer.stopped().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_read_back_leaves_no_note() {
    let (stage, kept) = (generic(&[]).await, Kept::default());
    stage.members("g1").await;
    stage.writer.remove("g1", &[id(3)], &kept).await.unwrap();
    assert!(kept.writes.lock().is_empty());
    // A refused write must not leave a note in the store.
    let (method, status) = (Some("PATCH".into()), Some(403));
    stage.sim.fault(beadle_sim::Fault { method, status, count: Some(1), ..Default::default() });
    let failure = stage.writer.remove("g1", &[id(4)], &kept).await.unwrap_err();
    assert_eq!(failure.class, Class::Rejected, "{failure}");
    assert!(!is_uncertain(&failure) && kept.writes.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn whom_somebody_else_removed_before_the_write_is_not_put_back() {
    let stage = generic(&[]).await;
    stage.members("g1").await;
    stage.sim.patch(&json!({ "groups": { "g1": { "members": { id(7): null, id(8): null } } } }));
    stage.scim.0.clock().sleep(std::time::Duration::from_secs(10)).await;
    stage.remove("g1", &[3]).await.unwrap();
    assert_eq!(stage.held("g1"), 17);
    assert!(stage.writer.stopped().is_none());
}

#[tokio::test(start_paused = true)]
async fn nobody_is_put_back_whom_the_plan_takes_out_and_whoever_waits_for_an_approval_is() {
    let stage = generic(&[]).await;
    let kept = Kept { unwanted: vec![id(7), id(8)], out: vec![id(7), id(8)], ..Kept::default() };
    stage.members("g1").await;
    stage.sim.patch(&json!({ "groups": { "g1": { "members": { id(7): null, id(8): null } } } }));
    let failure = stage.writer.remove("g1", &[id(3)], &kept).await.unwrap_err();
    assert_eq!(failure.class, Class::Conflict, "{failure}");
    assert!(failure.text.contains("2 members left the group g1"), "{failure}");
    assert_eq!(stage.held("g1"), 17);
    assert!(stage.writer.stopped().is_none());
    // If the removal of these two members has no approval, they stay, even if the plan does not
    // want them.
    let stage = generic(&[]).await;
    let kept = Kept { unwanted: vec![id(7), id(8)], ..Kept::default() };
    stage.members("g1").await;
    stage.sim.patch(&json!({ "groups": { "g1": { "members": { id(7): null, id(8): null } } } }));
    let failure = stage.writer.remove("g1", &[id(3)], &kept).await.unwrap_err();
    assert!(failure.text.contains("2 were put back"), "{failure}");
    assert_eq!(stage.held("g1"), 19);
    assert!(stage.writer.stopped().is_some());
}

#[tokio::test(start_paused = true)]
async fn what_is_in_a_group_is_read_before_it_is_written_to_without_a_plan() {
    let dialect = Dialect { removal: Removal::Array, ..Dialect::RFC7644 };
    let stage = stage(dialect, &[Quirk::Generic, Quirk::ArrayEmpties]).await;
    // If the first part has an unexpected result, Beadle must not use the remembered members.
    let failure = stage.remove("g1", &[3]).await.unwrap_err();
    assert!(failure.text.contains("19 were put back"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn an_addition_that_replaces_is_put_back_and_stops_the_target() {
    let stage = generic(&[]).await;
    stage.remove("g1", &[0]).await.unwrap();
    stage.members("g1").await;
    stage.sim.behave(vec![Quirk::Generic, Quirk::AddReplaces]);
    let failure = stage.add("g1", &[0]).await.unwrap_err();
    assert!(failure.text.contains("19 other members"), "{failure}");
    assert_eq!(stage.held("g1"), 19, "those who were lost are back");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_answered_and_not_done_is_said_to_be_that() {
    let stage = generic(&[Quirk::WritesIgnored]).await;
    stage.members("g1").await;
    stage.members("g2").await;
    for failure in [stage.add("g2", &[0, 1]).await, stage.remove("g1", &[0]).await] {
        let failure = failure.unwrap_err();
        assert!(failure.text.contains("did not make the change"), "{failure}");
        assert_eq!(failure.class, Class::Retry);
    }
}

#[tokio::test(start_paused = true)]
async fn groups_that_never_show_members_or_only_some_are_told_apart() {
    let stage = generic(&[Quirk::ShowsMembers(0)]).await;
    stage.members("g2").await;
    let failure = stage.add("g2", &[0]).await.unwrap_err();
    assert!(failure.text.contains("may not show them"), "{failure}");
    let stage = generic(&[Quirk::ShowsMembers(10)]).await;
    assert_eq!(stage.members("g1").await.len(), 10);
    let failure = stage.add("g1", &[15]).await.unwrap_err();
    assert!(failure.text.contains("did not make the change"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_write_is_read_back_in_one_call_and_aws_too() {
    for (stage, group) in
        [(stage(Dialect::AWS, &[]).await, "groups.value"), (generic(&[]).await, "/Groups/g2")]
    {
        stage.members("g2").await;
        stage.sim.forget_calls();
        stage.add("g2", &[0, 1]).await.unwrap();
        let calls = stage.sim.calls();
        assert_eq!(calls.len(), 2, "{calls:?}");
        let asked = format!("{}?{}", calls[1]["path"], calls[1]["query"]);
        assert!(calls[1]["method"] == "GET" && asked.contains(group), "{asked}");
        assert_eq!(stage.held("g2"), 2);
    }
}
