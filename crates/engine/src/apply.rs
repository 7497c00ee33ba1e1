//! Applies a plan. Before each write, Beadle checks the modes and the guard, then checks the lease,
//! and then writes an intent to the journal.

mod check_guard;
mod failures;
mod first_asked;
mod guard_preview;
mod hidden;
mod release;
mod remembered;
mod severity;
mod turns;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use serde::Serialize;

use crate::clock::{Clock, Time};
use crate::failure::{Class, Failure};
use crate::guard::Limits;
use crate::guard::window::{Begun, End, Intent};
use crate::journal::{Detail, Entry, EntryKind, Happened, IntendedChange, WriteResult};
use crate::key::{Key, Lane};
use crate::pace::WritePace;
use crate::plan::{Change, Plan, Unknown};
use crate::queue::Lease;
use crate::spans;
use crate::store::Store;
use crate::trace::{self, Span};

use check_guard::{CheckedPlan, check_guard};
use failures::{allowed_late, is_certain, outdated, refused_change, why_not_begun};
use first_asked::remember;
use release::{give_back, record_end};
use severity::{ends_run, more_severe};
use turns::{AT_ONCE, Turns};

pub(crate) use failures::TURN;
pub use failures::waits_for_turn;
pub(crate) use first_asked::{asked_for_holds, remember_failure};
pub use first_asked::{first_asked_note, first_asking_generations};
pub use guard_preview::{GuardPreview, preview_guard};
pub use release::release_resolved_holds;
pub use remembered::Remembered;
pub use turns::Turn;

/// Reads the declared state and the real state of a key, and plans the missing changes. A planner
/// itself cannot write changes.
#[async_trait]
pub trait Planner: Send + Sync + 'static {
    /// The instructions that a [`PlanWriter`] needs to write a change that this planner planned.
    type Write: Send + Sync + 'static;
    /// Plans one key. The reads count against the budget as requests of `lane`. `hint` is the
    /// vendor's name for the repository or group. The hint makes the lookup faster. The planner
    /// must check that the vendor's answer belongs to the key. The plan names the generation of the
    /// policy that the planner used, because another generation can come into force during the
    /// reads.
    async fn plan(&self, key: &Key, hint: Option<&str>, lane: Lane) -> Result<Plan<Self::Write>, Failure>;
    /// Returns the origins of this key, such as the group of a directory. A run of an origin makes
    /// this key due. Deliveries about an origin can also explain the drift of this key.
    fn origins(&self, _key: &Key) -> Vec<Key> {
        Vec::new()
    }
    /// Returns whether Beadle parks a key if the policy names something that does not exist. A
    /// planner returns `false` if all of its keys use the same names. The error is then in the
    /// policy, so no key is parked. The next generation, event or sweep plans the key again.
    fn parks_unresolved(&self) -> bool {
        true
    }
    /// Returns whether a delivery with this event and sender can report that somebody else changed
    /// an aspect. The sender might then be the other writer of a contested change.
    fn reports(&self, _aspect: &str, _event: &str, _sender: Option<&str>) -> bool {
        false
    }
    /// Returns whether a waiver of a policy key can hide a change of this part of the aspect.
    fn can_hide(&self, _waived: &str, _aspect: &str, _what: &str) -> bool {
        true
    }
    /// Records the end of a run. Reports about the past use this record. The engine calls this
    /// method after the last write of a plan, even if the plan has no changes.
    async fn record(&self, _key: &Key, _report: &Report) -> Result<(), Failure> {
        Ok(())
    }
    /// Records that no plan could be made. Reports about the past use this record.
    async fn record_failure(&self, _key: &Key, _failure: &Failure) -> Result<(), Failure> {
        Ok(())
    }
}

