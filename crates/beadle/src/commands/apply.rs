//! `beadle apply`.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use beadle_engine::apply::{ApplyContext, PlanWriter, Planner, release_resolved_holds};
use beadle_engine::guard::count_note;
use beadle_engine::{
    Change, Class, Clock, Failure, Key, Limits, Outcome, Plan, Report, Risks, StepResult, Store, Unknown,
    WritePace, apply,
};
use beadle_groups::{GroupPlanner, GroupWriter};
use beadle_repositories::{RepositoryPlanner, RepositoryWriter};

use crate::app::budget_share::BudgetShare;
use crate::app::directory::{Directories, GroupTarget};
use crate::app::wiring::{self, GithubClients, OpenOptions, Org};
use crate::cli::{ApplyArgs, Selection};
use crate::commands::plan::{Writable, plan, plan_groups};
use crate::commands::rounds::{Rounds, Went, settle};
use crate::commands::tally::Tally;
use crate::config::Config;
use crate::output::printer::{Printer, Tone};
use crate::output::render::{self, WholePlan};

/// What a write takes of a minute's points.
///
/// <https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#calculating-points-for-the-secondary-rate-limit>
const WRITE_POINTS: u32 = 5;
/// A time that is announced.
const WORTH_SAYING: Duration = Duration::from_secs(20);

pub(crate) async fn run(config: &Config, args: &ApplyArgs, printer: &Printer) -> anyhow::Result<u8> {
    let clock = Clock::system();
    let store = wiring::store(config).await?;
    let mut shared = Vec::new();
    let code = all(config, args, &store, &clock, &mut shared, printer).await;
    BudgetShare::end_all(shared).await;
    code
}

async fn all(
    config: &Config,
    args: &ApplyArgs,
    store: &Arc<dyn Store>,
    clock: &Clock,
    shared: &mut Vec<BudgetShare>,
    printer: &Printer,
) -> anyhow::Result<u8> {
    let mut tally = Tally::default();
    let selection = &args.selection;
    let opening = OpenOptions { store: Some(store.clone()), patient: true, parts: 1 };
    let clients = GithubClients::default();
    if selection.repositories() {
        for file in config.orgs(selection.org.as_deref())? {
            let mut rounds = Rounds::default();
            loop {
                // Opened for every round: what was read of it before the writes is not read from
                // memory.
                let org = Org::open(config, file, clock, &opening, &clients).await?;
                if rounds.is_first() {
                    shared.extend(BudgetShare::where_stored(&org, Some(store)).await);
                } else {
                    settle(clock).await;
                }
                let (mut shown, mut plans) =
                    plan(&org, &org.planner(Some(store)), selection, printer).await?;
                rounds.keep(&mut shown, &mut plans);
                let say = || announce(&org, &plans, printer);
                let mut applier = Applier::of_org(&org, store, clock, printer);
                applier.counts(&shown, selection).await?;
                match make_so(&applier, args, &shown, &plans, &say, &mut rounds).await? {
                    Went::Declined => {
                        tally.add(rounds.tally());
                        return Ok(declined(&tally, printer));
                    }
                    Went::Quiet => break,
                    Went::Again => {}
                }
            }
            tally.add(rounds.tally());
        }
    }
    if selection.groups() {
        let directories = Directories::open(config, clock, &opening, &clients)?;
        shared.extend(clients.share(config, Some(store)).await);
        for target in directories.wanted(selection.target.as_deref())? {
            let mut rounds = Rounds::default();
            loop {
                if !rounds.is_first() {
                    settle(clock).await;
                }
                let (mut shown, mut plans) =
                    plan_groups(target, selection, Some(store), clock, printer).await?;
                rounds.keep(&mut shown, &mut plans);
                let applier = Applier::of_target(target, store, clock, printer);
                match make_so(&applier, args, &shown, &plans, &|| {}, &mut rounds).await? {
                    Went::Declined => {
                        tally.add(rounds.tally());
                        return Ok(declined(&tally, printer));
                    }
                    Went::Quiet => break,
                    Went::Again => {}
                }
            }
            tally.add(rounds.tally());
        }
    }
    summary(&tally, printer);
    Ok(tally.code())
}

/// The end where somebody said no: what was written before, and how it went, counts all the same.
fn declined(tally: &Tally, printer: &Printer) -> u8 {
    if *tally != Tally::default() {
        summary(tally, printer);
    }
    tally.code_with(1)
}

