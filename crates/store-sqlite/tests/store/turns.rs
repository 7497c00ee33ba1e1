//! Tests of parallel writes with a real store, in simulated time. The vendor needs 100 ms for each
//! write.

use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::store::prelude::*;
use beadle_engine::{
    ApplyContext, Change, Class, Clock, EntryKind, Failure, Field, Key, Lane, Limits, Listing, Mode, Plan,
    PlanWriter, Remembered, Report, Risk, Session, StepResult, Time, Turn, WritePace, apply,
};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use serde_json::json;

const CALL: Duration = Duration::from_millis(100);

/// A simulated vendor that records the time of each write.
#[derive(Clone)]
struct Vendor {
    store: Arc<SqliteStore>,
    clock: Clock,
    /// The write that fails, and the class of its failure. The failure arrives after half of the
    /// usual duration of a write.
    failing: Option<(&'static str, Class)>,
    /// A number of writes. After this number, somebody pauses the organisation.
    pause_at: Option<usize>,
    reached: Arc<Mutex<Vec<(String, Time)>>>,
}

#[async_trait]
impl PlanWriter<Turn> for Vendor {
    async fn open(
        &self,
        _: &Key,
        _: &Plan<Turn>,
        _: Time,
        _: Lane,
    ) -> Result<Box<dyn Session<Turn>>, Failure> {
        Ok(Box::new(self.clone()))
    }

    fn turn(&self, change: &Change<Turn>) -> Turn {
        change.write
    }
}

#[async_trait]
impl Session<Turn> for Vendor {
    async fn write(&self, change: &Change<Turn>) -> Result<(), Failure> {
        let count = {
            let mut reached = self.reached.lock();
            reached.push((change.what.clone(), self.clock.now()));
            reached.len()
        };
        if self.pause_at == Some(count) {
            self.store.pause("acme", self.clock.now() + Duration::from_secs(600)).await?;
        }
        if let Some((what, class)) = self.failing.filter(|(what, _)| *what == change.what) {
            self.clock.sleep(CALL / 2).await;
            return Err(Failure::new(class, what));
        }
        self.clock.sleep(CALL).await;
        Ok(())
    }
}

struct World {
    vendor: Vendor,
    plan: Plan<Turn>,
    begun: Time,
}

impl World {
    fn new(folder: &Path) -> Self {
        let store =
            Arc::new(SqliteStore::open_inline(&folder.join("b.db"), SqliteSettings::default()).unwrap());
        let clock = Clock::simulated(Time(1_000_000_000));
        let begun = clock.now();
        let vendor = Vendor { store, clock, failing: None, pause_at: None, reached: Arc::default() };
        Self { vendor, plan: Plan::new("acme/shop"), begun }
    }

    /// Adds a change with this turn to the plan. `after` lists the changes on which the new change
    /// depends.
    fn change(&mut self, what: &str, stage: u8, track: u32, after: &[usize]) {
        let (before, after_value) = (json!(1), json!(2));
        let risk = Risk::Changes;
        let field = Field { name: "f".into(), before, after: after_value, asked: None, risk };
        self.plan.changes.push(Change {
            aspect: "labels".into(),
            what: what.into(),
            fields: vec![field],
            mode: Mode::Enforce,
            after: after.to_vec(),
            stop: None,
            undone: false,
            reaches: 1,
            write: Turn { stage, track },
        });
    }

    /// Adds `count` independent changes to the plan.
    fn independent(&mut self, count: u32) {
        for track in 0..count {
            self.change(&format!("l{track}"), 0, track, &[]);
        }
    }

    async fn run(&self, lane: Lane) -> Report {
        let gate = ApplyContext {
            store: self.vendor.store.clone(),
            clock: self.vendor.clock.clone(),
            lease: None,
            lane,
            limits: Limits { repeats: 0, ..Limits::default() },
            pace: WritePace::new(Duration::ZERO),
            patient: true,
            generation: "g".into(),
            planned: self.vendor.clock.now(),
        };
        let key = Key::new("repository", "acme", 1);
        let remembered = Remembered::read(&key, &gate).await.unwrap();
        apply(&key, &self.plan, &self.vendor, &gate, remembered, &|_, _| {}).await.unwrap()
    }

    /// Returns the time that has passed. The unit is the duration of one write.
    fn calls(&self) -> u128 {
        self.vendor.clock.now().since(self.begun).as_millis() / CALL.as_millis()
    }

