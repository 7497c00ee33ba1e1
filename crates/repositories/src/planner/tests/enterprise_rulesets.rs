//! Tests rulesets of the enterprise that apply to the organisation.

use super::world::World;
use super::*;

fn state() -> Value {
    let mut state = acme(501, 601);
    let ruleset =
        json!({ "id": 77, "target": "branch", "enforcement": "active", "rules": [{ "type": "deletion" }] });
    state["orgs"]["acme"]["enterprise_rulesets"] = json!({ "everywhere": ruleset });
    state
}

#[tokio::test(start_paused = true)]
async fn a_ruleset_of_the_enterprise_is_not_drift() {
    let world = World::new(state(), "rulesets: { exclusive: [] }\n").await;
    assert_eq!(world.changes().await, Vec::<String>::new());
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn a_ruleset_with_the_name_of_one_of_the_enterprise_is_another_one() {
    let policy = "
rulesets:
- name: everywhere
  target: branch
  enforcement: active
  conditions:
    ref_name: { include: ['~DEFAULT_BRANCH'], exclude: [] }
    repository_name: { include: ['~ALL'], exclude: [] }
  rules: [{ type: non_fast_forward }]
";
    let world = World::new(state(), policy).await;
    world.apply().await;
    let organisation = world.sim.state()["orgs"]["acme"].clone();
    assert_eq!(organisation["rulesets"]["everywhere"]["rules"], json!([{ "type": "non_fast_forward" }]));
    assert_eq!(organisation["enterprise_rulesets"], state()["orgs"]["acme"]["enterprise_rulesets"]);
    world.check_calls();
}
