//! Background tasks: periodic work that does not come from the queue of keys.
//!
//! Each task runs in its own loop, so a task that waits for a vendor delays no other task.

use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use futures::future::join_all;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Time};
use crate::failure::{Class, Failure};
use crate::note::Note;
use crate::spans;
use crate::store::Store;
use crate::task_lease::TaskLease;

pub use crate::task_record::{TaskRecord, TaskStatus, stored_records};

/// The maximum age of a stored record. An older record is stored again, even if it did not change.
const STORED_EVERY: Duration = Duration::from_secs(60);
/// How early [`Driver::run_due`] may run a task. The Lambda function of the worker calls `run_due`
/// approximately once a minute. Without this tolerance, a task that is due shortly after a call
/// would wait for another minute. At least half of a task's wait must have passed before the task
/// runs.
const EARLY: Duration = Duration::from_secs(20);
/// How long a stopping driver waits for cancelled runs. A run that hangs in a blocking call cannot
/// be cancelled.
const LEFT_BEHIND: Duration = Duration::from_secs(1);
/// How long the driver waits for the store when the driver starts, and before and after the runs of
/// tasks. A store that hangs must not use up the time of the tasks.
const STORE_LIMIT: Duration = Duration::from_secs(2);

/// Which processes run a task if several processes share the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// The process that holds the [`TaskLease`].
    Once,
    /// Every process, because the task changes something in the process itself.
    Everywhere,
}

/// Work that Beadle repeats at a fixed interval.
#[async_trait]
pub trait BackgroundTask: Send + Sync + 'static {
    /// Returns the name of the task for logs, metrics and commands, such as `policy of acme`. No
    /// two tasks of a driver have the same name.
    fn name(&self) -> String;
    /// Returns which processes run the task.
    fn runs(&self) -> Runs {
        Runs::Once
    }
    /// Returns how long the driver waits after a run before it starts the next run.
    fn period(&self) -> Duration;
    /// Returns the time limit of a run. The driver cancels a longer run and counts it as failed.
    fn timeout(&self) -> Duration;
    /// Returns how long the driver waits before the next run if a run failed or did not finish.
    fn retry(&self) -> Duration {
        self.period()
    }
    /// Returns the names of other tasks. If a run of this task did something, the driver
    /// immediately runs those other tasks.
    fn wakes(&self) -> Vec<String> {
        Vec::new()
    }
    /// Runs the task once. The driver can cancel the run at any await, when the process stops or
    /// after the timeout.
    async fn activate(&self) -> Result<TaskStatus, Failure>;
}

/// The error for a task name that the driver does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no background task `{name}`")]
pub struct UnknownTask {
    /// The unknown name.
    pub name: String,
}

/// A task, with its status and its locks.
struct TaskState {
    task: Arc<dyn BackgroundTask>,
    record: Mutex<TaskRecord>,
    /// The last stored record, with the time when it was stored.
    stored: Mutex<Option<(TaskRecord, Time)>>,
    /// A lock that a run holds, so that the task never runs twice at the same time.
    running: tokio::sync::Mutex<()>,
    /// Tells the task's loop that the time of the next run has changed.
    moved: Notify,
    /// Whether another task asked for a run of this task. A run in progress might have read its
    /// data before the request, so one more run is necessary.
    woken: AtomicBool,
}

impl TaskState {
    fn record(&self) -> TaskRecord {
        self.record.lock().clone()
    }

    /// Returns whether the task is due now, or will be due within `early`.
    fn is_due(&self, now: Time, early: Duration) -> bool {
        let TaskRecord { next, wait, .. } = self.record();
        // If the next run is further away than the task's wait, the clock was ahead when the driver
        // computed the time. The task is then due.
        next <= now + early.min(wait / 2) || next.since(now) > wait
    }
}

/// Runs background tasks, each at its own interval.
#[derive(Clone)]
pub struct Driver {
    store: Arc<dyn Store>,
    /// The lease on the tasks that only one process runs. `None` if no other process uses the
    /// store.
    lease: Option<Arc<TaskLease>>,
    clock: Clock,
    slots: Arc<[Arc<TaskState>]>,
    /// Tells waiting callers that a run has ended.
    progress: Arc<Notify>,
    /// Whether this process has already deleted the stored records of tasks that no longer exist.
    has_tidied: Arc<AtomicBool>,
}

