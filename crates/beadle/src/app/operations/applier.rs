//! Writes plans that an operator confirmed. `beadle apply`, `beadle sweep`, `beadle undo` and the
//! pages use this module.

use std::sync::Arc;

use anyhow::bail;
use beadle_engine::apply::{ApplyContext, PlanWriter, Planner, release_resolved_holds};
use beadle_engine::guard::{RepositoryCount, is_undo};
use beadle_engine::{
    Change, Class, Clock, Failure, Key, KeyState, Lane, Limits, Outcome, Plan, Report, Step, StepResult,
    Store, Unknown, WritePace, apply,
};
use beadle_groups::{GroupPlanner, GroupWriter};
use beadle_repositories::{RepositoryPlanner, RepositoryWriter};

use crate::app::groups::target::GroupTarget;
use crate::app::organisations::open_organisation::GithubOrganisation;
use crate::output::plans_and_results;
use crate::output::printer::Printer;

/// Receives the results while Beadle writes a plan.
pub(crate) trait Progress: Send + Sync {
    /// Takes the result of one change to `subject`.
    fn step(&self, subject: &str, step: &Step);
    /// Takes the name of a plan if its changes differ from the changes that the operator saw.
    fn outdated(&self, subject: &str);
}

impl Progress for Printer {
    fn step(&self, subject: &str, step: &Step) {
        self.line(plans_and_results::step(self, subject, step));
    }

    fn outdated(&self, subject: &str) {
        self.error(&format!("{subject}: {CHANGED}"));
    }
}

/// A receiver that ignores the results. The caller shows the reports of the writes.
pub(crate) struct NotShown;

impl Progress for NotShown {
    fn step(&self, _: &str, _: &Step) {}

    fn outdated(&self, _: &str) {}
}

/// Returns the hint for a key. The hint is another name of the same repository or group. Requests
/// with this name are faster.
pub(crate) type Hint<'a> = Box<dyn Fn(&Key) -> Option<String> + Send + Sync + 'a>;

/// Writes confirmed plans.
pub(crate) struct Applier<'a, P, W> {
    pub(crate) planner: P,
    pub(crate) writer: W,
    /// Returns another name of a key's repository or group. Requests with this name are faster.
    pub(crate) hint: Hint<'a>,
    pub(crate) pace: WritePace,
    /// The lane of the API calls for plans and writes.
    pub(crate) lane: Lane,
    pub(crate) limits: Limits,
    /// True if Beadle must write only the shown changes, because somebody confirmed exactly these
    /// changes.
    pub(crate) only_shown: bool,
    pub(crate) store: &'a Arc<dyn Store>,
    pub(crate) clock: &'a Clock,
    /// Receives the results of the writes.
    pub(crate) progress: &'a dyn Progress,
}

impl<P, W> Applier<'_, P, W> {
    /// Stores the number of repositories of the organisation `of`, if the number is known. The
    /// guard computes percentages from this number, even if a later plan covers only a few
    /// repositories.
    pub(crate) async fn counts(&mut self, of: &str, among: Option<u32>) -> anyhow::Result<()> {
        if let Some(among) = among {
            self.limits.among = Some(among);
            RepositoryCount::note(of).put(self.store.as_ref(), &RepositoryCount(among)).await?;
        }
        Ok(())
    }
}

impl<'a> Applier<'a, RepositoryPlanner, RepositoryWriter> {
    pub(crate) fn of_org(
        org: &'a GithubOrganisation,
        store: &'a Arc<dyn Store>,
        clock: &'a Clock,
        progress: &'a dyn Progress,
    ) -> Self {
        Self {
            planner: org.planner(Some(store)),
            writer: org.writer(),
            hint: Box::new(|key| org.reader.node_of(key.id().parse().ok()?)),
            pace: org.pace.clone(),
            lane: Lane::Manual,
            limits: org.limits.current(),
            only_shown: true,
            store,
            clock,
            progress,
        }
    }
}

impl<'a> Applier<'a, GroupPlanner, GroupWriter> {
    pub(crate) fn of_target(
        target: &'a GroupTarget,
        store: &'a Arc<dyn Store>,
        clock: &'a Clock,
        progress: &'a dyn Progress,
    ) -> Self {
        Self {
            planner: target.planner(Some(store), clock),
            writer: target.writer(Some(store), clock),
            hint: Box::new(|_| None),
            pace: target.pace.clone(),
            lane: Lane::Manual,
            limits: target.limits.current(),
            only_shown: true,
            store,
            clock,
            progress,
        }
    }
}