/// Writes the changes that a [`Planner`] planned.
#[async_trait]
pub trait PlanWriter<W>: Send + Sync + 'static {
    /// Looks up the present name of the thing that the key identifies. `apply` calls this method
    /// before the first write of a run. The session sends all its requests in `lane`. A write that
    /// replaces a whole body must not be sent after `valid_until`, even if the write had to wait
    /// for a budget.
    async fn open(
        &self,
        key: &Key,
        plan: &Plan<W>,
        valid_until: Time,
        lane: Lane,
    ) -> Result<Box<dyn Session<W>>, Failure>;
    /// Returns the [`Turn`] of a change. The turn decides which other changes Beadle may write at
    /// the same time. Only a run for an event uses the turns. All other runs write one change at a
    /// time.
    fn turn(&self, _change: &Change<W>) -> Turn {
        Turn::default()
    }
}

/// A writer for one run. The writer writes to the thing that [`PlanWriter::open`] found.
#[async_trait]
pub trait Session<W>: Send + Sync {
    /// Writes one change. It does no harm to write the same change twice.
    async fn write(&self, change: &Change<W>) -> Result<(), Failure>;
}

/// Everything that `apply` needs besides the plan: the store, the clock, the lease and the limits.
#[derive(Clone)]
pub struct ApplyContext {
    /// The store that contains the guard's window, the holds and the journal.
    pub store: Arc<dyn Store>,
    /// The source of the current time.
    pub clock: Clock,
    /// The right to work on the key. `None` if an operator's command uses the store while no
    /// service runs.
    pub lease: Option<Lease>,
    /// The lane of the run. The lane decides whether the run may use the reserve of a budget, and
    /// whether the run writes in parallel.
    pub lane: Lane,
    /// The guard's limits for one window.
    pub limits: Limits,
    /// The schedule that spreads bulk writes over time.
    pub pace: WritePace,
    /// True if the run sleeps until its turn to write. Only commands set `patient`, because a
    /// command has no queue that could retry the write later.
    pub patient: bool,
    /// The planner made the plan from this generation of the policy.
    pub generation: String,
    /// The time when the plan was made. No write of the plan begins later than [`OLDEST`] after
    /// this time.
    pub planned: Time,
}

/// What happened to one change of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "result", content = "why")]
pub enum StepResult {
    /// Beadle wrote the change.
    Written,
    /// The mode does not allow the change, or the change would replace values that an undo
    /// restored. See [`Step::is_undone`].
    Withheld,
    /// The guard holds the change until an operator approves it.
    Held {
        /// The digest of the change. An operator uses it to approve the change.
        digest: String,
        /// The reason for the hold, such as the exceeded limit.
        why: String,
    },
    /// The change is contested, and Beadle wrote it a short time ago. Beadle writes it again later.
    Postponed(String),
    /// The change was not written, because it depends on another change that was not written.
    Blocked,
    /// The run ended before it reached the change.
    NotReached,
    /// The write failed, for the reason in the text.
    Failed(String),
}

/// One change of a plan, with its result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// The change, without the instructions for the write.
    pub change: Change<()>,
    /// What happened to the change.
    pub outcome: StepResult,
}

impl Step {
    /// Returns whether Beadle only observes the change, because the change would replace values
    /// that an undo restored.
    pub fn is_undone(&self) -> bool {
        self.outcome == StepResult::Withheld && self.change.undone
    }
}

/// The result of applying a plan to one key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The name that people use for the key, such as `acme/widgets`.
    pub subject: String,
    /// Every change with its result, in the order of the plan.
    pub steps: Vec<Step>,
    /// The parts of the key that Beadle could not read or resolve.
    pub unknowns: Vec<Unknown>,
    /// The reason why the plan has no changes, if Beadle skipped the whole key.
    pub skipped: Option<String>,
    /// The failure of the whole run. If several steps caused a failure, this is the most severe
    /// failure. `None` means that no step caused a failure.
    #[serde(skip)]
    pub failure: Option<Failure>,
}

impl Report {
    /// Returns the number of steps with a result that satisfies `wanted`.
    pub fn count(&self, wanted: impl Fn(&StepResult) -> bool) -> usize {
        self.steps.iter().filter(|step| wanted(&step.outcome)).count()
    }

    /// Returns the number of changes that Beadle only observes, because they would replace values
    /// that an undo restored.
    pub fn undone(&self) -> usize {
        self.steps.iter().filter(|step| step.is_undone()).count()
    }

