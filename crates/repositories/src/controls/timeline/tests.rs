use std::sync::Arc;

use beadle_engine::journal::{SweepEnd, SweepSummary};
use beadle_engine::{Entry, EntryKind, Key, Lane, Mark, Outcome, ParkReason};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};

use super::*;
use crate::controls::state::ControlLine;

/// A store with the record of some repositories.
struct Record {
    store: Arc<dyn Store>,
    _folder: tempfile::TempDir,
}

impl Record {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("beadle.db"), SqliteSettings::default()).unwrap();
        let controls = ["branches[main].protection.enforce_admins", "teams", "teams[core].permission"];
        let line = ControlLine { value: "true".into(), line: 3 };
        let controls = controls.map(|path| (path.to_owned(), line.clone())).into();
        let lines = ControlLines { at: Time(0), file: "settings.yml".into(), commit: "c1".into(), controls };
        ControlLines::note("acme", "d", Time(0)).put(&store, &lines).await.unwrap();
        Self { store: Arc::new(store), _folder: folder }
    }

    /// Stores a state of a repository.
    async fn state(&self, id: &str, at: i64, change: impl FnOnce(&mut ControlState)) {
        let mut state = ControlState {
            at: Time(at),
            subject: format!("acme/r{id}"),
            commit: "c1".into(),
            lines: vec!["d".into()],
            ..ControlState::default()
        };
        change(&mut state);
        ControlState::note("acme", id, state.at).put(self.store.as_ref(), &state).await.unwrap();
    }

    /// Records a sweep.
    async fn sweep(&self, begun: i64, ended: i64) {
        let took_s = u64::try_from((ended - begun) / 1000).unwrap();
        let entry = Entry {
            seq: 0,
            at: Time(ended),
            kind: EntryKind::Sweep,
            key: "sweep:acme".into(),
            subject: "acme".into(),
            intent: None,
            trace: None,
            detail: Detail::Sweep(SweepEnd { summary: SweepSummary::default(), took_s, unreadable: 0 }),
        };
        self.store.journal(None, vec![entry], Time(ended)).await.unwrap();
    }

    async fn rows(&self, at: i64, control: Option<&str>) -> Vec<ControlRow> {
        let timeline = Timeline::read(self.store.as_ref(), "acme", Time(at)).await.unwrap();
        timeline.repositories().iter().flat_map(|one| timeline.rows(one, control)).collect()
    }

    /// Makes a report about all keys of the first repository, and returns the time of the most
    /// recent check.
    async fn last_checked(&self, at: i64) -> Option<i64> {
        self.rows(at, None).await[0].last_checked.map(|time| time.0)
    }
}

fn waived(key: &str, until: i64) -> Waived {
    Waived {
        key: key.into(),
        until: Time(until).to_string(),
        reason: "release".into(),
        owner: "mona".into(),
        asked: None,
    }
}

fn nothing(_: &mut ControlState) {}

#[tokio::test]
async fn a_control_has_its_status_since_the_first_state_that_has_it_without_a_gap() {
    let record = Record::new().await;
    let not_met = |state: &mut ControlState| {
        state.not_met.insert("teams".into(), "the guard holds the repair".into());
    };
    record.state("1", 1000, nothing).await;
    record.state("1", 2000, not_met).await;
    record.state("1", 3000, nothing).await;
    record.state("1", 4000, |state| state.subject = "acme/new".into()).await;
    for (at, name, status, since) in [
        (1000, "acme/r1", "met", 1000),
        (1999, "acme/r1", "met", 1000),
        (2500, "acme/r1", "not met", 2000),
        (3000, "acme/r1", "met", 3000),
        (9000, "acme/new", "met", 3000),
    ] {
        let rows = record.rows(at, Some("teams")).await;
        let found: Vec<(&str, &str)> =
            rows.iter().map(|row| (row.control.as_str(), row.status.as_str())).collect();
        assert_eq!(found, [("teams", status), ("teams[core].permission", "met")], "{at}");
        assert_eq!((rows[0].repository.as_str(), rows[0].since), (name, Some(Time(since))), "{at}");
        assert_eq!(rows[1].since, Some(Time(1000)), "{at}");
    }
    assert_eq!(record.rows(999, None).await[0].status, ControlStatus::NotRecorded);
}

#[tokio::test]
async fn a_sweep_that_ended_checked_every_repository_whose_runs_succeed() {
    let record = Record::new().await;
    record.state("1", 10_000, nothing).await;
    record.sweep(1000, 3000).await;
    assert_eq!(record.last_checked(15_000).await, Some(10_000), "the sweep is from before the first record");
    record.sweep(20_000, 30_000).await;
    assert_eq!(record.last_checked(29_999).await, Some(10_000), "the sweep has not ended");
    // The journal contains the duration in whole seconds. So the computed start of a sweep can be
    // one second too early.
    assert_eq!(record.last_checked(30_000).await, Some(19_000));
    record.state("1", 40_000, |state| state.failed = Some("502".into())).await;
    record.sweep(50_000, 60_000).await;
    assert_eq!(record.last_checked(70_000).await, Some(19_000), "the runs fail");
    record.state("1", 80_000, nothing).await;
    assert_eq!(record.last_checked(90_000).await, Some(80_000));
}

