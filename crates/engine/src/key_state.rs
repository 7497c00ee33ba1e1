//! The state of the keys that are not as declared: what the last run of a key could not write or
//! read. The store keeps it, so that an operator sees it at a glance, without a search in the
//! journal.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::apply::{Report, StepResult};
use crate::clock::Time;
use crate::key::{Key, KeyScope};
use crate::note::{Metadata, Note};
use crate::plan::Unknown;
use crate::store::{Store, StoreError};

/// The maximum number of unknown parts in a state, because a note must stay small.
const UNKNOWNS: usize = 20;

/// What the last run of a key left. A key that is as declared has no state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyState {
    /// The name of the key that people know, such as `acme/widgets`.
    pub subject: String,
    /// The time since which the key is not as declared.
    pub since: Time,
    /// The number of changes that were planned and not written.
    pub pending: usize,
    /// The number of changes that the mode does not allow.
    #[serde(default)]
    pub withheld: usize,
    /// The number of changes that the guard holds.
    #[serde(default)]
    pub held: usize,
    /// The number of changes that failed or that the run did not reach.
    #[serde(default)]
    pub failed: usize,
    /// The error of the first failed change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The aspects with a contested change that Beadle writes again later.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub contested: BTreeSet<String>,
    /// The parts that could not be read or resolved, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<Unknown>,
}

impl Metadata for KeyState {
    const KIND: &'static str = "key-state";
}

impl KeyState {
    /// Returns the note that has the state of a key.
    fn note(key: &Key) -> Note<Self> {
        Note::of(&[key.as_str()])
    }

    /// Returns what a run left, or `None` if the key is as declared after the run.
    fn of(report: &Report, now: Time) -> Option<Self> {
        let pending = report.steps.len() - report.count(|result| *result == StepResult::Written);
        if pending == 0 && report.unknowns.is_empty() {
            return None;
        }
        let failure = report.steps.iter().find_map(|step| match &step.outcome {
            StepResult::Failed(why) => Some(why.clone()),
            _ => None,
        });
        let postponed = report.steps.iter().filter(|step| matches!(step.outcome, StepResult::Postponed(_)));
        Some(Self {
            subject: report.subject.clone(),
            since: now,
            pending,
            withheld: report.count(|result| *result == StepResult::Withheld),
            held: report.count(|result| matches!(result, StepResult::Held { .. })),
            failed: report.count(|result| matches!(result, StepResult::Failed(_) | StepResult::NotReached)),
            failure,
            contested: postponed.map(|step| step.change.aspect.clone()).collect(),
            unknown: report.unknowns.iter().take(UNKNOWNS).cloned().collect(),
        })
    }

    /// Lists the keys that are not as declared, each with its state.
    pub async fn all(store: &dyn Store) -> Result<Vec<(Key, Self)>, StoreError> {
        let all = Note::<Self>::of(&[""]).list(store).await?;
        Ok(all.into_iter().filter_map(|(key, state)| Some((key.parse().ok()?, state))).collect())
    }

    /// Deletes the states of the keys of a scope that are not in `keys`. The things of these keys do
    /// not exist any more, so no run looks at them.
    pub async fn forget_others(
        store: &dyn Store,
        scope: &KeyScope,
        keys: &BTreeSet<Key>,
    ) -> Result<(), StoreError> {
        for (key, _) in Self::all(store).await? {
            if scope.covers(&key) && !keys.contains(&key) {
                Self::note(&key).forget(store).await?;
            }
        }
        Ok(())
    }

    /// Stores what a run of a key left, or deletes the state if the key is as declared now. Writes
    /// nothing if the state is the same as before, so that a sweep in mode `observe` stays cheap.
    pub async fn record(store: &dyn Store, key: &Key, report: &Report, now: Time) -> Result<(), StoreError> {
        let note = Self::note(key);
        let before = note.get(store).await?;
        let Some(found) = Self::of(report, now) else {
            return if before.is_some() { note.forget(store).await } else { Ok(()) };
        };
        // If the stored time is in the future, the clock that set it was wrong.
        let since = before.as_ref().map_or(now, |before| before.since.min(now));
        let state = Self { since, ..found };
        if before.as_ref() == Some(&state) {
            return Ok(());
        }
        note.put(store, &state).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::apply::Step;
    use crate::plan::Change;

    fn report(results: &[StepResult], unknowns: Vec<Unknown>) -> Report {
        let change: Change<()> = serde_json::from_value(json!({
            "aspect": "teams", "what": "team platform", "fields": [], "mode": "enforce", "after": [], "write": null,
        }))
        .unwrap();
        let step = |outcome: &StepResult| Step { change: change.clone(), outcome: outcome.clone() };
        Report {
            subject: "acme/shop".into(),
            steps: results.iter().map(step).collect(),
            unknowns,
            skipped: None,
            failure: None,
        }
    }

    fn unknown() -> Unknown {
        let why = "team `security` does not exist".to_owned();
        Unknown { aspect: "teams".into(), part: None, why, transient: false }
    }

    #[test]
    fn a_key_is_as_declared_if_every_change_was_written_and_nothing_is_unknown() {
        let held = StepResult::Held { digest: "d".into(), why: "limit".into() };
        let failed = StepResult::Failed("403".into());
        for (results, unknowns, expected) in [
            (vec![], vec![], None),
            (vec![StepResult::Written, StepResult::Written], vec![], None),
            (vec![StepResult::Written, StepResult::Withheld], vec![], Some((1, 1, 0, 0))),
            (vec![held, failed, StepResult::NotReached], vec![], Some((3, 0, 1, 2))),
            (vec![StepResult::Blocked], vec![], Some((1, 0, 0, 0))),
            (vec![StepResult::Written], vec![unknown()], Some((0, 0, 0, 0))),
        ] {
            let state = KeyState::of(&report(&results, unknowns), Time(1));
            let counts = state.map(|state| (state.pending, state.withheld, state.held, state.failed));
            assert_eq!(counts, expected, "{results:?}");
        }
    }

    #[test]
    fn a_state_names_the_first_failure_and_the_contested_aspects() {
        let postponed = StepResult::Postponed("another writer".into());
        let results = [
            postponed.clone(),
            StepResult::Failed("first".into()),
            StepResult::Failed("second".into()),
            postponed,
        ];
        let state = KeyState::of(&report(&results, vec![unknown(); UNKNOWNS + 5]), Time(1)).unwrap();
        assert_eq!(state.failure.as_deref(), Some("first"));
        assert_eq!(state.contested, BTreeSet::from(["teams".to_owned()]));
        assert_eq!(state.unknown.len(), UNKNOWNS);
    }
}