    /// Returns the writes that reached the vendor, each with its time. The unit of the time is the
    /// duration of one write.
    fn reached(&self) -> Vec<(String, u128)> {
        let reached = self.vendor.reached.lock();
        let calls = |at: &Time| at.since(self.begun).as_millis() / CALL.as_millis();
        reached.iter().map(|(what, at)| (what.clone(), calls(at))).collect()
    }
}

fn reached(expected: &[(&str, u128)]) -> Vec<(String, u128)> {
    expected.iter().map(|(what, calls)| ((*what).to_owned(), *calls)).collect()
}

fn count(report: &Report, wanted: &StepResult) -> usize {
    report.count(|result| result == wanted)
}

#[tokio::test(start_paused = true)]
async fn independent_changes_take_the_time_of_one_for_an_event_and_of_all_for_a_sweep() {
    for (lane, calls) in [(Lane::Event, 1), (Lane::Manual, 6), (Lane::Sweep, 6)] {
        let folder = tempfile::tempdir().unwrap();
        let mut world = World::new(folder.path());
        world.independent(6);
        let report = world.run(lane).await;
        assert_eq!(count(&report, &StepResult::Written), 6);
        assert_eq!(world.calls(), calls, "{lane}");
        // The journal has an intent and a result for each write.
        let all = Listing { limit: 100, ..Listing::default() };
        let entries = world.vendor.store.entries(all).await.unwrap();
        let of = |kind: EntryKind| entries.iter().filter(|entry| entry.kind == kind).count();
        assert_eq!((of(EntryKind::Intent), of(EntryKind::Result)), (6, 6));
        assert!(world.vendor.store.open_intents().await.unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_with_many_changes_has_six_writes_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    world.independent(13);
    world.run(Lane::Event).await;
    assert_eq!(world.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_track_keeps_its_order_and_a_stage_waits_for_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    for (what, stage, track) in [("a1", 0, 0), ("a2", 0, 0), ("b1", 0, 1), ("c1", 1, 0), ("d1", 1, 7)] {
        world.change(what, stage, track, &[]);
    }
    world.run(Lane::Event).await;
    assert_eq!(world.reached(), reached(&[("a1", 0), ("b1", 0), ("a2", 1), ("c1", 2), ("d1", 2)]));
}

#[tokio::test(start_paused = true)]
async fn a_change_that_fails_stops_only_what_depends_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    world.vendor.failing = Some(("a1", Class::Rejected));
    world.change("a1", 0, 0, &[]);
    world.change("a2", 0, 0, &[]);
    world.change("b1", 0, 1, &[]);
    world.change("c1", 1, 0, &[0, 2]);
    world.change("c2", 1, 0, &[2]);
    let report = world.run(Lane::Event).await;
    let outcomes: Vec<&StepResult> = report.steps.iter().map(|step| &step.outcome).collect();
    let written = &StepResult::Written;
    assert_eq!(outcomes[1..], [written, written, &StepResult::Blocked, written]);
    assert!(matches!(outcomes[0], StepResult::Failed(_)), "{outcomes:?}");
    assert_eq!(report.verdict().map(|failure| failure.class), Some(Class::Rejected));
}

#[tokio::test(start_paused = true)]
async fn a_change_waits_for_the_one_under_way_that_it_depends_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    world.change("a", 0, 0, &[]);
    world.change("b", 0, 1, &[0]);
    let report = world.run(Lane::Event).await;
    assert_eq!(count(&report, &StepResult::Written), 2);
    assert_eq!(world.reached(), reached(&[("a", 0), ("b", 1)]));
}

#[tokio::test(start_paused = true)]
async fn after_a_pause_what_is_under_way_ends_and_nothing_begins() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    world.vendor.pause_at = Some(6);
    world.independent(10);
    let report = world.run(Lane::Event).await;
    assert_eq!(world.reached().len(), 6);
    assert_eq!((count(&report, &StepResult::Written), count(&report, &StepResult::NotReached)), (6, 4));
    let why = report.verdict().unwrap();
    assert!(why.class == Class::Conflict && why.text.contains("acme is paused until"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn after_a_conflict_or_a_used_up_budget_what_is_under_way_ends_and_nothing_begins() {
    let until = Time(2_000_000_000);
    for class in [Class::Conflict, Class::RateLimited { until, spares_events: false }] {
        let folder = tempfile::tempdir().unwrap();
        let mut world = World::new(folder.path());
        world.vendor.failing = Some(("l0", class));
        world.independent(10);
        let report = world.run(Lane::Event).await;
        assert_eq!(world.reached().len(), 6);
        assert_eq!((count(&report, &StepResult::Written), count(&report, &StepResult::NotReached)), (5, 4));
        assert_eq!(report.verdict().map(|failure| failure.class), Some(class));
        assert!(world.vendor.store.open_intents().await.unwrap().is_empty());
    }
}
