//! The loop of a worker. It claims several due keys at a time, runs each of them while it renews
//! the lease, and records the end of each run.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::apply::{
    ApplyContext, PlanWriter, Planner, Report, StepResult, TURN, apply, release_resolved_holds,
};
use crate::causes::causes;
use crate::clock::{Clock, Time};
use crate::failure::{Class, Failure};
use crate::guard::LimitsInForce;
use crate::journal::{Detail, Entry, EntryKind};
use crate::key::{Key, Lane};
use crate::key_state::KeyState;
use crate::looks::wait_after_ring;
use crate::pace::WritePace;
use crate::places::Places;
use crate::queue::{Claim, Outcome, ParkReason};
use crate::said::Said;
use crate::store::Store;
use crate::subjects::Subjects;
use crate::unwritten::run_counts;

/// A run of a claimed key, as the reconciler gets it.
#[derive(Clone, Debug)]
pub struct Run {
    /// The right to work on the key until the lease ends.
    pub lease: crate::queue::Lease,
    /// The lane of the run. It decides whether calls may use the reserve of a budget, and how old a
    /// remembered answer may be. It never changes which values the run declares.
    pub lane: Lane,
    /// The vendor's name for the thing, which makes the lookup faster.
    pub hint: Option<String>,
    /// The time since which the key has been due, for the journal. Deliveries that arrived after
    /// this time may explain the drift.
    pub since: Time,
}

/// Makes the things of keys as declared.
#[async_trait]
pub trait Reconcile: Send + Sync + 'static {
    /// Runs one key once. An error means that no plan could be made.
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure>;
    /// Returns whether Beadle parks a key of this instance whose policy contains a name that does
    /// not exist: see [`Planner::parks_unresolved`].
    fn parks_unresolved(&self, _instance: &str) -> bool {
        true
    }
    /// Records that a run of a key ended without a result, for reports about the past.
    async fn record_failure(&self, _key: &Key, _failure: &Failure) -> Result<(), Failure> {
        Ok(())
    }
}

/// A reconciler that plans with a [`Planner`] and applies the plan with a [`PlanWriter`].
pub struct Reconciler<P: Planner, W: PlanWriter<P::Write>> {
    /// Reads both sides and plans the changes.
    pub planner: P,
    /// Writes the planned changes.
    pub writer: W,
    /// The store of the guard's window, the holds and the journal.
    pub store: Arc<dyn Store>,
    /// The source of the current time.
    pub clock: Clock,
    /// The guard's limits for one window.
    pub limits: LimitsInForce,
    /// The schedule that spreads bulk writes over time.
    pub pace: WritePace,
}

#[async_trait]
impl<P: Planner, W: PlanWriter<P::Write>> Reconcile for Reconciler<P, W> {
    fn parks_unresolved(&self, _: &str) -> bool {
        self.planner.parks_unresolved()
    }

    async fn record_failure(&self, key: &Key, failure: &Failure) -> Result<(), Failure> {
        self.planner.record_failure(key, failure).await
    }

    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        let key = &run.lease.key;
        let plan = match self.planner.plan(key, run.hint.as_deref(), run.lane).await {
            Ok(plan) => plan,
            Err(failure) => {
                self.planner.record_failure(key, &failure).await?;
                return Err(failure);
            }
        };
        let planned = self.clock.now();
        fail::fail_point!("between-claim-and-write", |_| std::process::abort());
        let context = ApplyContext {
            store: self.store.clone(),
            clock: self.clock.clone(),
            lease: Some(run.lease.clone()),
            lane: run.lane,
            limits: self.limits.current(),
            pace: self.pace.clone(),
            patient: false,
            generation: plan.generation.clone(),
            planned,
        };
        release_resolved_holds(key, &plan, &context).await?;
        let report = match apply(key, &plan, &self.writer, &context, &|_, _| {}).await {
            Ok(report) => report,
            Err(failure) => {
                self.planner.record(key, &Report::of_unwritten(&plan)).await?;
                return Err(failure);
            }
        };
        KeyState::record(self.store.as_ref(), key, &report, self.clock.now()).await?;
        self.planner.record(key, &report).await?;
        let noteworthy = !report.steps.is_empty() || !report.unknowns.is_empty();
        if noteworthy {
            let after = causes(self.store.as_ref(), key, &self.planner.origins(key), run.since).await;
            let entry = Entry {
                seq: 0,
                at: self.clock.now(),
                kind: EntryKind::Run,
                key: key.to_string(),
                subject: report.subject.clone(),
                intent: None,
                detail: Detail::Run(run_counts(&report, after)),
            };
            self.store.journal(None, vec![entry], self.clock.now()).await?;
        }
        Ok(report)
    }
}

