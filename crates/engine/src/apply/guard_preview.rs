//! Finds out before a run which changes of a plan the guard would hold.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;

use super::check_guard::{is_allowed, rejected_before, submitted, with_count};
use crate::clock::Time;
use crate::guard::window::check_guard;
use crate::guard::{Hold, Limits, Verdict};
use crate::key::Key;
use crate::plan::Plan;
use crate::store::{Store, StoreError};

/// How many keys Beadle reads at the same time.
const READS: usize = 50;

/// The changes of a plan that the guard would hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardPreview {
    /// The number of changes that Beadle would write if there were no guard.
    pub writes: usize,
    /// The reasons for holds, each with its number of changes, in the order of the plans.
    pub held: Vec<(String, usize)>,
}

/// Returns the changes that the guard would hold if Beadle applied these plans now, in the order of
/// the list. All plans belong to one instance. The function writes and reserves nothing, so other
/// runs can use the room of the window first. A contested change counts as a write, and so does a
/// change that the vendor refused earlier.
///
/// # Errors
///
/// Returns an error if the store cannot be read.
pub async fn preview_guard(
    store: &dyn Store,
    limits: Limits,
    plans: &[(Key, Plan<()>)],
    now: Time,
) -> Result<GuardPreview, StoreError> {
    let mut preview = GuardPreview::default();
    let mut asked: Vec<Hold> = Vec::new();
    for (key, plan) in plans {
        for change in plan.changes.iter().filter(|change| is_allowed(plan, change)) {
            preview.writes += 1;
            if change.risks().is_guarded() || change.stop.is_some() {
                asked.push(submitted((key, plan), change, now));
            }
        }
    }
    let Some(instance) = asked.first().map(|hold| hold.key.instance().to_owned()) else { return Ok(preview) };
    let limits = with_count(limits, &instance, store).await?;
    let keys: BTreeSet<&Key> = asked.iter().map(|hold| &hold.key).collect();
    let keys: Vec<&Key> = keys.into_iter().collect();
    let mut known: BTreeMap<String, Hold> = BTreeMap::new();
    for batch in keys.chunks(READS) {
        // An unreadable hold must not stop the preview of the other keys. The run of the hold's key
        // fails later, with an error that names the hold.
        let lists = try_join_all(batch.iter().map(|key| store.all_holds_of(key))).await?;
        let holds = lists.into_iter().flat_map(|list| list.holds);
        known.extend(holds.map(|hold| (hold.digest.clone(), hold)));
    }
    let rejected: Vec<Hold> = known.values().filter(|hold| hold.rejected.is_some()).cloned().collect();
    for hold in asked.iter_mut().filter(|hold| hold.why.is_empty()) {
        let own: Vec<Hold> = rejected.iter().filter(|other| other.key == hold.key).cloned().collect();
        hold.why = rejected_before(&hold.key, &hold.change, &own).unwrap_or_default();
    }
    let mut window = store.bookings(now - limits.window).await?;
    window.retain(|booking| booking.instance == instance);
    let judged = check_guard(&mut window, &known, &limits, &asked.iter().collect::<Vec<_>>(), now);
    for verdict in judged.verdicts {
        let Verdict::Hold(why) = verdict else { continue };
        match preview.held.iter_mut().find(|(known, _)| *known == why) {
            Some((_, count)) => *count += 1,
            None => preview.held.push((why, 1)),
        }
    }
    Ok(preview)
}
