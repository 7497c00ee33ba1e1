//! One run of a claimed key. The run plans, releases holds that are no longer needed, and writes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;

use crate::apply::{
    ApplyContext, PlanWriter, Planner, Report, StepResult, apply, release_resolved_holds, remember_failure,
};
use crate::causes::causes;
use crate::clock::{Clock, Time};
use crate::failure::{Class, Failure};
use crate::guard::LimitsInForce;
use crate::journal::{Cause, Detail, Entry, EntryKind};
use crate::key::{Key, Lane};
use crate::key_state::KeyState;
use crate::pace::WritePace;
use crate::store::Store;
use crate::trace::{self, Span};
use crate::unwritten::run_counts;

/// A run of a claimed key, which is the input of a reconciler.
#[derive(Clone, Debug)]
pub struct Run {
    /// The right to work on the key until the lease ends.
    pub lease: crate::queue::Lease,
    /// The lane of the run. The lane decides whether calls may use the reserve of a budget, and how
    /// old a remembered answer may be. The lane never changes the declared values.
    pub lane: Lane,
    /// The vendor's name for the thing. It makes the lookup faster.
    pub hint: Option<String>,
    /// The time when the key became due, for the journal. Deliveries that arrived after this time
    /// might explain the drift.
    pub since: Time,
}

/// Makes the repository or group of a key match the policy.
#[async_trait]
pub trait Reconcile: Send + Sync + 'static {
    /// Runs one key once. An error means that no plan could be made.
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure>;
    /// Returns whether Beadle parks a key of this instance if the policy names something that does
    /// not exist, see [`Planner::parks_unresolved`].
    fn parks_unresolved(&self, _instance: &str) -> bool {
        true
    }
    /// Records that a run of a key ended without a result. Reports about the past use this record.
    async fn record_failure(&self, _key: &Key, _failure: &Failure) -> Result<(), Failure> {
        Ok(())
    }
}

/// A reconciler that plans with a [`Planner`] and applies the plan with a [`PlanWriter`].
pub struct Reconciler<P: Planner, W: PlanWriter<P::Write>> {
    /// Reads the declared and the real state, and plans the changes.
    pub planner: P,
    /// Writes the planned changes.
    pub writer: W,
    /// The store that contains the guard's window, the holds and the journal.
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
        // A key that waits for a budget stays due, so no sweep ends before this key has a plan.
        if !matches!(failure.class, Class::RateLimited { .. }) {
            remember_failure(key, self.store.as_ref(), self.clock.now()).await?;
        }
        self.planner.record_failure(key, failure).await
    }

    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        let key = &run.lease.key;
        let span = Span::named("plan");
        let planned = span.run(self.planner.plan(key, run.hint.as_deref(), run.lane)).await;
        let plan = match span.ended(planned) {
            Ok(plan) => plan,
            Err(failure) => {
                self.record_failure(key, &failure).await?;
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
        let can_hide = |waived: &str, aspect: &str, what: &str| self.planner.can_hide(waived, aspect, what);
        let remembered = release_resolved_holds(key, &plan, &context, &can_hide).await?;
        let span = Span::named("apply");
        let applied = span.run(apply(key, &plan, &self.writer, &context, remembered, &|_, _| {})).await;
        let report = match span.ended(applied) {
            Ok(report) => report,
            Err(failure) => {
                self.planner.record(key, &Report::of_unwritten(&plan)).await?;
                return Err(failure);
            }
        };
        let noteworthy = !report.steps.is_empty() || !report.unknowns.is_empty();
        let after = if noteworthy {
            let origins = self.planner.origins(key);
            causes(self.store.as_ref(), key, &origins, (run.since, planned)).await
        } else {
            Vec::new()
        };
        let news = writers(&self.planner, &report, &after, run.lane);
        KeyState::record_run(self.store.as_ref(), key, &report, &news, self.clock.now()).await?;
        self.planner.record(key, &report).await?;
        if noteworthy {
            let entry = Entry {
                seq: 0,
                at: self.clock.now(),
                kind: EntryKind::Run,
                key: key.to_string(),
                subject: report.subject.clone(),
                intent: None,
                trace: trace::current_id(),
                detail: Detail::Run(run_counts(&report, after)),
            };
            self.store.journal(None, vec![entry], self.clock.now()).await?;
        }
        Ok(report)
    }
}

/// Maps each aspect with a held or postponed change to the person or program that changed the
/// aspect. An aspect is missing if no delivery names the writer. `after` contains the deliveries
/// that made the key due, the newest first.
fn writers<P: Planner>(
    planner: &P,
    report: &Report,
    after: &[Cause],
    lane: Lane,
) -> BTreeMap<String, String> {
    // Beadle's own writes also cause deliveries, which make keys due in the lane `sweep`. If
    // another writer's delivery has made the key due too, the lane is `event`, and the planner
    // leaves out the deliveries of Beadle's own writes.
    if lane != Lane::Event {
        return BTreeMap::new();
    }
    let is_disputed =
        |result: &StepResult| matches!(result, StepResult::Held { .. } | StepResult::Postponed(_));
    let steps = report.steps.iter().filter(|step| is_disputed(&step.outcome));
    let aspects: BTreeSet<&String> = steps.map(|step| &step.change.aspect).collect();
    let writer = |aspect: &String| {
        let its = |cause: &&Cause| planner.reports(aspect, &cause.event, cause.by.as_deref());
        after.iter().filter(its).find_map(|cause| cause.by.clone())
    };
    aspects.into_iter().filter_map(|aspect| Some((aspect.clone(), writer(aspect)?))).collect()
}
