//! Undone values in the record of controls: a report must not call them met.

use beadle_engine::{Planner as _, Report};

use super::undo::{shop_with, undo, written};
use super::world::{World, plans};
use super::*;
use crate::controls::{ControlRow, Timeline};

/// Plans, records that nothing was written, and returns the rows of a report about the present.
async fn rows(world: &World) -> Vec<ControlRow> {
    let (planner, _) = world.parts();
    for (key, plan) in Box::pin(plans(&planner)).await {
        planner.record(&key, &Report::of_unwritten(&plan)).await.unwrap();
    }
    let timeline = Timeline::read(world.store.as_ref(), "acme", world.clock.now()).await.unwrap();
    timeline.repositories().iter().flat_map(|repository| timeline.rows(repository, None)).collect()
}

#[tokio::test(start_paused = true)]
async fn an_undone_value_that_shares_a_write_with_others_is_not_met() {
    let protection = "{ enforce_admins: true, required_linear_history: true }";
    let world = shop_with(&format!("branches: [{{ name: main, protection: {protection} }}]\n")).await;
    Box::pin(world.apply()).await;
    let (_, last) = written(&world, 0).await;
    Box::pin(undo(&world, 0, last)).await;
    // Another value of the rule differs too, so Beadle also plans without the undone value.
    let weaker = json!({ "protection": { "main": { "required_linear_history": false } } });
    world.control("PATCH", &json!({ "orgs": { "acme": { "repos": { "shop": weaker } } } })).await;
    let rows = rows(&world).await;
    let found: Vec<(&str, &str)> =
        rows.iter().map(|row| (row.control.as_str(), row.status.as_str())).collect();
    for key in ["enforce_admins", "required_linear_history"] {
        let control = format!("branches[main].protection.{key}");
        assert!(found.contains(&(control.as_str(), "not met")), "{found:?}");
    }
    world.check_calls();
}
