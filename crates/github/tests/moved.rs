//! Tests that Beadle can read a repository by an old node id.

use std::error::Error;

use beadle_engine::{Budgets, Clock, Time};
use beadle_github::{Api, Asks, Credential, Endpoint, Reader};
use beadle_transport::ClientSettings;
use beadle_transport::testing::Recorder;
use secrecy::SecretString;
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn a_repository_is_found_by_an_old_id_of_its_node() -> Result<(), Box<dyn Error>> {
    let wire = Recorder::new(|_| {
        let node = json!({
            "__typename": "Repository", "id": "R_new", "databaseId": 1, "name": "shop",
            "owner": { "login": "acme" }, "visibility": "PRIVATE",
        });
        (200, json!({ "data": { "nodes": [node] } }))
    });
    let settings = ClientSettings { wire: Some(wire), ..ClientSettings::default() };
    let token = Credential::Token(SecretString::from("token"));
    let (endpoint, budgets) = (Endpoint::new("https://github.test"), Budgets::new("acme", 0));
    let api = Api::new(&endpoint, "acme", token, budgets, &Clock::simulated(Time(0)), settings)?;
    let reader = Reader::new(api, Asks::default());
    let found = reader.repository("MDEwOlJlcG9zaXRvcnkx").await?.map(|seen| (seen.id, seen.node_id));
    assert_eq!(found, Some((1, "R_new".to_owned())));
    Ok(())
}
