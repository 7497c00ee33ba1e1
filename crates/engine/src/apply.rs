//! Applies a plan. Before every write come the modes, the guard, the lease and the journal, in this
//! order.

mod check_guard;
mod release;
mod turns;

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
use crate::refused::Refusals;
use crate::revive::paused;
use crate::store::Store;

use check_guard::{CheckedPlan, check_guard};
use release::give_back;
use turns::{AT_ONCE, Turns};

pub use release::release_resolved_holds;
pub use turns::Turn;

/// Reads both sides and plans the writes. A type that implements this trait cannot write.
#[async_trait]
pub trait Planner: Send + Sync + 'static {
    /// The instructions for a write of this planner's changes.
    type Write: Send + Sync + 'static;
    /// Plans one key, with reads in this lane. `hint` is the vendor's name for a faster lookup, to
    /// be checked against the key.
    async fn plan(&self, key: &Key, hint: Option<&str>, lane: Lane) -> Result<Plan<Self::Write>, Failure>;
    /// Returns the policy's generation of the plans that are made now.
    fn generation(&self) -> String;
    /// Returns whether a key is parked because of a name that does not exist. If every key may use
    /// one name, the error is in the policy and in no key: the next generation, event or sweep
    /// looks again.
    fn parks_unresolved(&self) -> bool {
        true
    }
}

/// Writes changes.
#[async_trait]
pub trait PlanWriter<W>: Send + Sync + 'static {
    /// Looks up the key's present name, before a run's first write. All requests of the session are
    /// in this lane. A session whose writes replace whole bodies sends no request after
    /// `valid_until`, however long a write waits for a budget.
    async fn open(
        &self,
        key: &Key,
        plan: &Plan<W>,
        valid_until: Time,
        lane: Lane,
    ) -> Result<Box<dyn Session<W>>, Failure>;
    /// Returns when a change may be written beside others in a run for an event. Other runs write
    /// one change at a time.
    fn turn(&self, _change: &Change<W>) -> Turn {
        Turn::default()
    }
}

/// The writes of one run, addressed to the thing that [`PlanWriter::open`] found.
#[async_trait]
pub trait Session<W>: Send + Sync {
    /// Writes one change. A second write of the same change does no harm.
    async fn write(&self, change: &Change<W>) -> Result<(), Failure>;
}

/// The conditions and means of a plan's writes.
#[derive(Clone)]
pub struct ApplyContext {
    /// The store of the window, the holds and the journal.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Clock,
    /// The right to work on the key; `None` for an operator's command on a store without a service.
    pub lease: Option<Lease>,
    /// The lane of the run.
    pub lane: Lane,
    /// The window's limits.
    pub limits: Limits,
    /// The turns of bulk writes.
    pub pace: WritePace,
    /// Whether a run waits for its turn in its place: for commands, which have no queue.
    pub patient: bool,
    /// The policy's generation of the plan.
    pub generation: String,
    /// The time at which the plan was made. No write of the plan begins more than [`OLDEST`] later.
    pub planned: Time,
}

/// The result of one change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "result", content = "why")]
pub enum StepResult {
    /// The change was written.
    Written,
    /// The mode does not allow the change.
    Withheld,
    /// The guard holds the change.
    Held {
        /// The digest by which an operator approves the change.
        digest: String,
        /// The reason, such as the exceeded limit.
        why: String,
    },
    /// Two writers fight over the change, and it was written a short time ago. Beadle writes it
    /// again later.
    Postponed(String),
    /// A change on which this one depends was not written.
    Blocked,
    /// The run ended before the change.
    NotReached,
    /// The write failed.
    Failed(String),
}

/// One change of a plan, and its result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// The change.
    pub change: Change<()>,
    /// The result.
    pub outcome: StepResult,
}

/// The result of a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The name for people.
    pub subject: String,
    /// Every change, in order.
    pub steps: Vec<Step>,
    /// The parts that could not be read or resolved.
    pub unknowns: Vec<Unknown>,
    /// The reason why the plan has no changes at all.
    pub skipped: Option<String>,
    /// The failure that the run as a whole reports, if a step failed: the one that asks for the
    /// longest wait.
    #[serde(skip)]
    pub failure: Option<Failure>,
}

impl Report {
    /// Returns the number of steps with such a result.
    pub fn count(&self, wanted: impl Fn(&StepResult) -> bool) -> usize {
        self.steps.iter().filter(|step| wanted(&step.outcome)).count()
    }

