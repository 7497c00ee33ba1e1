//! Follows the journal, and remembers the unknown parts, the contested changes and the reverted
//! changes of each key. The states of the keys and the holds show only the present, but a problem
//! must last for some time before Beadle reports it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use beadle_engine::notify::{Problem, ProblemKind, Topic};
use beadle_engine::{
    Detail, Entry, Key, KeyState, Listing, Metadata, Note, Store, StoreError, Time, Unknown,
};
use serde::{Deserialize, Serialize};

use super::reverted::{RevertedPart, reverted_by};

#[cfg(test)]
mod reverted_tests;

/// The time for which a part must be unknown before it counts as a problem.
const LONG: Duration = Duration::from_secs(3600);
/// The time for which a change counts as contested after the journal reported it. While a change
/// stays contested, the journal reports it again within the hour.
const CONTESTED: Duration = Duration::from_secs(2 * 3600);
/// How long a change of a person counts as reverted after Beadle changed it back.
const REVERTED: Duration = Duration::from_secs(24 * 3600);
/// The maximum number of reverted changes of one key that are remembered.
const REMEMBERED: usize = 20;
/// The maximum age of the entries that Beadle reads when it follows the journal for the first time.
const FIRST: Duration = Duration::from_secs(24 * 3600);
/// The number of journal entries that one call reads, and the maximum number of calls in a pass.
const PAGE: u32 = 1000;
const PAGES: usize = 20;
/// The maximum number of keys whose states a pass reads.
const STATES: usize = 500;

/// The unknown parts, the contested changes and the reverted changes of one key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Trouble {
    /// The name of the key that people know.
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

/// The place up to which Beadle has read the journal, and the results of the last sweeps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Place {
    after: u64,
    /// The numbers of checked and of failed keys in the last sweep, by organisation or directory.
    pub(crate) sweeps: BTreeMap<String, (u64, u64)>,
}

impl Metadata for Place {
    const KIND: &'static str = "trouble-place";
}

/// The troubles of all keys, and the last sweeps.
#[derive(Default)]
pub(crate) struct Troubles {
    keys: BTreeMap<String, Trouble>,
    pub(crate) place: Place,
    touched: BTreeSet<String>,
}

impl Troubles {
    /// Reads the new entries of the journal. `turn` is the number of the pass: with many keys, each
    /// pass looks at the states of other keys.
    pub(crate) async fn follow(store: &dyn Store, turn: usize, now: Time) -> Result<Self, StoreError> {
        let place = Note::<Place>::of(&[]).get(store).await?.unwrap_or_default();
        let keys = Note::<Trouble>::of(&[""]).list(store).await?.into_iter().collect();
        let mut all = Self { keys, place, touched: BTreeSet::new() };
        // A run stores the state of its key before it writes its entry. So the states are read
        // before the journal: the entry of a run that ended in between is newer than the state.
        let mut known = all.known(store, turn).await?;
        for _ in 0..PAGES {
            let since = (all.place.after == 0).then(|| now - FIRST);
            let listing = Listing { after: all.place.after, since, key: None, limit: PAGE };
            let entries = store.entries(listing).await?;
            let Some(last) = entries.last() else { break };
            all.place.after = last.seq;
            for entry in &entries {
                all.take(entry);
                all.add_reverted(entry, reverted_by(store, entry).await?);
            }
            known.retain(|key| !all.touched.contains(key.as_str()));
            // The driver may cut off a pass. The next pass continues after the last stored page.
            all.keep(store).await?;
            Note::<Place>::of(&[]).put(store, &all.place).await?;
        }
        all.end(&known, now);
        all.keep(store).await?;
        Ok(all)
    }

