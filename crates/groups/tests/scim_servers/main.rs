//! SCIM servers with the deviations that users of such servers report. The tests simulate each
//! deviation, and Beadle must do no harm. The tests run in simulated time.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod aws;
mod concurrency;
mod gone;
mod lists;
mod names;
mod notes;
mod probe;
mod readback;
mod remembered;

use std::sync::Arc;

use beadle_engine::{Budgets, Clock, Failure, Time};
use beadle_groups::mapping::Role;
use beadle_groups::sources::Person;
use beadle_groups::targets::{Found, ScimReader, ScimWriter, TargetAccount, TargetReader, TargetWriter};
use beadle_scim::{Api, Dialect};
use beadle_sim::scim::{Quirk, ScimSim, Settings};
use beadle_transport::{ClientSettings, Exchanged, Wire};
use bytes::Bytes;
use notes::Unnoted;
use secrecy::SecretString;
use serde_json::{Value, json};

struct InProcess(Arc<ScimSim>);

#[async_trait::async_trait]
impl Wire for InProcess {
    async fn exchange(&self, request: http::Request<Bytes>) -> Result<Exchanged, String> {
        self.0.exchange(request).await.ok_or_else(|| "the connection broke".to_owned())
    }
}

/// A simulated server, with its SCIM clients and the reader and writer of groups.
struct Stage {
    sim: Arc<ScimSim>,
    reader: ScimReader,
    writer: ScimWriter,
    scim: (beadle_scim::Reader, beadle_scim::Writer),
}

/// The state of a server with twenty people, a group `g1` that contains all of them, and an empty
/// group `g2`.
fn state() -> Value {
    let (mut users, mut members) = (json!({}), json!({}));
    for n in 0..20 {
        users[id(n)] = json!({
            "userName": format!("p{n}@acme.example"), "externalId": format!("00u{n}"), "displayName": format!("P{n}"),
            "name": { "givenName": "P", "familyName": "Example" },
        });
        members[id(n)] = json!(true);
    }
    json!({ "users": users, "groups": {
        "g1": { "displayName": "Ops", "externalId": "beadle:corp/00g1", "members": members },
        "g2": { "displayName": "Dev", "externalId": "beadle:corp/00g2" },
    } })
}

/// Returns the id of a user. Each id consists of digits, so that a server can also show the ids as
/// numbers.
fn id(n: usize) -> String {
    format!("{}", 100 + n)
}

fn person(n: usize) -> Person {
    Person {
        id: format!("00u{n}"),
        login: format!("p{n}@acme.example"),
        email: None,
        given: "P".into(),
        family: "Example".into(),
        display: format!("P{n}"),
        is_leaving: false,
        may_be_made: true,
        status: "ACTIVE".into(),
        profile: serde_json::Map::new(),
        account: None,
        role: None,
    }
}

/// Starts a server. Returns the server and its client.
async fn server(dialect: Dialect, quirks: &[Quirk], state: Value) -> (Arc<ScimSim>, Api) {
    let settings =
        Settings { record: true, quirks: quirks.to_vec(), state: Some(state), ..Settings::default() };
    let sim = Arc::new(ScimSim::start(([127, 0, 0, 1], 0).into(), settings).await.unwrap());
    let wire: Arc<dyn Wire> = Arc::new(InProcess(sim.clone()));
    let settings = ClientSettings { rest_points: u32::MAX, wire: Some(wire), ..ClientSettings::default() };
    let clock = Clock::simulated(Time::from_seconds(1_800_000_000));
    let token = SecretString::from(sim.token());
    let api = Api::new(&sim.url(), &token, dialect, Budgets::new("scim", 0), &clock, settings).unwrap();
    (sim, api)
}

async fn stage(dialect: Dialect, quirks: &[Quirk]) -> Stage {
    let (sim, api) = server(dialect, quirks, state()).await;
    let scim = (beadle_scim::Reader::new(api.clone()), beadle_scim::Writer::new(api));
    let reader = ScimReader::new(scim.0.clone());
    let writer = ScimWriter::new(scim.1.clone(), &reader);
    Stage { sim, reader, writer, scim }
}

/// Starts a server that follows RFC 7644 except for these deviations.
async fn generic(quirks: &[Quirk]) -> Stage {
    let mut all = vec![Quirk::Generic];
    all.extend_from_slice(quirks);
    stage(Dialect::RFC7644, &all).await
}

impl Stage {
    fn held(&self, group: &str) -> usize {
        self.sim.state()["groups"][group]["members"].as_object().unwrap().len()
    }

    async fn members(&self, group: &str) -> Vec<TargetAccount> {
        self.reader.members(group).await.unwrap().unwrap()
    }

    async fn remove(&self, group: &str, members: &[usize]) -> Result<(), Failure> {
        let ids: Vec<String> = members.iter().copied().map(id).collect();
        self.writer.remove(group, &ids, &Unnoted).await.map(drop)
    }

    async fn add(&self, group: &str, members: &[usize]) -> Result<(), Failure> {
        let ids: Vec<String> = members.iter().copied().map(id).collect();
        self.writer.add(group, &ids, Role::Member, &Unnoted).await.map(drop)
    }

    async fn find(&self, n: usize) -> Result<Found, Failure> {
        self.reader.find(None, &[person(n)]).await.pop().unwrap()
    }

    async fn finds(&self, n: usize) -> bool {
        matches!(self.find(n).await, Ok(Found::TargetAccount(account)) if account.id == id(n))
    }
}