/// Shows, asks, writes.
async fn make_so<P: Planner, W: PlanWriter<P::Write>>(
    applier: &Applier<'_, P, W>,
    args: &ApplyArgs,
    shown: &WholePlan,
    plans: &[Plan<P::Write>],
    say: &dyn Fn(),
    rounds: &mut Rounds,
) -> anyhow::Result<Went> {
    let printer = applier.printer;
    // A repository that a round deleted is missing in the next round.
    rounds.misnamed |= rounds.is_first() && args.selection.is_by_name() && !shown.unmatched.is_empty();
    let has_news = rounds.has_news(shown);
    if rounds.is_first() || has_news {
        printer.lines(render::text(printer, shown));
    }
    if !has_news {
        rounds.end(shown);
        return Ok(Went::Quiet);
    }
    if writes(shown) && !args.yes && !agreed(shown, printer)? {
        printer.note(if rounds.is_first() { "nothing was written" } else { "nothing more was written" });
        return Ok(Went::Declined);
    }
    say();
    let (mut reports, mut errors, mut is_changed) = (Vec::new(), 0, false);
    for ((key, _), plan) in shown.plans.iter().zip(plans) {
        match write(applier, key, plan).await {
            Ok((report, is_all)) => {
                reports.push((key.clone(), report));
                is_changed |= !is_all;
            }
            Err(error) => {
                printer.error(&format!("{}: {error:#}", plan.subject));
                errors += 1;
            }
        }
    }
    Ok(rounds.count(&reports, errors, shown.short.is_some() || rounds.misnamed, is_changed, !args.yes))
}

/// Says how long the writes take, where that is long: one has to wait for the other.
pub(super) fn announce(org: &Org, plans: &[Writable], printer: &Printer) {
    let changes = plans.iter().flat_map(|plan| &plan.changes);
    let writes = changes.filter(|change| change.mode.allows(&change.risks())).count();
    let budget = &org.file.budget;
    let of_points = Duration::from(budget.minute) * WRITE_POINTS / budget.rest_points.max(1);
    let time = budget.write_every().max(of_points) * u32::try_from(writes).unwrap_or(u32::MAX);
    if time >= WORTH_SAYING {
        let minutes = time.as_secs().div_ceil(60);
        printer.note(format!("{}: {writes} writes, one after the other: about {minutes} min", org.file.name));
    }
}

/// Whether the modes let anything be written.
fn writes(plan: &WholePlan) -> bool {
    plan.plans.iter().flat_map(|(_, plan)| &plan.changes).any(|change| change.mode.allows(&change.risks()))
}

/// Asks on a terminal. Elsewhere only what neither removes, weakens nor exposes goes on without `--yes`.
fn agreed(plan: &WholePlan, printer: &Printer) -> anyhow::Result<bool> {
    let mut risks = Risks::default();
    for change in plan.plans.iter().flat_map(|(_, plan)| &plan.changes) {
        if change.mode.allows(&change.risks()) {
            risks.merge(&change.risks());
        }
    }
    if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        printer.ask(format!("Write this to {}? [y/N]", plan.of));
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        return Ok(matches!(answer.trim(), "y" | "Y" | "yes"));
    }
    if risks.is_guarded() {
        bail!(
            "this would remove {}, weaken {} and expose {}; look at it, then say --yes",
            risks.removes,
            risks.weakens,
            risks.exposes
        );
    }
    printer.note("not on a terminal, and nothing is removed, weakened or exposed: going on");
    Ok(true)
}

/// Gives a key's hint.
type Hint<'a> = Box<dyn Fn(&Key) -> Option<String> + Send + Sync + 'a>;

/// What writes plans that were agreed to.
pub(super) struct Applier<'a, P, W> {
    pub(super) planner: P,
    writer: W,
    /// The vendor's faster name for a key.
    hint: Hint<'a>,
    pace: WritePace,
    pub(super) limits: Limits,
    /// Writes nothing that was not shown: somebody agreed to what was.
    pub(super) only_shown: bool,
    pub(super) store: &'a Arc<dyn Store>,
    pub(super) clock: &'a Clock,
    printer: &'a Printer,
}

impl<P, W> Applier<'_, P, W> {
    /// Takes over how many repositories there are, for the guard's share, where a plan tells; and
    /// keeps it for plans that do not.
    pub(super) async fn counts(&mut self, shown: &WholePlan, selection: &Selection) -> anyhow::Result<()> {
        let whole = !selection.is_by_name() && selection.shard.of() == 1;
        if let Some(among) = shown.among().filter(|_| whole) {
            self.limits.among = Some(among);
            self.store.put(&count_note(&shown.of), &among.to_string()).await?;
        }
        Ok(())
    }
}

impl<'a> Applier<'a, RepositoryPlanner, RepositoryWriter> {
    pub(super) fn of_org(
        org: &'a Org,
        store: &'a Arc<dyn Store>,
        clock: &'a Clock,
        printer: &'a Printer,
    ) -> Self {
        Self {
            planner: org.planner(Some(store)),
            writer: org.writer(),
            hint: Box::new(|key| org.reader.node_of(key.id().parse().ok()?)),
            pace: org.pace.clone(),
            limits: org.file.limits(),
            only_shown: true,
            store,
            clock,
            printer,
        }
    }
}

impl<'a> Applier<'a, GroupPlanner, GroupWriter> {
    pub(super) fn of_target(
        target: &'a GroupTarget,
        store: &'a Arc<dyn Store>,
        clock: &'a Clock,
        printer: &'a Printer,
    ) -> Self {
        Self {
            planner: target.planner(Some(store), clock),
            writer: target.writer(Some(store), clock),
            hint: Box::new(|_| None),
            pace: target.pace.clone(),
            limits: target.limits,
            only_shown: true,
            store,
            clock,
            printer,
        }
    }
}

