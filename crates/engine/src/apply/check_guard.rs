//! Checks a plan before its first write: the modes, the changes that the vendor refused earlier,
//! contested changes, and the guard.

use std::collections::{HashMap, HashSet};

use super::failures::{lease_lost, refused_change};
use super::severity::more_severe;
use super::{ApplyContext, StepResult};
use crate::clock::Time;
use crate::contested::contested;
use crate::failure::{Class, Failure};
use crate::guard::{Hold, Limits, RepositoryCount, Verdict};
use crate::key::{Key, Lane};
use crate::plan::{Change, Plan, Risk};
use crate::refused::Refusals;
use crate::store::{Store, StoreError};

/// The result of the checks before the first write.
pub(super) struct CheckedPlan {
    /// One entry for each change of the plan. `None` means that Beadle may write the change.
    pub(super) results: Vec<Option<StepResult>>,
    /// The positions of the changes that were submitted to the guard.
    pub(super) asked: HashSet<usize>,
    /// The operators who approved changes that passed the guard, keyed by the positions of the
    /// changes.
    pub(super) approved: HashMap<usize, String>,
    /// The failure that the run reports for the changes that it does not write.
    pub(super) failure: Option<Failure>,
}

/// Decides which changes of a plan may be written, before the first write of the plan.
pub(super) async fn check_guard<W>(
    key: &Key,
    plan: &Plan<W>,
    context: &ApplyContext,
    lane: Lane,
    (refusals, rejected): (&Refusals, &[Hold]),
) -> Result<CheckedPlan, Failure> {
    let mut results: Vec<Option<StepResult>> = Vec::with_capacity(plan.changes.len());
    let mut failure = None;
    let now = context.clock.now();
    let (store, repeats) = (context.store.as_ref(), context.limits.repeats);
    let contested = contested(key, plan, repeats, (store, now)).await?;
    if !contested.news.is_empty() {
        context.store.journal(None, contested.news.clone(), now).await?;
    }
    let mut asked = Vec::new();
    let mut places = Vec::new();
    for (at, change) in plan.changes.iter().enumerate() {
        let risks = change.risks();
        let refused = (lane == Lane::Sweep).then(|| refusals.stops(&change.digest(key), now)).flatten();
        let result = if !is_allowed(plan, change) {
            Some(StepResult::Withheld)
        } else if let Some(refused) = refused {
            // The failure does not contain the time of the next try. So the same refusal causes the
            // same failure in every try and for every key.
            let again = Failure::new(Class::Rejected, refused.reason());
            failure = Some(more_severe(failure, refused_change(change, again)));
            Some(StepResult::Failed(refused.why_stopped()))
        } else if let Some(why) = contested.postpones(at, now) {
            failure = Some(more_severe(failure, Failure::new(Class::Retry, why)));
            Some(StepResult::Postponed(why.clone()))
        } else {
            None
        };
        let may = result.is_none();
        results.push(result);
        let fought_over = contested.holds(&change.aspect).filter(|_| risks.is_guarded());
        let stop = fought_over.or(change.stop.as_ref()).cloned();
        let stop = stop.or_else(|| rejected_before(key, change, rejected));
        if may && (risks.is_guarded() || stop.is_some()) {
            places.push(at);
            asked.push(Hold {
                why: stop.unwrap_or_default(),
                contested: fought_over.is_some(),
                generation: context.generation.clone(),
                ..submitted((key, plan), change, now)
            });
        }
    }
    let guarded: HashSet<usize> = places.iter().copied().collect();
    if asked.is_empty() {
        return Ok(CheckedPlan { results, asked: guarded, approved: HashMap::new(), failure });
    }
    let digests: Vec<_> = asked.iter().map(|hold| hold.digest.clone()).collect();
    let limits = with_count(context.limits, key.instance(), store).await?;
    let verdicts = context.store.reserve(context.lease.as_ref(), &limits, asked, now).await?;
    let verdicts = verdicts.ok_or_else(lease_lost)?;
    let mut passed: HashMap<String, usize> = HashMap::new();
    for ((at, digest), verdict) in places.into_iter().zip(digests).zip(verdicts) {
        match verdict {
            Verdict::Pass => {
                passed.insert(digest, at);
            }
            Verdict::Hold(why) => results[at] = Some(StepResult::Held { digest, why }),
        }
    }
    let approved = approvals(key, &passed, context).await?;
    Ok(CheckedPlan { results, asked: guarded, approved, failure })
}

/// Returns the reason to hold a change that contains a value of a rejected change. Returns `None` for
/// the rejected change itself, because the guard knows its hold.
pub(super) fn rejected_before<W>(key: &Key, change: &Change<W>, rejected: &[Hold]) -> Option<String> {
    let other = rejected.iter().find(|hold| hold.stops(change))?;
    let is_itself = rejected.iter().any(|hold| hold.digest == change.digest(key));
    (!is_itself).then(|| other.stated_for_another())
}

/// Returns the operators whose approvals let changes pass. `passed` maps the digests of the passed
/// changes to their positions. A passed change has a hold only if an operator approved the change.
async fn approvals(
    key: &Key,
    passed: &HashMap<String, usize>,
    context: &ApplyContext,
) -> Result<HashMap<usize, String>, Failure> {
    if passed.is_empty() {
        return Ok(HashMap::new());
    }
    let holds = context.store.holds_of(key).await?;
    let approval = |hold: Hold| Some((*passed.get(&hold.digest)?, hold.approved_by?));
    Ok(holds.into_iter().filter_map(approval).collect())
}

/// Returns whether the mode allows Beadle to write a change. If an aspect is unknown, Beadle never
/// writes a removal in this aspect, even if a planner planned the removal.
pub(super) fn is_allowed<W>(plan: &Plan<W>, change: &Change<W>) -> bool {
    let risks = change.risks();
    let is_doubtful = || {
        risks.count(Risk::Removes) > 0
            && plan.unknowns.iter().any(|u| u.aspect == change.aspect && u.part.is_none())
    };
    change.mode.allows(&risks) && !is_doubtful()
}

/// Returns a change in the form that Beadle submits to the guard. If the planner stops the change,
/// the planner's reason becomes the reason of the hold.
pub(super) fn submitted<W>((key, plan): (&Key, &Plan<W>), change: &Change<W>, now: Time) -> Hold {
    Hold {
        why: change.stop.clone().unwrap_or_default(),
        ..Hold::new(key, &plan.subject, &plan.generation, change.describe(), now)
    }
}

/// Returns the guard's limits, including the number of repositories from the previous sweep.
pub(super) async fn with_count(
    mut limits: Limits,
    instance: &str,
    store: &dyn Store,
) -> Result<Limits, StoreError> {
    if limits.among.is_none() {
        let counted = RepositoryCount::note(instance).get(store).await?;
        limits.among = counted.map(|RepositoryCount(count)| count);
    }
    Ok(limits)
}
