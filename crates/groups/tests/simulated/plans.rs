//! Tests the plans of a group. At the start of each test, the target agrees with the directory.

use std::sync::Arc;

use beadle_engine::{Change, Clock, Key, Lane, Plan, Planner, note};
use beadle_groups::mark::KIND;
use beadle_groups::targets::ScimReader;
use beadle_groups::{GroupLimits, GroupPlanner, Write};
use beadle_scim::{Dialect, Reader};
use beadle_sim::okta::OktaSim;
use beadle_sim::scim::ScimSim;
use beadle_sim::{okta, scim};
use serde_json::json;

use crate::common::{self, Vendor};

const GROUP: &str = "corp/00g1";

/// Changes the directory or the target, and plans a group with eight of the ten people. `is_linked`
/// is true if Beadle remembers the group at the target.
async fn planned(is_linked: bool, change: impl FnOnce(&OktaSim, &ScimSim)) -> Plan<Write> {
    let (mut users, mut members) = (json!({}), json!({}));
    let (mut accounts, mut held) = (json!({}), json!({}));
    for n in 0..10 {
        let login = format!("p{n}@acme.example");
        users[format!("00u{n}")] = json!({ "profile": { "login": login } });
        accounts[format!("a{n}")] =
            json!({ "userName": login, "externalId": format!("00u{n}"), "displayName": login });
        if n < 8 {
            members[format!("00u{n}")] = json!(true);
            held[format!("a{n}")] = json!(true);
        }
    }
    let groups = json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": members } });
    let state = Some(json!({ "users": users, "groups": groups }));
    let people = okta::Settings { state, ..okta::Settings::default() };
    let groups = json!({
        "t1": { "displayName": "AWS_Ops", "externalId": "beadle:corp/00g1", "members": held }
    });
    let state = Some(json!({ "users": accounts, "groups": groups }));
    let (corp, aws) = common::vendors(people, scim::Settings { state, ..scim::Settings::default() }).await;
    let clock = Clock::system();
    let wire = Arc::new(Vendor::Okta(corp.clone()));
    let okta = common::okta_client(&corp.url(), corp.token(), wire, &clock);
    let wire = Arc::new(Vendor::Scim(aws.clone()));
    let reader = ScimReader::new(Reader::new(common::scim_client(&aws, Dialect::AWS, wire, &clock)));
    let directory = common::directory(common::source(okta), Arc::new(reader), vec![common::mapping()]);
    let folder = tempfile::tempdir().unwrap();
    let store = common::store(&folder.path().join("beadle.db"));
    if is_linked {
        let link = json!({ "group": "t1", "name": "AWS_Ops", "from": "AWS_Ops", "sources": [GROUP] });
        store.put(&note("pair", &["aws", GROUP]), &link.to_string()).await.unwrap();
    }
    change(&corp, &aws);
    let planner = GroupPlanner::new(directory, GroupLimits::default(), clock, Some(store));
    planner.plan(&Key::new(KIND, "aws", GROUP), None, Lane::Manual).await.unwrap()
}

/// Returns one line of text for each change.
fn shown(plan: &Plan<Write>) -> Vec<String> {
    let line = |change: &Change<Write>| {
        let names: Vec<&str> = change.fields.iter().map(|field| field.name.as_str()).collect();
        format!("{} {}: {}", change.aspect, change.what, names.join(", "))
    };
    plan.changes.iter().map(line).collect()
}

#[tokio::test]
async fn two_sides_that_agree_need_no_change() {
    let plan = planned(true, |_, _| {}).await;
    assert!(shown(&plan).is_empty() && plan.unknowns.is_empty(), "{:?}", plan.unknowns);
}

#[tokio::test]
async fn a_joiner_is_added() {
    let join = json!({ "groups": { "00g1": { "members": { "00u9": true } } } });
    let plan = planned(true, |corp, _| corp.patch(&join)).await;
    assert_eq!(shown(&plan), ["members add: p9@acme.example"]);
}

#[tokio::test]
async fn a_leaver_and_a_suspended_person_are_removed() {
    for change in [
        json!({ "groups": { "00g1": { "members": { "00u1": null } } } }),
        json!({ "users": { "00u1": { "status": "SUSPENDED" } } }),
    ] {
        let plan = planned(true, |corp, _| corp.patch(&change)).await;
        assert_eq!(shown(&plan), ["members remove: p1@acme.example"]);
        assert_eq!(plan.changes[0].stop, None);
    }
}

#[tokio::test]
async fn a_member_whom_somebody_else_added_is_removed_and_one_whom_they_removed_is_added() {
    let change = json!({ "groups": { "t1": { "members": { "a1": null, "a9": true } } } });
    let plan = planned(true, |_, aws| aws.patch(&change)).await;
    assert_eq!(shown(&plan), ["members add: p1@acme.example", "members remove: p9@acme.example"]);
}

#[tokio::test]
async fn many_leavers_wait_for_an_approval() {
    let leave = json!({ "groups": { "00g1": { "members": { "00u1": null, "00u2": null, "00u3": null } } } });
    let plan = planned(true, |corp, _| corp.patch(&leave)).await;
    let removal = "members remove: p1@acme.example, p2@acme.example, p3@acme.example";
    assert_eq!(shown(&plan), [removal]);
    assert_eq!(
        plan.changes[0].stop.as_deref(),
        Some("3 of 8 members would leave, more than the limit of 25 %")
    );
}

#[tokio::test]
async fn a_renamed_source_renames_the_group() {
    let rename = json!({ "groups": { "00g1": { "profile": { "name": "AWS_Operations" } } } });
    let plan = planned(true, |corp, _| corp.patch(&rename)).await;
    assert_eq!(shown(&plan), ["group rename: displayName"]);
}

#[tokio::test]
async fn a_deleted_group_is_created_again() {
    let plan = planned(true, |_, aws| aws.patch(&json!({ "groups": { "t1": null } }))).await;
    let lines = shown(&plan);
    assert_eq!(lines[0], "group create: displayName");
    assert!(lines[1].starts_with("members add: p0@acme.example, p1@acme.example"), "{lines:?}");
    assert_eq!(lines.len(), 2);
    assert_eq!(plan.changes[1].after, [0], "the group comes first");
}

#[tokio::test]
async fn a_group_of_ours_that_is_not_remembered_is_taken_over_and_another_is_left_alone() {
    let plan = planned(false, |_, _| {}).await;
    assert_eq!(shown(&plan), ["group take over: displayName"]);
    let change = json!({ "groups": { "t1": { "externalId": "another" } } });
    let plan = planned(false, |_, aws| aws.patch(&change)).await;
    assert!(shown(&plan).is_empty());
    assert!(plan.unknowns[0].why.contains("that Beadle did not create"), "{:?}", plan.unknowns);
}