/// The settings of a worker.
#[derive(Clone, Copy, Debug)]
pub struct WorkerSettings {
    /// The maximum number of keys on which the worker works at the same time. The worker claims
    /// several keys at once, so that their reads can be combined.
    pub concurrency: usize,
    /// The maximum time between two looks at the queue. Another process may have made a key due
    /// without a signal to this worker.
    pub poll: Duration,
    /// The maximum duration of a run.
    pub run_limit: Duration,
    /// How many times the worker tries a key if the vendor refuses the changes of the key. After
    /// that, the key is parked.
    pub rejected_attempts: u32,
    /// True if one instance may occupy at most half of the places that the other instances leave
    /// free. With this limit, a vendor that never answers delays only its own keys.
    pub are_runs_shared: bool,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            concurrency: 64,
            poll: Duration::from_secs(1),
            run_limit: Duration::from_secs(300),
            rejected_attempts: 3,
            are_runs_shared: false,
        }
    }
}

/// How often the worker looks for keys of other instances while one instance has reached its limit
/// of places. Such a look is expensive if that instance has many due keys, because the store must
/// skip each of them. If the bell rings, the worker looks earlier: when the debounce of the
/// announced key ends.
const LOOK_AROUND: Duration = Duration::from_secs(5);

/// Counts of results, for metrics.
#[derive(Debug, Default)]
pub struct WorkerCounts {
    /// The number of runs that left nothing to do, except for changes that a mode or the guard
    /// keeps back.
    pub done: AtomicU64,
    /// The number of runs that failed and are retried.
    pub retried: AtomicU64,
    /// The number of runs that ended because of a used-up budget.
    pub limited: AtomicU64,
    /// The number of runs after which the key was parked.
    pub parked: AtomicU64,
    /// The number of written changes.
    pub written: AtomicU64,
    /// The number of changes that the guard held.
    pub held: AtomicU64,
    /// The number of contested changes that were postponed.
    pub contested: AtomicU64,
    /// The causes that are already in the log.
    said: Said,
    /// The names of keys that people know, for the log.
    subjects: Subjects,
}

/// Claims due keys and runs their reconcilers, until it is stopped.
pub struct Worker {
    /// The store that contains the queue.
    pub store: Arc<dyn Store>,
    /// The source of the current time.
    pub clock: Clock,
    /// The reconciler for each kind of key.
    pub reconcilers: HashMap<&'static str, Arc<dyn Reconcile>>,
    /// The settings of the worker.
    pub settings: WorkerSettings,
    /// A signal that this process has made a key due, so that the worker looks at the queue at
    /// once.
    pub bell: Arc<Notify>,
    /// Counts of results, for metrics.
    pub counts: Arc<WorkerCounts>,
}

