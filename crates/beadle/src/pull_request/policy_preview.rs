//! Finds the effects of a pull request's policy, and the verdict of the gate about this policy.

use beadle_engine::{Failure, GateLimits, GateVerdict, Key, Plan, Time};
use beadle_repositories::{Policy, RepositoryPlanner};

use super::findings::Previewed;
use crate::app::gate::held_generation::{HeldGeneration, delayed_lines};
use crate::app::policy::group_changes_between_versions::ChangedGroups;

/// Plans the repositories whose declared values differ between two policies. `groups` contains the
/// changes that the second policy makes in access groups. Writes nothing.
pub(super) async fn preview(
    (organisation, planner): (&str, &RepositoryPlanner),
    limits: &GateLimits,
    (before, after): (&Policy, &Policy),
    groups: Vec<ChangedGroups>,
) -> Result<Previewed, Failure> {
    let found = planner.preview(Some(before), after, &|_, _| {}).await?;
    let of_groups = groups.iter().flat_map(ChangedGroups::plans);
    let counted: Vec<(Key, Plan<()>)> = found.plans.iter().chain(of_groups).cloned().collect();
    let total = found.total + groups.iter().map(|changed| changed.total).sum::<u64>();
    let mut incomplete = found.incomplete;
    incomplete.extend(groups.iter().flat_map(|changed| changed.incomplete.iter().cloned()));
    // The preview stores no hold, so the time of the hold does not matter.
    let of = (organisation, after);
    let (judged, verdict) = HeldGeneration::judge(of, &counted, total, limits, Time(0));
    Ok(Previewed {
        base: before.generation.clone(),
        delayed: delayed_lines(&found.delayed, |_| true),
        plans: found.plans,
        drift: found.drift as u64 + groups.iter().map(|changed| changed.drift).sum::<u64>(),
        drifted: found.drifted.into_iter().collect(),
        affected: found.affected as u64,
        total: found.total,
        incomplete,
        groups,
        held: (verdict != GateVerdict::Passes).then_some(judged.why),
        digest: judged.digest,
    })
}
