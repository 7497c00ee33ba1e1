//! The result of the last run of each key, which the store keeps by the name that people know. The
//! journal has no entry of a run that found nothing to do, so it cannot list all keys.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::apply::{Report, StepResult};
use crate::clock::Time;
use crate::key::Key;
use crate::note::{Metadata, Note, note};
use crate::queue::Outcome;
use crate::store::{Store, StoreError};

/// The maximum age of a stored result. An older result is stored again, even if only its time
/// changed.
const STORED_EVERY: Duration = Duration::from_secs(3600);
/// The maximum number of results to remember. If there are more, all of them are forgotten, and the
/// next runs read them from the store.
const MOST: usize = 20_000;
/// The maximum length of a stored reason, in characters.
const WHY: usize = 300;

/// What the last run of a key found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// Everything is as the policy declares.
    AsDeclared,
    /// Something differs from the policy, and the mode does not allow a change.
    Drifted,
    /// The guard holds a change.
    Held,
    /// Another writer undoes a change.
    Contested,
    /// A part could not be read or resolved.
    Unknown,
    /// The run failed, and Beadle retries.
    Failing,
    /// The key is parked.
    Parked,
    /// Beadle skips the key.
    Skipped,
}

impl RunState {
    /// All states.
    pub const ALL: [Self; 8] = [
        Self::AsDeclared,
        Self::Drifted,
        Self::Held,
        Self::Contested,
        Self::Unknown,
        Self::Failing,
        Self::Parked,
        Self::Skipped,
    ];

    /// Returns the name that is stored and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AsDeclared => "as-declared",
            Self::Drifted => "drifted",
            Self::Held => "held",
            Self::Contested => "contested",
            Self::Unknown => "unknown",
            Self::Failing => "failing",
            Self::Parked => "parked",
            Self::Skipped => "skipped",
        }
    }

    /// Returns the state that has this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// The result of the last run of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// The key.
    pub key: Key,
    /// The name of the key that people know, such as `acme/widgets`.
    pub subject: String,
    /// The time of the run. A later run with the same result may have changed nothing here for up
    /// to an hour.
    pub at: Time,
    /// What the run found.
    pub state: RunState,
    /// Why the state is not [`RunState::AsDeclared`]; empty if it is.
    pub why: String,
}

impl Metadata for LastRun {
    const KIND: &'static str = "last-run";
}

/// The name under which the result of a key was stored.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct RunName(String);

impl Metadata for RunName {
    const KIND: &'static str = "run-name";
    const IS_PLAIN: bool = true;
}

/// One page of stored results.
#[derive(Clone, Debug, Default)]
pub struct LastRunPage {
    /// The results, sorted by instance and name.
    pub runs: Vec<LastRun>,
    /// The place after which the next page begins; `None` after the last page.
    pub next: Option<String>,
}

impl LastRun {
    fn note(kind: &str, instance: &str, subject: &str) -> Note<Self> {
        Note::of(&[kind, instance, &subject.to_lowercase()])
    }

    /// Returns the result of the key that has this kind, instance and name. The case of the name
    /// does not matter.
    pub async fn of(
        store: &dyn Store,
        (kind, instance): (&str, &str),
        subject: &str,
    ) -> Result<Option<Self>, StoreError> {
        Self::note(kind, instance, subject).get(store).await
    }

    /// Returns at most `limit` results of the keys of one kind. If `instance` is empty, they belong
    /// to all instances. `after` is the place at which the page before ended, or is empty.
    pub async fn page(
        store: &dyn Store,
        (kind, instance): (&str, &str),
        after: &str,
        limit: u32,
    ) -> Result<LastRunPage, StoreError> {
        let of_kind = note(Self::KIND, &[kind, ""]);
        let prefix =
            if instance.is_empty() { of_kind.clone() } else { note(Self::KIND, &[kind, instance, ""]) };
        let from = if after.is_empty() { String::new() } else { format!("{of_kind}{after}") };
        let notes = store.notes_page(&prefix, &from, limit).await?;
        let is_last = notes.len() < limit as usize;
        let last = notes.last().and_then(|(name, _)| name.strip_prefix(of_kind.as_str())).map(str::to_owned);
        let runs = notes.iter().filter_map(|(_, text)| serde_json::from_str(text).ok()).collect();
        Ok(LastRunPage { runs, next: last.filter(|_| !is_last) })
    }