impl Worker {
    /// Works until `stop`. Then the worker begins no new run. Runs in progress may end within
    /// `grace`, and after that time the worker returns their keys to the queue.
    pub async fn run(self: Arc<Self>, stop: CancellationToken, grace: Duration) {
        let mut running = JoinSet::new();
        let cut = CancellationToken::new();
        let places = Places::new(self.settings.concurrency, self.settings.are_runs_shared);
        let debounce = self.store.timing().debounce;
        let mut look_around = self.clock.now();
        let mut rung = look_around;
        while !stop.is_cancelled() {
            let looked = self.clock.now();
            let mut got = 0;
            let mut room = places.room();
            // During a claim, other runs end and free their places. With a long queue, this loop
            // could therefore continue forever, and only `stop` ends it.
            while room.keys > 0 && !stop.is_cancelled() {
                while running.try_join_next().is_some() {}
                let passes_over = !room.full.is_empty();
                let wait = look_around.since(self.clock.now());
                if passes_over && !wait.is_zero() && wait <= LOOK_AROUND {
                    break;
                }
                let claims = match self.store.claim_except(room.keys, &room.full, self.clock.now()).await {
                    Ok(claims) => claims,
                    Err(error) => {
                        tracing::error!(%error, "due keys cannot be claimed in the store, retrying");
                        Vec::new()
                    }
                };
                let is_last = claims.len() < room.keys;
                got += claims.len();
                for claim in claims {
                    let place = places.take(claim.lease.key.instance());
                    let (worker, cut) = (self.clone(), cut.clone());
                    running.spawn(async move {
                        worker.work(claim, cut).await;
                        drop(place);
                    });
                }
                if is_last && passes_over {
                    let now = self.clock.now();
                    let left = (rung + debounce).since(now);
                    let is_announced = !left.is_zero() && left <= debounce;
                    look_around = now + if is_announced { left } else { LOOK_AROUND };
                }
                room = places.room();
                if is_last {
                    break;
                }
            }
            if got > 0 && room.keys == 0 {
                // All places are occupied. The worker continues as soon as a run ends.
                tokio::select! {
                    () = stop.cancelled() => {}
                    _ = running.join_next() => {}
                }
                continue;
            }
            let sleep = match self.store.next_due().await {
                Ok(Some(due)) if got > 0 || due > self.clock.now() => {
                    due.since(self.clock.now()).max(Duration::from_millis(1)).min(self.settings.poll)
                }
                // A key is due and was not claimed, because it is paused or because its instance
                // has reached its limit of places. The next chance comes with the bell, with the
                // end of a run, or after the poll interval.
                _ => self.settings.poll,
            };
            let until_look = look_around.since(self.clock.now()).max(Duration::from_millis(1));
            let sleep = if room.full.is_empty() { sleep } else { sleep.min(until_look) };
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.bell.notified() => {
                    rung = self.clock.now();
                    look_around = look_around.min(rung + debounce);
                    let gather = self.clock.sleep(wait_after_ring(looked, rung));
                    tokio::select! { () = stop.cancelled() => {}, () = gather => {} }
                }
                Some(_) = running.join_next(), if !running.is_empty() => {}
                () = self.clock.sleep(sleep) => {}
            }
        }
        let drained = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, drained).await.is_err() {
            cut.cancel();
            while running.join_next().await.is_some() {}
        }
    }

    /// Runs a claimed key once, and records how the run ended.
    pub async fn work(&self, claim: Claim, cut: CancellationToken) {
        let lease = claim.lease.clone();
        let attempt = claim.attempt;
        tracing::debug!(key = %lease.key, epoch = lease.epoch, lane = %claim.lane, "run begins");
        let (outcome, report) = tokio::select! {
            ended = self.reconcile(claim) => ended,
            () = self.heartbeat(&lease) => {
                let subject = self.counts.subjects.of(&lease.key);
                tracing::warn!(key = %lease.key, subject, "lease lost, another worker took over the key");
                return;
            }
            () = cut.cancelled() => (Outcome::HandBack, None),
        };
        if let Some(report) = &report {
            self.counts.subjects.remember(&lease.key, &report.subject);
            let written = report.count(|result| *result == StepResult::Written) as u64;
            let held = report.count(|result| matches!(result, StepResult::Held { .. })) as u64;
            self.counts.written.fetch_add(written, Ordering::Relaxed);
            self.counts.held.fetch_add(held, Ordering::Relaxed);
            let contested = report.count(|result| matches!(result, StepResult::Postponed(_))) as u64;
            self.counts.contested.fetch_add(contested, Ordering::Relaxed);
            if held > 0 {
                tracing::warn!(key = %lease.key, subject = report.subject, held, "changes held by the guard, see `beadle holds`");
            }
            if written > 0 {
                tracing::info!(key = %lease.key, subject = report.subject, written, held, "changes written");
            }
        }
        self.end(lease, outcome, attempt).await;
    }

    async fn reconcile(&self, claim: Claim) -> (Outcome, Option<Report>) {
        let key = claim.lease.key.clone();
        let Some(reconciler) = self.reconcilers.get(key.kind()) else {
            let why = format!("the configuration has no reconciler for keys of the kind `{}`", key.kind());
            return (Outcome::Park(ParkReason::Failed, why), None);
        };
        let run = Run { lease: claim.lease, lane: claim.lane, hint: claim.hint, since: claim.since };
        let work = std::panic::AssertUnwindSafe(reconciler.reconcile(&run)).catch_unwind();
        let limited = tokio::time::timeout(self.settings.run_limit, work);
        match limited.await {
            Err(_) => {
                let why = format!(
                    "no result within {} s, so Beadle ended the run",
                    self.settings.run_limit.as_secs()
                );
                record_lost(reconciler.as_ref(), &key, &why).await;
                (Outcome::Retry(why), None)
            }
            Ok(Err(_)) => {
                let why = "the run panicked, the log shows where";
                record_lost(reconciler.as_ref(), &key, why).await;
                (Outcome::Retry(why.into()), None)
            }
            Ok(Ok(Err(failure))) => (self.outcome(&failure, claim.attempt), None),
            Ok(Ok(Ok(report))) => {
                let Some(failure) = report.verdict() else { return (Outcome::Done, Some(report)) };
                let mut outcome = self.outcome(&failure, claim.attempt);
                if report.is_for_people() && !reconciler.parks_unresolved(key.instance()) {
                    self.say_unresolved(&key, &report.subject, &failure.text);
                    if matches!(outcome, Outcome::Park(..)) {
                        outcome = Outcome::Done;
                    }
                }
                (outcome, Some(report))
            }
        }
    }

    /// Returns whether this cause must be logged now, because it is new for its instance.
    fn is_news(&self, key: &Key, why: &str) -> bool {
        self.counts.said.is_news(&format!("{} {why}", key.instance()), self.clock.now())
    }

    fn say_unresolved(&self, key: &Key, subject: &str, why: &str) {
        if self.is_news(key, why) {
            tracing::warn!(%key, subject, why, "part of the policy cannot be resolved, Beadle changes nothing for this part");
        }
    }

    fn outcome(&self, failure: &Failure, attempt: u32) -> Outcome {
        let why = failure.text.clone();
        match failure.class {
            Class::RateLimited { until, spares_events } => Outcome::RateLimited { until, spares_events, why },
            Class::Rejected if attempt >= self.settings.rejected_attempts => {
                Outcome::Park(ParkReason::Failed, why)
            }
            Class::Retry | Class::Conflict | Class::Rejected => Outcome::Retry(why),
            Class::Fatal => Outcome::Park(ParkReason::Failed, why),
        }
    }

    async fn end(&self, lease: crate::queue::Lease, outcome: Outcome, attempt: u32) {
        tracing::debug!(key = %lease.key, epoch = lease.epoch, "run ends");
        let counter = match &outcome {
            Outcome::Done => &self.counts.done,
            Outcome::Retry(_) | Outcome::HandBack => &self.counts.retried,
            Outcome::RateLimited { .. } => &self.counts.limited,
            Outcome::Park(..) => &self.counts.parked,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let subject = self.counts.subjects.of(&lease.key);
        match &outcome {
            // Many keys may fail for the same cause. The log gets one line, with the first of the
            // keys.
            Outcome::Retry(why) if self.is_news(&lease.key, why) => {
                tracing::warn!(key = %lease.key, subject, attempt, why, "run failed, retrying");
            }
            Outcome::Retry(why) => {
                tracing::debug!(key = %lease.key, subject, attempt, why, "run failed, retrying");
            }
            Outcome::Park(reason, why) => {
                tracing::error!(key = %lease.key, subject, reason = reason.as_str(), why, "key parked, see `beadle queue`");
            }
            Outcome::RateLimited { until, why, .. } if why == TURN || *until <= self.clock.now() => {
                tracing::debug!(key = %lease.key, subject, %until, why, "key waits for its turn");
            }
            Outcome::RateLimited { until, why, .. } if self.is_news(&lease.key, why) => {
                tracing::warn!(key = %lease.key, subject, %until, why, "API budget used up, key waits for the reset");
            }
            Outcome::RateLimited { until, why, .. } => {
                tracing::debug!(key = %lease.key, subject, %until, why, "API budget used up, key waits for the reset");
            }
            Outcome::Done | Outcome::HandBack => {}
        }
        // If the end of a run cannot be stored, no work is lost. The lease ends, and another run
        // reads the key again.
        for wait in [0, 100, 1000] {
            self.clock.sleep(Duration::from_millis(wait)).await;
            match self.store.finish(&lease, outcome.clone(), self.clock.now()).await {
                Ok(_) => return,
                Err(error) => {
                    tracing::error!(key = %lease.key, subject, %error, "result of a run not stored, retrying");
                }
            }
        }
    }

    /// Renews the lease again and again, and returns when the lease is lost.
    async fn heartbeat(&self, lease: &crate::queue::Lease) {
        let every = self.store.timing().lease / 3;
        let mut until: Time = lease.until;
        loop {
            self.clock.sleep(every).await;
            match self.store.renew(lease, self.clock.now()).await {
                Ok(Some(renewed)) => until = renewed,
                Err(_) if self.clock.now() < until => {}
                Ok(None) | Err(_) => return,
            }
        }
    }
}

/// The maximum time to record a run without a result. Otherwise a store that hangs would occupy a
/// place of the worker.
const RECORD_LIMIT: Duration = Duration::from_secs(10);

/// Records that a run ended without a result. Otherwise a report would show what the run before it
/// found, and a later sweep as the last check.
async fn record_lost(reconciler: &dyn Reconcile, key: &Key, why: &str) {
    let failure = Failure::new(Class::Retry, why);
    let recorded = tokio::time::timeout(RECORD_LIMIT, reconciler.record_failure(key, &failure)).await;
    if !matches!(recorded, Ok(Ok(()))) {
        tracing::warn!(%key, why, "run without a result not recorded for reports");
    }
}
