//! How long a remembered account is believed. In simulated time.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use beadle_engine::budget::in_lane;
use beadle_engine::{Budgets, Clock, Failure, Lane, Time};
use beadle_groups::sources::Person;
use beadle_groups::targets::{Found, ScimReader, TargetReader};
use beadle_scim::{Api, Dialect, Reader};
use beadle_sim::scim::{Quirk, ScimSim, Settings};
use beadle_transport::{Exchanged, Wire};
use bytes::Bytes;
use secrecy::SecretString;
use serde_json::{Value, json};

struct InProcess(Arc<ScimSim>);

#[async_trait::async_trait]
impl Wire for InProcess {
    async fn exchange(&self, request: http::Request<Bytes>) -> Result<Exchanged, String> {
        self.0.exchange(request).await.ok_or_else(|| "the connection broke".to_owned())
    }
}

async fn stage() -> (Arc<ScimSim>, ScimReader) {
    let user = json!({
        "userName": "ann@acme.example", "externalId": "00u1", "displayName": "Ann",
        "name": { "givenName": "Ann", "familyName": "Example" },
    });
    let state = Some(json!({ "users": { "101": user }, "groups": {} }));
    let settings = Settings { record: true, quirks: vec![Quirk::Generic], state, ..Settings::default() };
    let sim = Arc::new(ScimSim::start(([127, 0, 0, 1], 0).into(), settings).await.unwrap());
    let wire: Arc<dyn Wire> = Arc::new(InProcess(sim.clone()));
    let settings =
        beadle_transport::ClientSettings { rest_points: u32::MAX, wire: Some(wire), ..Default::default() };
    let clock = Clock::simulated(Time::from_seconds(1_800_000_000));
    let token = SecretString::from(sim.token());
    let api = Api::new(&sim.url(), &token, Dialect::RFC7644, Budgets::new("scim", 0), &clock, settings);
    (sim, ScimReader::new(Reader::new(api.unwrap())))
}

async fn find(reader: &ScimReader, lane: Lane) -> Result<Found, Failure> {
    let ann = Person {
        id: "00u1".into(),
        login: "ann@acme.example".into(),
        email: None,
        given: "Ann".into(),
        family: "Example".into(),
        display: "Ann".into(),
        is_leaving: false,
        may_be_made: true,
        status: "ACTIVE".into(),
    };
    in_lane(lane, reader.find(None, &[ann])).await.pop().unwrap()
}

fn patch(sim: &ScimSim, user: &Value) {
    sim.patch(&json!({ "users": { "101": user } }));
}

#[tokio::test(start_paused = true)]
async fn an_event_finds_nobody_by_an_account_that_is_another_persons_by_now() {
    let (sim, reader) = stage().await;
    assert!(matches!(find(&reader, Lane::Event).await, Ok(Found::TargetAccount(_))));
    patch(&sim, &json!({ "externalId": "00u2" }));
    tokio::time::advance(Duration::from_secs(1)).await;
    let found = find(&reader, Lane::Event).await;
    assert!(matches!(found, Ok(Found::Another(_))));
}

#[tokio::test(start_paused = true)]
async fn an_event_finds_nobody_by_an_account_that_is_gone() {
    let (sim, reader) = stage().await;
    assert!(matches!(find(&reader, Lane::Event).await, Ok(Found::TargetAccount(_))));
    patch(&sim, &Value::Null);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(matches!(find(&reader, Lane::Event).await, Ok(Found::Missing(_))));
}

#[tokio::test(start_paused = true)]
async fn a_sweep_believes_an_account_for_minutes_and_no_longer() {
    let (sim, reader) = stage().await;
    assert!(matches!(find(&reader, Lane::Sweep).await, Ok(Found::TargetAccount(_))));
    patch(&sim, &Value::Null);
    sim.forget_calls();
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(matches!(find(&reader, Lane::Sweep).await, Ok(Found::TargetAccount(_))));
    assert!(sim.calls().is_empty(), "a sweep asks for nobody twice");
    tokio::time::advance(Duration::from_secs(300)).await;
    assert!(matches!(find(&reader, Lane::Sweep).await, Ok(Found::Missing(_))));
}
