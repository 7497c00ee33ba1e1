//! Tests that the journal names the generation of the policy that first asked for a change. The
//! guard, the mode or an error can delay the write until a later generation is in force.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::apply::release_resolved_holds;
use beadle_engine::journal::{SweepEnd, SweepSummary};
use beadle_engine::store::prelude::*;
use beadle_engine::{
    ApplyContext, Change, Class, Clock, Detail, Entry, EntryKind, Failure, Hold, Key, KeyState, Lane, Limits,
    LimitsInForce, Listing, Mark, Mode, Plan, PlanWriter, Planner, Reconcile as _, Reconciler, Report, Risk,
    Run, Session, StepResult, Time, Unknown, Waived, WritePace, apply, asking_policies, first_asked_note,
    testing,
};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use tempfile::TempDir;

/// A simulated vendor. The vendor refuses each write if `refuses` is true.
#[derive(Clone, Copy)]
struct Vendor {
    refuses: bool,
}

#[async_trait]
impl Planner for Vendor {
    type Write = ();

    async fn plan(&self, _: &Key, _: Option<&str>, _: Lane) -> Result<Plan<()>, Failure> {
        Err(Failure::new(Class::Retry, "502"))
    }
}

#[async_trait]
impl PlanWriter<()> for Vendor {
    async fn open(&self, _: &Key, _: &Plan<()>, _: Time, _: Lane) -> Result<Box<dyn Session<()>>, Failure> {
        Ok(Box::new(*self))
    }
}

#[async_trait]
impl Session<()> for Vendor {
    async fn write(&self, _: &Change<()>) -> Result<(), Failure> {
        if self.refuses { Err(Failure::new(Class::Rejected, "403")) } else { Ok(()) }
    }
}

/// The time at the start of each test.
const START: Time = Time(1_000_000_000);

struct World {
    _folder: TempDir,
    store: Arc<SqliteStore>,
    clock: Clock,
    vendor: Vendor,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.db");
        let store = Arc::new(SqliteStore::open_inline(&path, SqliteSettings::default()).unwrap());
        let clock = Clock::simulated(START);
        Self { _folder: folder, store, clock, vendor: Vendor { refuses: false } }
    }

    /// Returns the context of a run of this generation. The guard allows `removes` removals.
    fn context(&self, generation: &str, removes: u32) -> ApplyContext {
        ApplyContext {
            store: self.store.clone(),
            clock: self.clock.clone(),
            lease: None,
            lane: Lane::Event,
            limits: Limits { removes, repeats: 0, ..Limits::default() },
            pace: WritePace::new(Duration::ZERO),
            patient: true,
            generation: generation.to_owned(),
            planned: self.clock.now(),
        }
    }

    /// Runs a plan of this generation. The guard allows `removes` removals.
    async fn run(&self, generation: &str, plan: &Plan<()>, removes: u32) -> Report {
        let context = self.context(generation, removes);
        let remembered = release_resolved_holds(&key(), plan, &context, &can_hide).await.unwrap();
        apply(&key(), plan, &self.vendor, &context, remembered, &|_, _| {}).await.unwrap()
    }

    /// Runs the key while the vendor does not answer.
    async fn fail(&self) {
        let reconciler = Reconciler {
            planner: self.vendor,
            writer: self.vendor,
            store: self.store.clone(),
            clock: self.clock.clone(),
            limits: LimitsInForce::from(Limits::default()),
            pace: WritePace::new(Duration::ZERO),
        };
        let now = self.clock.now();
        self.store.mark(vec![Mark::new(key(), Lane::Event)], now).await.unwrap();
        let lease = self.store.claim_key(&key(), now).await.unwrap().unwrap().lease;
        let run = Run { lease, lane: Lane::Event, hint: None, since: now };
        reconciler.reconcile(&run).await.unwrap_err();
    }

    /// Returns the generation of each write in the journal, and the generation that first asked for
    /// the change.
    async fn writes(&self) -> Vec<(String, Option<String>)> {
        let entries = self.store.entries(Listing { limit: 100, ..Listing::default() }).await.unwrap();
        let write = |detail: Detail| match detail {
            Detail::Change(intended) => Some((intended.generation, intended.first_asked)),
            _ => None,
        };
        entries.into_iter().filter_map(|entry| write(entry.detail)).collect()
    }
}

