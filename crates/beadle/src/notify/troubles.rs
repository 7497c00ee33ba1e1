//! Follows the journal, and remembers for each key what is unknown and contested. The states of the
//! keys and the holds show only the present, but a problem that lasts for an hour is another
//! problem than one that lasts for a second.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use beadle_engine::notify::{Problem, ProblemKind, Topic};
use beadle_engine::{
    Detail, Entry, Key, KeyState, Listing, Metadata, Note, Store, StoreError, Time, Unknown,
};
use serde::{Deserialize, Serialize};

/// How long a part must be unknown before it counts as a problem.
const LONG: Duration = Duration::from_secs(3600);
/// How long a change counts as contested after the journal reported it. While a change stays
/// contested, the journal reports it again within the hour.
const CONTESTED: Duration = Duration::from_secs(2 * 3600);
/// How far back Beadle reads the journal when it follows the journal for the first time, or for the
/// first time after a long interruption.
const FIRST: Duration = Duration::from_secs(24 * 3600);
/// The number of journal entries that one call reads, and the maximum number of calls in a pass.
const PAGE: u32 = 1000;
const PAGES: usize = 20;
/// The maximum number of keys whose states a pass reads.
const STATES: usize = 500;
/// The maximum number of unknown parts, and of contested changes, to remember of one key. A note must
/// stay small.
const PARTS: usize = 50;
/// How long a writer of the journal needs at most after it has reserved a number. In DynamoDB, an
/// entry can become visible later than an entry with a larger number.
const WRITING: Duration = Duration::from_secs(60);

/// What is unknown and contested of one key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Trouble {
    /// The name of the key that people know.
    subject: String,
    unknown: Vec<UnknownPart>,
    contested: Vec<ContestedPart>,
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

/// How far Beadle has read the journal without a gap, and what the last sweeps reported.
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
        let (mut after, mut has_gap) = (all.place.after, false);
        for _ in 0..PAGES {
            let since = (after == 0).then(|| now - FIRST);
            let entries = store.entries(Listing { after, since, key: None, limit: PAGE }).await?;
            let (Some(first), Some(last)) = (entries.first(), entries.last()) else { break };
            if since.is_none() && now.since(first.at) > FIRST {
                // There was no channel for a long time. What is known of the keys and the sweeps is out
                // of date.
                all.place.sweeps.clear();
                all.touched.extend(std::mem::take(&mut all.keys).into_keys());
                all.keep(store).await?;
                (after, known) = (0, Vec::new());
                continue;
            }
            after = last.seq;
            let before = all.place.clone();
            if since.is_some() {
                // The older entries are left out on purpose.
                all.place.after = first.seq.saturating_sub(1);
            }
            for entry in &entries {
                all.take(entry);
            }
            known.retain(|key| !all.touched.contains(key.as_str()));
            // The driver may cut off a pass. The next pass continues after the last stored page.
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

    /// Returns those of some keys with unknown parts whose last run could read and resolve all
    /// parts. A run without anything to do leaves no entry in the journal. A sweep deletes the
    /// state of a key that does not exist any more.
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

    /// Takes over what an entry of the journal reports.
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
            // The guard holds the other contested changes, so they are holds.
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

    /// Ends what is over. `known` has the keys without unknown parts.
    fn end(&mut self, known: &[Key], now: Time) {
        for key in known.iter().map(Key::as_str) {
            if let Some(trouble) = self.keys.get_mut(key) {
                trouble.unknown.clear();
                self.touched.insert(key.to_owned());
            }
        }
        for (key, trouble) in &mut self.keys {
            // A time in the future was stored while the clock was ahead.
            let since = trouble.unknown.iter_mut().map(|part| &mut part.since);
            let times = since.chain(trouble.contested.iter_mut().map(|part| &mut part.at));
            for time in times.filter(|time| **time > now) {
                *time = now;
                self.touched.insert(key.clone());
            }
            let count = trouble.contested.len();
            trouble.contested.retain(|part| now.since(part.at) < CONTESTED);
            if count != trouble.contested.len() {
                self.touched.insert(key.clone());
            }
        }
    }

    /// Stores what has changed.
    async fn keep(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        for key in std::mem::take(&mut self.touched) {
            let note = Note::<Trouble>::of(&[&key]);
            match self.keys.get(&key) {
                Some(trouble) if !trouble.unknown.is_empty() || !trouble.contested.is_empty() => {
                    note.put(store, trouble).await?;
                }
                _ => {
                    note.forget(store).await?;
                    self.keys.remove(&key);
                }
            }
        }
        Ok(())
    }

    /// Returns the problems: parts that have been unknown for long, and contested changes.
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
        }
        problems
    }
}

