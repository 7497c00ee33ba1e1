//! Accounts that Beadle made, and that the target does not have any more.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, RwLock};

use beadle_engine::{Budgets, Clock, Key, Lease, Mode, Reconcile, Run, Store, Time, note};
use beadle_groups::mapping::{Naming, OnDelete, OnMissingGroup, OnMissingUser, OnRename, Users};
use beadle_groups::sources::{OktaSource, Source};
use beadle_groups::targets::ScimReader;
use beadle_groups::{Directory, GroupSweep, Mapping, Mappings};
use beadle_okta::{Credential, Okta, Status};
use beadle_scim::{Api, Dialect};
use beadle_sim::okta::OktaSim;
use beadle_sim::scim::ScimSim;
use beadle_sim::{okta, scim};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use beadle_transport::ClientSettings;
use secrecy::SecretString;
use serde_json::{Value, json};

fn mapping() -> Mapping {
    Mapping {
        source: "corp".into(),
        target: "aws".into(),
        include: vec!["AWS_*".parse().unwrap()],
        exclude: Vec::new(),
        naming: Naming::default(),
        into: None,
        mode: Mode::Enforce,
        on_missing_group: OnMissingGroup::Create,
        on_missing_user: OnMissingUser::Wait,
        users: Users::Provision,
        on_rename: OnRename::Follow,
        on_delete: OnDelete::Keep,
        adopt: false,
        may_empty: false,
        protected: Vec::new(),
        role: None,
        parent: None,
        description: None,
        asked: None,
    }
}

/// Sweeps a directory in which `00u1` and `00u2` are deactivated, at a target with these groups and
/// the account of `00u2` only. Returns the people whose accounts are remembered after it, and those
/// whose accounts are due.
async fn swept(groups: &Value) -> (BTreeSet<String>, BTreeSet<String>) {
    let any = ([127, 0, 0, 1], 0).into();
    let users = json!({ "00u1": { "status": "DEPROVISIONED" }, "00u2": { "status": "DEPROVISIONED" } });
    let state = Some(json!({ "users": users }));
    let corp = OktaSim::start(any, okta::Settings { state, ..okta::Settings::default() }).await.unwrap();
    let state = Some(
        json!({ "users": { "a2": { "userName": "p2@acme.example", "externalId": "00u2" } }, "groups": groups }),
    );
    let aws = ScimSim::start(any, scim::Settings { state, ..scim::Settings::default() }).await.unwrap();
    let clock = Clock::system();
    let settings = ClientSettings { rest_points: u32::MAX, ..ClientSettings::default() };
    let token = Credential::Token(SecretString::from(corp.token()));
    let api = Okta::new(&corp.url(), "corp", token, 0, &clock, &settings).unwrap();
    let leaving = vec![Status::Suspended, Status::Deprovisioned];
    let source: Arc<dyn Source> = Arc::new(OktaSource::new(api, leaving, Vec::new(), Vec::new()));
    let token = SecretString::from(aws.token());
    let budgets = Budgets::new("aws", 0);
    let api = Api::new(&aws.url(), &token, Dialect::AWS, budgets, &clock, settings).unwrap();
    let directory = Directory {
        sources: HashMap::from([("corp".to_owned(), source)]),
        target: Arc::new(ScimReader::new(beadle_scim::Reader::new(api))),
        name: "aws".into(),
        mappings: Arc::new(RwLock::new(Arc::new(Mappings::new(vec![mapping()])))),
        pushed: Arc::default(),
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("beadle.db");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open_inline(&path, SqliteSettings::default()).unwrap());
    for n in [1, 2] {
        let kept = json!({ "account": format!("a{n}"), "login": format!("p{n}@acme.example") });
        let name = note("account", &["aws", &format!("corp/00u{n}")]);
        store.put(&name, &kept.to_string()).await.unwrap();
    }
    let pair = json!({ "group": "t1", "name": "Ops", "from": "AWS_Ops", "sources": ["corp/00g1"] });
    store.put(&note("pair", &["aws", "corp/00g1"]), &pair.to_string()).await.unwrap();
    let directories = HashMap::from([("aws".to_owned(), directory)]);
    let sweep = GroupSweep { source: "corp".into(), directories, store: store.clone(), clock: clock.clone() };
    let lease = Lease { key: Key::new("sweep", "corp", "groups"), epoch: 1, until: Time(i64::MAX) };
    sweep.reconcile(&Run { lease, hint: None, since: clock.now() }).await.unwrap();
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
    // A server that has no group of ours is another one, and tells nothing about our accounts.
    let both = BTreeSet::from(["00u1".to_owned(), "00u2".to_owned()]);
    assert_eq!(swept(&json!({})).await, (both.clone(), both));
}
