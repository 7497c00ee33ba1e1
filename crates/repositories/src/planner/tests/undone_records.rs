//! Tests the record of controls after an undo. If an undo restored a value, a report must not show
//! this value as met.

use beadle_engine::{Limits, Planner as _, Report, StepResult};

use super::undo::{shop_with, undo, undo_within, written};
use super::world::{UNLIMITED, World, plans};
use super::*;
use crate::controls::{ControlRow, Timeline};

/// Makes a plan, and records that Beadle wrote nothing. Returns the rows of a report about the
/// present.
async fn rows(world: &World) -> Vec<ControlRow> {
    let (planner, _) = world.parts();
    world.clock.jump(1000);
    for (key, plan) in Box::pin(plans(&planner)).await {
        planner.record(&key, &Report::of_unwritten(&plan)).await.unwrap();
    }
    recorded(world).await
}

/// Returns the rows of a report about the present.
async fn recorded(world: &World) -> Vec<ControlRow> {
    // The clock moves on, so that each record has a different time.
    world.clock.jump(1000);
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
    // One more value of the rule differs. Beadle therefore also makes a plan without the restored
    // value.
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

#[tokio::test(start_paused = true)]
async fn a_value_that_the_guard_holds_is_not_undone() {
    let policy = "repository: { has_wiki: false }\nteams: [{ name: fresh, permission: pull }]\n";
    let world = shop_with(policy).await;
    Box::pin(world.apply()).await;
    let (_, last) = written(&world, 0).await;
    let (done, left) = Box::pin(undo_within(&world, 0, last, Limits { removes: 0, ..UNLIMITED })).await;
    assert_eq!(left, Vec::<String>::new());
    let held: Vec<&str> = done
        .iter()
        .filter(|(_, result)| matches!(result, StepResult::Held { .. }))
        .map(|(what, _)| what.as_str())
        .collect();
    assert_eq!(held, ["teams team fresh"], "{done:?}");
    let notes = world.store.notes("undone").await.unwrap();
    let [(_, note)] = notes.as_slice() else { panic!("{notes:?}") };
    assert!(note.contains("has_wiki") && !note.contains("fresh"), "{note}");
}

#[tokio::test(start_paused = true)]
async fn after_an_undo_no_value_is_met_before_a_run_checks_it() {
    let world = shop_with("repository: { has_wiki: false }\n").await;
    Box::pin(world.apply()).await;
    let status = |rows: &[ControlRow]| rows.iter().map(|row| row.status.as_str()).collect::<Vec<_>>();
    assert_eq!(status(&rows(&world).await), ["met"]);
    let (_, last) = written(&world, 0).await;
    Box::pin(undo(&world, 0, last)).await;
    assert_eq!(status(&recorded(&world).await), ["unknown"]);
    assert_eq!(status(&rows(&world).await), ["not met"]);
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_nobody_carries_out_ends_no_undo() {
    let mut world = shop_with("repository: { has_wiki: false }\n").await;
    Box::pin(world.apply()).await;
    let (_, last) = written(&world, 0).await;
    Box::pin(undo(&world, 0, last)).await;
    world.clock.jump(3_600_000);
    let agrees = "repository: { has_wiki: true }\n".to_owned();
    world.replace_policy(&[("settings.yml".to_owned(), agrees)].into());
    // The operator declines this plan.
    let (planner, _) = world.parts();
    Box::pin(plans(&planner)).await;
    assert_eq!(world.store.notes("undone").await.unwrap().len(), 1);
    Box::pin(world.apply()).await;
    assert!(world.store.notes("undone").await.unwrap().is_empty());
}
