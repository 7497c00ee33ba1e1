//! Finds out what the policy of a pull request would do, and what the gate would decide about it.

use beadle_engine::{Failure, GateLimits, GateVerdict, Time};
use beadle_repositories::{Policy, RepositoryPlanner};

use super::findings::Previewed;
use crate::app::held_generation::HeldGeneration;

/// Plans the repositories whose declared values differ between two policies. Writes nothing.
pub(super) async fn preview(
    (organisation, planner): (&str, &RepositoryPlanner),
    limits: &GateLimits,
    before: &Policy,
    after: &Policy,
) -> Result<Previewed, Failure> {
    let found = planner.preview(Some(before), after, &|_, _| {}).await?;
    // Nothing is held here, so the time does not matter.
    let of = (organisation, after);
    let (judged, verdict) = HeldGeneration::judge(of, &found.plans, found.total, limits, Time(0));
    Ok(Previewed {
        plans: found.plans,
        drift: found.drift as u64,
        affected: found.affected as u64,
        total: found.total,
        incomplete: found.incomplete,
        held: (verdict != GateVerdict::Passes).then_some(judged.why),
        digest: judged.digest,
    })
}
