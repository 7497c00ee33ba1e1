//! The worker loop: claims blocks of due keys, runs each with a heartbeat, and records the end of
//! each run.

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
use crate::clock::{Clock, Time};
use crate::failure::{Class, Failure};
use crate::guard::Limits;
use crate::journal::{Cause, Detail, Entry, EntryKind, RunCounts};
use crate::key::{Key, Lane};
use crate::pace::WritePace;
use crate::places::Places;
use crate::queue::{Claim, Outcome, ParkReason};
use crate::said::Said;
use crate::store::{DeliveryRow, Listing, Store};
use crate::subjects::Subjects;

/// A claimed key, as a reconciler gets it.
#[derive(Clone, Debug)]
pub struct Run {
    /// The right to work on the key.
    pub lease: crate::queue::Lease,
    /// The lane of the run. It decides which calls may use the reserve of a budget, and how old a
    /// remembered answer may be. It does not change what a run declares.
    pub lane: Lane,
    /// The vendor's name for a faster lookup.
    pub hint: Option<String>,
    /// The time at which the key became due. A delivery since then may have caused the drift. For
    /// the journal only.
    pub since: Time,
}

/// Makes keys as declared.
#[async_trait]
pub trait Reconcile: Send + Sync + 'static {
    /// Runs once. An error means that nothing could be planned.
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure>;
    /// Returns whether a key of this instance is parked because of a name that does not exist: see
    /// [`Planner::parks_unresolved`].
    fn parks_unresolved(&self, _instance: &str) -> bool {
        true
    }
}

/// A reconciler that applies the plans of a planner with a writer.
pub struct Reconciler<P: Planner, W: PlanWriter<P::Write>> {
    /// The planner.
    pub planner: P,
    /// The writer.
    pub writer: W,
    /// The store of the window, the holds and the journal.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Clock,
    /// The window's limits.
    pub limits: Limits,
    /// The turns of bulk writes.
    pub pace: WritePace,
}

#[async_trait]
impl<P: Planner, W: PlanWriter<P::Write>> Reconcile for Reconciler<P, W> {
    fn parks_unresolved(&self, _: &str) -> bool {
        self.planner.parks_unresolved()
    }

    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        let key = &run.lease.key;
        let generation = self.planner.generation();
        let plan = self.planner.plan(key, run.hint.as_deref(), run.lane).await?;
        let planned = self.clock.now();
        fail::fail_point!("between-claim-and-write", |_| std::process::abort());
        let context = ApplyContext {
            store: self.store.clone(),
            clock: self.clock.clone(),
            lease: Some(run.lease.clone()),
            lane: run.lane,
            limits: self.limits,
            pace: self.pace.clone(),
            patient: false,
            generation,
            planned,
        };
        release_resolved_holds(key, &plan, &context).await?;
        let report = apply(key, &plan, &self.writer, &context, &|_, _| {}).await?;
        let noteworthy = !report.steps.is_empty() || !report.unknowns.is_empty();
        if noteworthy {
            let count = |wanted: fn(&StepResult) -> bool| report.count(wanted);
            let entry = Entry {
                seq: 0,
                at: self.clock.now(),
                kind: EntryKind::Run,
                key: key.to_string(),
                subject: report.subject.clone(),
                intent: None,
                detail: Detail::Run(RunCounts {
                    changes: report.steps.len(),
                    written: count(|result| *result == StepResult::Written),
                    held: count(|result| matches!(result, StepResult::Held { .. })),
                    withheld: Some(count(|result| *result == StepResult::Withheld)),
                    failed: report.failed(),
                    postponed: Some(count(|result| matches!(result, StepResult::Postponed(_)))),
                    unknown: report.unknowns.clone(),
                    after: Some(causes(self.store.as_ref(), run).await),
                }),
            };
            self.store.journal(None, vec![entry], self.clock.now()).await?;
        }
        Ok(report)
    }
}

