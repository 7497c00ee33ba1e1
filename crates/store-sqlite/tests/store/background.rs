//! Tests of background tasks: when each task runs, and the record that other processes can read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::background::stored_records;
use beadle_engine::{BackgroundTask, Class, Clock, Driver, Failure, Store, TaskRecord, TaskStatus, Time};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use tokio_util::sync::CancellationToken;

const SECOND: Duration = Duration::from_secs(1);
const START: Time = Time(1_700_000_000_000);

/// A function that returns the result of a task's run. The argument is the number of earlier runs.
type Act = Box<dyn Fn(u32) -> Result<TaskStatus, Failure> + Send + Sync>;

struct Task {
    name: &'static str,
    takes: Duration,
    wakes: &'static str,
    runs: AtomicU32,
    act: Act,
}

#[async_trait]
impl BackgroundTask for Task {
    fn name(&self) -> String {
        self.name.to_owned()
    }
    fn period(&self) -> Duration {
        10 * SECOND
    }
    fn timeout(&self) -> Duration {
        60 * SECOND
    }
    fn retry(&self) -> Duration {
        3 * SECOND
    }
    fn wakes(&self) -> Vec<String> {
        vec![self.wakes.to_owned()]
    }
    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let before = self.runs.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(self.takes).await;
        (self.act)(before)
    }
}

fn idle(name: &'static str) -> Task {
    Task {
        name,
        takes: Duration::ZERO,
        wakes: "",
        runs: AtomicU32::new(0),
        act: Box::new(|_| Ok(TaskStatus::Idle)),
    }
}

struct World {
    store: Arc<dyn Store>,
    clock: Clock,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store =
            SqliteStore::open_inline(&folder.path().join("beadle.db"), SqliteSettings::default()).unwrap();
        let (clock, stop) = (Clock::simulated(START), CancellationToken::new());
        Self { store: Arc::new(store), clock, stop, _folder: folder }
    }

    fn driver(&self, tasks: Vec<Task>) -> Driver {
        let tasks = tasks.into_iter().map(|task| Arc::new(task) as Arc<dyn BackgroundTask>).collect();
        Driver::new(self.store.clone(), self.clock.clone(), tasks)
    }

    /// Runs a driver for this time, and returns the records of its tasks.
    async fn run(&self, driver: &Driver, time: Duration) -> Vec<TaskRecord> {
        let (running, stop) = (driver.clone(), self.stop.clone());
        tokio::spawn(async move { running.run(stop).await });
        tokio::time::sleep(time).await;
        driver.status()
    }
}

