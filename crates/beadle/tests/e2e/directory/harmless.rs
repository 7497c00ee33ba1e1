//! Tests that faults of a directory do no harm. Examples are wrong lists, and members who disappear
//! one at a time. Also tests the accounts of people who join or leave a group.

use std::time::Duration;

use beadle_sim::Fault;
use beadle_sim::okta::Hook;
use serde_json::{Value, json};

use super::world::{World, accounts, held, of, people, state};

/// Returns one group of the directory, `AWS_Ops`.
fn ops(members: &Value) -> Value {
    json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": members } })
}

/// Creates a group of 40 members. The target already has the group as declared. Beadle manages the
/// accounts.
async fn forty() -> World {
    let target =
        json!({ "t1": { "displayName": "Ops", "externalId": "beadle:corp/00g1", "members": held(0..40) } });
    let states = [
        json!({ "users": people(40), "groups": ops(&of(0..40)) }),
        json!({ "users": accounts(40), "groups": target }),
    ];
    let mut world = World::new(states).await;
    world.groups += "users = \"provision\"\n";
    world.beadle(&["sweep"]).await.expect(0);
    world.aws.forget_calls();
    world
}

/// Returns whether the account of a person can sign in, or `None` if there is no account.
fn signs_in(world: &World, n: usize) -> Option<bool> {
    let users = world.aws.state()["users"].clone();
    let id = format!("00u{n:05}");
    let user = users.as_object().unwrap().values().find(|user| user["externalId"] == id.as_str())?;
    Some(user["active"] != json!(false))
}