impl Driver {
    /// Creates a driver for these tasks. All of them are due immediately.
    pub fn new(store: Arc<dyn Store>, clock: Clock, tasks: Vec<Arc<dyn BackgroundTask>>) -> Self {
        let now = clock.now();
        let slot = |task: Arc<dyn BackgroundTask>| {
            let record = TaskRecord {
                name: task.name(),
                period: u64::try_from(task.period().as_millis()).unwrap_or(u64::MAX),
                begun: None,
                ended: None,
                last: None,
                failure: None,
                failing_since: None,
                runs: 0,
                failures: 0,
                next: now,
                wait: Duration::ZERO,
            };
            Arc::new(TaskState {
                task,
                record: Mutex::new(record),
                stored: Mutex::default(),
                running: tokio::sync::Mutex::default(),
                moved: Notify::new(),
                woken: AtomicBool::new(false),
            })
        };
        Self {
            store,
            lease: None,
            clock,
            slots: tasks.into_iter().map(slot).collect(),
            progress: Arc::default(),
            has_tidied: Arc::default(),
        }
    }

    /// Returns the driver of a process that shares its store with other processes. The driver runs
    /// the tasks of [`Runs::Once`] only while the process holds the lease.
    #[must_use]
    pub fn sharing(self, lease: Option<Arc<TaskLease>>) -> Self {
        Self { lease, ..self }
    }

    /// Runs every task at its interval, each in its own loop, until `stop`. Then the driver cancels
    /// the runs in progress, and releases the lease. If a run hangs in a blocking call, the process
    /// keeps the lease. Another process takes the lease over later.
    pub async fn run(&self, stop: CancellationToken) {
        let mut loops = JoinSet::new();
        let driver = self.clone();
        // A store that hangs must delay neither the tasks nor the stop of the process.
        loops.spawn(async move { driver.forget_others().await });
        if let Some(lease) = self.lease.clone() {
            // If no other process holds the lease, this process gets the lease before the first
            // runs begin.
            if !matches!(self.within_limit(lease.look()).await, Some(Ok(()))) {
                tracing::debug!("lease on the background tasks unknown, retrying");
            }
            let (keeping, stop) = (lease.clone(), stop.clone());
            loops.spawn(async move { keeping.keep(&stop).await });
            let driver = self.clone();
            loops.spawn(async move {
                loop {
                    lease.acquired().await;
                    driver.make_due();
                    lease.lost().await;
                    driver.hand_over();
                }
            });
        }
        for slot in self.slots.iter().cloned() {
            let driver = self.clone();
            let lease = self.lease.clone().filter(|_| slot.task.runs() == Runs::Once);
            loops.spawn(async move {
                loop {
                    if let Some(lease) = &lease {
                        lease.acquired().await;
                    }
                    if slot.is_due(driver.clock.now(), Duration::ZERO) {
                        driver.run_once(&slot, None, lease.as_deref()).await;
                    }
                    let next = slot.record().next;
                    tokio::select! {
                        () = driver.clock.sleep_until(next) => {}
                        () = slot.moved.notified() => {}
                    }
                }
            });
        }
        stop.cancelled().await;
        loops.abort_all();
        let ended = async { while loops.join_next().await.is_some() {} };
        let have_ended = tokio::select! {
            () = ended => true,
            () = self.clock.sleep(LEFT_BEHIND) => false,
        };
        if let Some(lease) = self.lease.as_ref().filter(|_| have_ended) {
            lease.release().await;
        }
    }

    /// Makes every task due, because this process runs all of them from now on.
    fn make_due(&self) {
        for slot in self.slots.iter() {
            slot.record.lock().next = self.clock.now();
            slot.moved.notify_one();
        }
    }

    /// Forgets the failures of the tasks that another process runs from now on. This process would
    /// otherwise show a task as failing although the task succeeds in the other process.
    fn hand_over(&self) {
        for slot in self.slots.iter().filter(|slot| slot.task.runs() == Runs::Once) {
            let mut record = slot.record.lock();
            record.failure = None;
            record.failing_since = None;
        }
    }

    /// Waits until [`Driver::run`] has run each selected task at least once. `is_one` selects the
    /// tasks.
    pub async fn ran(&self, is_one: impl Fn(&str) -> bool) {
        loop {
            let ended = self.progress.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            let records = self.status();
            if records.iter().all(|record| record.runs > 0 || !is_one(&record.name)) {
                return;
            }
            ended.await;
        }
    }

