//! Remembers which generation of the policy first asked for an unwritten change. The guard, the
//! mode or an error can delay a write until a later and often unrelated generation is in force. An
//! undo of the later generation must not revert this write.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use super::{ApplyContext, StepResult};
use crate::guard::{Hold, is_undo};
use crate::key::Key;
use crate::note::{Metadata, Note};
use crate::plan::{ARCHIVED, NOT_FOUND, Plan, Unknown};
use crate::store::{Store, StoreError};

/// The maximum number of changes in the note of a key, because a note must stay small.
const MOST: usize = 200;

/// A function that returns whether a waiver can hide a change, see [`super::Planner::can_hide`].
pub(super) type CanHide<'a> = &'a (dyn Fn(&str, &str, &str) -> bool + Send + Sync);

/// The unwritten changes of one key, by their digests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FirstAsked {
    changes: BTreeMap<String, AskedChange>,
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
}

impl AskedChange {
    /// Returns whether an unknown part of a plan can hide the change.
    fn is_unknown(&self, unknown: &Unknown) -> bool {
        unknown.aspect == self.aspect && unknown.part.as_ref().is_none_or(|part| *part == self.what)
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

/// Returns the generations that first asked for held changes. Leaves out a change whose hold is of
/// the generation that first asked for it.
///
/// # Errors
///
/// The store does not answer.
pub async fn earlier_generations(store: &dyn Store, holds: &[&Hold]) -> Result<BTreeSet<String>, StoreError> {
    let mut by_key: BTreeMap<&Key, Vec<&Hold>> = BTreeMap::new();
    for hold in holds {
        by_key.entry(&hold.key).or_default().push(hold);
    }
    let notes: Vec<Note<FirstAsked>> = by_key.keys().map(|key| FirstAsked::note(key)).collect();
    let found = Note::get_all(store, &notes).await?;
    let mut earlier = BTreeSet::new();
    for (holds, asked) in by_key.into_values().zip(found) {
        let asked = asked.unwrap_or_default();
        earlier.extend(holds.iter().filter_map(|hold| asked.before(&hold.digest, &hold.generation)));
    }
    Ok(earlier)
}

/// Records the unwritten changes of a run. `first` contains the unwritten changes before the run. If
/// the run did not reach a change, its result is `None`.
pub(super) async fn remember<W>(
    key: &Key,
    plan: &Plan<W>,
    context: &ApplyContext,
    (first, results): (&FirstAsked, &[Option<StepResult>]),
) {
    let after = first.after(key, plan, &context.generation, results);
    after.write(first, key, context).await;
}

/// Forgets the unwritten changes that are no longer planned. A change stays if its part is unknown,
/// or if a waiver can hide it. If Beadle skips a repository because the repository is archived or
/// not found, all changes stay. Returns the changes that the store has now.
pub(super) async fn forget_unplanned<W>(
    key: &Key,
    plan: &Plan<W>,
    context: &ApplyContext,
    (first, planned): (FirstAsked, &HashSet<String>),
    can_hide: CanHide<'_>,
) -> FirstAsked {
    // An undo does not plan the changes of the policy.
    if !is_of_policy(&context.generation) {
        return first;
    }
    let after = first.planned(plan, planned, can_hide);
    if after.write(&first, key, context).await { after } else { first }
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

    /// Returns the earlier generation that first asked for a change. Returns `None` if no generation
    /// before `generation` asked for the change.
    pub(super) fn before(&self, digest: &str, generation: &str) -> Option<String> {
        let asked = self.changes.get(digest).filter(|_| is_of_policy(generation))?;
        (asked.generation != generation).then(|| asked.generation.clone())
    }

    /// Returns the unwritten changes after a run.
    fn after<W>(&self, key: &Key, plan: &Plan<W>, generation: &str, results: &[Option<StepResult>]) -> Self {
        let mut after = self.clone();
        if !is_of_policy(generation) {
            return after;
        }
        let (mut written, mut open) = (BTreeSet::new(), Vec::new());
        for (change, result) in plan.changes.iter().zip(results) {
            if *result == Some(StepResult::Written) {
                written.insert((change.aspect.as_str(), change.what.as_str()));
            } else {
                open.push((change.digest(key), change));
            }
        }
        // The write ended all other differences of its part, except those that the plan has too.
        let is_open = |digest: &String| open.iter().any(|(its, _)| its == digest);
        after.changes.retain(|digest, asked| {
            !written.contains(&(asked.aspect.as_str(), asked.what.as_str())) || is_open(digest)
        });
        for (digest, change) in open {
            if after.changes.len() < MOST {
                let (generation, aspect) = (generation.to_owned(), change.aspect.clone());
                let new = || AskedChange { generation, aspect, what: change.what.clone() };
                after.changes.entry(digest).or_insert_with(new);
            }
        }
        after
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

    /// Stores these changes if they differ from the stored ones. Returns whether the store has these
    /// changes now. If the store fails, the writes of the run are still valid, so the run does not
    /// fail.
    async fn write(&self, stored: &Self, key: &Key, context: &ApplyContext) -> bool {
        if self == stored {
            return true;
        }
        let (note, store) = (Self::note(key), context.store.as_ref());
        let written =
            if self.changes.is_empty() { note.forget(store).await } else { note.put(store, self).await };
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

    #[test]
    fn an_unwritten_change_keeps_the_generation_that_first_asked_for_it() {
        let after = |first: &FirstAsked, teams: &[&str], generation: &str, results: &[Option<StepResult>]| {
            first.after(&key(), &plan(teams), generation, results)
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
        let asked =
            FirstAsked::default().after(&key(), &plan(&["a", "b"]), "g1", &[Some(held()), Some(held())]);
        let mut other = plan(&["a"]);
        other.changes[0].fields[0].after = serde_json::json!("another value");
        let after = asked.after(&key(), &other, "g2", &[Some(StepResult::Written)]);
        assert_eq!(after.before(&digest("a"), "g3"), None);
        assert_eq!(after.before(&digest("b"), "g3").as_deref(), Some("g1"));
    }

    #[test]
    fn only_a_hidden_change_stays_without_being_planned() {
        let asked = FirstAsked::default().after(&key(), &plan(&["team a", "team b"]), "g1", &[None, None]);
        let kept = |plan: &Plan<()>| {
            let can_hide =
                |waived: &str, aspect: &str, what: &str| waived == aspect || format!("team {waived}") == what;
            let after = asked.planned(plan, &HashSet::new(), &can_hide);
            ["team a", "team b"].map(|team| after.before(&digest(team), "g2").is_some())
        };
        assert_eq!(kept(&plan(&[])), [false, false]);
        for (aspect, part, expected) in [
            ("teams", None, [true, true]),
            ("teams", Some("team a"), [true, false]),
            ("labels", None, [false, false]),
        ] {
            let (aspect, part) = (aspect.to_owned(), part.map(str::to_owned));
            let unknown = Unknown { aspect, part, why: "503".into(), transient: true };
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
        let asked = FirstAsked::default().after(&key(), &plan(&["a"]), "g1", &[Some(held())]);
        for generation in ["undo of 7", ""] {
            assert_eq!(asked.before(&digest("a"), generation), None, "{generation}");
            let after = asked.after(&key(), &plan(&["a", "b"]), generation, &[None, None]);
            assert_eq!(after, asked, "{generation}");
        }
    }

    #[test]
    fn the_note_of_a_key_has_a_bounded_number_of_changes() {
        let names: Vec<String> = (0..=MOST).map(|n| format!("team {n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let results = vec![None; names.len()];
        let asked = FirstAsked::default().after(&key(), &plan(&names), "g1", &results);
        assert_eq!(asked.changes.len(), MOST);
        assert_eq!(asked.before(&digest(names[0]), "g2").as_deref(), Some("g1"));
        assert_eq!(asked.before(&digest(names[MOST]), "g2"), None);
    }
}
