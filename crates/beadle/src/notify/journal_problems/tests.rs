use beadle_engine::journal::{ContestedAspect, RunCounts, SweepEnd, SweepSummary};
use beadle_engine::{EntryKind, Report};

use super::*;

const KEY: &str = "repository:acme:7";

fn entry(seconds: i64, kind: EntryKind, detail: Detail) -> Entry {
    let (key, subject) = (KEY.to_owned(), "acme/shop".to_owned());
    Entry { seq: 1, at: Time::from_seconds(seconds), kind, key, subject, intent: None, trace: None, detail }
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
        undone: None,
        failed: 0,
        postponed: None,
        unknown: aspects.iter().map(|aspect| unknown(aspect)).collect(),
        unwritten: None,
        after: None,
        is_undo: false,
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
    // A run without a change writes no entry.
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
        // The writer of the missing entry has failed, or old entries were deleted.
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
        let mut sweep =
            entry(1, EntryKind::Sweep, Detail::Sweep(SweepEnd { summary, took_s: 1, unreadable: 0 }));
        sweep.subject = "acme".into();
        troubles.take(&sweep);
        assert_eq!(troubles.place.sweeps["acme"], (9, failed));
    }
}
