//! Tests milestones.

use super::world::World;
use super::*;

fn milestones_of(world: &World) -> Value {
    world.sim.state()["orgs"]["acme"]["repos"]["shop"]["milestones"].clone()
}

#[tokio::test(start_paused = true)]
async fn milestones_are_created_changed_and_removed_as_declared() {
    let mut state = acme(501, 601);
    state["orgs"]["acme"]["repos"]["shop"]["milestones"] = json!({
        "v1": { "state": "closed", "description": "Old", "due_on": "2027-01-31T08:00:00Z" },
        "gone": { "state": "open" },
    });
    let policy = "milestones: [{ title: v1, description: New, due_on: 2027-01-31 }, { title: v2, due_on: 2027-02-28 }]\n";
    let world = World::new(state, policy).await;
    let changes = world.changes().await;
    assert_eq!(changes.len(), 3, "{changes:?}");
    assert!(
        changes.iter().any(|change| change.contains("gone") && change.contains("Removes")),
        "{changes:?}"
    );
    world.apply().await;
    let made = milestones_of(&world);
    assert_eq!(made["v1"]["description"], "New");
    // The policy does not set the state.
    assert_eq!(made["v1"]["state"], "closed");
    assert_eq!(made["v2"]["due_on"], "2027-02-28T08:00:00Z");
    assert!(made.get("gone").is_none());
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn a_title_in_another_case_is_not_replaced() {
    let mut state = acme(501, 601);
    state["orgs"]["acme"]["repos"]["shop"]["milestones"] = json!({ "V1": { "state": "open" } });
    let world = World::new(state, "milestones: [{ title: v1 }]\n").await;
    assert_eq!(world.changes().await, Vec::<String>::new());
    world.check_calls();
}
