//! Tests how long Beadle trusts a remembered account.

use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Failure, Lane};
use beadle_groups::sources::Person;
use beadle_groups::targets::{Found, ScimReader, TargetReader};
use beadle_scim::{Dialect, Reader};
use beadle_sim::scim::{Quirk, ScimSim};
use serde_json::{Value, json};

async fn stage() -> (Arc<ScimSim>, ScimReader) {
    let user = json!({
        "userName": "ann@acme.example", "externalId": "00u1", "displayName": "Ann",
        "name": { "givenName": "Ann", "familyName": "Example" },
    });
    let state = json!({ "users": { "101": user }, "groups": {} });
    let (sim, api) = crate::server(Dialect::RFC7644, &[Quirk::Generic], state).await;
    (sim, ScimReader::new(Reader::new(api)))
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
        profile: serde_json::Map::new(),
        account: None,
        role: None,
    };
    reader.in_lane(lane).find(None, &[ann]).await.pop().unwrap()
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