fn record<'a>(records: &'a [TaskRecord], name: &str) -> &'a TaskRecord {
    records.iter().find(|record| record.name == name).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_task_that_hangs_delays_no_other_and_is_ended_at_its_timeout() {
    let world = World::new();
    let hangs = Task { takes: 3600 * SECOND, ..idle("hangs") };
    let driver = world.driver(vec![hangs, idle("other")]);
    let records = world.run(&driver, 55 * SECOND).await;
    assert_eq!((record(&records, "other").runs, record(&records, "hangs").runs), (6, 0));
    tokio::time::sleep(10 * SECOND).await;
    let hangs = record(&driver.status(), "hangs").clone();
    assert!(hangs.failure.as_ref().is_some_and(|why| why.contains("no result within 60 s")), "{hangs:?}");
    assert_eq!((hangs.runs, hangs.failures), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_failed_runs_again_soon_and_its_record_says_since_when() {
    let world = World::new();
    let act: Act = Box::new(|before| match before {
        0 => Ok(TaskStatus::Idle),
        1 | 2 => Err(Failure::new(Class::Retry, "the disk is full")),
        3 => Ok(TaskStatus::Unfinished("half".into())),
        _ => Ok(TaskStatus::Done("the rest".into())),
    });
    let driver = world.driver(vec![Task { act, ..idle("a") }]);
    let records = world.run(&driver, 14 * SECOND).await;
    let failing = record(&records, "a");
    assert_eq!((failing.runs, failing.failures), (3, 2), "after 0, 10 and 13 s");
    assert_eq!(failing.failing_since, Some(START + 10 * SECOND));
    assert_eq!(failing.failure.as_deref(), Some("the disk is full"));
    tokio::time::sleep(3 * SECOND).await;
    let records = driver.status();
    let unfinished = record(&records, "a");
    assert_eq!((unfinished.failure.as_ref(), unfinished.failing_since), (None, None));
    assert_eq!(unfinished.last, Some(TaskStatus::Unfinished("half".into())));
    tokio::time::sleep(3 * SECOND).await;
    assert_eq!(record(&driver.status(), "a").last, Some(TaskStatus::Done("the rest".into())));
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_is_used_up_is_waited_for_and_is_no_failure() {
    let world = World::new();
    let until = START + 40 * SECOND;
    let act: Act = Box::new(move |before| match before {
        0 => Err(Failure::new(Class::RateLimited { until, spares_events: false }, "used up")),
        _ => Ok(TaskStatus::Idle),
    });
    let driver = world.driver(vec![Task { act, ..idle("a") }]);
    let records = world.run(&driver, 39 * SECOND).await;
    let waiting = record(&records, "a");
    assert_eq!((waiting.runs, waiting.failures, waiting.failure.as_ref()), (1, 0, None));
    assert_eq!(waiting.last, Some(TaskStatus::Unfinished("used up".into())));
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(record(&driver.status(), "a").runs, 2);
}

#[tokio::test(start_paused = true)]
async fn what_a_run_did_wakes_another_task_also_in_the_middle_of_its_run() {
    let world = World::new();
    let act: Act = Box::new(|before| match before {
        1 => Ok(TaskStatus::Done("a new policy".into())),
        _ => Ok(TaskStatus::Idle),
    });
    let policy = Task { wakes: "sweep", act, ..idle("policy") };
    // The first run lasts from 0 s to 2 s, and the second run begins at 12 s.
    let sweep = Task { takes: 2 * SECOND, ..idle("sweep") };
    let driver = world.driver(vec![policy, sweep]);
    let records = world.run(&driver, 11 * SECOND).await;
    assert_eq!(record(&records, "sweep").runs, 1, "woken at 10 s, it is under way");
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(record(&driver.status(), "sweep").runs, 2);

    let act: Act = Box::new(|before| match before {
        0 => Ok(TaskStatus::Done("a new policy".into())),
        _ => Ok(TaskStatus::Idle),
    });
    let policy = Task { takes: SECOND, wakes: "sweep", act, ..idle("policy") };
    let sweep = Task { takes: 2 * SECOND, ..idle("sweep") };
    let driver = world.driver(vec![policy, sweep]);
    let records = world.run(&driver, 5 * SECOND).await;
    assert_eq!(record(&records, "sweep").runs, 2, "it was woken while it ran, and may have looked before");
}

#[tokio::test(start_paused = true)]
async fn what_is_due_runs_side_by_side_and_ends_at_the_deadline() {
    let world = World::new();
    let act: Act = Box::new(|_| Ok(TaskStatus::Done("opened".into())));
    let opening = Task { wakes: "sweep", act, ..idle("opening") };
    let slow = |name| Task { takes: 4 * SECOND, ..idle(name) };
    let hangs = Task { takes: 3600 * SECOND, ..idle("hangs") };
    let driver = world.driver(vec![opening, idle("sweep"), slow("a"), slow("b"), hangs]);
    let failed = driver.run_due(START + 5 * SECOND, |_| true).await;
    let names: Vec<&str> = failed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["hangs"], "{failed:?}");
    assert_eq!(world.clock.now(), START + 5 * SECOND, "side by side, and nothing after the deadline");
    let records = driver.status();
    assert_eq!((record(&records, "a").runs, record(&records, "b").runs), (1, 1));
    assert!(driver.run_due(world.clock.now() + SECOND, |name| name == "a").await.is_empty());
    assert_eq!(record(&driver.status(), "a").runs, 1, "it is not due");
    tokio::time::sleep(4 * SECOND).await;
    assert!(driver.run_due(world.clock.now() + 5 * SECOND, |name| name == "a").await.is_empty());
    assert_eq!(record(&driver.status(), "a").runs, 2, "half of its wait is over, and it is due soon");
}

#[tokio::test(start_paused = true)]
async fn what_is_due_when_no_time_is_left_counts_as_failed() {
    let world = World::new();
    let driver = world.driver(vec![idle("a"), idle("b")]);
    let failed = driver.run_due(START, |name| name == "a").await;
    assert_eq!(failed, [("a".to_owned(), "no time left".to_owned())]);
    assert_eq!(record(&driver.status(), "a").runs, 0);
    assert!(driver.run_due(START + 5 * SECOND, |_| true).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_task_runs_when_somebody_asks_and_after_a_clock_was_set_back() {
    let world = World::new();
    let driver = world.driver(vec![idle("a")]);
    world.run(&driver, SECOND).await;
    assert_eq!(driver.activate("a").await.unwrap().runs, 2);
    assert_eq!(driver.activate("b").await.unwrap_err().to_string(), "there is no background task `b`");
    world.clock.jump(-3_600_000);
    assert_eq!(driver.run_due(world.clock.now() + SECOND, |_| true).await, []);
    assert_eq!(record(&driver.status(), "a").runs, 3);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_of_its_task_and_of_no_other() {
    let world = World::new();
    let act: Act = Box::new(|_| panic!("a fault of the task"));
    let driver = world.driver(vec![Task { act, ..idle("a") }, idle("b")]);
    let records = world.run(&driver, 25 * SECOND).await;
    assert_eq!(record(&records, "a").failure.as_deref(), Some("the task panicked"));
    assert_eq!((record(&records, "a").failures, record(&records, "b").runs), (9, 3));
}

#[tokio::test(start_paused = true)]
async fn other_processes_read_the_records_and_those_of_tasks_that_are_gone_are_forgotten() {
    let world = World::new();
    let act: Act = Box::new(|before| match before {
        2 => Err(Failure::new(Class::Retry, "the disk is full")),
        _ => Ok(TaskStatus::Idle),
    });
    let driver = world.driver(vec![Task { act, ..idle("policy of acme") }, idle("gone")]);
    world.run(&driver, 21 * SECOND).await;
    let stored = stored_records(world.store.as_ref()).await.unwrap();
    assert_eq!(
        stored["policy of acme"].failure.as_deref(),
        Some("the disk is full"),
        "a change is stored at once"
    );
    assert_eq!(stored["gone"].runs, 1, "the same once more is not");
    world.stop.cancel();
    tokio::time::sleep(SECOND).await;
    let world = World { stop: CancellationToken::new(), ..world };
    let driver = world.driver(vec![idle("policy of acme")]);
    world.run(&driver, SECOND).await;
    let names: Vec<String> = stored_records(world.store.as_ref()).await.unwrap().into_keys().collect();
    assert_eq!(names, ["policy of acme"]);
}

#[tokio::test(start_paused = true)]
async fn a_function_forgets_the_records_of_tasks_that_are_gone_too() {
    let world = World::new();
    for name in ["gone", "there"] {
        world.driver(vec![idle(name)]).run_due(world.clock.now() + SECOND, |_| true).await;
    }
    let names: Vec<String> = stored_records(world.store.as_ref()).await.unwrap().into_keys().collect();
    assert_eq!(names, ["there"]);
}

#[tokio::test(start_paused = true)]
async fn the_first_runs_of_tasks_can_be_waited_for() {
    let world = World::new();
    let driver = world.driver(vec![Task { takes: 7 * SECOND, ..idle("target a") }, idle("policy")]);
    let running = driver.clone();
    let stop = world.stop.clone();
    tokio::spawn(async move { running.run(stop).await });
    driver.ran(|name| name.starts_with("target")).await;
    assert_eq!(world.clock.now(), START + 7 * SECOND);
}