    /// Looks at some of the keys with unknown parts. Returns those whose last run could read and
    /// resolve all parts. A run without anything to do leaves no entry in the journal. A sweep
    /// deletes the state of a key that does not exist any more.
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
                    .map(|unknown| unknown_part(unknown, &trouble.unknown, entry.at))
                    .collect();
            }
            // The guard holds the other contested changes, so they are holds.
            Detail::Contested(contested) if !contested.held => {
                let trouble = self.keys.entry(entry.key.clone()).or_default();
                trouble.subject.clone_from(&entry.subject);
                let (aspect, what) = (contested.aspect.clone(), contested.what.clone());
                trouble.contested.retain(|part| part.aspect != aspect || part.what != what);
                trouble.contested.push(ContestedPart { aspect, what, times: contested.times, at: entry.at });
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

    /// Takes over what the run of an entry changed back. If the same person makes the same change
    /// again, it stays the same problem.
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

    /// Removes the problems that have ended. `known` has the keys without unknown parts.
    fn end(&mut self, known: &[Key], now: Time) {
        for key in known.iter().map(Key::as_str) {
            if let Some(trouble) = self.keys.get_mut(key) {
                trouble.unknown.clear();
                self.touched.insert(key.to_owned());
            }
        }
        for (key, trouble) in &mut self.keys {
            let count = trouble.contested.len() + trouble.reverted.len();
            trouble.contested.retain(|part| now.since(part.at) < CONTESTED);
            trouble.reverted.retain(|part| now.since(part.at) < REVERTED);
            if count != trouble.contested.len() + trouble.reverted.len() {
                self.touched.insert(key.clone());
            }
        }
    }

    /// Stores what has changed.
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

    /// Returns the problems: parts that have been unknown for long, contested changes, and changes of
    /// people that Beadle changed back.
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

/// Returns the part, with the time since which it has been unknown.
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
mod tests {
    use beadle_engine::journal::{ContestedAspect, RunCounts, SweepEnd, SweepSummary};
    use beadle_engine::{EntryKind, Report};

    use super::*;

    const KEY: &str = "repository:acme:7";

    fn entry(seconds: i64, kind: EntryKind, detail: Detail) -> Entry {
        let (key, subject) = (KEY.to_owned(), "acme/shop".to_owned());
        Entry { seq: 1, at: Time::from_seconds(seconds), kind, key, subject, intent: None, detail }
    }

    fn unknown(aspect: &str) -> Unknown {
        let why = "team `security` is missing".into();
        Unknown { aspect: aspect.to_owned(), part: None, why, transient: false }
    }

    fn run(seconds: i64, aspects: &[&str]) -> Entry {
        let counts = RunCounts {
            changes: 0,
            written: 0,
            held: 0,
            withheld: None,
            failed: 0,
            postponed: None,
            unknown: aspects.iter().map(|aspect| unknown(aspect)).collect(),
            unwritten: None,
            after: None,
        };
        entry(seconds, EntryKind::Run, Detail::Run(counts))
    }

    fn kinds(troubles: &Troubles, seconds: i64) -> Vec<String> {
        let problems = troubles.problems(Time::from_seconds(seconds)).into_iter();
        problems.map(|problem| format!("{} {}", problem.topic.kind, problem.topic.aspect)).collect()
    }

    #[test]
    fn a_part_is_a_problem_after_an_hour_and_until_a_run_can_read_it() {
        let mut troubles = Troubles::default();
        troubles.take(&run(10, &["teams"]));
        troubles.take(&run(1000, &["teams", "labels"]));
        assert!(kinds(&troubles, 3609).is_empty());
        assert_eq!(kinds(&troubles, 3610), ["unknown teams"]);
        assert_eq!(kinds(&troubles, 5000), ["unknown teams", "unknown labels"]);
        troubles.take(&run(5000, &["labels"]));
        assert_eq!(kinds(&troubles, 5000), ["unknown labels"]);
        troubles.end(&[], Time::from_seconds(6000));
        assert_eq!(kinds(&troubles, 9000), ["unknown labels"]);
        let known: Key = KEY.parse().unwrap();
        troubles.end(&[known], Time::from_seconds(6000));
        assert!(kinds(&troubles, 9000).is_empty());
    }

    #[tokio::test]
    async fn a_key_is_known_when_its_last_run_left_nothing_unknown() {
        let (_folder, store) = crate::app::store::temporary().unwrap();
        let store = store.as_ref();
        let key: Key = KEY.parse().unwrap();
        let left = |unknowns: Vec<Unknown>| Report {
            subject: "acme/shop".into(),
            steps: Vec::new(),
            unknowns,
            skipped: None,
            failure: None,
        };
        let problems = async |seconds: i64| {
            let now = Time::from_seconds(seconds);
            Troubles::follow(store, 0, now).await.unwrap().problems(now).len()
        };
        KeyState::record(store, &key, &left(vec![unknown("teams")]), Time::from_seconds(10)).await.unwrap();
        store.journal(None, vec![run(10, &["teams"])], Time::from_seconds(10)).await.unwrap();
        assert_eq!((problems(20).await, problems(4000).await), (0, 1));
        // A run without anything to do leaves no entry.
        KeyState::record(store, &key, &left(Vec::new()), Time::from_seconds(4010)).await.unwrap();
        assert_eq!(problems(4020).await, 0);
        assert!(Note::<Trouble>::of(&[""]).list(store).await.unwrap().is_empty(), "the note is deleted");
    }

    #[test]
    fn a_contested_change_is_a_problem_until_the_journal_is_silent_about_it() {
        let contested = |seconds, held| {
            let (aspect, what) = ("teams".to_owned(), "team platform".to_owned());
            let detail = ContestedAspect { aspect, what, times: 5, held };
            entry(seconds, EntryKind::Contested, Detail::Contested(detail))
        };
        let mut troubles = Troubles::default();
        troubles.take(&contested(0, true));
        assert!(kinds(&troubles, 0).is_empty(), "it is a hold");
        troubles.take(&contested(0, false));
        troubles.take(&contested(3600, false));
        troubles.end(&[], Time::from_seconds(10_799));
        assert_eq!(kinds(&troubles, 10_799), ["contested teams"]);
        troubles.end(&[], Time::from_seconds(10_800));
        assert!(kinds(&troubles, 10_800).is_empty());
    }

    #[test]
    fn the_last_sweep_of_each_organisation_is_known() {
        let mut troubles = Troubles::default();
        for failed in [3, 0] {
            let summary = SweepSummary { checked: 9, failed, ..SweepSummary::default() };
            let mut sweep = entry(1, EntryKind::Sweep, Detail::Sweep(SweepEnd { summary, took_s: 1 }));
            sweep.subject = "acme".into();
            troubles.take(&sweep);
            assert_eq!(troubles.place.sweeps["acme"], (9, failed));
        }
    }
}