/// Writes one plan. Gives the report, and whether all of the plan as it is by now was to be
/// written.
pub(super) async fn write<P: Planner, W: PlanWriter<P::Write>>(
    applier: &Applier<'_, P, W>,
    key: &Key,
    plan: &Plan<P::Write>,
) -> anyhow::Result<(Report, bool)> {
    let Applier { store, clock, .. } = applier;
    let mut gate = ApplyContext {
        store: Arc::clone(store),
        clock: Clock::clone(clock),
        lease: None,
        limits: applier.limits,
        pace: applier.pace.clone(),
        patient: true,
        generation: applier.planner.generation(),
        planned: clock.now(),
    };
    if plan.changes.is_empty() {
        return Ok((Report::of_nothing(plan), true));
    }
    let now = clock.now();
    let paused = store
        .pauses(now)
        .await?
        .into_iter()
        .find(|pause| pause.scope == key.as_str() || pause.scope == key.instance());
    if let Some(pause) = paused {
        bail!("{} is paused until {}", pause.scope, pause.until);
    }
    // A service may be at work on the same store: one works on a key at a time.
    let Some(claim) = store.claim_key(key, clock.now()).await? else {
        bail!(
            "the service or another command is working on it (one that was killed, for {} s more at most), \
             or it is parked; see `beadle queue`",
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
    let outcome = failure.map_or(Outcome::Done, Outcome::Retry);
    store.finish(&claim.lease, outcome, clock.now()).await?;
    Ok(written?)
}

const CHANGED: &str =
    "it changed since it was shown; what is new was not written, look at `beadle plan` again";

/// Plans again under the claim: what changed since the plan was shown is not written unseen, and what was marked since
/// then is looked at. Gives the report, and whether all of the new plan had been shown.
async fn write_agreed<P: Planner, W: PlanWriter<P::Write>>(
    applier: &Applier<'_, P, W>,
    key: &Key,
    shown: &Plan<P::Write>,
    gate: &ApplyContext,
) -> Result<(Report, bool), Failure> {
    let printer = applier.printer;
    let agreed: Vec<String> = shown.changes.iter().map(|change| change.digest(key)).collect();
    let is_agreed = |change: &Change<P::Write>| !applier.only_shown || agreed.contains(&change.digest(key));
    let (mut written, mut is_all, mut outdated) = (Vec::new(), true, 0);
    loop {
        let mut plan = applier.planner.plan(key, (applier.hint)(key).as_deref()).await?;
        let gate = ApplyContext { planned: applier.clock.now(), ..gate.clone() };
        release_resolved_holds(key, &plan, &gate).await?;
        let all = plan.changes.iter().all(is_agreed);
        is_all &= all;
        if !all {
            printer.error(&format!("{}: {CHANGED}", plan.subject));
            plan.retain(is_agreed);
        }
        let print = |at: usize, result: &StepResult| {
            let step = beadle_engine::Step { change: plan.changes[at].describe(), outcome: result.clone() };
            printer.line(render::step(printer, &plan.subject, &step));
        };
        // A change that this plan does not reach may be in the next one.
        let told = |at: usize, result: &StepResult| {
            if *result != StepResult::NotReached {
                print(at, result);
            }
        };
        let mut report = apply(key, &plan, &applier.writer, &gate, &told).await?;
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
            // The summary and the exit code tell that this one is not as it was shown.
            let why = CHANGED.to_owned();
            report.unknowns.push(Unknown { aspect: "plan".into(), part: None, why, transient: true });
        }
        return Ok((report, is_all));
    }
}

/// The number of times that a plan is made again although the one before it came to nothing: its
/// first write waited for a budget for longer than a plan is valid.
const OUTDATED: u32 = 5;

/// Keeps the claim for as long as the writes take.
async fn heartbeat(
    store: &Arc<dyn Store>,
    lease: &beadle_engine::Lease,
    clock: &Clock,
) -> Result<(Report, bool), Failure> {
    loop {
        clock.sleep(store.timing().lease / 3).await;
        if store.renew(lease, clock.now()).await?.is_none() {
            let text = "somebody else took it over";
            return Err(Failure::new(Class::Conflict, text));
        }
    }
}

fn summary(tally: &Tally, printer: &Printer) {
    let mut parts = vec![printer.paint(Tone::Good, format!("{} written", tally.written))];
    let more_severe = [
        (tally.withheld, Tone::Notice, "withheld by modes"),
        (tally.held, Tone::Danger, "held by the guard"),
        (tally.waiting, Tone::Notice, "waiting for a change that was not written"),
        (tally.again, Tone::Danger, "planned again after the writes; see `beadle plan`"),
        (tally.failed, Tone::Danger, "failed"),
        (tally.unknown, Tone::Danger, "unknown"),
    ];
    let more_severe = more_severe.into_iter().filter(|(count, ..)| *count > 0);
    parts.extend(more_severe.map(|(count, tone, what)| printer.paint(tone, format!("{count} {what}"))));
    printer.line(parts.join(", "));
}
