//! Remembers which generation of the policy first asked for an unwritten change. The guard, the
//! mode or an error can delay a write until a later and often unrelated generation is in force. An
//! undo of the later generation must not revert this write.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use super::hidden::{CanHide, Hidden};
use super::{ApplyContext, StepResult};
use crate::clock::Time;
use crate::guard::{Hold, is_undo};
use crate::key::Key;
use crate::note::{Metadata, Note};
use crate::plan::{ARCHIVED, NOT_FOUND, Plan, Unknown};
use crate::store::{Store, StoreError};

/// The maximum number of changes in the note of a key, because a note must stay small.
const MOST: usize = 200;

/// Maps the digest of each new change of a plan to the earliest time at which the policy could have
/// asked for the change. The time is `None` if it is not known.
pub(super) type NewChanges = BTreeMap<String, Option<Time>>;

/// The unwritten changes of one key, keyed by their digests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FirstAsked {
    changes: BTreeMap<String, AskedChange>,
    /// What the last plan could not show.
    #[serde(default, skip_serializing_if = "Hidden::is_empty")]
    hidden: Hidden,
}

/// An unwritten change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct AskedChange {
    /// The generation that first asked for the change.
    generation: String,
    aspect: String,
    /// The part of the aspect. Empty in the notes of versions that did not store the part.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    what: String,
    /// The earliest time at which a policy could have asked for the change. `None` in the notes of
    /// older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<Time>,
}

impl AskedChange {
    /// Returns whether an unknown part of a plan can hide the change. A name that does not resolve
    /// hides only the changes of its part, because the name stays unknown until a person corrects
    /// the policy.
    fn is_unknown(&self, unknown: &Unknown) -> bool {
        let is_part = |part: &String| {
            self.what.strip_suffix(part.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with(' '))
        };
        let hides = unknown.transient || unknown.part.as_ref().is_none_or(is_part);
        unknown.aspect == self.aspect && hides
    }
}

impl Metadata for FirstAsked {
    const KIND: &'static str = "first-asked";
}

/// Returns the name of the note that stores which generations first asked for the unwritten changes
/// of a key.
pub fn first_asked_note(key: &Key) -> String {
    FirstAsked::note(key).name().to_owned()
}

/// For each hold, returns the generation that first asked for the held change, and the earliest
/// time at which a policy could have asked for the change. Both are `None` if they are not known.
pub(crate) async fn asked_for_holds(
    store: &dyn Store,
    holds: &[&Hold],
) -> Result<Vec<(Option<String>, Option<Time>)>, StoreError> {
    let keys: BTreeSet<&Key> = holds.iter().map(|hold| &hold.key).collect();
    let notes: Vec<Note<FirstAsked>> = keys.iter().map(|key| FirstAsked::note(key)).collect();
    let found = Note::get_all(store, &notes).await?;
    let by_key: BTreeMap<&Key, FirstAsked> =
        keys.into_iter().zip(found).filter_map(|(key, asked)| Some((key, asked?))).collect();
    let record = |hold: &&Hold| by_key.get(&hold.key)?.changes.get(&hold.digest);
    let known = |asked: &AskedChange| (Some(asked.generation.clone()), asked.since);
    Ok(holds.iter().map(|hold| record(hold).map(known).unwrap_or_default()).collect())
}

/// For each hold, returns the earlier generation that first asked for the held change. The result
/// is `None` if no earlier generation asked for the change, or if the earlier generation is not
/// known.
///
/// # Errors
///
/// Returns an error if the store does not answer.
pub async fn first_asking_generations(
    store: &dyn Store,
    holds: &[&Hold],
) -> Result<Vec<Option<String>>, StoreError> {
    let known = asked_for_holds(store, holds).await?;
    let earlier = holds.iter().zip(known).map(|(hold, (first, _))| {
        first.filter(|first| is_of_policy(&hold.generation) && *first != hold.generation)
    });
    Ok(earlier.collect())
}

/// Records the unwritten changes of a run. `first` contains the unwritten changes before the run.
/// If the run did not reach a change, its result is `None`.
pub(super) async fn remember<W>(
    key: &Key,
    plan: &Plan<W>,
    context: &ApplyContext,
    (first, new, results): (&FirstAsked, &NewChanges, &[Option<StepResult>]),
) {
    let after = first.after(key, plan, (&context.generation, context.planned), (new, results));
    after.write(first, key, context.store.as_ref()).await;
}

/// Records that no plan of a key could be made.
pub(crate) async fn remember_failure(key: &Key, store: &dyn Store, now: Time) -> Result<(), StoreError> {
    let before = FirstAsked::note(key).get(store).await?.unwrap_or_default();
    let after = FirstAsked { hidden: before.hidden.after_failure(now), ..before.clone() };
    after.write(&before, key, store).await;
    Ok(())
}

