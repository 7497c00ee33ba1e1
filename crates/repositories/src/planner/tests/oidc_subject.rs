//! Tests the subject of OpenID Connect tokens.

use super::world::World;
use super::*;

fn subject_of(world: &World) -> Value {
    world.sim.state()["orgs"]["acme"]["repos"]["shop"]["oidc_subject"].clone()
}

#[tokio::test(start_paused = true)]
async fn claims_turn_the_default_form_off_and_keep_their_order() {
    let policy = "oidc_subject: { include_claim_keys: [repo, environment, actor] }\n";
    let world = World::new(acme(501, 601), policy).await;
    let changes = world.changes().await;
    // The default form contains the claim `context`. The new subject does not contain this claim.
    assert!(changes[0].contains("Weakens") && changes[0].contains("use_default"), "{changes:?}");
    world.apply().await;
    assert_eq!(subject_of(&world)["include_claim_keys"], json!(["repo", "environment", "actor"]));
    let other =
        json!({ "include_claim_keys": ["actor", "repo", "environment"], "use_immutable_subject": true });
    let state = json!({ "orgs": { "acme": { "repos": { "shop": { "oidc_subject": other } } } } });
    world.control("PATCH", &state).await;
    let changes = world.changes().await;
    assert!(changes.len() == 1 && !changes[0].contains("Weakens"), "{changes:?}");
    world.apply().await;
    assert_eq!(subject_of(&world)["include_claim_keys"], json!(["repo", "environment", "actor"]));
    // The policy does not set this key.
    assert_eq!(subject_of(&world)["use_immutable_subject"], true);
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn the_default_form_needs_no_claims_and_another_form_does() {
    let world = World::new(acme(501, 601), "oidc_subject: { use_default: true }\n").await;
    assert_eq!(world.changes().await, Vec::<String>::new());
    let other = json!({ "use_default": false, "include_claim_keys": ["repo"] });
    let state = json!({ "orgs": { "acme": { "repos": { "shop": { "oidc_subject": other } } } } });
    world.control("PATCH", &state).await;
    world.apply().await;
    assert_eq!(subject_of(&world)["use_default"], true);
    world.check_calls();
    let world = World::new(acme(501, 601), "oidc_subject: { use_default: false }\n").await;
    let (planner, _) = world.parts();
    let plans = planner.organisation("acme", &[], Shard::default(), &|_, _| {}).await.unwrap().plans;
    let (changes, unknowns): (usize, usize) =
        plans.iter().fold((0, 0), |(c, u), (_, plan)| (c + plan.changes.len(), u + plan.unknowns.len()));
    assert_eq!((changes, unknowns), (0, 1));
}
