//! Tests of the worker's loop, in simulated time, with a store that has no thread for writes. To
//! kill a process, a test drops all tasks and opens the store again.

use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{
    Class, Clock, Failure, Key, Lane, Mark, ParkReason, Reconcile, Report, Run, Store, Time, Unknown, Worker,
    WorkerSettings,
};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How the runs of a key end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Nature {
    Fine,
    /// The run fails this number of times, and then succeeds.
    Flaky(u32),
    Poisonous,
    Panics,
    Rejected,
    /// The policy contains a person who does not exist.
    Unresolved,
}

/// The policy and the vendor: the declared and the real value of each key.
#[derive(Default)]
struct Outside {
    wanted: BTreeMap<Key, u64>,
    made: BTreeMap<Key, u64>,
    running: BTreeMap<Key, u32>,
    runs: Vec<(Time, Key, Lane)>,
    /// The runs without a result, each with the recorded reason.
    lost: Vec<(Key, String)>,
    natures: BTreeMap<Key, Nature>,
}

struct Reconciler {
    outside: Arc<Mutex<Outside>>,
    clock: Clock,
    takes: Duration,
}

/// While this value exists, a run works on the key. If the task of the run is dropped, the value is
/// dropped too.
struct Working(Arc<Mutex<Outside>>, Key);

impl Drop for Working {
    fn drop(&mut self) {
        if let Some(running) = self.0.lock().running.get_mut(&self.1) {
            *running -= 1;
        }
    }
}

#[async_trait]
impl Reconcile for Reconciler {
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        let key = run.lease.key.clone();
        let (wanted, nature) = {
            let mut outside = self.outside.lock();
            let running = outside.running.entry(key.clone()).or_default();
            *running += 1;
            assert_eq!(*running, 1, "{key} is worked on twice");
            outside.runs.push((self.clock.now(), key.clone(), run.lane));
            let nature = outside.natures.get(&key).copied().unwrap_or(Nature::Fine);
            if let Nature::Flaky(n) = nature {
                let next = if n <= 1 { Nature::Fine } else { Nature::Flaky(n - 1) };
                outside.natures.insert(key.clone(), next);
            }
            (outside.wanted.get(&key).copied().unwrap_or(0), nature)
        };
        let _working = Working(self.outside.clone(), key.clone());
        self.clock.sleep(self.takes).await;
        match nature {
            Nature::Fine => {}
            Nature::Flaky(_) | Nature::Poisonous => return Err(Failure::new(Class::Retry, "503")),
            Nature::Panics => panic!("as asked"),
            Nature::Rejected => return Err(Failure::new(Class::Rejected, "403 of teams")),
            Nature::Unresolved => {
                let why = "there is no team `gone` (settings.yml:3)".into();
                let unknowns = vec![Unknown { aspect: "teams".into(), part: None, why, transient: false }];
                let subject = key.to_string();
                return Ok(Report { subject, steps: vec![], unknowns, skipped: None, failure: None });
            }
        }
        self.outside.lock().made.insert(key.clone(), wanted);
        Ok(Report { subject: key.to_string(), steps: vec![], unknowns: vec![], skipped: None, failure: None })
    }

    fn parks_unresolved(&self, _: &str) -> bool {
        false
    }

    async fn record_failure(&self, key: &Key, failure: &Failure) -> Result<(), Failure> {
        self.outside.lock().lost.push((key.clone(), failure.text.clone()));
        Ok(())
    }
}

struct World {
    path: PathBuf,
    clock: Clock,
    outside: Arc<Mutex<Outside>>,
    store: Arc<dyn Store>,
    settings: WorkerSettings,
    takes: Duration,
    bell: Arc<Notify>,
    running: Option<(tokio::task::JoinHandle<()>, CancellationToken)>,
}

impl World {
    fn new(folder: &Path) -> Self {
        let path = folder.join("b.db");
        let store = Arc::new(SqliteStore::open_inline(&path, SqliteSettings::default()).unwrap());
        Self {
            path,
            clock: Clock::simulated(Time(1_700_000_000_000)),
            outside: Arc::default(),
            store,
            settings: WorkerSettings { concurrency: 4, ..WorkerSettings::default() },
            takes: Duration::from_millis(200),
            bell: Arc::default(),
            running: None,
        }
    }