async fn until_signs_in(world: &World, n: usize, wanted: bool) {
    for _ in 0..1500 {
        if signs_in(world, n) == Some(wanted) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the account of {n} says {:?}", signs_in(world, n));
}

fn count_active(world: &World) -> usize {
    (0..40).filter(|n| signs_in(world, *n) == Some(true)).count()
}

fn status(range: std::ops::Range<usize>, status: &str) -> Value {
    let users: serde_json::Map<String, Value> =
        range.map(|n| (format!("00u{n:05}"), json!({ "status": status }))).collect();
    json!({ "users": users })
}

fn without(members: impl IntoIterator<Item = usize>) -> Value {
    let members: serde_json::Map<String, Value> =
        members.into_iter().map(|n| (format!("00u{n:05}"), Value::Null)).collect();
    json!({ "groups": { "00g1": { "members": members } } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_with_only_deprovisioned_people_removes_and_deactivates_nobody() {
    let world = forty().await;
    // The list shows this status for every person. If Beadle reads a single person, the answer says
    // that the person is active.
    let mut rows: Vec<Value> = world.okta.state()["users"].as_object().unwrap().values().cloned().collect();
    for row in &mut rows {
        row["status"] = json!("DEPROVISIONED");
    }
    world.okta.fault(Fault {
        path: "/users?".into(),
        status: Some(200),
        body: Some(json!(rows)),
        ..Fault::default()
    });
    let swept = world.beadle(&["sweep"]).await.expect(1);
    let plan = world.beadle(&["plan"]).await;
    assert!(plan.out.contains("Beadle does not use the list"), "{}{}{}", swept.out, swept.err, plan.out);
    assert!(world.writes().is_empty(), "{:?}", world.writes());
    assert_eq!((world.members("Ops").unwrap().len(), count_active(&world)), (40, 40));
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_deactivated_one_by_one_after_their_removal_is_confirmed() {
    let world = forty().await;
    world.okta.patch(&status(0..3, "DEPROVISIONED"));
    world.beadle(&["sweep"]).await.expect(0);
    assert_eq!((world.members("Ops").unwrap().len(), count_active(&world)), (37, 37));
    // Without a confirmation, the next 30 removals would need an approval. But Okta confirms each
    // of these removals, and the guard allows 20 confirmed removals in a day. Beadle has already
    // removed 3 people, so it removes 17 of the 30 people.
    world.okta.patch(&status(3..33, "DEPROVISIONED"));
    let swept = world.beadle(&["sweep"]).await.expect(2);
    assert!(swept.out.contains("members would leave"), "{}", swept.out);
    assert_eq!((world.members("Ops").unwrap().len(), count_active(&world)), (20, 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_with_a_repeated_and_a_missing_row_removes_nobody() {
    let states = [
        json!({ "users": people(10), "groups": ops(&of(0..10)) }),
        json!({ "users": accounts(10), "groups": { "t1": { "displayName": "Ops", "externalId": "beadle:corp/00g1", "members": held(0..10) } } }),
    ];
    let world = World::new(states).await;
    world.beadle(&["sweep"]).await.expect(0);
    world.okta.fault(Fault { path: "/users?".into(), twice: true, ..Fault::default() });
    world.beadle(&["sweep"]).await.expect(1);
    let plan = world.beadle(&["plan"]).await;
    assert!(plan.out.contains("shows 00u00000 twice"), "{}{}", plan.out, plan.err);
    assert_eq!(world.members("Ops").unwrap().len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_a_group_also_counts_removals_one_at_a_time() {
    let world = forty().await;
    let _serving = world.serve().await;
    world.connect(&Hook::default());
    for n in 0..20 {
        world.okta.patch(&without([n]));
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    for _ in 0..1200 {
        if world
            .beadle(&["holds"])
            .await
            .out
            .contains("have already left within 24 h, more than the limit of 25 %")
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let holds = world.beadle(&["holds"]).await.out;
    assert!(holds.contains("have already left within 24 h, more than the limit of 25 %"), "{holds}");
    let left = 40 - world.members("Ops").unwrap().len();
    assert!((1..=10).contains(&left), "{left} left");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sweep_fills_two_groups_that_share_a_person_without_an_account() {
    let groups = json!({
        "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..3) },
        "00g2": { "profile": { "name": "AWS_Dev" }, "members": of(2..4) },
    });
    let mut world = World::new([json!({ "users": people(4), "groups": groups }), json!({})]).await;
    world.groups += "users = \"provision\"\n";
    let swept = world.beadle(&["sweep"]).await.expect(0);
    assert!(!swept.err.contains("changed since it was shown"), "{}", swept.err);
    world.until_holds("Ops", 0..3).await;
    world.until_holds("Dev", 2..4).await;
    world.beadle(&["plan"]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsuspended_person_is_in_the_group_again_and_can_sign_in() {
    let mut world = World::new([json!({ "users": people(4), "groups": ops(&of(0..4)) }), json!({})]).await;
    world.groups += "users = \"provision\"\n";
    let _serving = world.serve().await;
    world.connect(&Hook::default());
    world.until_holds("Ops", 0..4).await;
    world.okta.patch(&status(3..4, "SUSPENDED"));
    world.until_holds("Ops", 0..3).await;
    until_signs_in(&world, 3, false).await;
    world.okta.patch(&status(3..4, "ACTIVE"));
    world.until_holds("Ops", 0..4).await;
    assert_eq!(signs_in(&world, 3), Some(true), "with the join, not at the next sweep");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_of_beadle_is_checked_with_or_without_a_group() {
    let mut groups = ops(&of(0..5));
    groups["00g2"] = json!({ "profile": { "name": "AWS_Dev" }, "members": of([0, 4]) });
    let mut world = World::new([json!({ "users": people(5), "groups": groups }), json!({})]).await;
    world.groups += "users = \"provision\"\n";
    let serving = world.serve().await;
    world.connect(&Hook::default());
    world.until_holds("Ops", 0..5).await;
    world.until_holds("Dev", [0, 4]).await;
    let account = |world: &World| {
        let users = world.aws.state()["users"].clone();
        let its = users.as_object().unwrap().iter().find(|(_, user)| user["externalId"] == "00u00003");
        its.unwrap().0.clone()
    };
    let id = account(&world);
    // A person leaves the last group, and comes back.
    world.okta.patch(&without([3]));
    world.until_holds("Ops", [0, 1, 2, 4]).await;
    until_signs_in(&world, 3, false).await;
    world.okta.patch(&json!({ "groups": { "00g1": { "members": of([3]) } } }));
    world.until_holds("Ops", 0..5).await;
    assert_eq!((signs_in(&world, 3), account(&world)), (Some(true), id.clone()), "it is the same account");
    world.okta.patch(&without([3]));
    world.until_holds("Ops", [0, 1, 2, 4]).await;
    until_signs_in(&world, 3, false).await;
    // No event arrives. A sweep finds two differences: a person who must leave, and an account that
    // somebody activated.
    assert_eq!(serving.stop().await, Some(0));
    world.okta.send_events_to(None);
    world.aws.patch(&json!({ "users": { id: { "active": true } } }));
    world.okta.patch(&status(4..5, "DEPROVISIONED"));
    let swept = world.beadle(&["sweep"]).await.expect(0);
    let active = (signs_in(&world, 3), signs_in(&world, 4));
    assert_eq!(active, (Some(false), Some(false)), "{}{}", swept.out, swept.err);
    // If the directory no longer knows a person, the removal needs an approval. Otherwise, a wrong
    // directory, which knows nobody, could empty the group.
    world.okta.patch(
        &json!({ "users": { "00u00002": null }, "groups": { "00g1": { "members": { "00u00002": null } } } }),
    );
    let swept = world.beadle(&["sweep"]).await;
    assert_eq!(signs_in(&world, 2), Some(true), "{}{}", swept.out, swept.err);
    let swept = world.beadle(&["sweep"]).await.expect(2);
    assert!(swept.out.contains("corp no longer has a person with the id 00u00002"), "{}", swept.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_whom_the_target_refuses_is_reported_and_delays_nobody() {
    let mut directory = json!({ "users": people(4), "groups": ops(&of(0..4)) });
    directory["users"]["00u00003"]["profile"]["lastName"] = Value::Null;
    let mut world = World::new([directory, json!({})]).await;
    world.groups += "users = \"provision\"\n";
    world.aws.fault(Fault {
        method: Some("POST".into()),
        path: "/Users".into(),
        contains: "00u00003".into(),
        status: Some(400),
        ..Fault::default()
    });
    let swept = world.beadle(&["sweep"]).await.expect(1);
    assert!(swept.out.contains("p3@acme.example has no last name"), "{}{}", swept.out, swept.err);
    world.until_holds("Ops", 0..3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_an_account_before_they_are_active() {
    let mut directory = json!({ "users": people(4), "groups": ops(&of(0..4)) });
    directory["users"]["00u00003"]["status"] = json!("STAGED");
    let mut world = World::new([directory, json!({})]).await;
    world.groups += "users = \"provision\"\n";
    world.beadle(&["sweep"]).await.expect(0);
    world.until_holds("Ops", 0..3).await;
    assert_eq!(signs_in(&world, 3), None);
    world.okta.patch(&status(3..4, "ACTIVE"));
    world.beadle(&["sweep"]).await.expect(0);
    world.until_holds("Ops", 0..4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_one_becomes_empty_where_the_mapping_allows_it() {
    let mut world = World::new(state(1, &ops(&of(0..1)))).await;
    world.groups += "may_empty = true\n";
    world.beadle(&["sweep"]).await.expect(0);
    world.until_holds("Ops", 0..1).await;
    world.okta.patch(&without([0]));
    world.beadle(&["sweep"]).await.expect(0);
    world.until_holds("Ops", 0..0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_name_is_the_prefix_creates_no_group() {
    let groups = json!({ "00g1": { "profile": { "name": "AWS_" }, "members": of(0..2) } });
    let world = World::new(state(2, &groups)).await;
    world.beadle(&["sweep"]).await.expect(1);
    let plan = world.beadle(&["plan"]).await.out;
    assert!(plan.contains("`AWS_` would have the invalid name `` at the target"), "{plan}");
    assert!(world.writes().is_empty(), "{:?}", world.writes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_passed_to_a_new_source_if_the_mapping_allows_it() {
    let [directory, mut target] = state(3, &ops(&of(0..3)));
    target["groups"] =
        json!({ "t1": { "displayName": "Ops", "externalId": "beadle:corp/00g0", "members": held(0..2) } });
    let mut world = World::new([directory, target]).await;
    world.beadle(&["sweep"]).await.expect(1);
    let plan = world.beadle(&["plan"]).await.out;
    assert!(
        plan.contains("belongs to corp/00g0, which is deleted or no longer mapped; set adopt = true"),
        "{plan}"
    );
    assert!(world.writes().is_empty(), "{:?}", world.writes());
    world.groups += "adopt = true\n";
    world.beadle(&["sweep"]).await.expect(0);
    world.until_holds("Ops", 0..3).await;
    assert_eq!(world.aws.state()["groups"].as_object().unwrap().len(), 1, "it is the same group");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_of_unchanged_groups_takes_few_calls_to_okta() {
    const GROUPS: usize = 60;
    let mut groups = json!({});
    for n in 0..GROUPS {
        groups[format!("00g{n:02}")] =
            json!({ "profile": { "name": format!("AWS_G{n}") }, "members": of(0..2) });
    }
    let mut world = World::new(state(2, &groups)).await;
    world.okta_lines = "log_every = \"1h\"\nchanges_every = \"1h\"\n".into();
    world.target_lines = "budget = { write_every = \"0s\" }\n".into();
    world.beadle(&["sweep"]).await.expect(0);
    // At this sweep, the groups are as declared, and no group has changed since the previous sweep.
    world.okta.forget_calls();
    let serving = world.serve().await;
    world.until_swept(&serving).await;
    let calls = world.okta.calls();
    let of_groups = |call: &&Value| call["path"].as_str().unwrap().starts_with("/api/v1/groups");
    let asked = calls.iter().filter(of_groups).count();
    // Some runs begin before the sweep has marked all of its groups. Each of these runs reads its
    // group with a separate call.
    assert!(asked < GROUPS / 2, "{asked} calls for {GROUPS} groups");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_takes_two_calls_to_okta() {
    let mut world = World::new(state(5, &ops(&of(0..4)))).await;
    world.okta_lines = "log_every = \"1h\"\nchanges_every = \"1h\"\n".into();
    let _serving = world.serve().await;
    world.until_holds("Ops", 0..4).await;
    for _ in 0..1200 {
        if world.beadle(&["queue"]).await.expect(0).out.contains("0 event, 0 manual, 0 sweep due, 0 running")
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.connect(&Hook::default());
    let before = world.okta.calls().len();
    world.okta.patch(&json!({ "groups": { "00g1": { "members": of([4]) } } }));
    world.until_holds("Ops", 0..5).await;
    let calls = world.okta.calls().split_off(before);
    let paths: Vec<&str> = calls.iter().map(|call| call["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/api/v1/groups/00g1", "/api/v1/groups/00g1/users"]);
}
