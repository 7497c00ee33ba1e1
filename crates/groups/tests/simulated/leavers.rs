//! Tests of the accounts of people who leave a group. The tests also check which requests Beadle
//! sends before it keeps an account active.

use std::sync::Arc;

use beadle_engine::{Clock, Key, Lane, Plan, PlanWriter, Planner, Store, Time, note};
use beadle_groups::mapping::Users;
use beadle_groups::mark::KIND;
use beadle_groups::targets::{ScimReader, ScimWriter};
use beadle_groups::{Directory, GroupLimits, GroupPlanner, GroupWriter, Mapping, Mappings, Write};
use beadle_scim::{Dialect, Reader, Writer};
use beadle_sim::okta::OktaSim;
use beadle_sim::scim::{Quirk, ScimSim};
use beadle_sim::{okta, scim};
use serde_json::{Value, json};

use crate::common::{self, Vendor};

const GROUP: &str = "corp/00g1";

/// A directory with ten people. Eight of these people are in a group. The group at the target also
/// has one more member, the account `a0`.
struct Stage {
    corp: Arc<OktaSim>,
    aws: Arc<ScimSim>,
    _folder: tempfile::TempDir,
    store: Arc<dyn Store>,
    directory: Directory,
    planner: GroupPlanner,
    writer: GroupWriter,
}

/// Starts the simulated vendors. `id` is the `externalId` of the account `a0`.
async fn stage(id: &str) -> Stage {
    let (mut users, mut accounts) = (json!({}), json!({}));
    let (mut members, mut held) = (json!({}), json!({}));
    for n in 0..10 {
        let login = format!("p{n}@acme.example");
        users[format!("00u{n}")] = json!({ "profile": { "login": login } });
        if n == 9 {
            continue;
        }
        let external = if n == 0 { id.to_owned() } else { format!("00u{n}") };
        accounts[format!("a{n}")] = json!({ "userName": login, "externalId": external, "active": true });
        held[format!("a{n}")] = json!(true);
        if n > 0 {
            members[format!("00u{n}")] = json!(true);
        }
    }
    let groups = json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": members } });
    let state = Some(json!({ "users": users, "groups": groups }));
    let people = okta::Settings { state, ..okta::Settings::default() };
    let ours =
        json!({ "t1": { "displayName": "AWS_Ops", "externalId": "beadle:corp/00g1", "members": held } });
    let state = Some(json!({ "users": accounts, "groups": ours }));
    let server = scim::Settings { state, quirks: vec![Quirk::Generic], ..scim::Settings::default() };
    let (corp, aws) = common::vendors(people, server).await;
    let clock = Clock::system();
    let wire = Arc::new(Vendor::Okta(corp.clone()));
    let okta = common::okta_client(&corp.url(), corp.token(), wire, &clock);
    let wire = Arc::new(Vendor::Scim(aws.clone()));
    let api = common::scim_client(&aws, Dialect::RFC7644, wire, &clock);
    let reader = ScimReader::new(Reader::new(api.clone()));
    let writer = ScimWriter::new(Writer::new(api), &reader);
    let mapping = Mapping { users: Users::Provision, ..common::mapping() };
    let directory = common::directory(common::source(okta), Arc::new(reader), vec![mapping]);
    let folder = tempfile::tempdir().unwrap();
    let store = common::store(&folder.path().join("beadle.db"));
    let link = json!({ "group": "t1", "name": "AWS_Ops", "from": "AWS_Ops", "sources": [GROUP] });
    store.put(&note("pair", &["aws", GROUP]), &link.to_string()).await.unwrap();
    let limits = GroupLimits::default();
    Stage {
        corp,
        aws,
        _folder: folder,
        planner: GroupPlanner::new(directory.clone(), limits, clock.clone(), Some(store.clone())),
        writer: GroupWriter::new(Arc::new(writer), "aws", limits.window, clock, Some(store.clone())),
        store,
        directory,
    }
}

impl Stage {
    async fn plan(&self, id: &str) -> Plan<Write> {
        self.planner.plan(&Key::new(KIND, "aws", id), None, Lane::Manual).await.unwrap()
    }

    /// Returns the name of the note that stores a person's account.
    fn account(person: &str) -> String {
        note("account", &["aws", &format!("corp/{person}")])
    }

    async fn keep(&self, person: &str) {
        let kept = json!({ "account": "a0", "login": "p0@acme.example" });
        self.store.put(&Self::account(person), &kept.to_string()).await.unwrap();
    }

    fn suspend(&self, person: &str) {
        self.corp.patch(&json!({ "users": { person: { "status": "SUSPENDED" } } }));
    }

    fn activate(&self, active: bool) {
        self.aws.patch(&json!({ "users": { "a0": { "active": active } } }));
    }
}

/// Records in the store that Beadle created the account `a0` for the person `00u0`.
async fn keep_made(stage: &Stage) {
    let kept = json!({ "account": "a0", "login": "p0@acme.example", "made": true });
    stage.store.put(&Stage::account("00u0"), &kept.to_string()).await.unwrap();
}