    fn start(&mut self) {
        let reconciler =
            Reconciler { outside: self.outside.clone(), clock: self.clock.clone(), takes: self.takes };
        let reconcilers = HashMap::from([("repository", Arc::new(reconciler) as Arc<dyn Reconcile>)]);
        let worker = Arc::new(Worker {
            store: self.store.clone(),
            clock: self.clock.clone(),
            reconcilers,
            settings: self.settings,
            bell: self.bell.clone(),
            counts: Arc::default(),
        });
        let stop = CancellationToken::new();
        self.running = Some((tokio::spawn(worker.run(stop.clone(), Duration::from_secs(5))), stop));
    }

    /// Kills the process: drops all tasks, and opens the store again.
    async fn kill(&mut self) {
        if let Some((task, _)) = self.running.take() {
            task.abort();
            let _ = task.await; // it was cancelled, as asked
        }
        self.store = Arc::new(SqliteStore::open_inline(&self.path, SqliteSettings::default()).unwrap());
    }

    async fn stop(&mut self) {
        if let Some((task, stop)) = self.running.take() {
            stop.cancel();
            task.await.unwrap();
        }
    }

    async fn mark(&self, n: u64, lane: Lane) {
        let key = key(n);
        *self.outside.lock().wanted.entry(key.clone()).or_default() += 1;
        self.store.mark(vec![Mark::new(key, lane)], self.clock.now()).await.unwrap();
    }

    fn nature(&self, n: u64, nature: Nature) {
        self.outside.lock().natures.insert(key(n), nature);
    }

    fn equal(&self) -> bool {
        let outside = self.outside.lock();
        outside.wanted.iter().all(|(key, wanted)| outside.made.get(key) == Some(wanted))
    }

    fn runs(&self, n: u64) -> usize {
        self.outside.lock().runs.iter().filter(|(_, other, _)| *other == key(n)).count()
    }

    async fn pass(&self, seconds: u64) {
        self.clock.sleep(Duration::from_secs(seconds)).await;
    }
}

