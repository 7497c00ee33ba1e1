//! Tests that a sweep sends Okta no request for a group that did not change, and that the sweep
//! finds each change.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Clock, Key, Lane, Lease, Planner, Reconcile, Run, Store, Time};
use beadle_groups::targets::ScimReader;
use beadle_groups::{GroupLimits, GroupPlanner, GroupSweep};
use beadle_scim::{Dialect, Reader};
use beadle_sim::okta::OktaSim;
use beadle_sim::{okta, scim};
use serde_json::json;

use crate::common::{self, Vendor};

const PEOPLE: usize = 10;
/// The number of calls that a sweep sends to Okta if nothing changed: one for the groups to mark,
/// and two for the survey of groups and users.
const UNCHANGED: usize = 3;

/// A directory and a target. Each group `00g<n>` of the directory contains the people `n` and `n +
/// 1`. The target has no groups.
struct Stage {
    corp: Arc<OktaSim>,
    _folder: tempfile::TempDir,
    clock: Clock,
    store: Arc<dyn Store>,
    planner: GroupPlanner,
    sweep: GroupSweep,
}

async fn stage(count: usize) -> Stage {
    let (mut users, mut accounts, mut groups) = (json!({}), json!({}), json!({}));
    for n in 0..PEOPLE {
        let login = format!("p{n}@acme.example");
        users[format!("00u{n}")] = json!({ "profile": { "login": login } });
        accounts[format!("a{n}")] = json!({ "userName": login, "externalId": format!("00u{n}") });
    }
    for n in 0..count {
        let mut members = json!({});
        for member in [n % PEOPLE, (n + 1) % PEOPLE] {
            members[format!("00u{member}")] = json!(true);
        }
        let profile = json!({ "name": format!("AWS_{n}") });
        groups[format!("00g{n}")] = json!({ "profile": profile, "members": members });
    }
    let state = Some(json!({ "users": users, "groups": groups }));
    let people = okta::Settings { state, limit: 1_000_000, ..okta::Settings::default() };
    let state = Some(json!({ "users": accounts }));
    let server = scim::Settings { state, ..scim::Settings::default() };
    let (corp, aws) = common::vendors(people, server).await;
    let clock = Clock::simulated(Time::from_seconds(1_800_000_000));
    let wire = Arc::new(Vendor::Okta(corp.clone()));
    let okta = common::okta_client(&corp.url(), corp.token(), wire, &clock);
    let wire = Arc::new(Vendor::Scim(aws.clone()));
    let api = common::scim_client(&aws, Dialect::AWS, wire, &clock);
    let reader = ScimReader::new(Reader::new(api));
    let directory = common::directory(common::source(okta), Arc::new(reader), vec![common::mapping()]);
    let folder = tempfile::tempdir().unwrap();
    let store = common::store(&folder.path().join("beadle.db"));
    let limits = GroupLimits::default();
    let planner = GroupPlanner::new(directory.clone(), limits, clock.clone(), Some(store.clone()));
    let directories = HashMap::from([("aws".to_owned(), directory)]);
    let sweep = GroupSweep { source: "corp".into(), directories, store: store.clone(), clock: clock.clone() };
    Stage { corp, _folder: folder, clock, store, planner, sweep }
}

impl Stage {
    /// Runs a sweep. Returns two values: the people who join each group, by the group's id; and the
    /// number of calls to Okta.
    async fn sweep(&self) -> (BTreeMap<String, BTreeSet<String>>, usize) {
        self.corp.forget_calls();
        let lease = Lease { key: Key::new("sweep", "corp", "groups"), epoch: 1, until: Time(i64::MAX) };
        let run = Run { lease, lane: Lane::Sweep, hint: None, since: self.clock.now() };
        self.sweep.reconcile(&run).await.unwrap();
        let mut come = BTreeMap::new();
        for row in self.store.rows(1000).await.unwrap() {
            let plan = self.planner.plan(&row.key, row.hint.as_deref(), Lane::Sweep).await.unwrap();
            assert!(plan.unknowns.is_empty(), "{:?}", plan.unknowns);
            let adds = plan.changes.iter().filter(|change| change.what == "add");
            let names = adds.flat_map(|change| change.fields.iter().map(|field| field.name.clone()));
            let id = row.key.id().trim_start_matches("corp/").to_owned();
            come.insert(id, names.collect::<BTreeSet<String>>());
        }
        // The next sweep must begin at a later time.
        self.clock.jump(60_000);
        (come, self.corp.calls().len())
    }
}

fn people(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| format!("{name}@acme.example")).collect()
}

#[tokio::test]
async fn the_second_sweep_of_unchanged_groups_costs_the_same_however_many_they_are() {
    for count in [20, 60] {
        let stage = stage(count).await;
        let (first, calls) = stage.sweep().await;
        assert!(first.len() == count && calls > count, "{calls} calls for {} groups", first.len());
        let (second, calls) = stage.sweep().await;
        assert_eq!(second, first);
        assert!(calls <= UNCHANGED, "{calls} calls for {count} groups");
    }
}

#[tokio::test]
async fn the_second_sweep_finds_a_changed_membership_status_and_profile() {
    let stage = stage(20).await;
    stage.sweep().await;
    stage.corp.patch(&json!({
        "groups": { "00g3": { "members": { "00u9": true } } },
        "users": {
            "00u0": { "status": "SUSPENDED" },
            "00u5": { "status": "DEPROVISIONED" },
            "00u7": { "profile": { "login": "new@acme.example" } },
        },
    }));
    let (come, _) = stage.sweep().await;
    assert_eq!(come["00g3"], people(&["p3", "p4", "p9"]), "somebody joined");
    assert_eq!(come["00g0"], people(&["p1"]), "somebody was suspended");
    assert_eq!(come["00g5"], people(&["p6"]), "somebody was deactivated");
    let renamed = "new@acme.example (p7@acme.example)";
    assert!(come["00g7"].contains(renamed), "{:?}", come["00g7"]);
    // Beadle has remembered this change. Beadle must also notice that a person comes back.
    let (again, calls) = stage.sweep().await;
    assert_eq!(again, come);
    // By Okta's clock, somebody joined `00g3` a moment ago, so Beadle reads that group once more.
    assert!(calls <= UNCHANGED + 1, "{calls} calls");
    stage.corp.patch(&json!({ "users": { "00u5": { "status": "ACTIVE" } } }));
    assert_eq!(stage.sweep().await.0["00g5"], people(&["p5", "p6"]));
}

#[tokio::test]
async fn a_change_whose_time_is_not_shown_is_found_within_a_day() {
    let stage = stage(20).await;
    stage.sweep().await;
    let mut state = stage.corp.state();
    state["groups"]["00g7"]["members"]["00u0"] = json!(true);
    stage.corp.begin_with(state);
    assert_eq!(stage.sweep().await.0["00g7"], people(&["p7", "p8"]), "Okta says that nothing changed");
    let day = Duration::from_secs(24 * 3600);
    stage.clock.jump(i64::try_from(day.as_millis()).unwrap());
    assert_eq!(stage.sweep().await.0["00g7"], people(&["p0", "p7", "p8"]));
}

#[tokio::test]
async fn a_list_of_users_that_lacks_somebody_costs_a_call_and_loses_nobody() {
    let stage = stage(20).await;
    let (first, _) = stage.sweep().await;
    let short = beadle_sim::Fault { path: "api/v1/users".into(), short: true, ..Default::default() };
    stage.corp.fault(short);
    let (second, calls) = stage.sweep().await;
    assert_eq!(second, first);
    assert!(calls > UNCHANGED, "the groups of that person are read: {calls} calls");
}