/// Forgets the unwritten changes that are no longer planned. A change stays if an unknown part of
/// the plan or a waiver can hide it. If Beadle skips a repository because the repository is
/// archived or not found, all changes stay. Returns the changes that the store has now, and the new
/// changes of the plan. `planned` contains the digests of the planned changes, and of the holds
/// that stay without a plan.
pub(super) async fn forget_unplanned<W>(
    key: &Key,
    plan: &Plan<W>,
    context: &ApplyContext,
    (first, planned): (FirstAsked, &HashSet<String>),
    can_hide: CanHide<'_>,
) -> (FirstAsked, NewChanges) {
    // An undo does not plan the changes of the policy.
    if !is_of_policy(&context.generation) {
        return (first, NewChanges::new());
    }
    let new = first.new_changes(key, plan, context.planned, can_hide);
    let after = first.planned(plan, planned, can_hide);
    if after.write(&first, key, context.store.as_ref()).await { (after, new) } else { (first, new) }
}

/// Returns whether a generation is a generation of a policy.
fn is_of_policy(generation: &str) -> bool {
    !generation.is_empty() && !is_undo(generation)
}

impl FirstAsked {
    /// Returns the note with the unwritten changes of a key.
    pub(super) fn note(key: &Key) -> Note<Self> {
        Note::of(&[key.as_str()])
    }

    /// Returns the earlier generation that first asked for a change. Returns `None` if no
    /// generation before `generation` asked for the change.
    pub(super) fn before(&self, digest: &str, generation: &str) -> Option<String> {
        let asked = self.changes.get(digest).filter(|_| is_of_policy(generation))?;
        (asked.generation != generation).then(|| asked.generation.clone())
    }

    /// Returns the changes of a plan that have no record yet. If another change of the same part
    /// has a record, the policy could have asked for the new change as early as for the recorded
    /// one. A new change can take the place of a recorded one if the value before the change, or
    /// another field of the part, has changed in the meantime.
    fn new_changes<W>(&self, key: &Key, plan: &Plan<W>, now: Time, can_hide: CanHide<'_>) -> NewChanges {
        let changes = plan.changes.iter().map(|change| (change.digest(key), change));
        let new = changes.filter(|(digest, _)| !self.changes.contains_key(digest));
        let since = |aspect: &str, what: &str| {
            let its = self.changes.values().filter(|asked| asked.aspect == aspect && asked.what == what);
            let seen = self.hidden.since(aspect, what, can_hide).unwrap_or(now).min(now);
            its.map(|asked| asked.since).try_fold(seen, |one, other| Some(one.min(other?)))
        };
        new.map(|(digest, change)| (digest, since(&change.aspect, &change.what))).collect()
    }

    /// Returns the unwritten changes after a run.
    fn after<W>(
        &self,
        key: &Key,
        plan: &Plan<W>,
        (generation, now): (&str, Time),
        (new, results): (&NewChanges, &[Option<StepResult>]),
    ) -> Self {
        let mut after = self.clone();
        if !is_of_policy(generation) {
            return after;
        }
        after.hidden = self.hidden.after(plan, now);
        let (mut written, mut open, mut held) = (BTreeSet::new(), Vec::new(), BTreeSet::new());
        for (change, result) in plan.changes.iter().zip(results) {
            if *result == Some(StepResult::Written) {
                written.insert((change.aspect.as_str(), change.what.as_str()));
                continue;
            }
            let digest = change.digest(key);
            if matches!(result, Some(StepResult::Held { .. })) {
                held.insert(digest.clone());
            }
            open.push((digest, change));
        }
        // The write ended all earlier differences of its part, except those that the plan still
        // contains.
        let is_open = |digest: &String| open.iter().any(|(its, _)| its == digest);
        after.changes.retain(|digest, asked| {
            !written.contains(&(asked.aspect.as_str(), asked.what.as_str())) || is_open(digest)
        });
        for (digest, change) in open {
            let since = new.get(&digest).copied().flatten();
            let new = || AskedChange {
                generation: generation.to_owned(),
                aspect: change.aspect.clone(),
                what: change.what.clone(),
                since,
            };
            after.changes.entry(digest).or_insert_with(new);
        }
        after.shorten(&held);
        after
    }

    /// Removes changes until the note is small. Held changes are removed last, because Beadle must
    /// know at an approval who wrote the policy that asked for the change.
    fn shorten(&mut self, held: &BTreeSet<String>) {
        for keeps_held in [true, false] {
            let excess = self.changes.len().saturating_sub(MOST);
            let others = self.changes.keys().rev().filter(|digest| !keeps_held || !held.contains(*digest));
            let dropped: Vec<String> = others.take(excess).cloned().collect();
            for digest in dropped {
                self.changes.remove(&digest);
            }
        }
    }

