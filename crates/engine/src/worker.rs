//! The loop of a worker. The worker claims several due keys at a time and runs each key. During a
//! run, the worker renews the lease. Afterwards, the worker records the end of the run.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::apply::{Report, StepResult, TURN};
use crate::clock::{Clock, Time};
use crate::failure::{Class, Failure};
use crate::key::Key;
use crate::looks::wait_after_ring;
use crate::places::Places;
use crate::queue::{Claim, Outcome, ParkReason};
use crate::reconcile::{Reconcile, Run};
use crate::said::Said;
use crate::spans;
use crate::store::Store;
use crate::subjects::Subjects;

/// The settings of a worker.
#[derive(Clone, Copy, Debug)]
pub struct WorkerSettings {
    /// The maximum number of keys that the worker works on at the same time. The worker claims
    /// several keys together, so that their reads can be combined.
    pub concurrency: usize,
    /// The maximum time between two looks at the queue. Another process might have made a key due
    /// without a signal to this worker.
    pub poll: Duration,
    /// The maximum duration of a run.
    pub run_limit: Duration,
    /// How many times the worker tries a key if the vendor refuses the changes of the key. After
    /// that, the key is parked.
    pub rejected_attempts: u32,
    /// True if an instance may occupy at most half of the places that other instances leave free.
    /// With this limit, a vendor that never answers delays only its own keys.
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
/// of places. A look is expensive if the instance at its limit has many due keys, because the store
/// must skip each of these keys. If the bell rings, the worker looks as soon as the debounce of the
/// announced key ends.
const LOOK_AROUND: Duration = Duration::from_secs(5);

/// After a request to stop, the worker still waits this long for a claim in progress.
const LAST_CLAIM: Duration = Duration::from_secs(2);
/// How long the worker waits until the interrupted runs have returned their keys to the queue.
const HAND_BACK: Duration = Duration::from_secs(5);

/// The numbers of runs and changes by result, for metrics.
#[derive(Debug, Default)]
pub struct WorkerCounts {
    /// The number of runs that left no work. Changes that a mode or the guard stops do not count as
    /// work.
    pub done: AtomicU64,
    /// The number of runs that failed and are retried.
    pub retried: AtomicU64,
    /// The number of runs that ended because of a used-up budget.
    pub limited: AtomicU64,
    /// The number of runs that ended with a parked key.
    pub parked: AtomicU64,
    /// The number of written changes.
    pub written: AtomicU64,
    /// The number of changes that the guard held.
    pub held: AtomicU64,
    /// The number of contested changes that were postponed.
    pub contested: AtomicU64,
    /// The causes that are already in the log.
    said: Said,
    /// The names that people use for the keys, for the log.
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
    /// A signal that this process has made a key due, so that the worker immediately looks at the
    /// queue.
    pub bell: Arc<Notify>,
    /// The numbers of runs and changes by result, for metrics.
    pub counts: Arc<WorkerCounts>,
}

impl Worker {
    /// Works until `stop`. After `stop`, the worker begins no new run. Runs in progress may end
    /// within `grace`. After that time, the worker returns their keys to the queue.
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
            // could therefore continue forever. Only `stop` ends it then.
            while room.keys > 0 && !stop.is_cancelled() {
                while running.try_join_next().is_some() {}
                let passes_over = !room.full.is_empty();
                let wait = look_around.since(self.clock.now());
                if passes_over && !wait.is_zero() && wait <= LOOK_AROUND {
                    break;
                }
                let claim = self.store.claim_except(room.keys, &room.full, self.clock.now());
                let claims = tokio::select! {
                    claims = claim => claims,
                    // If the store completes the claim later, the leases of the keys end, and
                    // another worker claims the keys.
                    () = self.given_up(&stop) => break,
                };
                let claims = match claims {
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
            let next = tokio::select! {
                next = self.store.next_due() => next,
                () = stop.cancelled() => break,
            };
            let sleep = match next {
                Ok(Some(due)) if got > 0 || due > self.clock.now() => {
                    due.since(self.clock.now()).max(Duration::from_millis(1)).min(self.settings.poll)
                }
                // A key is due, but the worker did not claim it. The key is paused, or its instance
                // has reached its limit of runs. The worker tries again when the bell rings, when a
                // run ends, or after the poll interval.
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
            let handed_back = async { while running.join_next().await.is_some() {} };
            // If the store hangs, the keys stay claimed until their leases end.
            let _ = tokio::time::timeout(HAND_BACK, handed_back).await;
        }
    }

    /// Waits for the request to stop, and then for [`LAST_CLAIM`]. After that, the worker no longer
    /// waits for the store.
    async fn given_up(&self, stop: &CancellationToken) {
        stop.cancelled().await;
        self.clock.sleep(LAST_CLAIM).await;
    }

    /// Runs a claimed key once, and records how the run ended.
    pub async fn work(&self, claim: Claim, cut: CancellationToken) {
        let span = spans::of_run(&claim, self.clock.now());
        let outcome = span.run(self.work_on(claim, cut)).await;
        spans::end_run(span, outcome.as_ref());
    }

    /// Runs a claimed key once. Returns `None` if another worker took over the key.
    async fn work_on(&self, claim: Claim, cut: CancellationToken) -> Option<Outcome> {
        let lease = claim.lease.clone();
        let attempt = claim.attempt;
        tracing::debug!(key = %lease.key, epoch = lease.epoch, lane = %claim.lane, "run begins");
        let (outcome, report) = tokio::select! {
            ended = self.reconcile(claim) => ended,
            why = self.heartbeat(&lease) => {
                let subject = self.counts.subjects.of(&lease.key);
                tracing::warn!(key = %lease.key, subject, why, "lease lost, the run stops");
                return None;
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
        self.end(lease, outcome.clone(), attempt).await;
        Some(outcome)
    }

    async fn reconcile(&self, claim: Claim) -> (Outcome, Option<Report>) {
        let key = claim.lease.key.clone();
        let Some(reconciler) = self.reconcilers.get(key.kind()) else {
            // During an upgrade, a process of the newer version can claim the key for the next try.
            // If no process of the newer version runs, the key is parked after the usual number of
            // tries.
            let why = format!(
                "this process has no reconciler for keys of the kind `{}`: the configuration does not have the \
                 directory or the target, or a newer version of Beadle made the key due",
                key.kind()
            );
            return (Outcome::Retry(why), None);
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
                let mut outcome = match failure.class {
                    Class::RateLimited { until, .. } if failure.spares_others => {
                        Outcome::Deferred { until, why: failure.text.clone() }
                    }
                    _ => self.outcome(&failure, claim.attempt),
                };
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

    /// Returns whether this cause must be logged now, because the cause is new for the key's
    /// instance.
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
            Outcome::RateLimited { .. } | Outcome::Deferred { .. } => &self.counts.limited,
            Outcome::Park(..) => &self.counts.parked,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let subject = self.counts.subjects.of(&lease.key);
        match &outcome {
            // Many keys can fail for the same cause. The log gets one line, with the first of the
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
            Outcome::RateLimited { until, why, .. } | Outcome::Deferred { until, why }
                if self.is_news(&lease.key, why) =>
            {
                tracing::warn!(key = %lease.key, subject, %until, why, "API budget used up, key waits for the reset");
            }
            Outcome::RateLimited { until, why, .. } | Outcome::Deferred { until, why } => {
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

    /// Renews the lease repeatedly until the lease is lost. Then returns the reason.
    async fn heartbeat(&self, lease: &crate::queue::Lease) -> String {
        let every = self.store.timing().lease / 3;
        let mut until: Time = lease.until;
        loop {
            self.clock.sleep(every).await;
            match self.store.renew(lease, self.clock.now()).await {
                Ok(Some(renewed)) => until = renewed,
                Ok(None) => return "another worker took over the key".to_owned(),
                Err(_) if self.clock.now() < until => {}
                Err(error) => return format!("it ended before the store answered: {error}"),
            }
        }
    }
}

/// The maximum time for recording that a run has no result. Without this limit, a store that hangs
/// would occupy a place of the worker.
const RECORD_LIMIT: Duration = Duration::from_secs(10);

/// Records that a run ended without a result. Without this record, a report would still show the
/// result of the earlier run. The report would also show a later sweep as the last check.
async fn record_lost(reconciler: &dyn Reconcile, key: &Key, why: &str) {
    let failure = Failure::new(Class::Retry, why);
    let recorded = tokio::time::timeout(RECORD_LIMIT, reconciler.record_failure(key, &failure)).await;
    if !matches!(recorded, Ok(Ok(()))) {
        tracing::warn!(%key, why, "run without a result not recorded for reports");
    }
}