    /// Returns the number of changes that failed or were not reached, and of those that wait for
    /// them: all changes that are neither written nor kept back on purpose.
    pub fn failed(&self) -> usize {
        let is_meant = |result: &StepResult| {
            let is_kept = matches!(result, StepResult::Withheld | StepResult::Held { .. });
            is_kept || matches!(result, StepResult::Written | StepResult::Blocked)
        };
        let broken = self.count(|result| !is_meant(result));
        if broken == 0 { 0 } else { broken + self.blocked() }
    }

    /// Returns the number of changes that wait for changes held by mode or guard.
    pub fn waiting(&self) -> usize {
        if self.failed() == 0 { self.blocked() } else { 0 }
    }

    fn blocked(&self) -> usize {
        self.count(|result| *result == StepResult::Blocked)
    }

    /// Creates the report of a plan that has no changes to apply.
    pub fn of_nothing<W>(plan: &Plan<W>) -> Self {
        Self {
            subject: plan.subject.clone(),
            steps: Vec::new(),
            unknowns: plan.unknowns.clone(),
            skipped: plan.skipped.clone(),
            failure: None,
        }
    }

    /// Returns whether nothing failed, and only people can repair the unknown parts, in the policy
    /// or at the vendor.
    pub fn is_for_people(&self) -> bool {
        self.failure.is_none() && self.unknowns.iter().all(|unknown| !unknown.transient)
    }

    /// Returns the failure of the run as a whole: that of a step, or an unknown part.
    pub fn verdict(&self) -> Option<Failure> {
        self.failure.clone().or_else(|| {
            let unknown = self.unknowns.iter().find(|unknown| unknown.transient).or(self.unknowns.first())?;
            let class = if unknown.transient { Class::Retry } else { Class::Rejected };
            Some(Failure::new(class, format!("{} is unknown: {}", unknown.aspect, unknown.why)))
        })
    }
}

/// Applies a plan as far as modes and guard allow. A failing change stops only the changes that
/// depend on it. A used-up budget, a conflict or a lost lease ends the run. A run for an event
/// writes side by side the changes that the writer allows, see [`Turn`]. `on_step` receives the
/// result of each step as soon as it is known.
pub async fn apply<W: Send + Sync + 'static>(
    key: &Key,
    plan: &Plan<W>,
    writer: &dyn PlanWriter<W>,
    context: &ApplyContext,
    on_step: &(dyn Fn(usize, &StepResult) + Send + Sync),
) -> Result<Report, Failure> {
    let lane = context.lane;
    let remembered = if plan.changes.is_empty() {
        Refusals::default()
    } else {
        Refusals::read(context.store.as_ref(), key).await?
    };
    let mut refusals = remembered.of_generation(&context.generation);
    let CheckedPlan { mut results, asked, mut failure } =
        check_guard(key, plan, context, lane, &refusals).await?;
    for (at, result) in results.iter().enumerate() {
        if let Some(result) = result {
            on_step(at, result);
        }
    }
    let writes = results.iter().filter(|result| result.is_none()).count();
    while let Err(until) = context.pace.book(key, writes, lane, context.clock.now()) {
        if !context.patient {
            return Err(turn(until));
        }
        context.clock.sleep_until(until).await;
    }
    let valid_until = context.planned + OLDEST;
    let mut turns = Turns::new(plan, writer, lane);
    let mut session: Option<Arc<dyn Session<W>>> = None;
    let mut under_way = UnderWay::new();
    loop {
        // After a conflict, a lost lease or a used-up budget nothing begins; the writes that are
        // under way end.
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
                    let text = error.text.clone();
                    if error.class == Class::Rejected {
                        let change = &plan.changes[at];
                        refusals.add(change.digest(key), &change.aspect, &text, context.clock.now());
                    }
                    failure = Some(more_severe(failure, error));
                    StepResult::Failed(text)
                }
            };
            on_step(at, &result);
            results[at] = Some(result);
            continue;
        };
        let change = &plan.changes[at];
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
                    return Err(error);
                }
            },
        };
        context.pace.turn(lane, &context.clock).await;
        let now = context.clock.now();
        if now > valid_until {
            // Others may have written since. The other changes get their turn with a new plan.
            failure = Some(more_severe(failure, outdated(now)));
            on_step(at, &StepResult::NotReached);
            results[at] = Some(StepResult::NotReached);
            continue;
        }
        let is_asked = asked.contains(&at);
        let written = async move { (at, write(key, plan, change, opened.as_ref(), context, is_asked).await) };
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
    if let Err(error) = refusals.write(&remembered, context.store.as_ref(), key).await {
        tracing::warn!(%key, subject = plan.subject, %error, "refusals by the vendor not stored, the next sweep sends the refused changes again");
    }
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

