//! Records the findings of each run, if they differ from those of the last recorded run.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use beadle_engine::{
    Class, Clock, Failure, Key, Note, Plan, Report, Store, StoreError, Time, Waiting, Waived,
};
use parking_lot::Mutex;

use super::findings::{Findings, findings};
use super::part::{Part, commit_of, parts};
use super::state::{ControlLines, ControlState};
use crate::policy::{DeclaredControl, Policy};

/// The maximum number of parts in memory. An organisation has far fewer at the same time. With each
/// new generation of the policy, some of them are no longer used.
const PARTS: usize = 20_000;
/// The maximum length of a stored cause, in characters.
const CAUSE: usize = 500;

/// Records the controls of the repositories of one organisation.
pub(crate) struct ControlLog {
    store: Arc<dyn Store>,
    clock: Clock,
    /// The values that the last plan of each repository declared, by the id of the repository,
    /// until its run ends.
    found: Mutex<HashMap<u64, Declared>>,
    /// The parts that the plans declared, by their digests.
    parts: Mutex<HashMap<String, KnownPart>>,
}

/// The values that a plan declared for a repository.
struct Declared {
    parts: Vec<Arc<Part>>,
    commit: String,
    waived: Vec<Waived>,
    waits: Vec<Waiting>,
}

/// A part, and whether it is certain that the store has its lines.
struct KnownPart {
    part: Arc<Part>,
    is_stored: bool,
}

impl ControlLog {
    /// Creates the log of an organisation.
    pub(crate) fn new(store: Arc<dyn Store>, clock: &Clock) -> Self {
        Self { store, clock: clock.clone(), found: Mutex::default(), parts: Mutex::default() }
    }

    /// Keeps the values that a plan declared for a repository until [`Self::record`].
    pub(crate) fn keep<W>(
        &self,
        repository: u64,
        policy: &Policy,
        controls: Vec<DeclaredControl>,
        plan: &Plan<W>,
    ) {
        let parts = parts(policy, controls).into_iter().map(|part| self.shared(part)).collect();
        let declared = Declared {
            parts,
            commit: commit_of(policy, ""),
            waived: plan.waived.clone(),
            waits: plan.waits.clone(),
        };
        self.found.lock().insert(repository, declared);
    }

    /// Returns the part in memory that is equal to this part, so that repositories share it.
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
        let declared = self.found.lock().remove(&id);
        let at = self.clock.now();
        let newest = self.newest(key).await?;
        let (state, parts) = match (&report.skipped, declared) {
            (Some(why), declared) => {
                // A repository that was not found has no name in the report.
                let subject = newest.as_ref().map_or(&report.subject, |(_, newest)| &newest.subject);
                let commit = declared.map(|declared| declared.commit).unwrap_or_default();
                let outside = Some(why.clone());
                (
                    ControlState { at, subject: subject.clone(), commit, outside, ..ControlState::default() },
                    Vec::new(),
                )
            }
            (None, Some(declared)) => {
                let Findings { not_met, unknown } = findings(&declared.parts, report, &declared.waits);
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
            // A key of a repository that does not exist yet has no controls.
            (None, None) => return Ok(()),
        };
        let is_news = newest.as_ref().is_none_or(|(_, newest)| !newest.finds_same(&state));
        for part in &parts {
            // A new state needs the lines of its parts, and Beadle may have deleted old lines.
            if is_news || !self.is_stored(part) {
                self.store_part(key.instance(), part, at).await?;
            }
        }
        self.append(key, newest, state).await
    }

    /// Records that a run could not check the repository. If a budget is used up, the run did not
    /// try.
    pub(crate) async fn record_failure(&self, key: &Key, failure: &Failure) -> Result<(), StoreError> {
        let Some(id) = repository(key) else { return Ok(()) };
        self.found.lock().remove(&id);
        if matches!(failure.class, Class::RateLimited { .. }) {
            return Ok(());
        }
        let newest = self.newest(key).await?;
        let unseen =
            || ControlState { subject: format!("{}/#{id}", key.instance()), ..ControlState::default() };
        let before = newest.as_ref().map_or_else(unseen, |(_, newest)| newest.clone());
        let failed = Some(short(failure.text.clone()));
        self.append(key, newest, ControlState { at: self.clock.now(), outside: None, failed, ..before }).await
    }

    /// Returns the newest state of a repository, with the name of its note.
    async fn newest(&self, key: &Key) -> Result<Option<(String, ControlState)>, StoreError> {
        let notes = ControlState::of_repository(key.instance(), key.id());
        let newest = notes.first(self.store.as_ref()).await?;
        Ok(newest.map(|(rest, state)| (format!("{}{rest}", notes.name()), state)))
    }

    /// Stores a state, unless it is the same as the newest one.
    async fn append(
        &self,
        key: &Key,
        newest: Option<(String, ControlState)>,
        state: ControlState,
    ) -> Result<(), StoreError> {
        let store = self.store.as_ref();
        if let Some((name, newest)) = newest {
            if newest.at > state.at {
                // The clock that set this time was wrong, and the note would stay the newest one.
                store.forget(&name).await?;
            } else if newest.finds_same(&state) {
                return Ok(());
            }
        }
        ControlState::note(key.instance(), key.id(), state.at).put(store, &state).await
    }

    /// Returns whether this process knows that the store has the lines of a part.
    fn is_stored(&self, part: &Part) -> bool {
        self.parts.lock().get(&part.digest).is_some_and(|known| known.is_stored && *known.part == *part)
    }

    /// Stores the lines of a part, unless the newest lines in the store are the same.
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

/// Returns the id of the repository of a key.
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
