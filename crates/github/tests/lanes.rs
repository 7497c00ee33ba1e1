//! Tests that the lane belongs to the reader. If a run spawns a task, the requests of the task must
//! use the lane of the run.

use std::error::Error;
use std::sync::Arc;

use beadle_engine::{BudgetAccount, Budgets, Class, Clock, Failure, Lane, Resource, Time};
use beadle_github::{Api, Asks, Credential, Endpoint, Reader};
use beadle_transport::ClientSettings;
use beadle_transport::testing::Recorder;
use secrecy::SecretString;
use serde_json::json;

/// Creates a reader, and a recorder of its requests. The reader's budget is used up, except for its
/// reserve.
fn reader() -> Result<(Reader, Arc<Recorder>), Box<dyn Error>> {
    let wire = Recorder::new(|_| {
        let gone = json!([{ "type": "NOT_FOUND", "path": ["nodes", 0], "message": "no such node" }]);
        (200, json!({ "data": { "nodes": [null] }, "errors": gone }))
    });
    let (clock, budgets) = (Clock::simulated(Time(0)), Budgets::new("acme", 20));
    for resource in [Resource::Core, Resource::GraphQl] {
        let account = BudgetAccount { limit: 100, remaining: 10, reset: Time(3_600_000), period: 3600 };
        budgets.report(resource, account, clock.now());
    }
    let settings = ClientSettings { wire: Some(wire.clone()), ..ClientSettings::default() };
    let token = Credential::Token(SecretString::from("token"));
    let endpoint = Endpoint::new("https://github.test");
    let api = Api::new(&endpoint, "acme", token, budgets, &clock, settings)?;
    Ok((Reader::new(api, Asks::default()), wire))
}

fn leaves_the_reserve<T>(read: &Result<T, Failure>) -> bool {
    let class = read.as_ref().err().map(|failure| failure.class);
    matches!(class, Some(Class::RateLimited { spares_events: true, .. }))
}

#[tokio::test(start_paused = true)]
async fn a_request_that_a_run_spawns_keeps_the_lane_of_the_run() -> Result<(), Box<dyn Error>> {
    let (reader, wire) = reader()?;
    for (lane, is_sent) in [(Lane::Event, true), (Lane::Manual, true), (Lane::Sweep, false)] {
        let (own, before) = (reader.in_lane(lane), wire.arrived().len());
        let read = tokio::spawn(async move { own.of_organisation("hooks").await }).await?;
        assert_eq!(wire.arrived().len() - before, usize::from(is_sent), "{lane}");
        assert_eq!(leaves_the_reserve(&read), !is_sent, "{lane}: {read:?}");
    }
    assert_eq!(reader.lane(), Lane::Manual, "the lane of a run is not the lane of others");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_several_runs_has_the_most_urgent_lane() -> Result<(), Box<dyn Error>> {
    let (reader, wire) = reader()?;
    let (sweep, event) = (reader.in_lane(Lane::Sweep), reader.in_lane(Lane::Event));
    let alone = sweep.repository("R_1").await;
    assert!(leaves_the_reserve(&alone) && wire.arrived().is_empty());
    let (one, other) = tokio::join!(sweep.repository("R_1"), event.repository("R_1"));
    assert_eq!(wire.arrived().len(), 1);
    assert!(!leaves_the_reserve(&one) && !leaves_the_reserve(&other));
    Ok(())
}