    /// Returns the number of changes that the mode does not allow. Changes that Beadle only
    /// observes after an undo do not count.
    pub fn withheld(&self) -> usize {
        self.count(|result| *result == StepResult::Withheld) - self.undone()
    }

    /// Returns the number of changes that failed or were not reached, plus the number of changes
    /// that depend on them. Written changes do not count. Changes that a mode or the guard stops do
    /// not count either.
    pub fn failed(&self) -> usize {
        let is_meant = |result: &StepResult| {
            let is_kept = matches!(result, StepResult::Withheld | StepResult::Held { .. });
            is_kept || matches!(result, StepResult::Written | StepResult::Blocked)
        };
        let broken = self.count(|result| !is_meant(result));
        if broken == 0 { 0 } else { broken + self.blocked() }
    }

    /// Returns the number of changes that wait only for other changes. A mode or the guard stops
    /// these other changes.
    pub fn waiting(&self) -> usize {
        if self.failed() == 0 { self.blocked() } else { 0 }
    }

    fn blocked(&self) -> usize {
        self.count(|result| *result == StepResult::Blocked)
    }

    /// Creates the report of a plan that has no changes to write.
    pub fn of_nothing<W>(plan: &Plan<W>) -> Self {
        Self {
            subject: plan.subject.clone(),
            steps: Vec::new(),
            unknowns: plan.unknowns.clone(),
            skipped: plan.skipped.clone(),
            failure: None,
        }
    }

    /// Creates the report of a plan before the first write of the plan.
    pub fn of_unwritten<W>(plan: &Plan<W>) -> Self {
        let step = |change: &Change<W>| Step { change: change.describe(), outcome: StepResult::NotReached };
        Self { steps: plan.changes.iter().map(step).collect(), ..Self::of_nothing(plan) }
    }

    /// Returns whether only a person can solve the remaining problems, because no change failed and
    /// no retry can resolve an unknown part.
    pub fn is_for_people(&self) -> bool {
        self.failure.is_none() && self.unknowns.iter().all(|unknown| !unknown.transient)
    }

    /// Returns the failure of the whole run. If a step failed, the function returns the failure of
    /// the step. If no step failed, the function returns a failure that describes an unknown part.
    /// `None` means that the run succeeded.
    pub fn verdict(&self) -> Option<Failure> {
        self.failure.clone().or_else(|| {
            let unknown = self.unknowns.iter().find(|unknown| unknown.transient).or(self.unknowns.first())?;
            let class = if unknown.transient { Class::Retry } else { Class::Rejected };
            Some(Failure::new(class, format!("{} is unknown: {}", unknown.aspect, unknown.why)))
        })
    }
}

