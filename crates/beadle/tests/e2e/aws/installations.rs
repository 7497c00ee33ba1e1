//! Tests that the functions on AWS add an organisation when the organisation installs the App.

use std::time::Duration;

use beadle_emulate::Shape;
use serde_json::{Value, json};

use super::deployment::Deployment;
use crate::directory::world::{World as Directory, of, state};
use crate::installations::{has_drift, install, world};
use crate::world::Ran;

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_takes_in_an_organisation_and_writes_nothing_there() {
    let groups = json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..3) } });
    let directory = Directory::new(state(5, &groups)).await;
    let deployed = Deployment::new(world().await, directory, Shape::Http).await.start().await;
    deployed.connect();
    install(&deployed.github, &["acme", "other", "stranger"], &[], true).await;
    let mut last = Value::Null;
    for _ in 0..600 {
        let shown = Ran::of(deployed.beadle(), &["status", "--json"]).await;
        last = serde_json::from_str(&shown.out).unwrap_or_default();
        if has_drift(&last, "other") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(has_drift(&last, "other"), "{last:#}\n{}", deployed.logs());
    assert!(deployed.github.writes().is_empty(), "an organisation in mode observe was changed");
}