#[tokio::test]
async fn a_control_that_a_sweep_did_not_read_counts_as_checked_at_its_last_read() {
    const AGE: Duration = Duration::from_secs(20);
    let controls = [
        "autolinks[T-]",
        "pages.build_type",
        "repository.has_wiki",
        "repository.security_and_analysis",
        "teams[core]",
    ];
    let line = ControlLine { value: "true".into(), line: 3 };
    let controls = controls.map(|path| (path.to_owned(), line.clone())).into();
    let lines = ControlLines { at: Time(0), file: "settings.yml".into(), commit: "c1".into(), controls };
    let record = Record::new().await;
    ControlLines::note("acme", "e", Time(0)).put(record.store.as_ref(), &lines).await.unwrap();
    record.state("1", 10_000, |state| state.lines = vec!["e".into()]).await;
    record.sweep(51_000, 60_000).await;
    let checked = async |at: i64| {
        let timeline =
            Timeline::read(record.store.as_ref(), "acme", Time(at)).await.unwrap().with_oldest(AGE);
        let rows = timeline.rows(&timeline.repositories()[0], None).into_iter();
        rows.map(|row| row.last_checked.unwrap().0).collect::<Vec<_>>()
    };
    assert_eq!(checked(70_000).await, [50_000; 5], "every run reads all parts");
    let read = |at: i64| beadle_engine::PartRead { at: Time(at), declared: "d".into(), agreed: None };
    let reads = LastRead { parts: [("autolinks".to_owned(), read(42_000))].into() };
    let key = Key::new("repository", "acme", 1);
    LastRead::note(&key).put(record.store.as_ref(), &reads).await.unwrap();
    // For the other parts, the store does not contain the time of the last read. So the report
    // shows the earliest possible time.
    assert_eq!(checked(70_000).await, [42_000, 30_000, 50_000, 30_000, 50_000]);
    let reads = LastRead { parts: [("autolinks".to_owned(), read(80_000))].into() };
    LastRead::note(&key).put(record.store.as_ref(), &reads).await.unwrap();
    assert_eq!(checked(70_000).await[0], 30_000, "the read was after the moment of the report");
}

#[tokio::test]
async fn a_sweep_does_not_check_a_parked_repository() {
    let record = Record::new().await;
    record.state("1", 10_000, nothing).await;
    let key = Key::new("repository", "acme", 1);
    record.store.mark(vec![Mark::new(key.clone(), Lane::Event)], Time(15_000)).await.unwrap();
    let claim = record.store.claim_key(&key, Time(20_000)).await.unwrap().unwrap();
    let parked = Outcome::Park(ParkReason::Failed, "no result".into());
    assert!(record.store.finish(&claim.lease, parked, Time(21_000)).await.unwrap());
    record.sweep(30_000, 40_000).await;
    assert_eq!(record.last_checked(50_000).await, Some(10_000));
}

#[tokio::test]
async fn a_waiver_is_in_the_report_of_every_key_that_it_exempts_until_its_end() {
    let record = Record::new().await;
    record.state("1", 1000, |state| state.waived = vec![waived("branches", 5000)]).await;
    for (at, status, since) in [(4999, "waived", 1000), (5000, "unknown", 5000), (9000, "unknown", 5000)] {
        let rows = record.rows(at, Some("branches.release.enforce_admins")).await;
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!((row.control.as_str(), row.status.as_str()), ("branches", status), "{at}");
        assert_eq!((row.since, row.policy.as_deref()), (Some(Time(since)), Some("beadle waive")), "{at}");
    }
    let all = record.rows(4999, None).await;
    assert_eq!(all.len(), 4, "the state still has the control of the test: {all:?}");
}

#[tokio::test]
async fn a_repository_outside_of_the_policy_has_one_row_and_a_gone_one_has_none() {
    let record = Record::new().await;
    let outside = |why: &str| {
        let why = why.to_owned();
        move |state: &mut ControlState| {
            state.lines.clear();
            state.outside = Some(why);
        }
    };
    record.state("1", 1000, outside("archived")).await;
    record.state("2", 1000, nothing).await;
    record.state("2", 2000, outside(GONE)).await;
    record.state("3", 1000, |state| state.lines = vec!["other".into()]).await;
    let rows = record.rows(3000, Some("teams")).await;
    let found: Vec<(&str, &str, &str)> =
        rows.iter().map(|row| (row.repository.as_str(), row.status.as_str(), row.cause.as_str())).collect();
    assert_eq!(
        found,
        [("acme/r1", "not applicable", "archived"), ("acme/r3", "unknown", NO_LINES)],
        "the lines of r3 are lost"
    );
    let names: Vec<String> = record.rows(1500, None).await.into_iter().map(|row| row.repository).collect();
    assert!(names.contains(&"acme/r2".to_owned()), "{names:?}");
}
