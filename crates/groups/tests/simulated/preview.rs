//! Tests what new mappings would change, compared with the earlier mappings.

use std::sync::Arc;

use beadle_engine::{Clock, Mode, Risk, note};
use beadle_groups::mapping::{OnMissingGroup, OnMissingUser};
use beadle_groups::targets::ScimReader;
use beadle_groups::{GroupLimits, GroupPlanner, GroupPreview, Mapping, Mappings};
use beadle_scim::{Dialect, Reader};
use beadle_sim::{okta, scim};
use serde_json::{Value, json};

use crate::common::{self, Vendor};

/// Plans a change of the mappings. The directory has the groups `AWS_Ops` (p0, p1, p2), `AWS_Dev`
/// (p3) and `GCP_New` (p3, p4). The target has the union `All` with four people, but no account of
/// p4.
async fn previewed(before: Vec<Mapping>, after: Vec<Mapping>) -> GroupPreview {
    let (mut users, mut accounts, mut held) = (json!({}), json!({}), json!({}));
    users["00u4"] = json!({ "profile": { "login": "p4@acme.example" } });
    for n in 0..4 {
        let login = format!("p{n}@acme.example");
        users[format!("00u{n}")] = json!({ "profile": { "login": login } });
        accounts[format!("a{n}")] =
            json!({ "userName": login, "externalId": format!("00u{n}"), "displayName": login });
        held[format!("a{n}")] = json!(true);
    }
    let group = |name: &str, members: Value| json!({ "profile": { "name": name }, "members": members });
    let groups = json!({
        "00g1": group("AWS_Ops", json!({ "00u0": true, "00u1": true, "00u2": true })),
        "00g2": group("AWS_Dev", json!({ "00u3": true })),
        "00g3": group("GCP_New", json!({ "00u3": true, "00u4": true })),
    });
    let state = Some(json!({ "users": users, "groups": groups }));
    let people = okta::Settings { state, ..okta::Settings::default() };
    let groups = json!({
        "t1": { "displayName": "All", "externalId": "beadle:into/All", "members": held }
    });
    let state = Some(json!({ "users": accounts, "groups": groups }));
    let (corp, aws) = common::vendors(people, scim::Settings { state, ..scim::Settings::default() }).await;
    let clock = Clock::system();
    let wire = Arc::new(Vendor::Okta(corp.clone()));
    let okta = common::okta_client(&corp.url(), corp.token(), wire, &clock);
    let wire = Arc::new(Vendor::Scim(aws.clone()));
    let reader = ScimReader::new(Reader::new(common::scim_client(&aws, Dialect::AWS, wire, &clock)));
    let directory = common::directory(common::source(okta), Arc::new(reader), Vec::new());
    let folder = tempfile::tempdir().unwrap();
    let store = common::store(&folder.path().join("beadle.db"));
    let sources = ["corp/00g1", "corp/00g2"];
    let link = json!({ "group": "t1", "name": "All", "from": "AWS_Ops", "sources": sources });
    store.put(&note("pair", &["aws", "into/All"]), &link.to_string()).await.unwrap();
    let planner = GroupPlanner::new(directory, GroupLimits::default(), clock, Some(store));
    planner.preview(&Mappings::new(before), &Mappings::new(after)).await.unwrap()
}

/// Returns a mapping that combines the groups with this name into the union `All`.
fn union(include: &str, mode: Mode) -> Mapping {
    Mapping { include: vec![include.parse().unwrap()], into: Some("All".into()), mode, ..common::mapping() }
}

/// Returns the keys that are due, and the number of removals.
fn shown(preview: &GroupPreview) -> (Vec<String>, u32) {
    assert!(preview.incomplete.is_empty(), "{:?}", preview.incomplete);
    let changes = preview.plans.iter().flat_map(|(_, plan)| &plan.changes);
    let removals = changes.map(|change| change.risks().count(Risk::Removes)).sum();
    (preview.due.iter().map(ToString::to_string).collect(), removals)
}

#[tokio::test]
async fn mappings_that_declare_the_same_affect_no_group() {
    let one = || vec![union("AWS_*", Mode::Enforce)];
    let preview = previewed(one(), one()).await;
    assert_eq!(shown(&preview), (Vec::new(), 0));
    assert_eq!(preview.total, 1, "the union");
}

#[tokio::test]
async fn a_union_that_loses_a_source_counts_the_members_who_leave() {
    let preview = previewed(vec![union("AWS_*", Mode::Enforce)], vec![union("AWS_Dev", Mode::Enforce)]).await;
    assert_eq!(shown(&preview), (vec!["target-group:aws:into/All".to_owned()], 3));
}

#[tokio::test]
async fn a_mode_that_allows_more_counts_what_the_mode_before_only_showed() {
    let observed = || union("AWS_Dev", Mode::Observe);
    let preview = previewed(vec![observed()], vec![union("AWS_Dev", Mode::Enforce)]).await;
    assert_eq!(shown(&preview).1, 3);
    let preview = previewed(vec![union("AWS_Dev", Mode::Enforce)], vec![observed()]).await;
    let written = preview.plans.iter().flat_map(|(_, plan)| &plan.changes);
    assert_eq!(written.filter(|change| change.mode == Mode::Enforce).count(), 0);
}

#[tokio::test]
async fn a_mapping_of_one_group_affects_only_this_group() {
    let one = |include: &str| Mapping { include: vec![include.parse().unwrap()], ..common::mapping() };
    let preview = previewed(vec![one("AWS_Dev")], vec![one("AWS_*")]).await;
    assert_eq!(shown(&preview).0, ["target-group:aws:corp/00g1"]);
    assert_eq!(preview.total, 2);
}

#[tokio::test]
async fn a_group_or_an_account_that_another_system_creates_later_does_not_stop_the_gate() {
    for (on_missing_group, changes) in [(OnMissingGroup::Wait, 0), (OnMissingGroup::Create, 2)] {
        let on_missing_user = OnMissingUser::Wait;
        let include = vec!["GCP_New".parse().unwrap()];
        let mapping = Mapping { include, on_missing_group, on_missing_user, ..common::mapping() };
        let preview = previewed(Vec::new(), vec![mapping]).await;
        // The account of p4 does not exist. In the case with `wait`, the group also does not exist.
        assert_eq!(shown(&preview).0, ["target-group:aws:corp/00g3"], "{on_missing_group:?}");
        let planned: usize = preview.plans.iter().map(|(_, plan)| plan.changes.len()).sum();
        assert_eq!(planned, changes, "{on_missing_group:?}: create the group and add p3");
    }
}