    /// Runs the due tasks that `is_one` selects, in parallel. Also runs tasks that are nearly due.
    /// Runs that have not ended at `deadline` are cancelled. If a run wakes other tasks, these
    /// tasks run afterwards. Returns the tasks that failed or had no time left, each with the
    /// reason.
    pub async fn run_due(&self, deadline: Time, is_one: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        if !self.has_tidied.swap(true, Ordering::SeqCst) {
            self.within_limit(self.forget_others()).await;
        }
        let (mut failed, mut ran) = (BTreeMap::<String, String>::new(), BTreeSet::<String>::new());
        let mut early = EARLY;
        // A woken task can wake further tasks. The number of rounds is limited, because tasks can
        // wake each other in a circle.
        for _ in 0..3 {
            let now = self.clock.now();
            let is_wanted = |slot: &&Arc<TaskState>| slot.is_due(now, early) && is_one(&slot.task.name());
            let due: Vec<&Arc<TaskState>> = self.slots.iter().filter(is_wanted).collect();
            if now >= deadline {
                // The loop reports only tasks that have not run at all. A task that ran and was
                // woken again is not reported.
                let left = due.iter().map(|slot| slot.task.name()).filter(|name| !ran.contains(name));
                failed.extend(left.map(|name| (name, "no time left".to_owned())));
                break;
            }
            if due.is_empty() {
                break;
            }
            early = Duration::ZERO;
            for record in
                join_all(due.into_iter().map(|slot| self.run_once(slot, Some(deadline), None))).await
            {
                ran.insert(record.name.clone());
                match record.failure {
                    Some(why) => failed.insert(record.name, why),
                    None => failed.remove(&record.name),
                };
            }
        }
        failed.into_iter().collect()
    }

    /// Runs a task now, even if it is not due, and even if another process holds the lease. If a
    /// run of the task is in progress in this process, this call waits until that run has ended.
    pub async fn activate(&self, name: &str) -> Result<TaskRecord, UnknownTask> {
        let found = self.slots.iter().find(|slot| slot.task.name() == name);
        let slot = found.ok_or_else(|| UnknownTask { name: name.to_owned() })?;
        let record = self.run_once(slot, None, None).await;
        slot.moved.notify_one();
        Ok(record)
    }

    /// Runs a task once, records the result, and logs the result if it differs from the previous
    /// one. If there is a lease, the run ends when the process loses the lease.
    async fn run_once(
        &self,
        slot: &TaskState,
        deadline: Option<Time>,
        lease: Option<&TaskLease>,
    ) -> TaskRecord {
        let _alone = slot.running.lock().await;
        let begun = self.clock.now();
        slot.woken.store(false, Ordering::SeqCst);
        let patience = slot.task.timeout();
        let patience = deadline.map_or(patience, |deadline| patience.min(deadline.since(begun)));
        let span = spans::of_task(&slot.task.name());
        let run = AssertUnwindSafe(span.run(slot.task.activate())).catch_unwind();
        let lost = async {
            match lease {
                Some(lease) => lease.lost().await,
                None => std::future::pending().await,
            }
        };
        let mut is_lost = false;
        let result = tokio::select! {
            biased;
            () = lost => {
                is_lost = true;
                Ok(TaskStatus::Unfinished("another process runs the task".to_owned()))
            }
            result = run => result.unwrap_or_else(|_| Err(Failure::new(Class::Fatal, "the task panicked"))),
            () = self.clock.sleep(patience) => {
                let text = format!("no result within {} s, so Beadle ended the run", patience.as_secs());
                Err(Failure::new(Class::Retry, text))
            }
        };
        let result = span.ended(result);
        let did = matches!(result, Ok(TaskStatus::Done(_)));
        let record = noted(slot, begun, self.clock.now(), result);
        if did {
            let woken = slot.task.wakes();
            for other in self.slots.iter().filter(|other| woken.contains(&other.task.name())) {
                other.woken.store(true, Ordering::SeqCst);
                other.record.lock().next = self.clock.now();
                other.moved.notify_one();
            }
        }
        if !is_lost {
            let kept = self.within_limit(keep(slot, &record, self.store.as_ref(), self.clock.now()));
            if kept.await.is_none() {
                tracing::debug!("the store hangs, status of background tasks not stored");
            }
        }
        self.progress.notify_waiters();
        record
    }