    /// Returns the changes that are still planned, or that the plan cannot show. `planned` contains
    /// the digests of the planned changes.
    fn planned<W>(&self, plan: &Plan<W>, planned: &HashSet<String>, can_hide: CanHide<'_>) -> Self {
        let mut after = self.clone();
        if plan.skipped.as_deref().is_some_and(|why| [ARCHIVED, NOT_FOUND].contains(&why)) {
            return after;
        }
        after.changes.retain(|digest, asked| {
            planned.contains(digest)
                || plan.unknowns.iter().any(|unknown| asked.is_unknown(unknown))
                || plan.waived.iter().any(|waived| can_hide(&waived.key, &asked.aspect, &asked.what))
        });
        after
    }

    /// Stores these changes if they differ from the stored ones. Returns whether the store has
    /// these changes now. If the store fails, the writes of the run are still valid, so the run
    /// does not fail.
    async fn write(&self, stored: &Self, key: &Key, store: &dyn Store) -> bool {
        if self == stored {
            return true;
        }
        let note = Self::note(key);
        let written =
            if *self == Self::default() { note.forget(store).await } else { note.put(store, self).await };
        if let Err(error) = &written {
            tracing::warn!(%key, %error, "first policy of unwritten changes not stored, an undo of a policy may have wrong writes");
        }
        written.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Risk, Waived};
    use crate::testing::change;

    fn key() -> Key {
        Key::new("repository", "acme", 1)
    }

    fn plan(teams: &[&str]) -> Plan<()> {
        let changes = teams.iter().map(|team| change("teams", team, &[Risk::Removes]));
        Plan { changes: changes.collect(), ..Plan::new("acme/shop") }
    }

    fn digest(team: &str) -> String {
        change("teams", team, &[Risk::Removes]).digest(&key())
    }

    fn held() -> StepResult {
        StepResult::Held { digest: "d".into(), why: "limit".into() }
    }

    /// Returns the unwritten changes after a run.
    fn run(
        first: &FirstAsked,
        plan: &Plan<()>,
        generation: &str,
        results: &[Option<StepResult>],
    ) -> FirstAsked {
        run_at(first, plan, (generation, Time(1)), results)
    }

    /// In these tests, a waiver exempts an aspect or a team.
    fn can_hide(waived: &str, aspect: &str, what: &str) -> bool {
        waived == aspect || format!("team {waived}") == what
    }

    fn run_at(
        first: &FirstAsked,
        plan: &Plan<()>,
        (generation, now): (&str, Time),
        results: &[Option<StepResult>],
    ) -> FirstAsked {
        let new = first.new_changes(&key(), plan, now, &can_hide);
        first.after(&key(), plan, (generation, now), (&new, results))
    }

    #[test]
    fn an_unwritten_change_keeps_the_generation_that_first_asked_for_it() {
        let after = |first: &FirstAsked, teams: &[&str], generation: &str, results: &[Option<StepResult>]| {
            run(first, &plan(teams), generation, results)
        };
        let failed = Some(StepResult::Failed("502".into()));
        let one = after(&FirstAsked::default(), &["a", "b"], "g1", &[Some(held()), None]);
        let two = after(&one, &["a", "b", "c"], "g2", &[Some(held()), failed, Some(StepResult::Withheld)]);
        let first = |asked: &FirstAsked, team: &str| asked.before(&digest(team), "g3");
        assert_eq!(
            ["a", "b", "c"].map(|team| first(&two, team)),
            ["g1", "g1", "g2"].map(|g| Some(g.to_owned()))
        );
        assert_eq!(two.before(&digest("c"), "g2"), None, "the generation is in force");
        assert_eq!(two.before(&digest("d"), "g2"), None, "nobody asked for it before");
        let three = after(&two, &["a", "b"], "g3", &[Some(StepResult::Written), Some(held())]);
        assert_eq!(first(&three, "a"), None, "the same drift can come back later");
        assert_eq!(first(&three, "b").as_deref(), Some("g1"));
        assert_eq!(first(&three, "c").as_deref(), Some("g2"), "the plan does not show all changes");
    }

    #[test]
    fn a_written_change_ends_all_other_changes_of_its_part() {
        let asked = run(&FirstAsked::default(), &plan(&["a", "b"]), "g1", &[Some(held()), Some(held())]);
        let mut other = plan(&["a"]);
        other.changes[0].fields[0].after = serde_json::json!("another value");
        let after = run(&asked, &other, "g2", &[Some(StepResult::Written)]);
        assert_eq!(after.before(&digest("a"), "g3"), None);
        assert_eq!(after.before(&digest("b"), "g3").as_deref(), Some("g1"));
    }

