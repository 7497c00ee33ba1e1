//! Records the findings of each run if they differ from the findings in the newest record.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::plan::NOT_FOUND;
use beadle_engine::{
    Class, Clock, Failure, Key, Note, Plan, Report, Store, StoreError, Time, Waiting, Waived,
};
use parking_lot::Mutex;

use super::findings::{Findings, findings};
use super::part::{Part, commit_of, parts};
use super::state::{ControlLines, ControlState, SKEW};
use crate::policy::{DeclaredControl, Policy};
use crate::undo::UndoneChanges;

/// The maximum number of parts in memory. An organisation uses far fewer parts at the same time,
/// but each new generation of the policy leaves some unused parts in memory.
const PARTS: usize = 20_000;
/// The maximum length of a stored cause, in characters.
const CAUSE: usize = 500;

/// Records the controls for the repositories of one organisation.
pub(crate) struct ControlLog {
    store: Arc<dyn Store>,
    clock: Clock,
    /// The declared values from the most recent plan of each repository. The key is the id of the
    /// repository. The map contains the values until the run ends.
    found: Mutex<HashMap<u64, Declared>>,
    /// The parts that the plans declared. The key is the digest of the part.
    parts: Mutex<HashMap<String, KnownPart>>,
}

/// The values that a plan declared for a repository.
struct Declared {
    /// The time at which Beadle made the plan.
    at: Time,
    parts: Vec<Arc<Part>>,
    commit: String,
    waived: Vec<Waived>,
    waits: Vec<Waiting>,
    /// The changes that would replace values that an undo restored.
    undone: Option<UndoneChanges>,
}

/// A part. The second value is true if the store certainly contains the lines of the part.
struct KnownPart {
    part: Arc<Part>,
    is_stored: bool,
}

impl ControlLog {
    /// Creates the log of an organisation.
    pub(crate) fn new(store: Arc<dyn Store>, clock: &Clock) -> Self {
        Self { store, clock: clock.clone(), found: Mutex::default(), parts: Mutex::default() }
    }

    /// Keeps the declared values from a repository's plan until [`Self::record`] records the end of
    /// the run.
    pub(crate) fn keep<W>(
        &self,
        repository: u64,
        policy: &Policy,
        controls: Vec<DeclaredControl>,
        plan: &Plan<W>,
    ) {
        let parts = parts(policy, controls).into_iter().map(|part| self.shared(part)).collect();
        let declared = Declared {
            at: self.clock.now(),
            parts,
            commit: commit_of(policy, ""),
            waived: plan.waived.clone(),
            waits: plan.waits.clone(),
            undone: None,
        };
        self.found.lock().insert(repository, declared);
    }

    /// Keeps those changes of the plan that would replace restored values.
    pub(crate) fn keep_undone(&self, repository: u64, undone: UndoneChanges) {
        if let Some(declared) = self.found.lock().get_mut(&repository) {
            declared.undone = Some(undone);
        }
    }

    /// Returns the part from memory that is equal to `part`, so that several repositories share one
    /// part.
    fn shared(&self, part: Part) -> Arc<Part> {
        let mut all = self.parts.lock();
        if let Some(known) = all.get(&part.digest).filter(|known| known.part.controls == part.controls) {
            return known.part.clone();
        }
        if all.len() >= PARTS {
            all.clear();
        }
        let part = Arc::new(part);
        all.insert(part.digest.clone(), KnownPart { part: part.clone(), is_stored: false });
        part
    }

    /// Records the end of a run.
    pub(crate) async fn record(&self, key: &Key, report: &Report) -> Result<(), StoreError> {
        let Some(id) = repository(key) else { return Ok(()) };
        if report.skipped.as_deref() == Some(NOT_FOUND) {
            let failure = Failure::new(Class::Retry, NOT_FOUND);
            return self.record_failure(key, &failure).await;
        }
        let declared = self.found.lock().remove(&id);
        let now = self.clock.now();
        let newest = self.newest(key, now).await?;
        // After a command has made its plan, the command can wait for a person. If the plan has no
        // changes, the command does not plan again. So the command's findings might be older than
        // the findings of another run.
        let planned = declared.as_ref().filter(|_| report.steps.is_empty()).map(|declared| declared.at);
        let at = planned.filter(|planned| now.since(*planned) > SKEW).unwrap_or(now);
        if at < now && newest.as_ref().is_some_and(|newest| newest.at > at) {
            return Ok(());
        }
        let (state, parts) = match (&report.skipped, declared) {
            (Some(why), declared) => {
                // The repository might now have another owner and another name. So the new record
                // keeps the name from the newest earlier record.
                let subject = newest.as_ref().map_or(&report.subject, |newest| &newest.subject);
                let commit = declared.map(|declared| declared.commit).unwrap_or_default();
                let outside = Some(why.clone());
                (
                    ControlState { at, subject: subject.clone(), commit, outside, ..ControlState::default() },
                    Vec::new(),
                )
            }
            (None, Some(declared)) => {
                let Findings { not_met, unknown } =
                    findings(&declared.parts, report, &declared.waits, declared.undone.as_ref());
                let state = ControlState {
                    at,
                    subject: report.subject.clone(),
                    commit: declared.commit,
                    lines: declared.parts.iter().map(|part| part.digest.clone()).collect(),
                    not_met: shortened(not_met),
                    unknown: shortened(unknown),
                    waived: declared.waived,
                    outside: None,
                    failed: None,
                };
                (state, declared.parts)
            }
            // If the repository of a key does not exist yet, the key has no controls.
            (None, None) => return Ok(()),
        };
        let is_news = newest.as_ref().is_none_or(|newest| !newest.finds_same(&state));
        for part in &parts {
            // A new state needs the lines of its parts. Beadle might have deleted old lines from
            // the store.
            if is_news || !self.is_stored(part) {
                self.store_part(key.instance(), part, at).await?;
            }
        }
        self.append(key, newest, state).await
    }

