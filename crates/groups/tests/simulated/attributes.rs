//! Tests of mapped attributes: which values Beadle sets in accounts, and which values it does not
//! change.

use std::sync::Arc;

use beadle_engine::{Clock, Key, Lane, Plan, PlanWriter, Planner, Risk, Store, Time, note};
use beadle_groups::mapping::Users;
use beadle_groups::mark::KIND;
use beadle_groups::sources::OktaSource;
use beadle_groups::targets::{ScimReader, ScimWriter};
use beadle_groups::{Attributes, GroupLimits, GroupPlanner, GroupWriter, Mapping, Write};
use beadle_okta::Status;
use beadle_scim::{Attribute, Dialect, Reader, Writer};
use beadle_sim::okta::OktaSim;
use beadle_sim::scim::ScimSim;
use beadle_sim::{okta, scim};
use serde_json::{Value, json};

use crate::common::{self, Vendor};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// A directory with two people in one group. `00u0` has the account `a0`, and `00u1` has no
/// account.
struct Stage {
    corp: Arc<OktaSim>,
    aws: Arc<ScimSim>,
    _folder: tempfile::TempDir,
    planner: GroupPlanner,
    writer: GroupWriter,
}

async fn stage(users: Users) -> Stage {
    let user = |n: usize, title: &str| {
        json!({ "profile": {
            "login": format!("p{n}@acme.example"), "firstName": "P", "lastName": "Example", "displayName": "P",
            "title": title, "department": "Engines", "primaryPhone": "555", "city": "London",
        } })
    };
    let groups =
        json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": { "00u0": true, "00u1": true } } });
    let state = json!({ "users": { "00u0": user(0, "Chief"), "00u1": user(1, "Clerk") }, "groups": groups });
    let people = okta::Settings { state: Some(state), ..okta::Settings::default() };
    let account = json!({
        "userName": "p0@acme.example", "externalId": "00u0", "active": true, "displayName": "P",
        "name": { "givenName": "P", "familyName": "Example" }, "nickName": "Boss",
        "phoneNumbers": [{ "type": "work", "primary": true, "value": "444" }],
        ENTERPRISE: { "costCenter": "7" },
    });
    let ours = json!({ "t1": {
        "displayName": "AWS_Ops", "externalId": "beadle:corp/00g1", "members": { "a0": true },
    } });
    let state = json!({ "users": { "a0": account }, "groups": ours });
    let server = scim::Settings { state: Some(state), ..scim::Settings::default() };
    let (corp, aws) = common::vendors(people, server).await;
    let clock = Clock::system();
    let named = |name: &str, text: &str| (Attribute::named(name).unwrap(), text.to_owned());
    let attributes = Attributes::new(vec![
        named("title", "title"),
        named("department", "department | upper"),
        named("phone", "primaryPhone"),
        named("locality", "city"),
    ])
    .unwrap();
    let okta = common::okta_client(&corp.url(), corp.token(), Arc::new(Vendor::Okta(corp.clone())), &clock);
    let statuses = (vec![Status::Deprovisioned], vec![Status::Active]);
    let source = OktaSource::new(okta, statuses.0, statuses.1, Vec::new()).keeping(attributes.uses());
    let api = common::scim_client(&aws, Dialect::AWS, Arc::new(Vendor::Scim(aws.clone())), &clock);
    let reader = ScimReader::new(Reader::new(api.clone())).mapping(attributes);
    let writer = ScimWriter::new(Writer::new(api), &reader);
    let mapping = Mapping { users, ..common::mapping() };
    let directory = common::directory(Arc::new(source), Arc::new(reader), vec![mapping]);
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = common::store(&folder.path().join("beadle.db"));
    let link = json!({ "group": "t1", "name": "AWS_Ops", "from": "AWS_Ops", "sources": ["corp/00g1"] });
    store.put(&note("pair", &["aws", "corp/00g1"]), &link.to_string()).await.unwrap();
    let limits = GroupLimits::default();
    Stage {
        corp,
        aws,
        _folder: folder,
        planner: GroupPlanner::new(directory, limits, clock.clone(), Some(store.clone())),
        writer: GroupWriter::new(Arc::new(writer), "aws", limits.window, clock, Some(store)),
    }
}

