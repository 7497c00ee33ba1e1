//! Tests merge methods that are off at GitHub but not set in the policy.

use super::world::World;
use super::*;

#[tokio::test(start_paused = true)]
async fn the_last_merge_method_stays_on_and_the_other_settings_are_planned() {
    let widgets = json!({ "allow_merge_commit": false, "has_wiki": true, "branches": { "main": {} } });
    let state = json!({ "orgs": { "acme": { "repos": { "widgets": widgets } } } });
    let policy = "repository: { allow_squash_merge: false, allow_rebase_merge: false, has_wiki: false }\n";
    let world = World::new(state, policy).await;
    let (planner, _) = world.parts();
    let whole = planner.organisation("acme", &[], Shard::default(), &|_, _| {}).await.unwrap();
    let changes = whole.plans.iter().flat_map(|(_, plan)| &plan.changes);
    let fields: Vec<&str> =
        changes.flat_map(|change| &change.fields).map(|field| field.name.as_str()).collect();
    assert_eq!(fields, ["has_wiki"]);
    let unknowns = whole.plans.iter().flat_map(|(_, plan)| &plan.unknowns);
    let unknowns: Vec<Option<&str>> = unknowns.map(|unknown| unknown.part.as_deref()).collect();
    assert_eq!(unknowns, [Some("allow_squash_merge")]);
    // If `allow_merge_commit` is on, Beadle turns the two other merge methods off.
    let on = json!({ "orgs": { "acme": { "repos": { "widgets": { "allow_merge_commit": true } } } } });
    world.control("PATCH", &on).await;
    world.apply().await;
    let found = world.sim.state()["orgs"]["acme"]["repos"]["widgets"].clone();
    assert_eq!((&found["allow_squash_merge"], &found["allow_rebase_merge"]), (&json!(false), &json!(false)));
    world.check_calls();
}