#[tokio::test]
async fn an_account_of_beadle_is_deactivated_when_its_person_leaves_the_last_group() {
    let stage = stage("00u0").await;
    keep_made(&stage).await;
    let plan = stage.plan(GROUP).await;
    assert!(removes(&plan) && deactivates(&plan), "{plan:?}");
    // The plan of the group contains both changes. The removal can wait for an approval, so another
    // plan does not deactivate the account before the removal.
    assert!(!deactivates(&stage.plan("account/corp/00u0").await));
    stage.aws.patch(&json!({ "groups": { "t1": { "members": { "a0": null } } } }));
    assert!(deactivates(&stage.plan("account/corp/00u0").await));
}

#[tokio::test]
async fn an_account_stays_active_while_it_is_in_another_group_that_it_has_to_leave() {
    let stage = stage("00u0").await;
    keep_made(&stage).await;
    let other =
        json!({ "displayName": "AWS_Prod", "externalId": "beadle:corp/00g2", "members": { "a0": true } });
    stage.aws.patch(&json!({ "groups": { "t2": other } }));
    let link = json!({ "group": "t2", "name": "AWS_Prod", "from": "AWS_Prod", "sources": ["corp/00g2"] });
    stage.store.put(&note("pair", &["aws", "corp/00g2"]), &link.to_string()).await.unwrap();
    let plan = stage.plan(GROUP).await;
    assert!(removes(&plan) && !deactivates(&plan), "{plan:?}");
}

#[tokio::test]
async fn a_list_of_groups_that_is_short_or_missing_deactivates_nobody_who_is_still_a_member() {
    let stage = stage("00u0").await;
    for n in [1, 2] {
        let kept = json!({ "account": format!("a{n}"), "login": format!("p{n}@acme.example"), "made": true });
        stage.store.put(&Stage::account(&format!("00u{n}")), &kept.to_string()).await.unwrap();
    }
    let path = |n: u32| format!("/users/00u{n}/groups");
    stage.corp.fault(beadle_sim::Fault { path: path(1), empty: true, ..beadle_sim::Fault::default() });
    stage.corp.fault(beadle_sim::Fault { path: path(2), status: Some(404), ..beadle_sim::Fault::default() });
    for n in [1, 2] {
        let plan = stage.plan(&format!("account/corp/00u{n}")).await;
        assert!(!deactivates(&plan), "{n}: {plan:?}");
        assert_eq!(plan.unknowns.len(), usize::from(n == 2), "{n}: {:?}", plan.unknowns);
    }
}

#[tokio::test]
async fn an_account_stays_active_while_a_mapping_includes_another_group_of_its_person() {
    let stage = stage("00u0").await;
    keep_made(&stage).await;
    let other = json!({ "profile": { "name": "AWS_Dev" }, "members": { "00u0": true } });
    stage.corp.patch(&json!({ "groups": { "00g2": other } }));
    let plan = stage.plan(GROUP).await;
    assert!(removes(&plan) && !deactivates(&plan), "{plan:?}");
    assert!(!deactivates(&stage.plan("account/corp/00u0").await));
    stage.corp.patch(&json!({ "groups": { "00g2": { "profile": { "name": "Lunch" } } } }));
    assert!(deactivates(&stage.plan(GROUP).await), "no mapping includes this group");
}

#[tokio::test]
async fn an_account_in_a_group_that_beadle_does_not_manage_stays_active() {
    let stage = stage("00u0").await;
    keep_made(&stage).await;
    stage.aws.patch(&json!({ "groups": { "t9": { "displayName": "Audit", "members": { "a0": true } } } }));
    let plan = stage.plan(GROUP).await;
    assert!(removes(&plan) && !deactivates(&plan), "{plan:?}");
}

#[tokio::test]
async fn an_account_that_somebody_else_created_stays_active_without_a_group() {
    let stage = stage("00u0").await;
    stage.keep("00u0").await;
    assert!(!deactivates(&stage.plan(GROUP).await));
    assert!(!deactivates(&stage.plan("account/corp/00u0").await));
}

#[tokio::test]
async fn a_person_whose_groups_cannot_be_read_keeps_the_account() {
    let stage = stage("00u0").await;
    keep_made(&stage).await;
    stage.corp.fault(beadle_sim::Fault {
        path: "/users/00u0/groups".into(),
        status: Some(403),
        ..beadle_sim::Fault::default()
    });
    assert!(!deactivates(&stage.plan(GROUP).await));
}

fn removes(plan: &Plan<Write>) -> bool {
    plan.changes.iter().any(|change| change.what == "remove")
}

fn deactivates(plan: &Plan<Write>) -> bool {
    let mut fields = plan.changes.iter().flat_map(|change| &change.fields);
    fields.any(|field| field.name == "active" && field.after == Value::Bool(false))
}

#[tokio::test]
async fn an_answer_about_another_person_deactivates_nobody() {
    // The `externalId` of the account is the sign-in name of another person.
    let stage = stage("p9@acme.example").await;
    stage.suspend("00u9");
    let plan = stage.plan(GROUP).await;
    assert!(removes(&plan) && !deactivates(&plan));
    stage.keep("p9@acme.example").await;
    let plan = stage.plan("account/corp/p9@acme.example").await;
    assert!(plan.changes.is_empty());
    assert!(
        plan.unknowns[0].why.contains("but the answer is about p9@acme.example (00u9)"),
        "{:?}",
        plan.unknowns
    );
}

