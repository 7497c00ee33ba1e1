//! Frees everything that a change no longer needs: room in the guard's window, approvals, holds,
//! remembered refusals, and the record of unwritten changes.

use std::collections::HashSet;
use std::time::Duration;

use super::first_asked::forget_unplanned;
use super::hidden::CanHide;
use super::remembered::Remembered;
use super::{ApplyContext, StepResult};
use crate::failure::Failure;
use crate::guard::window::End;
use crate::guard::{Hold, UndoName};
use crate::key::Key;
use crate::plan::Plan;
use crate::void_approval::VoidApproval;

/// How long Beadle waits before each retry if the store could not record the end of a write.
const RETRIES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// Records the end of a write in the guard. Without this record, the approval of a written change
/// would stay used up forever, and refused changes would still count. If the store's answer was
/// lost, the store might still have recorded the end. A second record of the same end does no harm,
/// because each end contains the number of its intent.
pub(super) async fn record_end(
    key: &Key,
    context: &ApplyContext,
    digest: String,
    end: End,
) -> Result<(), Failure> {
    let ends = vec![(digest, end)];
    for wait in RETRIES {
        match context.store.conclude(key.instance(), ends.clone()).await {
            Ok(()) => return Ok(()),
            Err(error) => tracing::debug!(%key, %error, "end of a write not stored, retrying"),
        }
        context.clock.sleep(wait).await;
    }
    Ok(context.store.conclude(key.instance(), ends).await?)
}

/// Frees the room that the guard reserved for changes that Beadle did not begin to write. If the
/// store fails, the room stays reserved.
pub(super) async fn give_back<W>(
    key: &Key,
    plan: &Plan<W>,
    context: &ApplyContext,
    asked: &HashSet<usize>,
    results: &[Option<StepResult>],
) {
    let not_begun =
        |at: &usize| matches!(results[*at], None | Some(StepResult::NotReached | StepResult::Blocked));
    let ends: Vec<(String, End)> = (0..plan.changes.len())
        .filter(|at| asked.contains(at) && not_begun(at))
        .map(|at| (plan.changes[at].digest(key), End::NotBegun))
        .collect();
    if ends.is_empty() {
        return;
    }
    if let Err(error) = context.store.conclude(key.instance(), ends).await {
        tracing::warn!(%key, subject = plan.subject, %error, "guard reservation not released, changes that Beadle did not write still count towards the limit");
    }
}

/// Deletes the holds and the refusals of changes that are no longer planned. A rejection stays while
/// the plan contains one of the rejected values, or while the plan cannot show them. The approval of a
/// deleted hold is deleted too. If another change takes the place of the approved change, a note
/// records the deletion. If an aspect is unknown, its holds and refusals stay. A plan without
/// changes also deletes holds and refusals. A plan of the policy does not affect the holds of an
/// undo. An undo affects neither the holds of the policy nor the decisions about another undo.
/// `can_hide` decides whether a waiver can hide a change, see [`super::Planner::can_hide`]. Returns
/// the notes of the key for [`super::apply`], so that a run reads them once.
pub async fn release_resolved_holds<W>(
    key: &Key,
    plan: &Plan<W>,
    context: &ApplyContext,
    can_hide: CanHide<'_>,
) -> Result<Remembered, Failure> {
    let planned: HashSet<String> = plan.changes.iter().map(|change| change.digest(key)).collect();
    let is_unknown = |aspect: &str| plan.unknowns.iter().any(|u| u.aspect == aspect && u.part.is_none());
    let Remembered { refusals: refused, first, .. } = Remembered::read(key, context).await?;
    let mut refusals = refused.of_generation(&context.generation);
    refusals.keep(&planned, is_unknown);
    refusals.write(&refused, context.store.as_ref(), key).await?;
    let held = context.store.holds_of(key).await?;
    // A contested change stays contested until an operator approves it, or until a new generation
    // of the policy declares another value. A change without guarded risks needs no approval.
    let stays =
        |hold: &Hold| hold.contested && hold.approved_by.is_none() && hold.change.risks().is_guarded();
    let staying = held.iter().filter(|hold| stays(hold)).map(|hold| hold.digest.clone());
    let kept: HashSet<String> = planned.iter().cloned().chain(staying).collect();
    let (first, new) = forget_unplanned(key, plan, context, (first, &kept), can_hide).await;
    let is_own = |hold: &&Hold| is_own(hold, &context.generation);
    let rejected = held.iter().filter(|hold| hold.rejected.is_some()).filter(is_own).cloned().collect();
    let remembered = Remembered { refusals, first, new, rejected };
    if held.is_empty() {
        return Ok(remembered);
    }
    let unknown = |aspect: &str| plan.unknowns.iter().any(|unknown| unknown.aspect == aspect);
    // A waiver hides a difference until the waiver ends, and a skipped repository, such as an archived
    // one, shows no difference. A hidden difference must not end the rejection. Otherwise, Beadle would
    // write the rejected change later.
    let hides = !plan.waived.is_empty() || plan.skipped.is_some();
    let stays_rejected = |hold: &Hold| {
        hold.rejected.is_some() && (hides || plan.changes.iter().any(|change| hold.rejects(change)))
    };
    let is_over = |hold: &&Hold| {
        !planned.contains(&hold.digest)
            && !unknown(&hold.change.aspect)
            && !stays(hold)
            && !stays_rejected(hold)
    };
    let over: Vec<Hold> = held.iter().filter(is_own).filter(is_over).cloned().collect();
    if over.is_empty() {
        return Ok(remembered);
    }
    let is_planned_otherwise = |hold: &&Hold| {
        plan.changes.iter().any(|one| one.aspect == hold.change.aspect && one.what == hold.change.what)
    };
    let replaced: Vec<Hold> = over.iter().filter(is_planned_otherwise).cloned().collect();
    VoidApproval::record(context.store.as_ref(), &replaced, context.clock.now()).await?;
    context.store.release(over).await?;
    Ok(remembered)
}

/// Returns whether a plan of this generation can end a hold. An undo ends its own holds. An undo
/// also ends the undecided holds of another undo. The reason is that an operator can repeat an
/// undo, and the name of the repeated undo might contain another time. But two undos can contain
/// different values of a repository, so an undo keeps each approval and each rejection of another
/// undo.
fn is_own(hold: &Hold, generation: &str) -> bool {
    match (UndoName::parse(&hold.generation), UndoName::parse(generation)) {
        (Some(of), Some(by)) => of.is_same(&by) || hold.is_open(),
        (of, by) => of.is_none() && by.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn an_undo_keeps_the_decisions_about_another_undo() {
        let hold = |generation: &str, approved_by: Option<&str>| Hold {
            generation: generation.to_owned(),
            approved_by: approved_by.map(str::to_owned),
            ..testing::hold(1)
        };
        let (wide, narrow) = ("undo of 7", "undo of 7 (only teams[core])");
        for (of, approved_by, by, expected) in [
            (wide, Some("ann"), narrow, false),
            (wide, Some("ann"), wide, true),
            (wide, Some("ann"), "undo of run 7", true),
            (wide, None, narrow, true),
            (wide, None, "g1", false),
            ("g1", Some("ann"), wide, false),
            ("g1", Some("ann"), "g2", true),
        ] {
            assert_eq!(is_own(&hold(of, approved_by), by), expected, "{of} {by}");
        }
    }
}