/// Applies a plan as far as the modes and the guard allow. A failing change stops only the changes
/// that depend on it. A used-up budget, a conflict, a lost lease or a credential without a token
/// ends the run. If a change must wait for a limit that applies only to certain requests, the other
/// changes of its aspect wait too. Changes of other aspects do not wait. A run for an event can
/// write changes in parallel, see [`Turn`]. `remembered` contains the notes of the key. `apply`
/// calls `on_step` with the result of each step immediately after the step ends.
pub async fn apply<W: Send + Sync + 'static>(
    key: &Key,
    plan: &Plan<W>,
    writer: &dyn PlanWriter<W>,
    context: &ApplyContext,
    remembered: Remembered,
    on_step: &(dyn Fn(usize, &StepResult) + Send + Sync),
) -> Result<Report, Failure> {
    let lane = context.lane;
    let Remembered { refusals: refused, first, new, rejected } = remembered;
    let mut refusals = refused.of_generation(&context.generation);
    let CheckedPlan { mut results, asked, approved, mut failure } =
        Span::named("guard").run(check_guard(key, plan, context, lane, (&refusals, &rejected))).await?;
    for (at, result) in results.iter().enumerate() {
        if let Some(result) = result {
            on_step(at, result);
        }
    }
    let writes = results.iter().filter(|result| result.is_none()).count();
    while let Err(until) = context.pace.book(key, writes, lane, context.clock.now()) {
        if !context.patient {
            remember(key, plan, context, (&first, &new, &results)).await;
            return Err(waits_for_turn(until, true));
        }
        context.clock.sleep_until(until).await;
    }
    let valid_until = context.planned + OLDEST;
    let mut turns = Turns::new(plan, writer, lane);
    let mut session: Option<Arc<dyn Session<W>>> = None;
    let mut under_way = UnderWay::new();
    // The aspects with a change that must wait for a limit. The other changes of these aspects
    // wait too. Other aspects need not wait.
    let mut waiting: HashSet<&str> = HashSet::new();
    loop {
        // After a conflict, a lost lease or a used-up budget, no further write begins. Writes in
        // progress can end normally.
        let may_begin = under_way.len() < AT_ONCE && !failure.as_ref().is_some_and(ends_run);
        let next = if may_begin { turns.next(plan, &results) } else { None };
        let Some(at) = next else {
            let Some((at, written)) = under_way.next().await else { break };
            let result = match written {
                Ok(Begun::Yes(_)) => StepResult::Written,
                Ok(stopped) => {
                    failure = Some(more_severe(failure, why_not_begun(&stopped)));
                    StepResult::NotReached
                }
                Err(error) if error.asks_for_another_plan(context.clock.now()) && !error.is_partial => {
                    failure = Some(more_severe(failure, error));
                    StepResult::NotReached
                }
                Err(error) => {
                    let (change, text) = (&plan.changes[at], error.text.clone());
                    if error.spares_others {
                        waiting.insert(change.aspect.as_str());
                    }
                    if error.class == Class::Rejected {
                        refusals.add(change.digest(key), &change.aspect, &text, context.clock.now());
                    }
                    failure = Some(more_severe(failure, refused_change(change, error)));
                    StepResult::Failed(text)
                }
            };
            on_step(at, &result);
            results[at] = Some(result);
            continue;
        };
        let change = &plan.changes[at];
        if waiting.contains(change.aspect.as_str()) {
            on_step(at, &StepResult::NotReached);
            results[at] = Some(StepResult::NotReached);
            continue;
        }
        if change.after.iter().any(|before| results[*before] != Some(StepResult::Written)) {
            on_step(at, &StepResult::Blocked);
            results[at] = Some(StepResult::Blocked);
            continue;
        }
        let opened = match &session {
            Some(opened) => opened.clone(),
            None => match writer.open(key, plan, valid_until, lane).await {
                Ok(opened) => session.insert(Arc::from(opened)).clone(),
                Err(error) => {
                    context.pace.settle(context.clock.now());
                    give_back(key, plan, context, &asked, &results).await;
                    remember(key, plan, context, (&first, &new, &results)).await;
                    return Err(error);
                }
            },
        };
        context.pace.turn(lane, &context.clock).await;
        let now = context.clock.now();
        if now > valid_until {
            // Another program might have changed the same thing after the plan was made. The
            // remaining changes are written from a new plan.
            failure = Some(more_severe(failure, outdated(now)));
            on_step(at, &StepResult::NotReached);
            results[at] = Some(StepResult::NotReached);
            continue;
        }
        let first_asked = first.before(&change.digest(key), &context.generation);
        let passed = (asked.contains(&at), approved.get(&at).cloned(), first_asked);
        let written = async move {
            let span = spans::of_write(key, &change.aspect);
            let written = span.run(write(key, plan, change, opened.as_ref(), context, passed)).await;
            (at, span.ended(written))
        };
        under_way.push(Box::pin(written));
    }
    for (at, result) in results.iter_mut().enumerate().filter(|(_, result)| result.is_none()) {
        on_step(at, &StepResult::NotReached);
        *result = Some(StepResult::NotReached);
    }
    context.pace.settle(context.clock.now());
    give_back(key, plan, context, &asked, &results).await;
    let written =
        plan.changes.iter().zip(&results).filter(|(_, result)| **result == Some(StepResult::Written));
    for (change, _) in written {
        refusals.end(&change.digest(key));
    }
    if let Err(error) = refusals.write(&refused, context.store.as_ref(), key).await {
        tracing::warn!(%key, subject = plan.subject, %error, "refusals by the vendor not stored, the next sweep sends the refused changes again");
    }
    remember(key, plan, context, (&first, &new, &results)).await;
    let steps = plan.changes.iter().zip(results);
    Ok(Report {
        subject: plan.subject.clone(),
        steps: steps
            .map(|(change, result)| Step {
                change: change.describe(),
                outcome: result.unwrap_or(StepResult::NotReached),
            })
            .collect(),
        unknowns: plan.unknowns.clone(),
        skipped: plan.skipped.clone(),
        failure,
    })
}