/// Writes one plan, and returns its report. Also returns whether the last plan before the write
/// contained only confirmed changes.
pub(crate) async fn write<P: Planner, W: PlanWriter<P::Write>>(
    applier: &Applier<'_, P, W>,
    key: &Key,
    plan: &Plan<P::Write>,
) -> anyhow::Result<(Report, bool)> {
    let Applier { store, clock, .. } = applier;
    let mut gate = ApplyContext {
        store: Arc::clone(store),
        clock: Clock::clone(clock),
        lease: None,
        lane: applier.lane,
        limits: applier.limits,
        pace: applier.pace.clone(),
        patient: true,
        generation: plan.generation.clone(),
        planned: clock.now(),
    };
    if plan.changes.is_empty() {
        let report = Report::of_nothing(plan);
        record(applier, key, &report).await?;
        return Ok((report, true));
    }
    let now = clock.now();
    let paused = store.pauses(now).await?.into_iter().find(|pause| pause.covers(key));
    if let Some(pause) = paused {
        bail!("{} is paused until {}; Beadle writes nothing before that", pause.scope, pause.until);
    }
    // A service might use the same store. The claim ensures that only one process works on a key.
    let Some(claim) = store.claim_key(key, clock.now()).await? else {
        bail!(
            "this key is parked, or the service or another command works on it now\n\
             hint: `beadle queue` shows the key; if a process was killed, its keys are free again after at most {} s",
            store.timing().lease.as_secs()
        );
    };
    gate.lease = Some(claim.lease.clone());
    let written = tokio::select! {
        written = write_agreed(applier, key, plan, &gate) => written,
        never = heartbeat(store, &claim.lease, clock) => never,
    };
    let failure = match &written {
        Ok((report, all)) => {
            report.verdict().map(|failure| failure.text).or((!all).then(|| CHANGED.to_owned()))
        }
        Err(failure) => Some(failure.text.clone()),
    };
    // Beadle records the report before the claim of this process ends. After the end of the claim,
    // this report could replace the report of a later run. Beadle does not record a report that
    // leaves out unconfirmed changes, or the report of an undo, because such a report does not show
    // the state of the key.
    let recorded = match &written {
        Ok((report, true)) if !is_undo(&gate.generation) => record(applier, key, report).await,
        _ => Ok(()),
    };
    let outcome = failure.map_or(Outcome::Done, Outcome::Retry);
    store.finish(&claim.lease, outcome, clock.now()).await?;
    recorded?;
    Ok(written?)
}

/// Records the findings of a run.
async fn record<P: Planner, W>(
    applier: &Applier<'_, P, W>,
    key: &Key,
    report: &Report,
) -> anyhow::Result<()> {
    KeyState::record(applier.store.as_ref(), key, report, applier.clock.now()).await?;
    applier.planner.record(key, report).await?;
    Ok(())
}

/// The reason why Beadle did not write all changes of the new plan.
pub(crate) const CHANGED: &str =
    "the plan changed since it was shown, new changes were not written; run `beadle plan` again";

/// Plans a claimed key again. Writes a change of the new plan only if Beadle showed this change
/// before. Also returns whether the new plan contained only shown changes.
async fn write_agreed<P: Planner, W: PlanWriter<P::Write>>(
    applier: &Applier<'_, P, W>,
    key: &Key,
    shown: &Plan<P::Write>,
    gate: &ApplyContext,
) -> Result<(Report, bool), Failure> {
    // Beadle compares the complete changes and not their digests, because digests are short. A
    // person who chooses the values can find two changes with the same digest.
    let is_shown = |change: &Change<P::Write>| shown.changes.iter().any(|one| one.is_same(change));
    let is_agreed = |change: &Change<P::Write>| !applier.only_shown || is_shown(change);
    let (mut written, mut is_all, mut outdated) = (Vec::new(), true, 0);
    loop {
        let mut plan = applier.planner.plan(key, (applier.hint)(key).as_deref(), applier.lane).await?;
        let (generation, planned) = (plan.generation.clone(), applier.clock.now());
        let gate = ApplyContext { generation, planned, ..gate.clone() };
        let can_hide =
            |waived: &str, aspect: &str, what: &str| applier.planner.can_hide(waived, aspect, what);
        let remembered = release_resolved_holds(key, &plan, &gate, &can_hide).await?;
        let all = plan.changes.iter().all(is_agreed);
        is_all &= all;
        if !all {
            applier.progress.outdated(&plan.subject);
            plan.retain(is_agreed);
        }
        let print = |at: usize, result: &StepResult| {
            let step = Step { change: plan.changes[at].describe(), outcome: result.clone() };
            applier.progress.step(&plan.subject, &step);
        };
        // If Beadle stops before it writes a change, the next plan contains this change again.
        let on_step = |at: usize, result: &StepResult| {
            if *result != StepResult::NotReached {
                print(at, result);
            }
        };
        let mut report = apply(key, &plan, &applier.writer, &gate, remembered, &on_step).await?;
        let is_outdated =
            report.failure.as_ref().is_some_and(|failure| failure.asks_for_another_plan(applier.clock.now()));
        let news = report.steps.iter().filter(|step| step.outcome == StepResult::Written);
        let before = written.len();
        written.extend(news.cloned());
        if is_outdated && (written.len() > before || outdated < OUTDATED) {
            outdated += 1;
            continue;
        }
        for (at, step) in report.steps.iter().enumerate() {
            if step.outcome == StepResult::NotReached {
                print(at, &step.outcome);
            }
        }
        report.steps.splice(0..0, written.into_iter().take(before));
        if !is_all {
            // The summary and the exit code must show the difference between this plan and the
            // shown plan.
            let why = CHANGED.to_owned();
            report.unknowns.push(Unknown { aspect: "plan".into(), part: None, why, transient: true });
        }
        return Ok((report, is_all));
    }
}

/// The maximum number of times that Beadle plans a key again because its plan is outdated. A plan
/// is outdated if the first write of the key waited too long for a budget.
const OUTDATED: u32 = 5;

/// Renews the claim on a key until the writes end.
async fn heartbeat(
    store: &Arc<dyn Store>,
    lease: &beadle_engine::Lease,
    clock: &Clock,
) -> Result<(Report, bool), Failure> {
    loop {
        clock.sleep(store.timing().lease / 3).await;
        if store.renew(lease, clock.now()).await?.is_none() {
            let text = "lease lost: another process took the key over";
            return Err(Failure::new(Class::Conflict, text));
        }
    }
}
