//! Tests what happens if a new policy comes into force while Beadle plans.

use beadle_engine::Planner as _;
use parking_lot::Mutex;

use super::world::{World, policy_of};
use super::*;

/// A network that replaces the policy in force before the first request.
struct Replacing {
    sim: Arc<Sim>,
    next: Mutex<Option<(PolicyHandle, Policy)>>,
}

#[async_trait]
impl Wire for Replacing {
    async fn exchange(&self, request: http::Request<Bytes>) -> Result<Exchanged, String> {
        let next = self.next.lock().take();
        if let Some((handle, policy)) = next {
            handle.replace(policy);
        }
        self.sim.exchange(request).await.ok_or_else(|| "the connection broke".to_owned())
    }
}

/// Returns whether a plan adds a topic.
fn adds(plan: &Plan<Box<dyn Step>>, topic: &str) -> bool {
    plan.changes.iter().flat_map(|change| &change.fields).any(|field| field.name == topic)
}

#[tokio::test(start_paused = true)]
async fn a_plan_has_the_generation_that_it_was_made_from() {
    let world = World::new(acme(501, 601), "repository: { topics: [new] }\n").await;
    let wire = Arc::new(Replacing { sim: world.sim.clone(), next: Mutex::new(None) });
    let (planner, _) = world.parts_over(wire.clone(), &world.store);
    let before = planner.policy.current().generation.clone();
    let after = policy_of(&[("settings.yml", "repository: { topics: [newer] }\n")]);
    let newer = after.generation.clone();
    *wire.next.lock() = Some((planner.policy.clone(), after));
    let plan = planner.plan(&shop(), None, Lane::Event).await.unwrap();
    assert_eq!(planner.policy.current().generation, newer, "it came into force during the plan");
    assert!(adds(&plan, "new") && !adds(&plan, "newer"));
    assert_eq!(plan.generation, before);
    let plan = planner.plan(&shop(), None, Lane::Event).await.unwrap();
    assert!(adds(&plan, "newer") && !adds(&plan, "new"));
    assert_eq!(plan.generation, newer);
}
