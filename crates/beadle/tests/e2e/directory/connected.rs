//! Tests teams of the policy. The members of these teams come from a group of the identity
//! provider.

use serde_json::json;

use super::teams::{acme, directory, hold};
use super::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_team_of_the_policy_gets_its_members_from_a_group_of_the_identity_provider() {
    let mut acme = acme(8, &json!({}));
    acme["org"]["external_groups"] = json!({ "okta-ops": { "id": 31, "members": ["octo1", "octo2"] } });
    let mut world = World::of_teams(directory(1, &json!({})), acme).await;
    world.teams += ", teams_from_policy = true";
    world.policy("teams.yml", "teams:\n  - { name: Ops, external_group: okta-ops }\n");
    let serving = world.serve().await;
    world.until_team("ops", &hold([1, 2])).await;
    assert_eq!(world.github().state()["orgs"]["acme"]["teams"]["ops"]["external_group"], "okta-ops");
    assert_eq!(serving.stop().await, Some(0));
    // The identity provider adds a person, and Beadle removes nobody.
    world.patch_github(json!({ "teams": { "ops": { "members": { "octo5": "member" } } } }), false).await;
    let swept = world.beadle(&["sweep"]).await;
    assert_eq!(world.team("ops"), Some(hold([1, 2, 5])), "{}{}", swept.out, swept.err);
    // This change connects the team with another group, which could empty the team. So the change
    // needs an approval.
    world.policy("teams.yml", "teams:\n  - { name: Ops, external_group: okta-opps }\n");
    let plan = world.beadle(&["plan"]).await;
    assert!(plan.out.contains("okta-opps"), "{}{}", plan.out, plan.err);
    world.beadle(&["sweep"]).await;
    let ops = world.github().state()["orgs"]["acme"]["teams"]["ops"].clone();
    assert_eq!((&ops["external_group"], &ops["members"]), (&json!("okta-ops"), &hold([1, 2, 5])));
}