impl Stage {
    fn key() -> Key {
        Key::new(KIND, "aws", "corp/00g1")
    }

    async fn plan(&self) -> Plan<Write> {
        self.planner.plan(&Self::key(), None, Lane::Event).await.unwrap()
    }

    /// Plans, writes every change, and returns the fields of the plan.
    async fn apply(&self) -> Vec<(String, Value, Risk)> {
        let plan = self.plan().await;
        let session = self.writer.open(&Self::key(), &plan, Time(i64::MAX), Lane::Event).await.unwrap();
        for change in &plan.changes {
            session.write(change).await.unwrap();
        }
        let fields = plan.changes.into_iter().flat_map(|change| change.fields);
        fields.map(|field| (field.name, field.after, field.risk)).collect()
    }

    fn account(&self, login: &str) -> Value {
        let users = self.aws.state()["users"].clone();
        users.as_object().unwrap().values().find(|user| user["userName"] == login).unwrap().clone()
    }
}

#[tokio::test]
async fn accounts_get_their_attributes_and_keep_all_others() {
    let stage = stage(Users::Provision).await;
    stage.apply().await;
    let boss = stage.account("p0@acme.example");
    assert_eq!((&boss["title"], &boss["nickName"]), (&json!("Chief"), &json!("Boss")));
    assert_eq!(boss[ENTERPRISE], json!({ "costCenter": "7", "department": "ENGINES" }));
    assert_eq!(boss["phoneNumbers"], json!([{ "type": "work", "primary": true, "value": "555" }]));
    assert_eq!(boss["addresses"], json!([{ "type": "work", "primary": true, "locality": "London" }]));
    let clerk = stage.account("p1@acme.example");
    assert_eq!((&clerk["title"], &clerk[ENTERPRISE]["department"]), (&json!("Clerk"), &json!("ENGINES")));
    assert!(stage.plan().await.changes.is_empty(), "a second plan is empty");
}

#[tokio::test]
async fn a_changed_profile_changes_its_attribute_and_a_lost_value_is_a_removal() {
    let stage = stage(Users::Provision).await;
    stage.apply().await;
    stage.corp.patch(&json!({ "users": { "00u0": { "profile": { "title": "Head", "city": null } } } }));
    let mut fields = stage.apply().await;
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    let wanted = [("locality", Value::Null, Risk::Removes), ("title", json!("Head"), Risk::Changes)];
    assert_eq!(fields, wanted.map(|(name, value, risk)| (name.to_owned(), value, risk)));
    let boss = stage.account("p0@acme.example");
    assert_eq!((&boss["title"], boss.get("addresses")), (&json!("Head"), None));
    assert!(stage.plan().await.changes.is_empty());
}

#[tokio::test]
async fn an_account_that_beadle_does_not_manage_keeps_its_attributes() {
    let stage = stage(Users::Leave).await;
    let plan = stage.plan().await;
    let names = plan.changes.iter().flat_map(|change| &change.fields).map(|field| field.name.as_str());
    assert!(!names.clone().any(|name| name == "title" || name == "department"), "{plan:?}");
}

#[tokio::test]
async fn an_account_that_another_system_creates_before_the_write_loses_no_value() {
    let stage = stage(Users::Provision).await;
    stage.corp.patch(&json!({ "users": { "00u1": { "profile": { "city": null } } } }));
    let plan = stage.plan().await;
    stage.aws.patch(&json!({ "users": { "a1": {
        "userName": "p1@acme.example", "externalId": "00u1", "active": true, "displayName": "P",
        "name": { "givenName": "P", "familyName": "Example" }, "title": "Old",
        "addresses": [{ "type": "work", "primary": true, "locality": "Paris" }],
    } } }));
    let session = stage.writer.open(&Stage::key(), &plan, Time(i64::MAX), Lane::Event).await.unwrap();
    for change in &plan.changes {
        session.write(change).await.unwrap();
    }
    let clerk = stage.account("p1@acme.example");
    assert_eq!((&clerk["title"], &clerk["addresses"][0]["locality"]), (&json!("Clerk"), &json!("Paris")));
    let left = stage.plan().await;
    let fields: Vec<_> = left.changes.iter().flat_map(|change| &change.fields).collect();
    assert!(matches!(fields.as_slice(), [one] if one.name == "locality" && one.risk == Risk::Removes));
}
