//! Tests the pattern for the names of repositories.

use super::world::{World, plans};
use super::*;

/// Returns the tasks that wait for a person, and the number of planned changes.
async fn planned(world: &World) -> (Vec<String>, usize) {
    let (planner, _) = world.parts();
    let plans = plans(&planner).await;
    let changes = plans.iter().map(|(_, plan)| plan.changes.len()).sum();
    let waits = plans.iter().flat_map(|(_, plan)| plan.waits.iter().map(move |wait| (plan, wait)));
    (waits.map(|(plan, wait)| format!("{} {}: {}", plan.subject, wait.aspect, wait.why)).collect(), changes)
}

#[tokio::test(start_paused = true)]
async fn a_name_that_does_not_match_is_reported_and_nothing_is_written() {
    let world = World::new(acme(501, 601), "validator: { pattern: '^team-' }\n").await;
    let reported =
        "acme/shop validator: the name `shop` does not match `validator.pattern` `^team-` (settings.yml:1)";
    assert_eq!(planned(&world).await, (vec![reported.to_owned()], 0));
    world.apply().await;
    world.rename("shop", "team-shop").await;
    assert_eq!(planned(&world).await, (Vec::new(), 0));
    world.check_calls();
}
