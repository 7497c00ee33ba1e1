//! Tests what happens when a budget is used up. Beadle repeats the read later. If Beadle could not
//! read something, it must not treat this thing as missing.

use std::error::Error;
use std::time::Duration;

use beadle_engine::{Budgets, Class, Clock, Resource, Time};
use beadle_github::{Api, Asks, Credential, Endpoint, Reader, SelectedBy};
use beadle_transport::ClientSettings;
use beadle_transport::testing::Recorder;
use secrecy::SecretString;
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn a_name_that_cannot_be_resolved_for_a_used_up_budget_is_not_missing() -> Result<(), Box<dyn Error>> {
    let wire = Recorder::new(|_| {
        let node = json!({
            "__typename": "Repository", "id": "R_1", "databaseId": 1, "name": "shop",
            "owner": { "login": "acme" }, "visibility": "PRIVATE",
        });
        (200, json!({ "data": { "nodes": [node] } }))
    });
    let (clock, budgets) = (Clock::simulated(Time(0)), Budgets::new("acme", 0));
    let settings = ClientSettings { wire: Some(wire), ..ClientSettings::default() };
    let token = Credential::Token(SecretString::from("token"));
    let endpoint = Endpoint::new("https://github.test");
    let api = Api::new(&endpoint, "acme", token, budgets.clone(), &clock, settings)?;
    let reader = Reader::new(api, Asks::default());
    reader.select_by(SelectedBy { teams: Vec::new(), properties: vec!["tier".to_owned()] });
    let until = clock.now() + Duration::from_secs(60);
    budgets.refuse(Resource::Core, Some(until), clock.now());
    let Err(failure) = reader.repository("R_1").await else {
        return Err("the repository was read with a missing property".into());
    };
    assert_eq!(failure.class, Class::RateLimited { until, spares_events: false });
    Ok(())
}