    #[test]
    fn only_a_hidden_change_stays_without_being_planned() {
        let asked = run(&FirstAsked::default(), &plan(&["team a", "team b"]), "g1", &[None, None]);
        let kept = |plan: &Plan<()>| {
            let after = asked.planned(plan, &HashSet::new(), &can_hide);
            ["team a", "team b"].map(|team| after.before(&digest(team), "g2").is_some())
        };
        assert_eq!(kept(&plan(&[])), [false, false]);
        for (aspect, part, transient, expected) in [
            ("teams", None, false, [true, true]),
            ("teams", Some("a"), true, [true, true]),
            ("teams", Some("a"), false, [true, false]),
            ("labels", None, true, [false, false]),
        ] {
            let (aspect, part) = (aspect.to_owned(), part.map(str::to_owned));
            let unknown = Unknown { aspect, part, why: "503".into(), transient };
            assert_eq!(kept(&Plan { unknowns: vec![unknown], ..plan(&[]) }), expected);
        }
        for (waived, expected) in
            [("teams", [true, true]), ("a", [true, false]), ("b", [false, true]), ("c", [false, false])]
        {
            let waived = Waived {
                key: waived.into(),
                until: "2030-01-01T00:00:00Z".into(),
                reason: "release".into(),
                owner: "mona".into(),
                asked: None,
            };
            assert_eq!(kept(&Plan { waived: vec![waived], ..plan(&[]) }), expected);
        }
        for (skipped, expected) in
            [(ARCHIVED, [true, true]), (NOT_FOUND, [true, true]), ("excluded", [false, false])]
        {
            assert_eq!(kept(&Plan { skipped: Some(skipped.into()), ..plan(&[]) }), expected);
        }
    }

    #[test]
    fn an_undo_is_no_generation_that_asks_for_a_change() {
        let asked = run(&FirstAsked::default(), &plan(&["a"]), "g1", &[Some(held())]);
        for generation in ["undo of 7", ""] {
            assert_eq!(asked.before(&digest("a"), generation), None, "{generation}");
            let after = run(&asked, &plan(&["a", "b"]), generation, &[None, None]);
            assert_eq!(after, asked, "{generation}");
        }
    }

    #[test]
    fn the_note_of_a_key_has_a_bounded_number_of_changes_and_the_held_ones_stay() {
        let names: Vec<String> = (0..=MOST).map(|n| format!("team {n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for last in 0..5 {
            let mut results = vec![None; names.len()];
            results[last] = Some(held());
            let asked = run(&FirstAsked::default(), &plan(&names), "g1", &results);
            assert_eq!(asked.changes.len(), MOST);
            assert_eq!(asked.before(&digest(names[last]), "g2").as_deref(), Some("g1"));
        }
        let all = vec![Some(held()); names.len()];
        assert_eq!(run(&FirstAsked::default(), &plan(&names), "g1", &all).changes.len(), MOST);
    }

    #[test]
    fn a_new_value_of_an_unwritten_part_can_be_as_old_as_the_part() {
        let one = run_at(&FirstAsked::default(), &plan(&["a"]), ("g1", Time(1)), &[Some(held())]);
        let mut other = plan(&["a", "b"]);
        other.changes[0].fields[0].after = serde_json::json!("another value");
        let two = run_at(&one, &other, ("g2", Time(2)), &[Some(held()), Some(held())]);
        let since = |plan: &Plan<()>, at: usize| two.changes[&plan.changes[at].digest(&key())].since;
        assert_eq!([0, 1].map(|at| since(&other, at)), [Some(Time(1)), Some(Time(2))]);
        // A note of an older version has no time.
        let mut old = one;
        old.changes.values_mut().for_each(|asked| asked.since = None);
        let new = old.new_changes(&key(), &other, Time(2), &can_hide);
        assert_eq!([0, 1].map(|at| new[&other.changes[at].digest(&key())]), [None, Some(Time(2))]);
    }

    #[test]
    fn a_change_that_earlier_plans_could_not_show_is_as_old_as_the_first_of_them() {
        let unknown =
            Unknown { aspect: "teams".into(), part: Some("a".into()), why: "503".into(), transient: true };
        let hiding = Plan { unknowns: vec![unknown], ..plan(&[]) };
        let hidden = run_at(&FirstAsked::default(), &hiding, ("g1", Time(1)), &[]);
        let hidden = run_at(&hidden, &hiding, ("g2", Time(2)), &[]);
        let shown = run_at(&hidden, &plan(&["a"]), ("g3", Time(3)), &[Some(held())]);
        let asked = &shown.changes[&digest("a")];
        assert_eq!((asked.since, asked.generation.as_str()), (Some(Time(1)), "g3"));
        assert!(shown.hidden.is_empty(), "the last plan shows everything");
    }
}
