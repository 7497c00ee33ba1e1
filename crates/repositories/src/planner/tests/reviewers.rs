//! Tests the reviewers of requests to bypass push protection.

use super::world::World;
use super::*;

const FEATURE: &str = "secret_scanning_delegated_bypass";
const OPTIONS: &str = "secret_scanning_delegated_bypass_options";

fn reviewers_of(world: &World) -> Value {
    let shop = &world.sim.state()["orgs"]["acme"]["repos"]["shop"];
    shop["security_and_analysis"][OPTIONS]["reviewers"].clone()
}

fn policy(status: &str) -> String {
    format!(
        "repository:\n  security_and_analysis:\n    {FEATURE}: {{ status: {status} }}\n    {OPTIONS}:\n      \
         reviewers: [{{ team: platform }}]\n"
    )
}

#[tokio::test(start_paused = true)]
async fn a_team_becomes_the_only_reviewer_by_its_slug() {
    let world = World::new(acme(501, 601), &policy("enabled")).await;
    world.apply().await;
    let only = json!([{ "reviewer_id": 601, "reviewer_type": "TEAM", "mode": "ALWAYS" }]);
    assert_eq!(reviewers_of(&world), only);
    let other = json!({ OPTIONS: { "reviewers": [{ "reviewer_id": 7, "reviewer_type": "ROLE" }] } });
    let state = json!({ "orgs": { "acme": { "repos": { "shop": { "security_and_analysis": other } } } } });
    world.control("PATCH", &state).await;
    assert_eq!(world.changes().await.len(), 1);
    world.apply().await;
    assert_eq!(reviewers_of(&world), only);
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn reviewers_of_a_feature_that_is_off_are_not_sent() {
    let world = World::new(acme(501, 601), &policy("disabled")).await;
    let (planner, _) = world.parts();
    let plans = planner.organisation("acme", &[], Shard::default(), &|_, _| {}).await.unwrap().plans;
    let plan = &plans.iter().find(|(_, plan)| plan.subject.ends_with("shop")).unwrap().1;
    assert_eq!((plan.changes.len(), plan.unknowns.len()), (0, 1));
    world.check_calls();
}