    /// Records that a run could not check the repository. If a budget was used up, the function
    /// records nothing, because the run did not check the repository at all.
    pub(crate) async fn record_failure(&self, key: &Key, failure: &Failure) -> Result<(), StoreError> {
        let Some(id) = repository(key) else { return Ok(()) };
        self.found.lock().remove(&id);
        if matches!(failure.class, Class::RateLimited { .. }) {
            return Ok(());
        }
        let at = self.clock.now();
        let newest = self.newest(key, at).await?;
        let unseen =
            || ControlState { subject: format!("{}/#{id}", key.instance()), ..ControlState::default() };
        let before = newest.clone().unwrap_or_else(unseen);
        let failed = Some(short(failure.text.clone()));
        self.append(key, newest, ControlState { at, outside: None, failed, ..before }).await
    }

    /// Returns the newest state of a repository. The function ignores a state from the future,
    /// because the time of such a state comes from a wrong clock. But the store keeps such a state:
    /// the present clock might be the wrong one, and a record of findings must not be lost.
    async fn newest(&self, key: &Key, now: Time) -> Result<Option<ControlState>, StoreError> {
        let store = self.store.as_ref();
        let notes = ControlState::of_repository(key.instance(), key.id());
        let first = notes.first(store).await?.map(|(_, state)| state);
        if first.as_ref().is_none_or(|state| state.at <= now + SKEW) {
            return Ok(first);
        }
        // Later times come first.
        let later = ControlState::note(key.instance(), key.id(), now + SKEW + Duration::from_millis(1));
        Ok(notes.page(store, later.name(), 1).await?.0.pop().map(|(_, state)| state))
    }

    /// Stores a state if it differs from the newest state.
    async fn append(
        &self,
        key: &Key,
        newest: Option<ControlState>,
        mut state: ControlState,
    ) -> Result<(), StoreError> {
        if let Some(newest) = newest {
            if newest.finds_same(&state) {
                return Ok(());
            }
            // The clocks of two processes can differ by a small amount. But the order of the states
            // is certain, because two processes never work on a key at the same time.
            state.at = state.at.max(newest.at + Duration::from_millis(1));
        }
        ControlState::note(key.instance(), key.id(), state.at).put(self.store.as_ref(), &state).await
    }

    /// Returns whether this process knows that the store contains the lines of a part.
    fn is_stored(&self, part: &Part) -> bool {
        self.parts.lock().get(&part.digest).is_some_and(|known| known.is_stored && *known.part == *part)
    }

    /// Stores the lines of a part if they differ from the newest lines in the store.
    async fn store_part(&self, instance: &str, part: &Part, at: Time) -> Result<(), StoreError> {
        let store = self.store.as_ref();
        let notes: Note<ControlLines> = ControlLines::of_part(instance, &part.digest);
        let newest = notes.first(store).await?;
        if newest.is_none_or(|(_, newest)| newest.controls != part.controls) {
            let (file, commit, controls) =
                (part.file.to_string(), part.commit.clone(), part.controls.clone());
            let lines = ControlLines { at, file, commit, controls };
            ControlLines::note(instance, &part.digest, at).put(store, &lines).await?;
        }
        if let Some(known) = self.parts.lock().get_mut(&part.digest).filter(|known| *known.part == *part) {
            known.is_stored = true;
        }
        Ok(())
    }
}

/// Returns the id of a key's repository.
fn repository(key: &Key) -> Option<u64> {
    key.id().parse().ok().filter(|_| key.kind() == "repository")
}

/// Shortens the causes.
fn shortened(causes: BTreeMap<String, String>) -> BTreeMap<String, String> {
    causes.into_iter().map(|(path, cause)| (path, short(cause))).collect()
}

fn short(cause: String) -> String {
    match cause.char_indices().nth(CAUSE) {
        Some((at, _)) => format!("{}…", &cause[..at]),
        None => cause,
    }
}