    /// Waits for a call of the store, but no longer than [`STORE_LIMIT`]. If the call takes longer,
    /// the result is `None`.
    async fn within_limit<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            output = call => Some(output),
            () = self.clock.sleep(STORE_LIMIT) => None,
        }
    }

    /// Returns the status of every task.
    pub fn status(&self) -> Vec<TaskRecord> {
        self.slots.iter().map(|slot| slot.record()).collect()
    }

    /// Returns the status of every task. If another process runs a task, the status is the stored
    /// record of the task.
    pub async fn status_everywhere(&self) -> Vec<TaskRecord> {
        let mut records = self.status();
        if self.lease.as_ref().is_none_or(|lease| lease.is_held()) {
            return records;
        }
        // If the store cannot be read, the result contains only what this process knows.
        let stored = stored_records(self.store.as_ref()).await.unwrap_or_default();
        for (record, slot) in records.iter_mut().zip(self.slots.iter()) {
            let newer = stored.get(&record.name).filter(|stored| stored.ended > record.ended);
            if slot.task.runs() == Runs::Once
                && let Some(newer) = newer
            {
                record.clone_from(newer);
            }
        }
        records
    }

    /// Deletes the stored records of tasks that are no longer in the configuration.
    async fn forget_others(&self) {
        let Ok(stored) = Note::<TaskRecord>::of(&[""]).list(self.store.as_ref()).await else { return };
        for (name, _) in stored {
            let is_its = self.slots.iter().any(|slot| slot.task.name() == name);
            let note = Note::<TaskRecord>::of(&[&name]);
            if !is_its && let Err(error) = note.forget(self.store.as_ref()).await {
                tracing::debug!(%error, "stored status of a removed background task not deleted, the next start retries");
            }
        }
    }
}

/// Records the result of a run, and logs the result if it differs from the previous one.
fn noted(slot: &TaskState, begun: Time, now: Time, result: Result<TaskStatus, Failure>) -> TaskRecord {
    let mut record = slot.record.lock();
    record.begun = Some(begun);
    record.ended = Some(now);
    record.runs += 1;
    let mut wait = match &result {
        Ok(TaskStatus::Unfinished(_)) | Err(_) => slot.task.retry(),
        Ok(_) => slot.task.period(),
    };
    let result = match result {
        // A used-up budget becomes available again without help, so no operator has to act.
        Err(Failure { class: Class::RateLimited { until, .. }, text, .. }) => {
            wait = wait.max(until.since(now));
            Ok(TaskStatus::Unfinished(text))
        }
        result => result,
    };
    if slot.woken.load(Ordering::SeqCst) {
        wait = Duration::ZERO;
    }
    record.wait = wait;
    record.next = now + wait;
    match result {
        Ok(status) => {
            if record.failure.take().is_some() {
                tracing::info!(task = record.name, "background task recovered");
            }
            record.failing_since = None;
            record.last = Some(status);
        }
        Err(failure) => {
            if record.failure.as_ref() != Some(&failure.text) {
                tracing::error!(task = record.name, error = failure.text, "background task failed, retrying");
            }
            record.failures += 1;
            record.failing_since.get_or_insert(now);
            record.failure = Some(failure.text);
        }
    }
    record.clone()
}

/// Stores the record immediately if the result is new. If the result is the same as before, the
/// function stores the record only if the stored record is old.
async fn keep(slot: &TaskState, record: &TaskRecord, store: &dyn Store, now: Time) {
    let is_news = {
        let stored = slot.stored.lock();
        stored.as_ref().is_none_or(|(before, at)| {
            let is_other = before.failure != record.failure
                || (before.last != record.last && record.last != Some(TaskStatus::Idle));
            is_other || now.since(*at) >= STORED_EVERY || *at > now
        })
    };
    if !is_news {
        return;
    }
    match Note::of(&[&record.name]).put(store, record).await {
        Ok(()) => {
            let mut stored = slot.stored.lock();
            *stored = Some((record.clone(), now));
        }
        Err(error) => tracing::debug!(task = record.name, %error, "status of a background task not stored"),
    }
}
