//! Follows the journal. Stores the unknown parts, the contested changes and the reverted changes of
//! each key. Beadle reports a problem only after some time. Neither the states of the keys nor the
//! holds show for how long a problem has existed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use beadle_engine::notify::{Problem, ProblemKind, Topic};
use beadle_engine::{
    Detail, Entry, Key, KeyState, Listing, Metadata, Note, Store, StoreError, Time, Unknown,
};
use serde::{Deserialize, Serialize};

use super::reverted_changes::{RevertedPart, reverted_by};

#[cfg(test)]
mod reverted_tests;

/// The time for which a part must be unknown before Beadle reports a problem.
const LONG: Duration = Duration::from_secs(3600);
/// The time for which Beadle reports a change as a problem, after the journal has reported the
/// change as contested. While the change stays contested, the journal reports the change again
/// within an hour.
const CONTESTED: Duration = Duration::from_secs(2 * 3600);
/// The time for which Beadle reports a person's change as a problem, after Beadle has reverted the
/// change.
const REVERTED: Duration = Duration::from_secs(24 * 3600);
/// The maximum number of reverted changes that Beadle stores for one key.
const REMEMBERED: usize = 20;
/// The maximum age of the entries that the first pass reads. This maximum age also applies to the
/// first pass after a long interruption.
const FIRST: Duration = Duration::from_secs(24 * 3600);
/// The number of journal entries that one call reads, and the maximum number of calls in a pass.
const PAGE: u32 = 1000;
const PAGES: usize = 20;
/// The maximum number of key states that one pass reads.
const STATES: usize = 500;
/// The maximum number of unknown parts, and the maximum number of contested changes, that Beadle
/// stores for one key. The note of the key must stay small.
const PARTS: usize = 50;
/// The maximum time from the moment at which a process reserves the number of a journal entry until
/// the process has written the entry. In DynamoDB, an entry can become visible later than an entry
/// with a larger number.
const WRITING: Duration = Duration::from_secs(60);

/// The unknown parts, the contested changes and the reverted changes of one key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Trouble {
    /// The readable name of the key.
    subject: String,
    unknown: Vec<UnknownPart>,
    contested: Vec<ContestedPart>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reverted: Vec<RevertedPart>,
}

