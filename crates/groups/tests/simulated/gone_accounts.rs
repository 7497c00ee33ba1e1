//! Tests of accounts that Beadle created. The target no longer has some of these accounts. The
//! owners of the other accounts left their last group.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use beadle_engine::{Clock, Key, KeyState, Lane, Lease, Planner, Reconcile, Report, Run, Time, note};
use beadle_groups::mapping::Users;
use beadle_groups::mark::KIND;
use beadle_groups::targets::ScimReader;
use beadle_groups::{GroupLimits, GroupPlanner, GroupSweep, Mapping};
use beadle_scim::{Dialect, Reader};
use beadle_sim::{okta, scim};
use serde_json::{Value, json};

use crate::common::{self, Vendor};

/// Sweeps a directory in which the people `00u1` and `00u2` are deactivated. The target has these
/// groups, and only the account of `00u2`. Returns two lists of people after the sweep: the people
/// whose accounts Beadle still remembers, and the people whose accounts are due.
async fn swept(groups: &Value) -> (BTreeSet<String>, BTreeSet<String>) {
    let users = json!({ "00u1": { "status": "DEPROVISIONED" }, "00u2": { "status": "DEPROVISIONED" } });
    let people = okta::Settings { state: Some(json!({ "users": users })), ..okta::Settings::default() };
    let accounts = json!({ "a2": { "userName": "p2@acme.example", "externalId": "00u2" } });
    let state = Some(json!({ "users": accounts, "groups": groups }));
    let (corp, aws) = common::vendors(people, scim::Settings { state, ..scim::Settings::default() }).await;
    let clock = Clock::system();
    let wire = Arc::new(Vendor::Okta(corp.clone()));
    let okta = common::okta_client(&corp.url(), corp.token(), wire, &clock);
    let wire = Arc::new(Vendor::Scim(aws.clone()));
    let api = common::scim_client(&aws, Dialect::AWS, wire, &clock);
    let mapping = Mapping { users: Users::Provision, ..common::mapping() };
    let reader = ScimReader::new(Reader::new(api));
    let directory = common::directory(common::source(okta), Arc::new(reader), vec![mapping]);
    let folder = tempfile::tempdir().unwrap();
    let store = common::store(&folder.path().join("beadle.db"));
    for n in [1, 2] {
        let kept = json!({ "account": format!("a{n}"), "login": format!("p{n}@acme.example") });
        let name = note("account", &["aws", &format!("corp/00u{n}")]);
        store.put(&name, &kept.to_string()).await.unwrap();
    }
    let link = json!({ "group": "t1", "name": "Ops", "from": "AWS_Ops", "sources": ["corp/00g1"] });
    store.put(&note("pair", &["aws", "corp/00g1"]), &link.to_string()).await.unwrap();
    let kept = ["account/corp/00u9", "corp/00g1", "into/Everybody", "lab/00g2"];
    for id in kept.iter().chain(&["corp/00g9"]) {
        let report = Report {
            subject: (*id).to_owned(),
            steps: Vec::new(),
            unknowns: Vec::new(),
            skipped: None,
            failure: None,
        };
        KeyState::record(store.as_ref(), &Key::new(KIND, "aws", id), &report, Time(1)).await.unwrap();
    }
    let directories = HashMap::from([("aws".to_owned(), directory)]);
    let sweep = GroupSweep { source: "corp".into(), directories, store: store.clone(), clock: clock.clone() };
    let lease = Lease { key: Key::new("sweep", "corp", "groups"), epoch: 1, until: Time(i64::MAX) };
    let run = Run { lease, lane: Lane::Sweep, hint: None, since: clock.now() };
    sweep.reconcile(&run).await.unwrap();
    // The store no longer has the state of one group, because no mapping includes this group, and
    // Beadle does not remember it.
    let states = KeyState::of_kind(store.as_ref(), KIND).await.unwrap();
    let states: Vec<&str> = states.iter().map(|(key, _)| key.id()).collect();
    assert_eq!(states, kept);
    let prefix = note("account", &["aws", "corp/"]);
    let notes = store.notes(&prefix).await.unwrap();
    let remembered = notes.into_iter().map(|(name, _)| name[prefix.len()..].to_owned()).collect();
    let rows = store.rows(50).await.unwrap();
    let due = rows.iter().filter_map(|row| row.key.id().strip_prefix("account/corp/").map(str::to_owned));
    (remembered, due.collect())
}

#[tokio::test]
async fn an_account_that_the_target_does_not_have_any_more_is_forgotten_by_a_sweep() {
    let ours = json!({ "t1": { "displayName": "Ops", "externalId": "beadle:corp/00g1" } });
    let left = BTreeSet::from(["00u2".to_owned()]);
    assert_eq!(swept(&ours).await, (left.clone(), left));
    // If a server has none of Beadle's groups, Beadle treats it as a different server. The server's
    // list of accounts then has no information about Beadle's accounts.
    let both = BTreeSet::from(["00u1".to_owned(), "00u2".to_owned()]);
    assert_eq!(swept(&json!({})).await, (both.clone(), both));
}

#[tokio::test]
async fn an_account_without_the_id_of_its_person_keeps_the_access_that_beadle_did_not_give() {
    // The account is in a group that Beadle does not manage, or in no group.
    for (members, changes) in [(json!({ "a1": true }), 0), (json!({}), 1)] {
        let users = json!({ "00u1": { "profile": { "login": "p1@acme.example" } } });
        let people = okta::Settings { state: Some(json!({ "users": users })), ..okta::Settings::default() };
        let accounts = json!({ "a1": { "userName": "p1@acme.example", "active": true } });
        let groups = json!({ "t9": { "displayName": "Others", "members": members } });
        let state = Some(json!({ "users": accounts, "groups": groups }));
        let server = scim::Settings { state, ..scim::Settings::default() };
        let (corp, aws) = common::vendors(people, server).await;
        let clock = Clock::system();
        let wire = Arc::new(Vendor::Okta(corp.clone()));
        let okta = common::okta_client(&corp.url(), corp.token(), wire, &clock);
        let wire = Arc::new(Vendor::Scim(aws.clone()));
        let reader = ScimReader::new(Reader::new(common::scim_client(&aws, Dialect::AWS, wire, &clock)));
        let mapping = Mapping { users: Users::Provision, ..common::mapping() };
        let directory = common::directory(common::source(okta), Arc::new(reader), vec![mapping]);
        let folder = tempfile::tempdir().unwrap();
        let store = common::store(&folder.path().join("beadle.db"));
        let kept = json!({ "account": "a1", "login": "p1@acme.example", "made": true, "left": true });
        store.put(&note("account", &["aws", "corp/00u1"]), &kept.to_string()).await.unwrap();
        let planner = GroupPlanner::new(directory, GroupLimits::default(), clock, Some(store));
        let key = Key::new(KIND, "aws", "account/corp/00u1");
        let plan = planner.plan(&key, None, Lane::Manual).await.unwrap();
        assert_eq!(plan.changes.len(), changes, "{:?} {:?}", plan.skipped, plan.unknowns);
    }
}