fn key() -> Key {
    Key::new("repository", "acme", 1)
}

/// Returns whether a waiver hides an aspect. In these tests, a waiver exempts a whole aspect.
fn can_hide(waived: &str, aspect: &str, _: &str) -> bool {
    waived == aspect
}

fn removal(mode: Mode) -> Plan<()> {
    let change = Change { mode, ..testing::change("teams", "team a", &[Risk::Removes]) };
    Plan { changes: vec![change], ..Plan::new("acme/shop") }
}

fn write(generation: &str, first: Option<&str>) -> (String, Option<String>) {
    (generation.to_owned(), first.map(str::to_owned))
}

#[tokio::test(start_paused = true)]
async fn an_approved_write_names_the_generation_with_which_the_guard_first_held_it() {
    let (world, plan) = (World::new(), removal(Mode::Enforce));
    world.run("g1", &plan, 0).await;
    // A sweep with another generation ends the hold, and the next run holds the change again.
    assert_eq!(world.store.forget_holds("acme", "g2").await.unwrap(), 1);
    let report = world.run("g2", &plan, 0).await;
    let StepResult::Held { digest, .. } = &report.steps[0].outcome else { panic!("{report:?}") };
    world.store.approve(digest, "ann", world.clock.now()).await.unwrap().unwrap();
    world.run("g2", &plan, 0).await;
    assert_eq!(world.writes().await, [write("g2", Some("g1"))]);
    assert_eq!(
        world.store.get(&first_asked_note(&key())).await.unwrap(),
        None,
        "nothing is left to remember"
    );
    // The same drift comes back later, and counts as a new difference.
    world.run("g2", &plan, 1).await;
    assert_eq!(world.writes().await[1..], [write("g2", None)]);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_a_mode_or_an_error_delayed_names_its_first_generation() {
    let mut world = World::new();
    world.run("g1", &removal(Mode::Observe), 1).await;
    world.vendor.refuses = true;
    world.run("g2", &removal(Mode::Enforce), 1).await;
    world.vendor.refuses = false;
    world.run("g3", &removal(Mode::Enforce), 1).await;
    let expected = [write("g2", Some("g1")), write("g3", Some("g1"))];
    assert_eq!(world.writes().await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_difference_that_ended_begins_again_with_the_generation_in_force() {
    let world = World::new();
    let (plan, nothing) = (removal(Mode::Enforce), Plan::new("acme/shop"));
    // A waiver hides the difference, but does not end it.
    let mut waived = Plan::new("acme/shop");
    waived.waived.push(Waived {
        key: "teams".into(),
        until: "2030-01-01T00:00:00Z".into(),
        reason: "release".into(),
        owner: "mona".into(),
        asked: None,
    });
    world.run("g1", &plan, 0).await;
    world.run("g2", &waived, 0).await;
    world.run("undo of 7", &nothing, 0).await;
    world.run("g2", &plan, 1).await;
    world.run("g2", &plan, 0).await;
    world.run("g3", &nothing, 0).await;
    world.run("g4", &plan, 2).await;
    assert_eq!(world.writes().await, [write("g2", Some("g1")), write("g4", None)]);
}

#[tokio::test(start_paused = true)]
async fn a_run_reads_the_notes_of_its_key_once() {
    let world = World::new();
    world.run("g1", &removal(Mode::Observe), 1).await;
    let (plan, context) = (removal(Mode::Enforce), world.context("g2", 1));
    let remembered = release_resolved_holds(&key(), &plan, &context, &can_hide).await.unwrap();
    // A second read would find no policy.
    world.store.forget(&first_asked_note(&key())).await.unwrap();
    apply(&key(), &plan, &world.vendor, &context, remembered, &|_, _| {}).await.unwrap();
    assert_eq!(world.writes().await, [write("g2", Some("g1"))]);
}

/// Adds the end of a sweep to the journal. The sweep took a minute, planned every key of the
/// organisation and ended now.
async fn end_sweep(world: &World) {
    end_sweep_without(world, 0).await;
}

/// Adds the end of a sweep to the journal. The sweep ended now. The sweep could not read this
/// number of rows, and did not plan their keys.
async fn end_sweep_without(world: &World, unreadable: u64) {
    let entry = Entry {
        seq: 0,
        at: world.clock.now(),
        kind: EntryKind::Sweep,
        key: "sweep:acme".into(),
        subject: "acme".into(),
        intent: None,
        trace: None,
        detail: Detail::Sweep(SweepEnd { summary: SweepSummary::default(), took_s: 60, unreadable }),
    };
    world.store.journal(None, vec![entry], world.clock.now()).await.unwrap();
}

/// Returns the earliest time when a policy might have asked for the held changes, in milliseconds
/// after the start.
async fn asked_since(world: &World) -> i64 {
    let holds = world.store.holds_of(&key()).await.unwrap();
    let holds: Vec<&Hold> = holds.iter().collect();
    asking_policies(world.store.as_ref(), &holds).await.unwrap().since.0 - START.0
}

#[tokio::test(start_paused = true)]
async fn the_policies_since_the_last_sweep_without_a_change_can_have_asked_for_it() {
    let world = World::new();
    for _ in 0..2 {
        world.clock.jump(100_000);
        end_sweep(&world).await;
    }
    world.clock.jump(100_000);
    // The policy `g2` asked for the change, but `g3` is in force when Beadle plans the key.
    world.run("g3", &removal(Mode::Enforce), 0).await;
    assert_eq!(asked_since(&world).await, 200_000 - 61_000);
    world.clock.jump(100_000);
    end_sweep(&world).await;
    // Somebody changed the value that the policy replaces.
    let mut other = removal(Mode::Enforce);
    other.changes[0].fields[0].before = serde_json::json!("another value");
    world.run("g4", &other, 0).await;
    assert_eq!(asked_since(&world).await, 200_000 - 61_000, "it is the same part");
    let holds = world.store.holds_of(&key()).await.unwrap();
    let asking = asking_policies(world.store.as_ref(), &[&holds[0]]).await.unwrap();
    assert_eq!(asking.generations, BTreeSet::from(["g4".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_could_not_show_a_change_does_not_count() {
    let unknown = Unknown { aspect: "teams".into(), part: None, why: "502".into(), transient: true };
    for hiding in [Some(Plan { unknowns: vec![unknown], ..Plan::new("acme/shop") }), None] {
        let world = World::new();
        world.clock.jump(100_000);
        end_sweep(&world).await;
        world.clock.jump(50_000);
        match &hiding {
            Some(plan) => drop(world.run("g1", plan, 0).await),
            None => world.fail().await,
        }
        world.clock.jump(50_000);
        end_sweep(&world).await;
        world.run("g2", &removal(Mode::Enforce), 0).await;
        assert_eq!(asked_since(&world).await, 100_000 - 61_000);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_did_not_plan_every_key_does_not_count() {
    let world = World::new();
    for unreadable in [0, 1, 2] {
        world.clock.jump(100_000);
        end_sweep_without(&world, unreadable).await;
    }
    world.clock.jump(100_000);
    world.run("g1", &removal(Mode::Enforce), 0).await;
    assert_eq!(asked_since(&world).await, 100_000 - 61_000);
}

#[tokio::test(start_paused = true)]
async fn a_change_without_a_record_is_as_old_as_the_drift_of_its_key() {
    let world = World::new();
    world.clock.jump(100_000);
    end_sweep(&world).await;
    world.clock.jump(100_000);
    let report = world.run("g1", &removal(Mode::Enforce), 0).await;
    KeyState::record(world.store.as_ref(), &key(), &report, world.clock.now()).await.unwrap();
    world.clock.jump(100_000);
    end_sweep(&world).await;
    world.store.forget(&first_asked_note(&key())).await.unwrap();
    assert_eq!(asked_since(&world).await, 100_000 - 61_000);
}