impl Trouble {
    fn is_over(&self) -> bool {
        self.unknown.is_empty() && self.contested.is_empty() && self.reverted.is_empty()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct UnknownPart {
    aspect: String,
    part: Option<String>,
    why: String,
    since: Time,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ContestedPart {
    aspect: String,
    what: String,
    times: u32,
    at: Time,
}

impl Metadata for Trouble {
    const KIND: &'static str = "trouble";
}

/// The position up to which Beadle has read the journal without a gap, and the results of the last
/// sweeps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Place {
    after: u64,
    /// For each organisation or directory, the number of keys that the last sweep checked, and the
    /// number of failed keys.
    pub(crate) sweeps: BTreeMap<String, (u64, u64)>,
}

impl Metadata for Place {
    const KIND: &'static str = "trouble-place";
}

/// The problems of all keys, and the results of the last sweeps.
#[derive(Default)]
pub(crate) struct Troubles {
    keys: BTreeMap<String, Trouble>,
    pub(crate) place: Place,
    touched: BTreeSet<String>,
}

impl Troubles {
    /// Reads the new entries of the journal. `turn` is the number of the pass. If there are many
    /// keys, each pass looks at the states of different keys.
    pub(crate) async fn follow(store: &dyn Store, turn: usize, now: Time) -> Result<Self, StoreError> {
        let place = Note::<Place>::of(&[]).get(store).await?.unwrap_or_default();
        let keys = Note::<Trouble>::of(&[""]).list(store).await?.into_iter().collect();
        let mut all = Self { keys, place, touched: BTreeSet::new() };
        // A run first stores the state of its key, and then writes its journal entry. So Beadle
        // first reads the states, and then the journal. If a run ends between these two reads, its
        // journal entry is newer than the state that Beadle read.
        let mut known = all.known(store, turn).await?;
        let (mut after, mut has_gap) = (all.place.after, false);
        for _ in 0..PAGES {
            let since = (after == 0).then(|| now - FIRST);
            let entries = store.entries(Listing { after, since, key: None, limit: PAGE }).await?;
            let (Some(first), Some(last)) = (entries.first(), entries.last()) else { break };
            if since.is_none() && now.since(first.at) > FIRST {
                // No channel was configured for a long time, so no pass read the journal. The
                // stored facts about the keys and the sweeps are out of date.
                all.place.sweeps.clear();
                all.touched.extend(std::mem::take(&mut all.keys).into_keys());
                all.keep(store).await?;
                (after, known) = (0, Vec::new());
                continue;
            }
            after = last.seq;
            let before = all.place.clone();
            if since.is_some() {
                // The first pass intentionally skips the entries that are older than `FIRST`.
                all.place.after = first.seq.saturating_sub(1);
            }
            for entry in &entries {
                all.take(entry);
                all.add_reverted(entry, reverted_by(store, entry).await?);
            }
            known.retain(|key| !all.touched.contains(key.as_str()));
            // The driver might cut off a pass. The next pass continues after the last stored page.
            all.keep(store).await?;
            if !has_gap {
                all.place.after = complete_until(all.place.after, &entries, now);
                has_gap = all.place.after < after;
            }
            if all.place != before {
                Note::<Place>::of(&[]).put(store, &all.place).await?;
            }
        }
        all.end(&known, now);
        all.keep(store).await?;
        Ok(all)
    }

    /// Looks at some of the keys with unknown parts. Returns the keys whose last run could read and
    /// resolve all parts. A run without a change writes no entry to the journal. A sweep deletes
    /// the state of a key that does not exist any more.
    async fn known(&self, store: &dyn Store, turn: usize) -> Result<Vec<Key>, StoreError> {
        let unknown = self.keys.iter().filter(|(_, trouble)| !trouble.unknown.is_empty());
        let keys: Vec<Key> = unknown.filter_map(|(key, _)| key.parse().ok()).collect();
        let first = turn.saturating_mul(STATES).checked_rem(keys.len()).unwrap_or(0);
        let mut known = Vec::new();
        for key in keys.iter().cycle().skip(first).take(keys.len().min(STATES)) {
            let state = KeyState::get(store, key).await?;
            if state.is_none_or(|state| state.unknown.is_empty()) {
                known.push(key.clone());
            }
        }
        Ok(known)
    }

    /// Adds the problems that an entry of the journal reports.
    fn take(&mut self, entry: &Entry) {
        match &entry.detail {
            Detail::Run(run) => {
                if run.unknown.is_empty() && !self.keys.contains_key(&entry.key) {
                    return;
                }
                let trouble = self.keys.entry(entry.key.clone()).or_default();
                trouble.subject.clone_from(&entry.subject);
                trouble.unknown = run
                    .unknown
                    .iter()
                    .take(PARTS)
                    .map(|unknown| unknown_part(unknown, &trouble.unknown, entry.at))
                    .collect();
            }
            // The guard holds this contested change, so Beadle already reports the change as a held
            // change.
            Detail::Contested(contested) if contested.held && !self.keys.contains_key(&entry.key) => return,
            Detail::Contested(contested) => {
                let trouble = self.keys.entry(entry.key.clone()).or_default();
                trouble.subject.clone_from(&entry.subject);
                let (aspect, what) = (contested.aspect.clone(), contested.what.clone());
                trouble.contested.retain(|part| part.aspect != aspect || part.what != what);
                if !contested.held {
                    trouble.contested.truncate(PARTS - 1);
                    let (times, at) = (contested.times, entry.at);
                    trouble.contested.push(ContestedPart { aspect, what, times, at });
                }
            }
            Detail::Sweep(sweep) => {
                let counts = (sweep.summary.checked, sweep.summary.failed);
                self.place.sweeps.insert(entry.subject.clone(), counts);
                return;
            }
            _ => return,
        }
        self.touched.insert(entry.key.clone());
    }

    /// Stores the changes that the run of an entry reverted. If the same person makes the same
    /// change again, this is not a new problem.
    fn add_reverted(&mut self, entry: &Entry, parts: Vec<RevertedPart>) {
        if parts.is_empty() {
            return;
        }
        let trouble = self.keys.entry(entry.key.clone()).or_default();
        trouble.subject.clone_from(&entry.subject);
        for part in parts {
            trouble.reverted.retain(|known| (&known.aspect, &known.what) != (&part.aspect, &part.what));
            trouble.reverted.push(part);
        }
        let surplus = trouble.reverted.len().saturating_sub(REMEMBERED);
        trouble.reverted.drain(..surplus);
        self.touched.insert(entry.key.clone());
    }

    /// Removes the problems that have ended. `known` contains the keys without unknown parts.
    fn end(&mut self, known: &[Key], now: Time) {
        for key in known.iter().map(Key::as_str) {
            if let Some(trouble) = self.keys.get_mut(key) {
                trouble.unknown.clear();
                self.touched.insert(key.to_owned());
            }
        }
        for (key, trouble) in &mut self.keys {
            // If the time is in the future, a process stored the time while its clock was ahead.
            let since = trouble.unknown.iter_mut().map(|part| &mut part.since);
            let contested = trouble.contested.iter_mut().map(|part| &mut part.at);
            let times = since.chain(contested).chain(trouble.reverted.iter_mut().map(|part| &mut part.at));
            for time in times.filter(|time| **time > now) {
                *time = now;
                self.touched.insert(key.clone());
            }
            let count = trouble.contested.len() + trouble.reverted.len();
            trouble.contested.retain(|part| now.since(part.at) < CONTESTED);
            trouble.reverted.retain(|part| now.since(part.at) < REVERTED);
            if count != trouble.contested.len() + trouble.reverted.len() {
                self.touched.insert(key.clone());
            }
        }
    }

    /// Stores the changed notes.
    async fn keep(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        for key in std::mem::take(&mut self.touched) {
            let note = Note::<Trouble>::of(&[&key]);
            match self.keys.get(&key) {
                Some(trouble) if !trouble.is_over() => note.put(store, trouble).await?,
                _ => {
                    note.forget(store).await?;
                    self.keys.remove(&key);
                }
            }
        }
        Ok(())
    }

    /// Returns the problems. These are parts that were unknown for a long time, contested changes,
    /// and people's changes that Beadle reverted.
    pub(crate) fn problems(&self, now: Time) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (key, trouble) in &self.keys {
            let Ok(parsed) = key.parse::<Key>() else { continue };
            let problem = |kind: ProblemKind, aspect: &str, id: String, what: String, why: String| Problem {
                topic: Topic::new(kind, parsed.instance()).of_aspect(aspect),
                id,
                subject: if trouble.subject.is_empty() { key.clone() } else { trouble.subject.clone() },
                what,
                why,
                code: String::new(),
            };
            for UnknownPart { aspect, part, why, .. } in
                trouble.unknown.iter().filter(|part| now.since(part.since) >= LONG)
            {
                let id = format!("{key} {}", part.as_deref().unwrap_or_default());
                problems.push(problem(
                    ProblemKind::Unknown,
                    aspect,
                    id,
                    why.replace('\n', "; "),
                    String::new(),
                ));
            }
            for ContestedPart { aspect, what, times, .. } in &trouble.contested {
                let id = format!("{key} {what}");
                let what = if what.is_empty() { aspect.clone() } else { what.clone() };
                let why = format!("Beadle made the same change {times} times within an hour");
                problems.push(problem(ProblemKind::Contested, aspect, id, what, why));
            }
            for RevertedPart { aspect, what, why, .. } in &trouble.reverted {
                let id = format!("{key} {what}");
                problems.push(problem(ProblemKind::Reverted, aspect, id, what.clone(), why.clone()));
            }
        }
        problems
    }
}

/// Returns the number of the last entry before a gap in the journal. `entries` contains the entries
/// after the number `after`. The next pass reads the entries after a gap again, because another
/// process might still write the missing entry. Beadle does not wait for the entry of an old gap,
/// because no process wrote this entry, or the entry was deleted.
fn complete_until(after: u64, entries: &[Entry], now: Time) -> u64 {
    let is_recent = |entry: &Entry| entry.at <= now && now.since(entry.at) < WRITING;
    let mut until = after;
    for entry in entries {
        if entry.seq > until + 1 && is_recent(entry) {
            break;
        }
        until = entry.seq;
    }
    until
}

/// Returns the part together with the time when the part became unknown.
fn unknown_part(unknown: &Unknown, before: &[UnknownPart], at: Time) -> UnknownPart {
    let is_same = |part: &&UnknownPart| part.aspect == unknown.aspect && part.part == unknown.part;
    UnknownPart {
        aspect: unknown.aspect.clone(),
        part: unknown.part.clone(),
        why: unknown.why.clone(),
        since: before.iter().find(is_same).map_or(at, |part| part.since),
    }
}

#[cfg(test)]
mod tests;