#[tokio::test]
async fn the_account_of_somebody_who_leaves_a_group_and_stays_is_watched_from_then_on() {
    let stage = stage("00u0").await;
    let plan = stage.plan(GROUP).await;
    assert!(removes(&plan) && !deactivates(&plan));
    let key = Key::new(KIND, "aws", GROUP);
    let session = stage.writer.open(&key, &plan, Time(i64::MAX), Lane::Manual).await.unwrap();
    for change in plan.changes.iter().filter(|change| change.what == "remove") {
        session.write(change).await.unwrap();
    }
    let kept = stage.store.get(&Stage::account("00u0")).await.unwrap();
    assert!(kept.is_some_and(|kept| kept.contains("a0")), "Beadle did not make it in this run");
}

#[tokio::test]
async fn an_account_that_was_inactive_when_it_was_read_last_is_deactivated_all_the_same() {
    let stage = stage("00u0").await;
    stage.activate(false);
    stage.directory.target.members("t1").await.unwrap();
    stage.activate(true);
    stage.suspend("00u0");
    assert!(deactivates(&stage.plan(GROUP).await), "when the person leaves a group");
    stage.keep("00u0").await;
    stage.activate(false);
    assert!(!deactivates(&stage.plan("account/corp/00u0").await), "it is inactive now");
    stage.activate(true);
    assert!(deactivates(&stage.plan("account/corp/00u0").await), "without a group");
}

#[tokio::test]
async fn an_account_that_another_person_has_now_is_left_alone() {
    let stage = stage("00u0").await;
    stage.keep("00u0").await;
    stage.suspend("00u0");
    stage.aws.patch(&json!({ "users": { "a0": { "externalId": "00u9" } } }));
    let plan = stage.plan("account/corp/00u0").await;
    assert!(plan.changes.is_empty());
    assert!(plan.skipped.is_some_and(|why| why.contains("belongs to another person")));
}

#[tokio::test]
async fn an_account_that_another_person_has_now_is_left_alone_when_its_member_leaves_the_group() {
    let stage = stage("00u0").await;
    stage.directory.target.members("t1").await.unwrap();
    stage.suspend("00u0");
    stage.aws.patch(&json!({ "users": { "a0": { "externalId": "00u9" } } }));
    assert!(!deactivates(&stage.plan(GROUP).await));
}

#[tokio::test]
async fn a_renamed_group_stays_protected_until_no_mapping_protects_its_former_name() {
    let stage = stage("00u0").await;
    let mapping = |protected: &[&str]| {
        let protected = protected.iter().map(|pattern| pattern.parse().unwrap()).collect();
        let mapping = Mapping { protected, users: Users::Provision, ..common::mapping() };
        *stage.directory.mappings.write() = Arc::new(Mappings::new(vec![mapping]));
    };
    let limits = GroupLimits { percent: 100, ..GroupLimits::default() };
    let store = Some(stage.store.clone());
    let planner = GroupPlanner::new(stage.directory.clone(), limits, Clock::system(), store);
    let waits = async || {
        let plan = planner.plan(&Key::new(KIND, "aws", GROUP), None, Lane::Manual).await.unwrap();
        let removal = plan.changes.iter().find(|change| change.what == "remove").unwrap();
        removal.stop.as_ref().is_some_and(|why| why.contains("a protected group"))
    };
    let rename = |name: &str| {
        stage.corp.patch(&json!({ "groups": { "00g1": { "profile": { "name": name } } } }));
    };
    // Five of the nine members leave.
    let gone = json!({ "00u1": null, "00u2": null, "00u3": null, "00u4": null });
    stage.corp.patch(&json!({ "groups": { "00g1": { "members": gone } } }));
    mapping(&[]);
    assert!(!waits().await);
    mapping(&["AWS_Ops"]);
    rename("AWS_First");
    assert!(waits().await, "the link has the former name");
    let link = json!({ "group": "t1", "name": "AWS_First", "from": "AWS_First", "sources": [GROUP] });
    stage.store.put(&note("pair", &["aws", GROUP]), &link.to_string()).await.unwrap();
    rename("AWS_Second");
    assert!(waits().await, "the link no longer has the name, and the note has it");
    mapping(&["AWS_Other"]);
    assert!(!waits().await, "no mapping protects one of its names");
    mapping(&["AWS_Second"]);
    assert!(waits().await);
    rename("AWS_Third");
    assert!(waits().await);
    // The patterns of a mapping that never included the group do not protect it.
    let own = Mapping { users: Users::Provision, ..common::mapping() };
    let foreign = Mapping {
        include: vec!["GCP_*".parse().unwrap()],
        protected: vec!["*".parse().unwrap()],
        ..common::mapping()
    };
    *stage.directory.mappings.write() = Arc::new(Mappings::new(vec![own, foreign]));
    assert!(!waits().await);
}