    /// Returns the place after which a page begins that follows this result.
    pub fn place(&self) -> String {
        let name = Self::note(self.key.kind(), self.key.instance(), &self.subject);
        name.name().strip_prefix(&note(Self::KIND, &[self.key.kind(), ""])).unwrap_or_default().to_owned()
    }
}

/// Returns the names of the notes about the last runs of all keys of a kind and an instance, each
/// with the id of its key.
pub async fn last_run_notes(
    store: &dyn Store,
    kind: &str,
    instance: &str,
) -> Result<Vec<(String, String)>, StoreError> {
    let names = Note::<RunName>::of(&[Key::new(kind, instance, "").as_str()]);
    let runs = LastRun::note(kind, instance, "");
    let mut notes = Vec::new();
    for (id, _) in names.list(store).await? {
        let name = format!("{}{id}", names.name());
        notes.push((id, name));
    }
    // Another key may have the name of a key now, so the note itself tells to which key it belongs.
    for (subject, run) in runs.list(store).await? {
        notes.push((run.key.id().to_owned(), format!("{}{subject}", runs.name())));
    }
    Ok(notes)
}

/// Stores the results of runs. Remembers what it stored, so that an unchanged result costs no call
/// of the store.
#[derive(Debug, Default)]
pub struct LastRuns(Mutex<HashMap<Key, LastRun>>);

impl LastRuns {
    /// Stores the result of a run, if it is new. A run that only waits for a budget has no result.
    pub async fn record(
        &self,
        store: &dyn Store,
        key: &Key,
        ended: (&Outcome, Option<&Report>),
        now: Time,
    ) -> Result<(), StoreError> {
        let Some((state, why)) = judged(ended.0, ended.1) else { return Ok(()) };
        let found = ended.1.map(|report| report.subject.as_str()).filter(|subject| !subject.is_empty());
        let known = self.known(key);
        let is_stored = |known: &LastRun| {
            let is_recent = known.at <= now && now.since(known.at) < STORED_EVERY;
            let is_same = (known.state, &known.why) == (state, &why);
            is_recent && is_same && found.is_none_or(|subject| subject == known.subject)
        };
        if known.as_ref().is_some_and(is_stored) {
            return Ok(());
        }
        let names = Note::<RunName>::of(&[key.as_str()]);
        let before = match known {
            Some(known) => Some(known.subject),
            None => names.get(store).await?.map(|RunName(subject)| subject),
        };
        // A run that failed before it found a name has the name of the run before.
        let Some(subject) = found.map(str::to_owned).or_else(|| before.clone()) else { return Ok(()) };
        let run = LastRun { key: key.clone(), subject, at: now, state, why };
        let own = LastRun::note(key.kind(), key.instance(), &run.subject);
        if state == RunState::Skipped && own.get(store).await?.is_some_and(|other| other.key != *key) {
            // The name belongs to another key. For example, the key that creates a repository has
            // nothing to do any more.
            return Ok(());
        }
        if let Some(before) = before.as_ref().filter(|before| **before != run.subject) {
            let old = LastRun::note(key.kind(), key.instance(), before);
            if old.name() != own.name() && old.get(store).await?.is_some_and(|old| old.key == *key) {
                old.forget(store).await?;
            }
        }
        own.put(store, &run).await?;
        if before.as_ref() != Some(&run.subject) {
            names.put(store, &RunName(run.subject.clone())).await?;
        }
        self.remember(run);
        Ok(())
    }

    fn known(&self, key: &Key) -> Option<LastRun> {
        self.0.lock().get(key).cloned()
    }

    fn remember(&self, run: LastRun) {
        let mut runs = self.0.lock();
        if runs.len() >= MOST {
            runs.clear();
        }
        runs.insert(run.key.clone(), run);
    }
}

/// Returns what a run found, and why. Returns `None` if the run only waits.
fn judged(outcome: &Outcome, report: Option<&Report>) -> Option<(RunState, String)> {
    let unknown = report.filter(|report| report.failure.is_none()).and_then(|report| report.unknowns.first());
    let (state, why) = match (outcome, report) {
        (Outcome::RateLimited { .. } | Outcome::HandBack, _) | (Outcome::Done, None) => return None,
        (Outcome::Park(_, why), _) => (RunState::Parked, why.clone()),
        (Outcome::Retry(why), _) if unknown.is_some() => (RunState::Unknown, why.clone()),
        (Outcome::Retry(why), _) => (RunState::Failing, why.clone()),
        (Outcome::Done, Some(report)) => of_report(report),
    };
    Some((state, why.chars().take(WHY).collect()))
}

