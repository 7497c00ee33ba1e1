//! What a used-up budget keeps from being read is read later: it is no doubt about the policy.

use std::error::Error;
use std::time::Duration;

use beadle_engine::{Budgets, Class, Clock, Resource, Time};
use beadle_github::{Api, Asks, Credential, Endpoint, Reader, SelectedBy};
use beadle_transport::ClientSettings;
use beadle_transport::testing::Recorder;
use secrecy::SecretString;
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn a_name_that_no_budget_is_left_to_resolve_is_not_missing() -> Result<(), Box<dyn Error>> {
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
        return Err("the repository was read, with a property that counts as missing".into());
    };
    assert_eq!(failure.class, Class::RateLimited { until, spares_events: false });
    Ok(())
}