/// The writes in progress, each with the position of its change in the plan.
type UnderWay<'a> = FuturesUnordered<BoxFuture<'a, (usize, Result<Begun, Failure>)>>;

/// The maximum age of a plan when a write begins. A write can replace a whole body. The body from
/// an old plan would overwrite changes that others have made in the meantime. The limit also gives
/// other runs a chance to write.
pub const OLDEST: Duration = Duration::from_secs(120);

/// Writes one change. On success, the result states whether the store allowed the write to begin.
/// `asked` is true if the guard decided about the change. `first_asked` is the earlier generation
/// that first asked for the change.
async fn write<W: Send + Sync + 'static>(
    key: &Key,
    plan: &Plan<W>,
    change: &Change<W>,
    session: &dyn Session<W>,
    context: &ApplyContext,
    (asked, approved_by, first_asked): (bool, Option<String>, Option<String>),
) -> Result<Begun, Failure> {
    let generation = context.generation.clone();
    let intended = IntendedChange { change: change.describe(), generation, approved_by, first_asked };
    let digest = change.digest(key);
    let entry = |kind, intent, detail| Entry {
        seq: 0,
        at: context.clock.now(),
        kind,
        key: key.to_string(),
        subject: plan.subject.clone(),
        intent,
        trace: trace::current_id(),
        detail,
    };
    fail::fail_point!("before-intent", |_| std::process::abort());
    // The last checks before the write: the lease, the pauses, and the room that the guard reserved
    // for the change.
    let spends = asked.then(|| (digest.clone(), context.limits.window));
    let intent = Intent { entry: entry(EntryKind::Intent, None, Detail::Change(intended)), spends };
    let asked_at = context.clock.now();
    let begun = context.store.begin(context.lease.as_ref(), key, intent, asked_at).await?;
    let Begun::Yes(number) = begun else { return Ok(begun) };
    fail::fail_point!("between-intent-and-write", |_| std::process::abort());
    // The heartbeat renews the lease after a third of the lease's time. If the store answers slowly
    // or the process was suspended, the renewal is late. The lease might then be lost.
    let now = context.clock.now();
    let is_late = context.lease.is_some() && now.since(asked_at) >= context.store.timing().lease / 3;
    let written = if is_late { Err(allowed_late(now)) } else { session.write(change).await };
    fail::fail_point!("between-write-and-result", |_| std::process::abort());
    let end = match &written {
        Ok(()) => Some(End::Written(number)),
        Err(failure) => (is_late || is_certain(change, failure)).then_some(End::Refused(number)),
    };
    // Beadle records the end of the write in the guard first, and then in the journal. If the
    // process ends between these two steps, the intent has no result, so the next start reads the
    // key again. In the reverse order, the approval of a written change would stay used up forever.
    if let Some(end) = end.filter(|_| asked) {
        record_end(key, context, digest, end).await?;
    }
    let result = match &written {
        Ok(()) => WriteResult { written: Happened::Yes, unknown: None, why: None },
        Err(failure) => WriteResult {
            written: Happened::No,
            unknown: Some(end.is_none()),
            why: Some(failure.text.clone()),
        },
    };
    let result = vec![entry(EntryKind::Result, Some(number), Detail::Result(result))];
    context.store.journal(None, result, context.clock.now()).await?;
    written.map(|()| begun)
}
