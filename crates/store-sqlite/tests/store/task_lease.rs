//! The lease for background tasks that must run once. Only one of several processes can hold this
//! lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{
    BackgroundTask, Class, Clock, Driver, Failure, Runs, Store, TaskLease, TaskStatus, Time,
};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const SECOND: Duration = Duration::from_secs(1);
const START: Time = Time(1_700_000_000_000);

fn store(folder: &tempfile::TempDir) -> Arc<dyn Store> {
    let path = folder.path().join("beadle.db");
    Arc::new(SqliteStore::open_inline(&path, SqliteSettings::default()).unwrap())
}

/// A process that checks the lease repeatedly.
struct Process {
    lease: Arc<TaskLease>,
    clock: Clock,
    keeping: JoinHandle<()>,
}

impl Process {
    fn start(store: &Arc<dyn Store>, name: &str, start: Time) -> Self {
        let clock = Clock::simulated(start);
        let lease = Arc::new(TaskLease::new(store.clone(), clock.clone(), name));
        let kept = lease.clone();
        let keeping = tokio::spawn(async move { kept.keep(&CancellationToken::new()).await });
        Self { lease, clock, keeping }
    }
}

/// Waits until a process holds the lease. Checks that two processes never hold the lease at the
/// same time. Returns the position of the process, and how long the wait took.
async fn holder(all: &[&Process], is_wanted: impl Fn(usize) -> bool) -> (usize, Duration) {
    let begun = tokio::time::Instant::now();
    for _ in 0..600 {
        let held: Vec<usize> = (0..all.len()).filter(|at| all[*at].lease.is_held()).collect();
        assert!(held.len() < 2, "{held:?} hold the lease at the same time");
        if let Some(at) = held.first().filter(|at| is_wanted(**at)) {
            return (*at, begun.elapsed());
        }
        tokio::time::sleep(SECOND / 10).await;
    }
    panic!("nobody holds the lease");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_loses_the_lease_before_another_one_takes_it_over() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    // The clocks of the machines differ by days.
    let day = 24 * 3600 * SECOND;
    let one = Process::start(&store, "one", START);
    holder(&[&one], |_| true).await;
    let (two, three) =
        (Process::start(&store, "two", START + day), Process::start(&store, "three", START - day));
    let all = [&one, &two, &three];
    for _ in 0..20 {
        assert_eq!(holder(&all, |_| true).await.0, 0, "the holder renews the lease");
        tokio::time::sleep(5 * SECOND).await;
    }
    // The process hangs, or cannot reach the store. The process does not know yet that it lost the
    // lease.
    one.keeping.abort();
    assert!(one.lease.is_held());
    let (next, after) = holder(&all, |at| at != 0).await;
    assert!(after >= 10 * SECOND && after < 25 * SECOND, "{after:?}");
    // The process continues, and notices that it lost the lease.
    assert!(!one.lease.is_held());
    one.lease.look().await.unwrap();
    assert_eq!(holder(&all, |_| true).await.0, next);
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_taken_over_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let one = Process::start(&store, "one", START);
    holder(&[&one], |_| true).await;
    let two = Process::start(&store, "two", START);
    tokio::time::sleep(5 * SECOND).await;
    one.keeping.abort();
    one.lease.release().await;
    let (_, after) = holder(&[&one, &two], |at| at == 1).await;
    assert!(after <= 3 * SECOND, "{after:?}");
    // A process that does not hold the lease cannot release it.
    one.lease.release().await;
    tokio::time::sleep(30 * SECOND).await;
    assert!(two.lease.is_held());
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_was_suspended_does_not_hold_the_lease() {
    let folder = tempfile::tempdir().unwrap();
    let one = Process::start(&store(&folder), "one", START);
    holder(&[&one], |_| true).await;
    let lost = tokio::spawn({
        let lease = one.lease.clone();
        async move { lease.lost().await }
    });
    one.keeping.abort();
    // Only the clock shows how long the machine was suspended.
    one.clock.jump(20_000);
    assert!(!one.lease.is_held());
    tokio::time::timeout(2 * SECOND, lost).await.unwrap().unwrap();
    // A clock that goes back does not make the lease longer.
    one.lease.look().await.unwrap();
    assert!(one.lease.is_held());
    one.clock.jump(-3_600_000);
    tokio::time::sleep(11 * SECOND).await;
    assert!(!one.lease.is_held());
}

#[tokio::test(start_paused = true)]
async fn a_lease_of_a_newer_version_is_taken_over_only_if_it_is_not_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let stored = |beat: u32| format!(r#"{{"unknown":{beat}}}"#);
    store.put("task-lease:background", &stored(0)).await.unwrap();
    let one = Process::start(&store, "one", START);
    for beat in 1..10 {
        tokio::time::sleep(5 * SECOND).await;
        assert!(!one.lease.is_held());
        store.put("task-lease:background", &stored(beat)).await.unwrap();
    }
    holder(&[&one], |_| true).await;
}

struct Task(&'static str, Runs, Arc<AtomicU32>);

#[async_trait]
impl BackgroundTask for Task {
    fn name(&self) -> String {
        self.0.to_owned()
    }
    fn runs(&self) -> Runs {
        self.1
    }
    fn period(&self) -> Duration {
        SECOND
    }
    fn timeout(&self) -> Duration {
        600 * SECOND
    }
    async fn activate(&self) -> Result<TaskStatus, Failure> {
        self.2.fetch_add(1, Ordering::SeqCst);
        Ok(TaskStatus::Idle)
    }
}

/// A process with one task of each kind, and the number of runs of each task.
struct Service {
    driver: Driver,
    lease: Arc<TaskLease>,
    stop: CancellationToken,
    running: JoinHandle<()>,
    runs: [Arc<AtomicU32>; 2],
}

impl Service {
    fn start(store: &Arc<dyn Store>, name: &str) -> Self {
        let (clock, stop) = (Clock::simulated(START), CancellationToken::new());
        let lease = Arc::new(TaskLease::new(store.clone(), clock.clone(), name));
        let runs = [(); 2].map(|()| Arc::new(AtomicU32::new(0)));
        let tasks: Vec<Arc<dyn BackgroundTask>> = vec![
            Arc::new(Task("once", Runs::Once, runs[0].clone())),
            Arc::new(Task("everywhere", Runs::Everywhere, runs[1].clone())),
        ];
        let driver = Driver::new(store.clone(), clock, tasks).sharing(Some(lease.clone()));
        let (own, stopped) = (driver.clone(), stop.clone());
        let running = tokio::spawn(async move { own.run(stopped).await });
        Self { driver, lease, stop, running, runs }
    }

    fn runs(&self) -> [u32; 2] {
        [0, 1].map(|at| self.runs[at].load(Ordering::SeqCst))
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_of_all_processes_runs_in_each_and_every_other_task_in_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let one = Service::start(&store, "one");
    tokio::time::sleep(SECOND).await;
    let two = Service::start(&store, "two");
    tokio::time::sleep(20 * SECOND).await;
    let ([once, everywhere], [none, too]) = (one.runs(), two.runs());
    assert!(once > 10 && everywhere > 10 && too > 10, "{once} {everywhere} {too}");
    assert_eq!(none, 0);
    // The other process shows the record that the holder has stored.
    let shown = two.driver.status_everywhere().await;
    assert!(shown[0].runs > 0 && two.driver.status()[0].runs == 0, "{shown:?}");
    // A person can let any process run a task.
    assert_eq!(two.driver.activate("once").await.unwrap().runs, 1);
    one.stop.cancel();
    one.running.await.unwrap();
    assert!(!one.lease.is_held());
    let ended = [0, 1].map(|at| one.runs[at].load(Ordering::SeqCst));
    tokio::time::sleep(10 * SECOND).await;
    assert!(two.lease.is_held() && two.runs()[0] > 5, "{:?}", two.runs());
    assert_eq!([0, 1].map(|at| one.runs[at].load(Ordering::SeqCst)), ended, "it has stopped");
}

/// A task that fails. The process does not know the reason.
struct Failing;

#[async_trait]
impl BackgroundTask for Failing {
    fn name(&self) -> String {
        "failing".to_owned()
    }
    fn period(&self) -> Duration {
        3600 * SECOND
    }
    fn timeout(&self) -> Duration {
        SECOND
    }
    async fn activate(&self) -> Result<TaskStatus, Failure> {
        Err(Failure::new(Class::Retry, "no answer"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_lost_the_lease_shows_no_failure_of_its_tasks() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let clock = Clock::simulated(START);
    let lease = Arc::new(TaskLease::new(store.clone(), clock.clone(), "one"));
    let driver = Driver::new(store.clone(), clock, vec![Arc::new(Failing)]).sharing(Some(lease.clone()));
    let running = driver.clone();
    tokio::spawn(async move { running.run(CancellationToken::new()).await });
    tokio::time::sleep(SECOND).await;
    assert_eq!(driver.status()[0].failure.as_deref(), Some("no answer"));
    store.put("task-lease:background", r#"{"holder":"two","beat":7}"#).await.unwrap();
    tokio::time::sleep(5 * SECOND).await;
    assert!(!lease.is_held());
    let record = &driver.status()[0];
    assert_eq!((&record.failure, record.failing_since), (&None, None));
}

/// A task with a run that never ends by itself. The task counts the runs that began.
struct Endless(Arc<AtomicU32>);

#[async_trait]
impl BackgroundTask for Endless {
    fn name(&self) -> String {
        "endless".to_owned()
    }
    fn period(&self) -> Duration {
        SECOND
    }
    fn timeout(&self) -> Duration {
        600 * SECOND
    }
    async fn activate(&self) -> Result<TaskStatus, Failure> {
        self.0.fetch_add(1, Ordering::SeqCst);
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_when_the_process_loses_the_lease() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let clock = Clock::simulated(START);
    let lease = Arc::new(TaskLease::new(store.clone(), clock.clone(), "one"));
    let begun = Arc::new(AtomicU32::new(0));
    let task: Arc<dyn BackgroundTask> = Arc::new(Endless(begun.clone()));
    let driver = Driver::new(store.clone(), clock, vec![task]).sharing(Some(lease.clone()));
    let running = driver.clone();
    tokio::spawn(async move { running.run(CancellationToken::new()).await });
    tokio::time::sleep(SECOND).await;
    assert_eq!((begun.load(Ordering::SeqCst), driver.status()[0].runs), (1, 0));
    // Another process has taken the lease over, and renews it.
    let other = Process::start(&store, "two", START);
    store.put("task-lease:background", r#"{"holder":"two","beat":7}"#).await.unwrap();
    tokio::time::sleep(30 * SECOND).await;
    assert!(other.lease.is_held() && !lease.is_held());
    let record = &driver.status()[0];
    assert_eq!((begun.load(Ordering::SeqCst), record.runs, record.failures), (1, 1, 0));
    assert_eq!(record.last, Some(TaskStatus::Unfinished("another process runs the task".to_owned())));
}

/// A task with a run that hangs in a blocking call.
struct Blocked {
    begun: Arc<Notify>,
    until: Mutex<Receiver<()>>,
}

#[async_trait]
impl BackgroundTask for Blocked {
    fn name(&self) -> String {
        "blocked".to_owned()
    }
    fn period(&self) -> Duration {
        SECOND
    }
    fn timeout(&self) -> Duration {
        600 * SECOND
    }
    async fn activate(&self) -> Result<TaskStatus, Failure> {
        self.begun.notify_one();
        let _ = self.until.lock().recv();
        Ok(TaskStatus::Idle)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_process_does_not_release_the_lease_while_a_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = (store(&folder), Clock::system());
    let lease = Arc::new(TaskLease::new(store.clone(), clock.clone(), "one"));
    let (end, until) = channel();
    let begun = Arc::new(Notify::new());
    let task: Arc<dyn BackgroundTask> = Arc::new(Blocked { begun: begun.clone(), until: Mutex::new(until) });
    let driver = Driver::new(store.clone(), clock, vec![task]).sharing(Some(lease));
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let running = tokio::spawn(async move { driver.run(stopped).await });
    begun.notified().await;
    stop.cancel();
    running.await.unwrap();
    let stored = store.get("task-lease:background").await.unwrap().unwrap();
    end.send(()).unwrap();
    assert!(stored.contains("\"one\""), "{stored}");
}