/// Returns the deliveries that made a key due. They may have caused the drift.
async fn causes(store: &dyn Store, run: &Run) -> Vec<Cause> {
    const MOST: u32 = 5;
    let key = Some(run.lease.key.to_string());
    let listing = Listing { after: 0, since: Some(run.since), key, limit: MOST };
    match store.deliveries(listing).await {
        Ok(rows) => {
            let cause = |row: DeliveryRow| Cause { event: row.event, by: row.actor, delivery: row.id };
            rows.into_iter().map(cause).collect()
        }
        Err(error) => {
            tracing::debug!(%error, "deliveries that made the key due not read");
            Vec::new()
        }
    }
}

/// The settings of a worker.
#[derive(Clone, Copy, Debug)]
pub struct WorkerSettings {
    /// The number of keys that are worked on at the same time. They are claimed in blocks, so that
    /// reads can be batched.
    pub concurrency: usize,
    /// The maximum time between two reads of the queue. Another process may have marked a key.
    pub poll: Duration,
    /// The time limit of a run.
    pub run_limit: Duration,
    /// The number of tries, of a key that the vendor refuses, after which the key is parked.
    pub rejected_attempts: u32,
    /// Whether an instance takes at most half of the runs that the other instances leave, so that a
    /// vendor that never answers delays its own keys only.
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

/// The time between two looks for keys of other instances while one has its share of the runs and
/// many due keys: the store passes over each of them. A bell makes a look earlier: when the key
/// that it announces has waited for its debounce.
const LOOK_AROUND: Duration = Duration::from_secs(5);

/// Counters for metrics.
#[derive(Debug, Default)]
pub struct WorkerCounts {
    /// Runs that left their key as declared, or with changes that only mode or guard hold back.
    pub done: AtomicU64,
    /// Runs to be retried.
    pub retried: AtomicU64,
    /// Runs that wait for a budget.
    pub limited: AtomicU64,
    /// Parked keys.
    pub parked: AtomicU64,
    /// Written changes.
    pub written: AtomicU64,
    /// Changes that the guard held.
    pub held: AtomicU64,
    /// Changes that were postponed because another writer undoes them.
    pub contested: AtomicU64,
    /// The logged causes.
    said: Said,
    /// The names of keys, for the log.
    subjects: Subjects,
}

/// Claims keys and runs their reconcilers until `stop`.
pub struct Worker {
    /// The queue.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Clock,
    /// The reconcilers by kind of key.
    pub reconcilers: HashMap<&'static str, Arc<dyn Reconcile>>,
    /// The settings.
    pub settings: WorkerSettings,
    /// Notified when this process marked a key.
    pub bell: Arc<Notify>,
    /// The counters.
    pub counts: Arc<WorkerCounts>,
}

impl Worker {
    /// Works until `stop`. Then it begins nothing new, gives runs `grace` to end, and hands back
    /// the others.
    pub async fn run(self: Arc<Self>, stop: CancellationToken, grace: Duration) {
        let mut running = JoinSet::new();
        let cut = CancellationToken::new();
        let places = Places::new(self.settings.concurrency, self.settings.are_runs_shared);
        let debounce = self.store.timing().debounce;
        let mut look_around = self.clock.now();
        let mut rung = look_around;
        while !stop.is_cancelled() {
            let mut got = 0;
            let mut room = places.room();
            // Runs that end during a claim make room again: with a long queue, only `stop` may end
            // the loop.
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
                        tracing::error!(%error, "keys not claimed, retrying");
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
                // All places are taken: go on as soon as a run ends.
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
                // A key is due and was not claimed: it is paused, or its instance has its share of
                // the runs. A bell, the end of a run or the next poll changes that.
                _ => self.settings.poll,
            };
            let until_look = look_around.since(self.clock.now()).max(Duration::from_millis(1));
            let sleep = if room.full.is_empty() { sleep } else { sleep.min(until_look) };
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.bell.notified() => {
                    rung = self.clock.now();
                    look_around = look_around.min(rung + debounce);
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

    /// Runs a claimed key once, and records the end of the run.
    pub async fn work(&self, claim: Claim, cut: CancellationToken) {
        let lease = claim.lease.clone();
        let attempt = claim.attempt;
        tracing::debug!(key = %lease.key, epoch = lease.epoch, lane = %claim.lane, "begins");
        let (outcome, report) = tokio::select! {
            ended = self.reconcile(claim) => ended,
            () = self.heartbeat(&lease) => {
                let subject = self.counts.subjects.of(&lease.key);
                tracing::warn!(key = %lease.key, subject, "lease lost, another worker has the key");
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
                tracing::info!(key = %lease.key, subject = report.subject, written, held, "repaired");
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
                let why =
                    format!("no result within {} s, the run was ended", self.settings.run_limit.as_secs());
                (Outcome::Retry(why), None)
            }
            Ok(Err(_)) => (Outcome::Retry("the run panicked, the log shows where".into()), None),
            Ok(Ok(Err(failure))) => (self.outcome(&failure, claim.attempt), None),
            Ok(Ok(Ok(report))) => {
                let Some(failure) = report.verdict() else { return (Outcome::Done, Some(report)) };
                let mut outcome = self.outcome(&failure, claim.attempt);
                if report.is_for_people() && !reconciler.parks_unresolved(key.instance()) {
                    self.say_unresolved(&key, &failure.text);
                    if matches!(outcome, Outcome::Park(..)) {
                        outcome = Outcome::Done;
                    }
                }
                (outcome, Some(report))
            }
        }
    }

    /// Returns whether a cause is logged for the first time in its instance.
    fn is_news(&self, key: &Key, why: &str) -> bool {
        self.counts.said.is_news(&format!("{} {why}", key.instance()), self.clock.now())
    }

    fn say_unresolved(&self, key: &Key, why: &str) {
        if self.is_news(key, why) {
            tracing::warn!(%key, why, "part of the policy cannot be resolved, Beadle changes nothing for this part");
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
        tracing::debug!(key = %lease.key, epoch = lease.epoch, "ends");
        let counter = match &outcome {
            Outcome::Done => &self.counts.done,
            Outcome::Retry(_) | Outcome::HandBack => &self.counts.retried,
            Outcome::RateLimited { .. } => &self.counts.limited,
            Outcome::Park(..) => &self.counts.parked,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let subject = self.counts.subjects.of(&lease.key);
        match &outcome {
            // A cause that affects all keys is logged with the first of them.
            Outcome::Retry(why) if self.is_news(&lease.key, why) => {
                tracing::warn!(key = %lease.key, subject, attempt, why, "run failed, retrying");
            }
            Outcome::Retry(why) => {
                tracing::debug!(key = %lease.key, subject, attempt, why, "run failed, retrying");
            }
            Outcome::Park(reason, why) => {
                tracing::error!(key = %lease.key, subject, reason = reason.as_str(), why, "key parked");
            }
            Outcome::RateLimited { until, why, .. } if why == TURN || *until <= self.clock.now() => {
                tracing::debug!(key = %lease.key, subject, %until, why, "key waits for its turn");
            }
            Outcome::RateLimited { until, why, .. } if self.is_news(&lease.key, why) => {
                tracing::warn!(key = %lease.key, subject, %until, why, "budget used up, key waits");
            }
            Outcome::RateLimited { until, why, .. } => {
                tracing::debug!(key = %lease.key, subject, %until, why, "budget used up, key waits");
            }
            Outcome::Done | Outcome::HandBack => {}
        }
        // An end that cannot be stored loses no work: the lease expires and the key is observed
        // again.
        for wait in [0, 100, 1000] {
            self.clock.sleep(Duration::from_millis(wait)).await;
            match self.store.finish(&lease, outcome.clone(), self.clock.now()).await {
                Ok(_) => return,
                Err(error) => {
                    tracing::error!(key = %lease.key, subject, %error, "end of a run not stored, retrying");
                }
            }
        }
    }

    /// Renews the lease. Returns when the lease is lost.
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