/// The writes under way, each with the position of its change.
type UnderWay<'a> = FuturesUnordered<BoxFuture<'a, (usize, Result<Begun, Failure>)>>;

/// The longest time between a plan and a write of it. A write may replace a whole body, and with it
/// what others have written since the plan was made. The same limit lets other runs have their
/// turns.
pub const OLDEST: Duration = Duration::from_secs(120);

/// Reports that a plan is too old. Beadle makes another one at once; that costs no attempt.
fn outdated(now: Time) -> Failure {
    let text = "the plan is too old, and others may have written since; Beadle plans again";
    Failure::new(Class::RateLimited { until: now, spares_events: true }, text)
}

/// The reason for a run that only has to leave time between two writes. Nobody has to act.
pub(crate) const TURN: &str = "the run waits for its turn among the bulk writes";

fn turn(until: Time) -> Failure {
    Failure::new(Class::RateLimited { until, spares_events: true }, TURN)
}

/// Writes one change. The result has whether the write began.
async fn write<W: Send + Sync + 'static>(
    key: &Key,
    plan: &Plan<W>,
    change: &Change<W>,
    session: &dyn Session<W>,
    context: &ApplyContext,
    asked: bool,
) -> Result<Begun, Failure> {
    let intended = IntendedChange { change: change.describe(), generation: context.generation.clone() };
    let digest = change.digest(key);
    let entry = |kind, intent, detail| Entry {
        seq: 0,
        at: context.clock.now(),
        kind,
        key: key.to_string(),
        subject: plan.subject.clone(),
        intent,
        detail,
    };
    fail::fail_point!("before-intent", |_| std::process::abort());
    // The last checks before the write: the lease, the pauses, and the room that the guard gave.
    let spends = asked.then(|| (digest.clone(), context.limits.window));
    let intent = Intent { entry: entry(EntryKind::Intent, None, Detail::Change(intended)), spends };
    let begun = context.store.begin(context.lease.as_ref(), key, intent, context.clock.now()).await?;
    let Begun::Yes(number) = begun else { return Ok(begun) };
    fail::fail_point!("between-intent-and-write", |_| std::process::abort());
    let written = session.write(change).await;
    fail::fail_point!("between-write-and-result", |_| std::process::abort());
    let end = match &written {
        Ok(()) => Some(End::Written),
        Err(failure) => is_certain(change, failure).then_some(End::Refused),
    };
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
    if let Some(end) = end.filter(|_| asked) {
        context.store.conclude(key.instance(), vec![(digest, end)]).await?;
    }
    written.map(|()| begun)
}

/// Returns whether a change that failed certainly changed nothing. Several guarded fields may have
/// been several requests, of which only the last one was refused.
fn is_certain<W>(change: &Change<W>, failure: &Failure) -> bool {
    let guarded = change.fields.iter().filter(|field| field.risk.is_guarded()).count();
    failure.class.changed_nothing() && !failure.is_partial && guarded <= 1
}

/// Explains why a write was not begun.
fn why_not_begun(begun: &Begun) -> Failure {
    match begun {
        Begun::Paused { scope, until } => {
            Failure::new(Class::Conflict, format!("{} {until}; this run wrote nothing more", paused(scope)))
        }
        Begun::Lapsed => {
            let text = "the room in the guard's window, or the approval, is not valid any more; Beadle plans the change again";
            Failure::new(Class::Conflict, text)
        }
        Begun::LeaseLost | Begun::Yes(_) => lease_lost(),
    }
}

fn lease_lost() -> Failure {
    Failure::new(Class::Conflict, "another worker took this key over; this run wrote nothing more")
}

fn ends_run(failure: &Failure) -> bool {
    matches!(failure.class, Class::RateLimited { .. } | Class::Conflict)
}

/// Returns the one of two failures whose treatment covers the other.
fn more_severe(first: Option<Failure>, second: Failure) -> Failure {
    let weight = |failure: &Failure| match failure.class {
        Class::Rejected => 0,
        Class::Retry => 1,
        Class::Conflict => 2,
        Class::RateLimited { .. } => 3,
        Class::Fatal => 4,
    };
    match first {
        Some(first) if weight(&first) >= weight(&second) => first,
        _ => second,
    }
}