fn key(n: u64) -> Key {
    Key::new("repository", "acme", n)
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_every_mark_is_followed_by_a_run() {
    for seed in 0..40 {
        let folder = tempfile::tempdir().unwrap();
        let mut world = World::new(folder.path());
        let mut random = StdRng::seed_from_u64(seed);
        world.start();
        for _ in 0..60 {
            match random.random_range(0..10) {
                0..6 => {
                    let lane = Lane::ALL[random.random_range(0..3)];
                    world.mark(random.random_range(0..6), lane).await;
                }
                6 => {
                    world.kill().await;
                    world.start();
                }
                7 => {
                    world.stop().await;
                    world.start();
                }
                8 => world.clock.jump(random.random_range(-30_000..30_000)),
                _ => world.nature(random.random_range(0..6), Nature::Flaky(random.random_range(1..4))),
            }
            world.clock.sleep(Duration::from_millis(random.random_range(0..2000))).await;
        }
        for _ in 0..200 {
            if world.equal() {
                break;
            }
            // A key might have used up its attempts because of kills and failures. An event makes
            // the key due again.
            for row in world.store.rows(100).await.unwrap().into_iter().filter(|row| row.parked.is_some()) {
                assert!(row.attempts >= 8, "{row:?}");
                world.store.mark(vec![Mark::new(row.key, Lane::Event)], world.clock.now()).await.unwrap();
            }
            world.pass(10).await;
        }
        assert!(world.equal(), "seed {seed}: {:?}", world.store.rows(100).await.unwrap());
        world.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn many_marks_become_one_run_and_a_mark_during_a_run_one_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    world.takes = Duration::from_secs(3);
    world.start();
    for _ in 0..50 {
        world.mark(1, Lane::Event).await;
    }
    world.pass(2).await;
    assert_eq!(world.runs(1), 1);
    for _ in 0..50 {
        world.mark(1, Lane::Event).await;
    }
    world.pass(60).await;
    assert_eq!(world.runs(1), 2);
    assert!(world.equal());
}

#[tokio::test(start_paused = true)]
async fn a_poisonous_key_delays_no_other_and_is_parked_where_it_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    world.nature(1, Nature::Poisonous);
    world.nature(2, Nature::Panics);
    world.nature(3, Nature::Rejected);
    world.start();
    for n in 1..20 {
        world.mark(n, Lane::Event).await;
    }
    world.pass(5).await;
    let made = world.outside.lock().made.len();
    assert_eq!(made, 16, "the others are done");
    world.pass(7200).await;
    let most = world.store.timing().max_attempts as usize;
    for (n, attempts) in [(1, most), (2, most), (3, 3)] {
        let row = world.store.row(&key(n)).await.unwrap().unwrap();
        assert_eq!(row.parked.as_ref().map(|parked| parked.reason), Some(ParkReason::Failed), "{row:?}");
        assert_eq!(world.runs(n), attempts, "key {n}");
    }
    world.nature(1, Nature::Fine);
    world.mark(1, Lane::Event).await;
    world.pass(5).await;
    assert_eq!(world.outside.lock().made.get(&key(1)), Some(&2), "a new event revives it");
}

#[tokio::test(start_paused = true)]
async fn a_run_without_a_result_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    world.settings.run_limit = Duration::from_millis(150);
    world.start();
    world.mark(1, Lane::Event).await;
    world.pass(1).await;
    world.stop().await;
    world.settings.run_limit = Duration::from_secs(300);
    world.nature(2, Nature::Panics);
    world.start();
    world.mark(2, Lane::Event).await;
    world.pass(1).await;
    let lost = world.outside.lock().lost.clone();
    for (n, why) in [(1, "no result within"), (2, "the run panicked")] {
        assert!(lost.iter().any(|(lost, text)| *lost == key(n) && text.starts_with(why)), "{lost:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_whose_runs_hang_leaves_runs_to_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    world.takes = Duration::from_secs(200);
    world.settings.are_runs_shared = true;
    world.start();
    for n in 0..20 {
        world.mark(n, Lane::Event).await;
    }
    world.pass(10).await;
    let runs = |instance: &str| {
        let outside = world.outside.lock();
        outside.runs.iter().filter(|(_, key, _)| key.instance() == instance).count()
    };
    assert_eq!(runs("acme"), 2, "half of four");
    let other = Key::new("repository", "other", 1);
    world.store.mark(vec![Mark::new(other, Lane::Sweep)], world.clock.now()).await.unwrap();
    world.pass(10).await;
    assert_eq!((runs("acme"), runs("other")), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn an_announced_event_waits_for_its_debounce_only_while_other_runs_hang() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    world.takes = Duration::from_secs(200);
    world.settings.are_runs_shared = true;
    world.start();
    for n in 0..20 {
        world.mark(n, Lane::Event).await;
    }
    world.pass(10).await;
    for _ in 0..3 {
        let other = Key::new("repository", "other", 1);
        world.store.mark(vec![Mark::new(other, Lane::Event)], world.clock.now()).await.unwrap();
        world.bell.notify_one();
        world.clock.sleep(Duration::from_millis(50)).await;
    }
    world.clock.sleep(Duration::from_millis(300)).await;
    let outside = world.outside.lock();
    assert!(outside.runs.iter().any(|(_, key, _)| key.instance() == "other"), "{:?}", outside.runs);
}

/// A reconciler that stops the worker during the reconciler's first run.
struct StopsWorker {
    stop: CancellationToken,
    runs: AtomicUsize,
}

#[async_trait]
impl Reconcile for StopsWorker {
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        self.stop.cancel();
        self.runs.fetch_add(1, Ordering::Relaxed);
        let subject = run.lease.key.to_string();
        Ok(Report { subject, steps: vec![], unknowns: vec![], skipped: None, failure: None })
    }
}

#[tokio::test]
async fn a_worker_that_stops_claims_no_further_key_of_a_long_queue() {
    let folder = tempfile::tempdir().unwrap();
    // The store has a thread for writes. Runs end while the worker waits for a claim, so there is
    // room for the next claim.
    let store = SqliteStore::open(&folder.path().join("b.db"), SqliteSettings::default()).unwrap();
    let (store, clock): (Arc<dyn Store>, Clock) = (Arc::new(store), Clock::system());
    let marks = (0..500).map(|n| Mark::new(Key::new("repository", ["acme", "other"][n % 2], n), Lane::Sweep));
    store.mark(marks.collect(), clock.now()).await.unwrap();
    let stop = CancellationToken::new();
    let reconciler = Arc::new(StopsWorker { stop: stop.clone(), runs: AtomicUsize::new(0) });
    let reconcilers = HashMap::from([("repository", reconciler.clone() as Arc<dyn Reconcile>)]);
    let settings = WorkerSettings { concurrency: 8, are_runs_shared: true, ..WorkerSettings::default() };
    let worker = Worker { store, clock, reconcilers, settings, bell: Arc::default(), counts: Arc::default() };
    Arc::new(worker).run(stop, Duration::from_secs(5)).await;
    let runs = reconciler.runs.load(Ordering::Relaxed);
    assert!((1..=8).contains(&runs), "{runs} runs");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_does_not_exist_parks_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    world.start();
    for n in 1..50 {
        world.nature(n, Nature::Unresolved);
        world.mark(n, Lane::Sweep).await;
    }
    world.pass(120).await;
    for n in 1..50 {
        let row = world.store.row(&key(n)).await.unwrap().unwrap();
        assert!(row.parked.is_none() && !row.is_pending(), "{row:?}");
        assert_eq!(world.runs(n), 3, "somebody may be making the team at this moment");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_kills_its_process_is_parked_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    world.takes = Duration::from_secs(10);
    world.mark(1, Lane::Event).await;
    for _ in 0..20 {
        world.start();
        world.pass(1).await; // a run works on the key
        world.kill().await;
        world.pass(61).await; // its lease runs out
    }
    assert_eq!(world.runs(1), world.store.timing().max_attempts as usize);
    let row = world.store.row(&key(1)).await.unwrap().unwrap();
    assert_eq!(row.parked.map(|parked| parked.reason), Some(ParkReason::Failed));
}

#[tokio::test(start_paused = true)]
async fn events_overtake_a_sweep_that_is_under_way_also_for_a_key_that_was_queued() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    world.takes = Duration::from_secs(1);
    world.start();
    for n in 0..200 {
        world.mark(n, Lane::Sweep).await;
    }
    world.pass(3).await;
    world.mark(190, Lane::Event).await;
    world.mark(1000, Lane::Event).await;
    world.pass(4).await;
    let runs = world.outside.lock().runs.clone();
    for n in [190, 1000] {
        let run = runs.iter().find(|(_, other, _)| *other == key(n));
        assert_eq!(run.map(|(_, _, lane)| *lane), Some(Lane::Event), "key {n} was not run in time");
    }
    world.pass(120).await;
    assert!(world.equal(), "the sweep goes on");
}

#[tokio::test(start_paused = true)]
async fn a_sweep_is_not_starved_by_events_that_never_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    world.settings.concurrency = 1;
    world.takes = Duration::from_millis(1500);
    world.start();
    for n in 0..1200 {
        world.mark(n % 40, Lane::Event).await;
        if n == 100 {
            // Now more events wait than the worker can handle.
            world.mark(999, Lane::Sweep).await;
        }
        world.pass(1).await;
    }
    assert!(world.runs(999) >= 1, "twenty minutes of events kept the sweep out");
}

#[tokio::test(start_paused = true)]
async fn two_processes_never_work_on_one_key_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut one = World::new(folder.path());
    let mut other = World::new(folder.path());
    other.clock = one.clock.clone();
    other.outside = one.outside.clone(); // it asserts that one run at a time works on a key
    one.takes = Duration::from_secs(100); // longer than a lease, so the heartbeat must renew the lease
    other.takes = one.takes;
    one.start();
    other.start();
    for n in 0..8 {
        one.mark(n, Lane::Event).await;
    }
    for _ in 0..30 {
        one.pass(10).await;
        one.mark(3, Lane::Event).await;
    }
    one.pass(400).await;
    assert!(one.equal());
    one.stop().await;
    other.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_hands_back_what_does_not_end_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    world.takes = Duration::from_secs(60);
    world.start();
    world.mark(1, Lane::Event).await;
    world.pass(2).await;
    world.stop().await;
    let row = world.store.row(&key(1)).await.unwrap().unwrap();
    assert_eq!(row.lease_until, None);
    assert!(row.due_at().unwrap() <= world.clock.now(), "somebody else may take it at once");
    assert_eq!(row.attempts, 0, "it did not fail");
}