/// Returns the number up to which the journal is complete. `entries` are the entries after `after`.
/// The next pass reads the entries after a gap again, because another process can still write the
/// missing entry. An old gap stays: its entry was never written, or Beadle deleted it.
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

    #[tokio::test]
    async fn after_a_long_interruption_only_the_last_day_of_the_journal_counts() {
        let (_folder, store) = crate::app::store::temporary().unwrap();
        let store = store.as_ref();
        let write = async |entry: Entry| store.journal(None, vec![entry], Time(0)).await.unwrap();
        write(run(10, &["teams"])).await;
        Troubles::follow(store, 0, Time::from_seconds(20)).await.unwrap();
        write(Entry { key: "repository:acme:8".into(), ..run(30, &["labels"]) }).await;
        write(Entry { key: "repository:acme:9".into(), ..run(200_000, &["topics"]) }).await;
        let troubles = Troubles::follow(store, 0, Time::from_seconds(200_010)).await.unwrap();
        assert!(kinds(&troubles, 200_010).is_empty(), "{:?}", troubles.keys);
        assert_eq!(kinds(&troubles, 203_600), ["unknown topics"]);
        assert_eq!(Note::<Trouble>::of(&[""]).list(store).await.unwrap().len(), 1);
        assert_eq!(troubles.place.after, 3);
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
        troubles.take(&contested(10, true));
        assert!(kinds(&troubles, 10).is_empty(), "it has become a hold, and counts once");
        troubles.take(&contested(3600, false));
        troubles.end(&[], Time::from_seconds(10_799));
        assert_eq!(kinds(&troubles, 10_799), ["contested teams"]);
        troubles.end(&[], Time::from_seconds(10_800));
        assert!(kinds(&troubles, 10_800).is_empty());
    }

    #[test]
    fn an_entry_that_becomes_visible_late_is_read() {
        let entry = |seq: u64, seconds: i64| Entry { seq, ..run(seconds, &["teams"]) };
        let now = Time::from_seconds(1000);
        for (after, entries, expected) in [
            (0, vec![entry(1, 999), entry(2, 999)], 2),
            (4, vec![entry(5, 999), entry(7, 999), entry(8, 999)], 5),
            (4, vec![entry(6, 999)], 4),
            // The writer of the missing entry has failed, or the journal was cut.
            (4, vec![entry(5, 930), entry(7, 939), entry(9, 999)], 7),
            (0, vec![entry(5000, 10), entry(5001, 999)], 5001),
            // The clock of the writer was ahead.
            (4, vec![entry(6, 5000)], 6),
        ] {
            let numbers: Vec<u64> = entries.iter().map(|entry| entry.seq).collect();
            assert_eq!(complete_until(after, &entries, now), expected, "{after}, {numbers:?}");
        }
    }

    #[test]
    fn a_clock_that_was_ahead_hides_no_unknown_part_and_keeps_no_contested_change() {
        let (mut troubles, year) = (Troubles::default(), 365 * 24 * 3600);
        troubles.take(&run(year, &["labels"]));
        let detail =
            ContestedAspect { aspect: "teams".into(), what: "team platform".into(), times: 5, held: false };
        troubles.take(&entry(year, EntryKind::Contested, Detail::Contested(detail)));
        troubles.end(&[], Time::from_seconds(0));
        assert_eq!(kinds(&troubles, 3600), ["unknown labels", "contested teams"]);
        troubles.end(&[], Time::from_seconds(7200));
        assert_eq!(kinds(&troubles, 7200), ["unknown labels"]);
    }

    #[test]
    fn a_key_with_many_problems_has_a_small_note() {
        let aspects: Vec<String> = (0..1000).map(|n| format!("aspect {n}")).collect();
        let aspects: Vec<&str> = aspects.iter().map(String::as_str).collect();
        let mut troubles = Troubles::default();
        troubles.take(&run(0, &aspects));
        for aspect in aspects {
            let detail =
                ContestedAspect { aspect: aspect.to_owned(), what: String::new(), times: 5, held: false };
            troubles.take(&entry(0, EntryKind::Contested, Detail::Contested(detail)));
        }
        let trouble = &troubles.keys[KEY];
        assert_eq!((trouble.unknown.len(), trouble.contested.len()), (PARTS, PARTS));
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
