//! Protects a repository before more people can see it. With the new visibility, additional layers
//! might apply to the repository, and these layers might protect the repository. A layer can also
//! select the repository by a topic, a team or a property that the same run writes. Without this
//! code, such a layer would apply only in the next run, when more people can already see the
//! repository.

use beadle_engine::{Change, Failure, Unknown};
use beadle_github::Repository;

use super::RepositoryPlanner;
use super::later::later;
use super::widening::PROTECT;
use crate::aspects::{self, Context, PlannedChange, Stage};
use crate::policy::{Desired, OverrideStatus, Policy, Verdict};

/// Returns whether this change lets more people see the repository.
fn widens(planned: &PlannedChange) -> bool {
    let change = &planned.change;
    planned.stage == Stage::Widen && change.stop.is_none() && change.mode.allows(&change.risks())
}

impl RepositoryPlanner {
    /// Plans the protection of a repository again if two conditions are true: this run makes the
    /// repository visible to more people, and the policy declares a different protection for the
    /// state after this run. The new plan omits removals, weakenings and exposures in the
    /// protection. The next run plans these changes.
    pub(super) async fn protect_ahead(
        &self,
        policy: &Policy,
        (seen, standing): (&Repository, &OverrideStatus<'_>),
        context: &Context<'_>,
        (changes, unknowns): (&mut Vec<PlannedChange>, &mut Vec<Unknown>),
    ) -> Result<(), Failure> {
        if !changes.iter().any(widens) {
            return Ok(());
        }
        let described: Vec<Change<()>> = changes.iter().map(|planned| planned.change.describe()).collect();
        let Some(next) = later(seen, &described, &self.names).await? else { return Ok(()) };
        let Verdict::Reached(target) = policy.resolve(&next, standing) else { return Ok(()) };
        let (now, desired) = (context.desired, policy.desired(&target, &next));
        let rulesets = |desired: &Desired| desired.sections.get("rulesets").cloned();
        if desired.branches == now.branches && rulesets(&desired) == rulesets(now) {
            return Ok(());
        }
        let context = Context { desired: &desired, ..*context };
        let protects = |aspect: &str| PROTECT.contains(&aspect);
        changes.retain(|planned| !protects(&planned.change.aspect));
        unknowns.retain(|unknown| !protects(&unknown.aspect));
        for aspect in aspects::ALL.iter().filter(|aspect| protects(aspect.name)) {
            let (own, unknown, _) = self.aspect(aspect, &context, &target).await?;
            unknowns.extend(unknown);
            let own = own.into_iter().filter(|planned| !planned.change.risks().is_guarded());
            changes.extend(own.map(|mut planned| {
                aspect.name.clone_into(&mut planned.change.aspect);
                planned.change.mode = self.modes.of(aspect.name);
                planned
            }));
        }
        Ok(())
    }
}
