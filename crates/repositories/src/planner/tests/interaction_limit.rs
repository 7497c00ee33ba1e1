//! Tests interaction limits.

use super::world::World;
use super::*;

const POLICY: &str = "interaction_limit: { limit: contributors_only }\n";

fn organisation(limit: &Value) -> Value {
    json!({ "orgs": { "acme": { "repos": {
        "shop": { "visibility": "public", "branches": { "main": {} }, "interaction_limit": limit },
        "closed": { "visibility": "private", "branches": { "main": {} } },
    } } } })
}

fn limit_of(world: &World, repository: &str) -> Value {
    world.sim.state()["orgs"]["acme"]["repos"][repository]["interaction_limit"].clone()
}

#[tokio::test(start_paused = true)]
async fn an_ended_limit_is_drift() {
    let world = World::new(organisation(&Value::Null), POLICY).await;
    world.apply().await;
    assert_eq!(limit_of(&world, "shop"), "contributors_only");
    assert_eq!(limit_of(&world, "closed"), Value::Null);
    // The limit at GitHub ends.
    let ended = json!({ "orgs": { "acme": { "repos": { "shop": { "interaction_limit": null } } } } });
    world.control("PATCH", &ended).await;
    assert_eq!(world.changes().await.len(), 1);
    world.apply().await;
    assert_eq!(limit_of(&world, "shop"), "contributors_only");
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn a_weaker_limit_is_a_weakening_and_none_removes_it() {
    for (policy, risk, expected) in [
        (POLICY, "Weakens", json!("contributors_only")),
        ("interaction_limit: { limit: none }\n", "Weakens", Value::Null),
    ] {
        let world = World::new(organisation(&json!("collaborators_only")), policy).await;
        assert!(world.changes().await[0].contains(risk), "{policy}");
        world.apply().await;
        assert_eq!(limit_of(&world, "shop"), expected, "{policy}");
        world.check_calls();
    }
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_the_organisation_cannot_be_changed_here() {
    let mut state = organisation(&Value::Null);
    state["orgs"]["acme"]["interaction_limit"] = json!("existing_users");
    let world = World::new(state, POLICY).await;
    let (planner, _) = world.parts();
    let plans = planner.organisation("acme", &[], Shard::default(), &|_, _| {}).await.unwrap().plans;
    let counts = plans.iter().map(|(_, plan)| (plan.changes.len(), plan.unknowns.len()));
    assert_eq!(counts.fold((0, 0), |(c, u), (changes, unknowns)| (c + changes, u + unknowns)), (0, 1));
    world.check_calls();
}
