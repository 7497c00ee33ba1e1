//! Tests immutable releases.

use super::world::World;
use super::*;

fn is_immutable(world: &World) -> bool {
    world.sim.state()["orgs"]["acme"]["repos"]["shop"]["immutable_releases"] == true
}

#[tokio::test(start_paused = true)]
async fn immutable_releases_are_turned_on_and_stay_on() {
    let world = World::new(acme(501, 601), "immutable_releases: true\n").await;
    assert_eq!(world.changes().await.len(), 1);
    world.apply().await;
    assert!(is_immutable(&world));
    // Somebody turns the setting off at GitHub.
    let off = json!({ "orgs": { "acme": { "repos": { "shop": { "immutable_releases": false } } } } });
    world.control("PATCH", &off).await;
    assert_eq!(world.changes().await.len(), 1);
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn the_setting_is_turned_off_unless_the_organisation_enforces_it() {
    let mut state = acme(501, 601);
    state["orgs"]["acme"]["repos"]["shop"]["immutable_releases"] = json!(true);
    let world = World::new(state.clone(), "immutable_releases: false\n").await;
    assert!(world.changes().await[0].contains("Weakens"));
    world.apply().await;
    assert!(!is_immutable(&world));
    world.check_calls();
    state["orgs"]["acme"]["immutable_releases"] = json!(true);
    let world = World::new(state, "immutable_releases: false\n").await;
    let (planner, _) = world.parts();
    let plans = planner.organisation("acme", &[], Shard::default(), &|_, _| {}).await.unwrap().plans;
    let plan = &plans.iter().find(|(_, plan)| plan.subject.ends_with("shop")).unwrap().1;
    assert_eq!((plan.changes.len(), plan.unknowns.len()), (0, 1));
    world.check_calls();
}
