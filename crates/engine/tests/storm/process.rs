//! A simulated process, with the same parts as `beadle serve`: a worker and background tasks.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::journal::{Happened, WriteResult};
use beadle_engine::{
    BackgroundTask, Clock, Detail, Driver, Entry, EntryKind, Failure, Key, Lane, Limits, Mark, Reconcile,
    Reconciler, Report, Run, Store, TaskStatus, Time, Timing, Worker, WorkerSettings, WritePace,
};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::line::Line;
use crate::settings::INSTANCES;
use crate::vendor::{Desk, Hand, generation, keys};
use crate::world::World;

/// The maximum time between two looks of a worker at the queue.
const POLL: Duration = Duration::from_secs(10);
/// How long the runs of a process may take after the request to stop.
const GRACE: Duration = Duration::from_secs(5);

/// What a process loses when it is killed.
pub(crate) struct Process {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
    pub(crate) bell: Arc<Notify>,
    stop: CancellationToken,
    worker: JoinHandle<()>,
    tasks: JoinHandle<()>,
}

impl Process {
    pub(crate) fn start(
        world: &Arc<World>,
        process: usize,
        clock: &Clock,
        (limits, pace, are_runs_shared): (Limits, Duration, bool),
    ) -> Self {
        let line = Line { world: world.clone(), process, timing: Timing::default() };
        let store: Arc<dyn Store> = Arc::new(line);
        let head = world.lock().vendor.generations.len() - 1;
        let in_force = Arc::new(AtomicUsize::new(head));
        let repositories = Reconciler {
            planner: Desk { world: world.clone(), clock: clock.clone(), in_force: in_force.clone() },
            writer: Hand { world: world.clone(), clock: clock.clone() },
            store: store.clone(),
            clock: clock.clone(),
            limits: limits.into(),
            pace: WritePace::new(pace),
        };
        let watched = Watched { world: world.clone(), repositories };
        let bell = Arc::new(Notify::new());
        let worker = Arc::new(Worker {
            store: store.clone(),
            clock: clock.clone(),
            reconcilers: HashMap::from([("repository", Arc::new(watched) as Arc<dyn Reconcile>)]),
            settings: WorkerSettings {
                concurrency: 4,
                poll: POLL,
                are_runs_shared,
                ..WorkerSettings::default()
            },
            bell: bell.clone(),
            counts: Arc::default(),
        });
        let tasks: Vec<Arc<dyn BackgroundTask>> = vec![
            Arc::new(Adoption {
                world: world.clone(),
                store: store.clone(),
                clock: clock.clone(),
                in_force,
                adopted: AtomicUsize::new(usize::MAX),
            }),
            Arc::new(Sweep { store: store.clone(), clock: clock.clone() }),
            Arc::new(Interrupted { store: store.clone(), clock: clock.clone(), before: clock.now() }),
        ];
        let driver = Driver::new(store.clone(), clock.clone(), tasks);
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        Self {
            store,
            clock: clock.clone(),
            bell,
            worker: tokio::spawn(worker.run(stop.clone(), GRACE)),
            tasks: tokio::spawn(async move { driver.run(stopping).await }),
            stop,
        }
    }

    /// Ends the process immediately, at any point of its work.
    pub(crate) async fn kill(self) {
        end(self.worker).await;
        end(self.tasks).await;
    }

    /// Asks the process to stop, and kills it if it takes too long. Returns whether it stopped by
    /// itself.
    pub(crate) async fn stop(mut self) -> bool {
        self.stop.cancel();
        let (worker, tasks) = (&mut self.worker, &mut self.tasks);
        let stopped = async {
            let _ = tokio::join!(worker, tasks); // a panic is reported by the thread of the storm
        };
        let is_stopped = tokio::time::timeout(GRACE * 3, stopped).await.is_ok();
        for part in [self.worker, self.tasks] {
            if !part.is_finished() {
                end(part).await;
            }
        }
        is_stopped
    }
}

async fn end(task: JoinHandle<()>) {
    task.abort();
    let _ = task.await; // it was killed
}

/// A reconciler that tells the witness when a run begins to read.
struct Watched {
    world: Arc<World>,
    repositories: Reconciler<Desk, Hand>,
}

#[async_trait]
impl Reconcile for Watched {
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        self.world.lock().promises.started(&run.lease);
        self.repositories.reconcile(run).await
    }
}

fn swept() -> Vec<Mark> {
    keys().into_iter().map(|key| Mark::new(key, Lane::Sweep)).collect()
}

/// Brings the newest generation of the policy into force in this process.
struct Adoption {
    world: Arc<World>,
    store: Arc<dyn Store>,
    clock: Clock,
    in_force: Arc<AtomicUsize>,
    /// The newest generation that this process has adopted. The process has deleted the old holds
    /// and marked the keys.
    adopted: AtomicUsize,
}

#[async_trait]
impl BackgroundTask for Adoption {
    fn name(&self) -> String {
        "adoption".into()
    }

    fn period(&self) -> Duration {
        Duration::from_secs(20)
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let head = self.world.lock().vendor.generations.len() - 1;
        if self.adopted.load(Ordering::SeqCst) == head {
            return Ok(TaskStatus::Idle);
        }
        self.in_force.store(head, Ordering::SeqCst);
        for instance in INSTANCES {
            self.store.forget_holds(instance, &generation(head)).await?;
        }
        self.store.mark(swept(), self.clock.now()).await?;
        self.adopted.store(head, Ordering::SeqCst);
        Ok(TaskStatus::Done(generation(head)))
    }
}

/// Makes all keys due.
struct Sweep {
    store: Arc<dyn Store>,
    clock: Clock,
}

#[async_trait]
impl BackgroundTask for Sweep {
    fn name(&self) -> String {
        "sweep".into()
    }

    fn period(&self) -> Duration {
        Duration::from_secs(300)
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        self.store.mark(swept(), self.clock.now()).await?;
        Ok(TaskStatus::Done("marked".into()))
    }
}

/// Makes a key due if one of its writes was interrupted before this process started.
struct Interrupted {
    store: Arc<dyn Store>,
    clock: Clock,
    before: Time,
}

#[async_trait]
impl BackgroundTask for Interrupted {
    fn name(&self) -> String {
        "interrupted writes".into()
    }

    fn period(&self) -> Duration {
        Duration::from_secs(3600)
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn retry(&self) -> Duration {
        Duration::from_secs(10)
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let now = self.clock.now();
        for intent in self.store.open_intents().await?.into_iter().filter(|one| one.at <= self.before) {
            let detail = Detail::Result(WriteResult { written: Happened::Unknown, unknown: None, why: None });
            let result = Entry {
                seq: 0,
                at: now,
                kind: EntryKind::Result,
                intent: Some(intent.seq),
                detail,
                ..intent.clone()
            };
            if let Ok(key) = intent.key.parse::<Key>() {
                self.store.mark(vec![Mark::new(key, Lane::Event)], now).await?;
            }
            self.store.journal(None, vec![result], now).await?;
        }
        Ok(TaskStatus::Idle)
    }
}