fn of_report(report: &Report) -> (RunState, String) {
    let held = report.count(|result| matches!(result, StepResult::Held { .. }));
    let postponed = report.steps.iter().find_map(|step| match &step.outcome {
        StepResult::Postponed(why) => Some(why.clone()),
        _ => None,
    });
    let open = report.count(|result| *result != StepResult::Written);
    let changes = |count: usize| if count == 1 { "change" } else { "changes" };
    if held > 0 {
        (RunState::Held, format!("{held} {} held by the guard", changes(held)))
    } else if let Some(why) = postponed {
        (RunState::Contested, why)
    } else if let Some(unknown) = report.unknowns.first() {
        (RunState::Unknown, format!("{} is unknown: {}", unknown.aspect, unknown.why))
    } else if open > 0 {
        (RunState::Drifted, format!("{open} {} skipped by the mode", changes(open)))
    } else if let Some(why) = &report.skipped {
        (RunState::Skipped, why.clone())
    } else {
        (RunState::AsDeclared, String::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::Step;
    use crate::failure::{Class, Failure};
    use crate::plan::{Risk, Unknown};
    use crate::queue::ParkReason;
    use crate::testing;

    fn report(results: Vec<StepResult>) -> Report {
        let step = |outcome| Step { change: testing::change("teams", "a", &[Risk::Adds]), outcome };
        Report {
            subject: "acme/shop".into(),
            steps: results.into_iter().map(step).collect(),
            unknowns: Vec::new(),
            skipped: None,
            failure: None,
        }
    }

    #[test]
    fn the_state_of_a_key_follows_from_the_end_of_its_run() {
        let held = || StepResult::Held { digest: "d".into(), why: "limit".into() };
        let unknown = Unknown { aspect: "teams".into(), part: None, why: "403".into(), transient: true };
        let with_unknown = Report { unknowns: vec![unknown], ..report(vec![]) };
        let failed = Report {
            failure: Some(Failure::new(Class::Retry, "502")),
            ..report(vec![StepResult::Failed("502".into())])
        };
        let retry = || Outcome::Retry("502".into());
        for (outcome, report, expected) in [
            (Outcome::Done, Some(report(vec![])), Some((RunState::AsDeclared, ""))),
            (Outcome::Done, Some(report(vec![StepResult::Written])), Some((RunState::AsDeclared, ""))),
            (
                Outcome::Done,
                Some(report(vec![StepResult::Withheld, StepResult::Blocked])),
                Some((RunState::Drifted, "2 changes skipped by the mode")),
            ),
            (
                Outcome::Done,
                Some(report(vec![StepResult::Withheld, held()])),
                Some((RunState::Held, "1 change held by the guard")),
            ),
            (
                Outcome::Done,
                Some(report(vec![StepResult::Postponed("undone".into())])),
                Some((RunState::Contested, "undone")),
            ),
            (Outcome::Done, Some(with_unknown.clone()), Some((RunState::Unknown, "teams is unknown: 403"))),
            (retry(), Some(with_unknown), Some((RunState::Unknown, "502"))),
            (retry(), Some(failed), Some((RunState::Failing, "502"))),
            (retry(), None, Some((RunState::Failing, "502"))),
            (Outcome::Park(ParkReason::Failed, "no".into()), None, Some((RunState::Parked, "no"))),
            (
                Outcome::Done,
                Some(Report { skipped: Some("archived".into()), ..report(vec![]) }),
                Some((RunState::Skipped, "archived")),
            ),
            (Outcome::HandBack, None, None),
            (
                Outcome::RateLimited { until: Time(1), spares_events: true, why: "budget".into() },
                Some(report(vec![])),
                None,
            ),
        ] {
            let found = judged(&outcome, report.as_ref());
            assert_eq!(found.as_ref().map(|(state, why)| (*state, why.as_str())), expected, "{outcome:?}");
        }
    }

    #[test]
    fn every_state_has_its_own_name() {
        for state in RunState::ALL {
            assert_eq!(RunState::named(state.as_str()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        assert_eq!(RunState::named("fine"), None);
    }
}
