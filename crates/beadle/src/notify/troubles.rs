//! Follows the journal, and remembers for each key what is unknown and contested. The queue and the
//! holds show only the present, but a problem that lasts for an hour is another problem than one
//! that lasts for a second.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use beadle_engine::notify::{Problem, ProblemKind, Topic};
use beadle_engine::{Detail, Entry, Key, Listing, Metadata, Note, Row, Store, StoreError, Time, Unknown};
use serde::{Deserialize, Serialize};

/// How long a part must be unknown before it counts as a problem.
const LONG: Duration = Duration::from_secs(3600);
/// How long a change counts as contested after the journal reported it. While a change stays
/// contested, the journal reports it again within the hour.
const CONTESTED: Duration = Duration::from_secs(2 * 3600);
/// How far back Beadle reads the journal when it follows the journal for the first time.
const FIRST: Duration = Duration::from_secs(24 * 3600);
/// The number of journal entries that one call reads, and the maximum number of calls in a pass.
const PAGE: u32 = 1000;
const PAGES: usize = 20;
/// The maximum number of keys whose rows a pass reads.
const ROWS: usize = 500;

/// What is unknown and contested of one key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Trouble {
    /// The name of the key that people know.
    subject: String,
    /// The time of the last run that reported unknown parts.
    at: Time,
    unknown: Vec<UnknownPart>,
    contested: Vec<ContestedPart>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct UnknownPart {
    aspect: String,
    part: Option<String>,
    why: String,
    transient: bool,
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

/// How far Beadle has read the journal, and what the last sweeps reported.
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
    /// pass looks at the rows of other keys.
    pub(crate) async fn follow(store: &dyn Store, turn: usize, now: Time) -> Result<Self, StoreError> {
        let place = Note::<Place>::of(&[]).get(store).await?.unwrap_or_default();
        let keys = Note::<Trouble>::of(&[""]).list(store).await?.into_iter().collect();
        let mut all = Self { keys, place, touched: BTreeSet::new() };
        let before = all.place.clone();
        // A run writes its entry before its row shows that the run has ended. So the rows are read
        // before the journal: if a row shows the end of a later run, the journal has its entry.
        let rows = all.rows(store, turn).await?;
        for _ in 0..PAGES {
            let since = (all.place.after == 0).then(|| now - FIRST);
            let listing = Listing { after: all.place.after, since, key: None, limit: PAGE };
            let entries = store.entries(listing).await?;
            let Some(last) = entries.last() else { break };
            all.place.after = last.seq;
            entries.iter().for_each(|entry| all.take(entry));
        }
        all.end(&rows, now);
        all.keep(store).await?;
        if all.place != before {
            Note::<Place>::of(&[]).put(store, &all.place).await?;
        }
        Ok(all)
    }

    /// Returns the rows of some keys that have unknown parts.
    async fn rows(&self, store: &dyn Store, turn: usize) -> Result<Vec<Row>, StoreError> {
        let unknown = self.keys.iter().filter(|(_, trouble)| !trouble.unknown.is_empty());
        let keys: Vec<Key> = unknown.filter_map(|(key, _)| key.parse().ok()).collect();
        let first = turn.saturating_mul(ROWS).checked_rem(keys.len()).unwrap_or(0);
        let mut rows = Vec::new();
        for key in keys.iter().cycle().skip(first).take(keys.len().min(ROWS)) {
            rows.extend(store.row(key).await?);
        }
        Ok(rows)
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
                trouble.at = entry.at;
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

    /// Ends what is over.
    fn end(&mut self, rows: &[Row], now: Time) {
        for row in rows {
            let key = row.key.as_str();
            if !self.touched.contains(key)
                && let Some(trouble) = self.keys.get_mut(key)
                && trouble.is_over(row)
            {
                trouble.unknown.clear();
                self.touched.insert(key.to_owned());
            }
        }
        for (key, trouble) in &mut self.keys {
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
            };
            for UnknownPart { aspect, part, why, .. } in
                trouble.unknown.iter().filter(|part| now.since(part.since) >= LONG)
            {
                let id = format!("{key} {}", part.as_deref().unwrap_or_default());
                problems.push(problem(ProblemKind::Unknown, aspect, id, why.clone(), String::new()));
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

impl Trouble {
    /// Returns whether a run that reported no unknown part ended after the last one that did. Such a
    /// run leaves no entry in the journal if it has nothing to do.
    fn is_over(&self, row: &Row) -> bool {
        let is_idle = !row.is_pending()
            && row.lease_until.is_none()
            && row.parked.is_none()
            && row.last_error.is_none();
        // A run with only transient unknown parts ends with an error, and its key stays due.
        is_idle && (row.first_dirty > self.at || self.unknown.iter().all(|part| part.transient))
    }
}

/// Returns the part, with the time since which it has been unknown.
fn unknown_part(unknown: &Unknown, before: &[UnknownPart], at: Time) -> UnknownPart {
    let is_same = |part: &&UnknownPart| part.aspect == unknown.aspect && part.part == unknown.part;
    UnknownPart {
        aspect: unknown.aspect.clone(),
        part: unknown.part.clone(),
        why: unknown.why.clone(),
        transient: unknown.transient,
        since: before.iter().find(is_same).map_or(at, |part| part.since),
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::EntryKind;
    use beadle_engine::journal::{ContestedAspect, RunCounts, SweepEnd, SweepSummary};

    use super::*;

    const KEY: &str = "repository:acme:7";

    fn entry(seconds: i64, kind: EntryKind, detail: Detail) -> Entry {
        let (key, subject) = (KEY.to_owned(), "acme/shop".to_owned());
        Entry { seq: 1, at: Time::from_seconds(seconds), kind, key, subject, intent: None, detail }
    }

    fn run(seconds: i64, unknown: &[(&str, bool)]) -> Entry {
        let unknown = unknown.iter().map(|(aspect, transient)| Unknown {
            aspect: (*aspect).to_owned(),
            part: None,
            why: "team `security` is missing".into(),
            transient: *transient,
        });
        let counts = RunCounts {
            changes: 0,
            written: 0,
            held: 0,
            withheld: None,
            failed: 0,
            postponed: None,
            unknown: unknown.collect(),
            unwritten: None,
            after: None,
        };
        entry(seconds, EntryKind::Run, Detail::Run(counts))
    }

    fn row(first_dirty: i64) -> Row {
        Row { first_dirty: Time::from_seconds(first_dirty), ..Row::new(KEY.parse().unwrap()) }
    }

    fn kinds(troubles: &Troubles, seconds: i64) -> Vec<String> {
        let problems = troubles.problems(Time::from_seconds(seconds)).into_iter();
        problems.map(|problem| format!("{} {}", problem.topic.kind, problem.topic.aspect)).collect()
    }

    #[test]
    fn a_part_is_a_problem_after_an_hour_and_until_a_run_can_read_it() {
        let mut troubles = Troubles::default();
        troubles.take(&run(10, &[("teams", false)]));
        troubles.take(&run(1000, &[("teams", false), ("labels", false)]));
        assert!(kinds(&troubles, 3609).is_empty());
        assert_eq!(kinds(&troubles, 3610), ["unknown teams"]);
        assert_eq!(kinds(&troubles, 5000), ["unknown teams", "unknown labels"]);
        troubles.take(&run(5000, &[("labels", false)]));
        assert_eq!(kinds(&troubles, 5000), ["unknown labels"]);
        // A clean run without anything to do leaves no entry.
        for (row, is_over) in [
            (Row { wanted: 1, ..row(6000) }, false),
            (Row { last_error: Some("502".into()), ..row(6000) }, false),
            (row(4000), false),
            (row(6000), true),
        ] {
            troubles.touched.clear();
            troubles.end(&[row], Time::from_seconds(6000));
            assert_eq!(kinds(&troubles, 9000).is_empty(), is_over);
        }
    }

    #[test]
    fn a_part_that_only_an_outage_hid_is_known_when_the_key_has_no_error() {
        let mut troubles = Troubles::default();
        troubles.take(&run(10, &[("teams", true)]));
        troubles.touched.clear();
        troubles.end(&[row(5)], Time::from_seconds(20));
        assert!(kinds(&troubles, 9000).is_empty());
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
