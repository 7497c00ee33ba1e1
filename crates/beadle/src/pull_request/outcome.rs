//! Finds out what the policy of a pull request would do, and what the gate would decide about it.

use beadle_engine::{Failure, GateLimits, GateSums, GateVerdict, check_gate, plan_digest};
use beadle_repositories::{Policy, RepositoryPlanner};

use super::findings::Previewed;

/// Plans the repositories whose declared values differ between two policies. Writes nothing.
pub(super) async fn preview(
    planner: &RepositoryPlanner,
    limits: &GateLimits,
    before: &Policy,
    after: &Policy,
) -> Result<Previewed, Failure> {
    let found = planner.preview(Some(before), after, &|_, _| {}).await?;
    let sums = GateSums::of(found.plans.iter().map(|(_, plan)| plan));
    let digest = plan_digest(found.plans.iter().map(|(key, plan)| (key, plan)));
    let verdict = check_gate(limits, &sums.risks, sums.repositories, found.total);
    let held = match verdict {
        GateVerdict::Passes => None,
        GateVerdict::Held { .. } => Some(verdict.to_string()),
    };
    Ok(Previewed {
        plans: found.plans,
        drift: found.drift as u64,
        affected: found.affected as u64,
        total: found.total,
        incomplete: found.incomplete,
        held,
        digest,
    })
}
