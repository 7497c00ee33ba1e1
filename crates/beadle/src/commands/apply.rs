//! `beadle apply`: shows the plan, asks for confirmation, writes the changes.

use std::io::IsTerminal as _;
use std::sync::Arc;

use anyhow::bail;
use beadle_engine::apply::{ApplyContext, PlanWriter, Planner, release_resolved_holds};
use beadle_engine::guard::{RepositoryCount, is_undo};
use beadle_engine::{
    Change, Class, Clock, Failure, Key, KeyState, Lane, Limits, Outcome, Plan, Report, StepResult, Store,
    Unknown, WritePace, apply,
};
use beadle_groups::{GroupPlanner, GroupWriter};
use beadle_repositories::{RepositoryPlanner, RepositoryWriter};

use crate::app::application::App;
use crate::app::budget_share::SpawnedShare;
use crate::app::client_options::OpenOptions;
use crate::app::github_organisation::GithubOrganisation;
use crate::app::group_target::GroupTarget;
use crate::app::store;
use crate::cli::{ApplyArgs, Selection};
use crate::commands::announce::announce;
use crate::commands::gate::{accept, are_mappings_held, is_held, limit_organisation, limit_target};
use crate::commands::plan::{plan, plan_groups};
use crate::commands::rounds::{Rounds, Went, settle};
use crate::commands::tally::Tally;
use crate::config::Config;
use crate::output::count::counted;
use crate::output::printer::{Printer, Tone};
use crate::output::render::{self, WholePlan};

pub(crate) async fn run(config: &Arc<Config>, args: &ApplyArgs, printer: &Printer) -> anyhow::Result<u8> {
    let store = store::open(config).await?;
    let app = App::new(config, OpenOptions { store: Some(store.clone()), ..OpenOptions::PATIENT });
    let mut shared = Vec::new();
    let code = Box::pin(all(&app, args, &store, &mut shared, printer)).await;
    SpawnedShare::end_all(shared).await;
    code
}

async fn all(
    app: &App,
    args: &ApplyArgs,
    store: &Arc<dyn Store>,
    shared: &mut Vec<SpawnedShare>,
    printer: &Printer,
) -> anyhow::Result<u8> {
    let mut tally = Tally::default();
    let (selection, clock) = (&args.selection, &app.clock);
    if selection.repositories() {
        for file in app.config.orgs(selection.org.as_deref())? {
            let mut rounds = Rounds::default();
            loop {
                // Beadle opens the organisation again for every round, so that the round does not
                // use an answer from before the last writes.
                let org = app.organisation(file).await?;
                limit_organisation(&org, store, printer).await?;
                if rounds.is_first() {
                    shared.extend(app.share_budget(&org).await);
                } else {
                    settle(clock).await;
                }
                let planner = org.planner(Some(store));
                let (mut shown, mut plans) = plan(&org, &planner, selection, printer).await?;
                rounds.keep(&mut shown, &mut plans);
                if rounds.is_first() && is_held(&org, &shown, selection, (store, clock), printer).await? {
                    printer.lines(render::text(printer, &shown));
                    tally.held_policies += 1;
                    break;
                }
                let say = || announce(&org, &plans, printer);
                let mut applier = Applier::of_org(&org, store, clock, printer);
                applier.planner = applier.planner.recording_with(&planner);
                applier.counts(&shown, selection).await?;
                match make_so(&applier, args, &shown, &plans, &say, &mut rounds).await? {
                    Went::Declined => {
                        tally.add(rounds.tally());
                        return Ok(declined(&tally, printer));
                    }
                    Went::Quiet => {
                        accept(&org, &shown, selection, store).await?;
                        break;
                    }
                    Went::Again => {}
                }
            }
            tally.add(rounds.tally());
        }
    }
    if selection.groups() {
        let directories = app.directories_with_policies().await?;
        shared.extend(app.share_team_budgets().await);
        for target in directories.wanted(selection.target.as_deref())? {
            if are_mappings_held(&app.config, &directories, &target.file.name, store, printer).await? {
                tally.held_policies += 1;
                continue;
            }
            let mut rounds = Rounds::default();
            limit_target(target, store, printer).await?;
            loop {
                if !rounds.is_first() {
                    settle(clock).await;
                }
                let (mut shown, mut plans) =
                    plan_groups(target, selection, Some(store), clock, Lane::Manual, printer).await?;
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

/// Ends the command after the operator declined the plan. The exit code still counts the results of
/// earlier rounds.
pub(super) fn declined(tally: &Tally, printer: &Printer) -> u8 {
    if *tally != Tally::default() {
        summary(tally, printer);
    }
    tally.code_with(1)
}

/// Runs one round: shows the plan, asks for confirmation and writes the changes.
async fn make_so<P: Planner, W: PlanWriter<P::Write>>(
    applier: &Applier<'_, P, W>,
    args: &ApplyArgs,
    shown: &WholePlan,
    plans: &[Plan<P::Write>],
    say: &dyn Fn(),
    rounds: &mut Rounds,
) -> anyhow::Result<Went> {
    let printer = applier.printer;
    // Only the first round reports names without a repository. A later round would also report a
    // repository that an earlier round deleted.
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
        printer.note(if rounds.is_first() {
            "no change was written"
        } else {
            "no further change was written"
        });
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

/// Returns whether the modes allow Beadle to write at least one change of the plan.
pub(super) fn writes(plan: &WholePlan) -> bool {
    plan.plans.iter().flat_map(|(_, plan)| &plan.changes).any(|change| change.mode.allows(&change.risks()))
}

/// Asks the operator for confirmation on a terminal. Without a terminal, Beadle asks nothing, but
/// it needs `--yes` for changes that remove, weaken or expose something.
pub(super) fn agreed(plan: &WholePlan, printer: &Printer) -> anyhow::Result<bool> {
    let changes = plan.plans.iter().flat_map(|(_, plan)| &plan.changes);
    let allowed = changes.filter(|change| change.mode.allows(&change.risks()));
    let guarded: Vec<&Change<()>> = allowed.filter(|change| change.risks().is_guarded()).collect();
    if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        printer.ask(format!("Write these changes to {}? [y/N]", plan.of));
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        return Ok(matches!(answer.trim(), "y" | "Y" | "yes"));
    }
    if !guarded.is_empty() {
        bail!(
            "confirmation required for {}: {}; Beadle has no terminal on which it can ask\nhint: check the plan, then \
             add `--yes`",
            plan.of,
            render::by_risk(guarded.into_iter())
        );
    }
    printer.note(
        "no terminal, and no change removes, weakens or exposes anything: applying without confirmation",
    );
    Ok(true)
}

/// Returns the hint for a key. The hint is another name of the same object, with which the vendor
/// answers faster.
pub(super) type Hint<'a> = Box<dyn Fn(&Key) -> Option<String> + Send + Sync + 'a>;

/// Writes confirmed plans.
pub(super) struct Applier<'a, P, W> {
    pub(super) planner: P,
    pub(super) writer: W,
    /// Returns the hint for a key, with which the vendor answers faster.
    pub(super) hint: Hint<'a>,
    pub(super) pace: WritePace,
    /// The lane of the API calls that plan and write.
    pub(super) lane: Lane,
    pub(super) limits: Limits,
    /// True if Beadle writes only the changes that it showed. This is `true` if somebody confirmed
    /// exactly these changes.
    pub(super) only_shown: bool,
    pub(super) store: &'a Arc<dyn Store>,
    pub(super) clock: &'a Clock,
    pub(super) printer: &'a Printer,
}

impl<P, W> Applier<'_, P, W> {
    /// Stores the number of repositories, if the plan covers all of them. The guard computes
    /// percentages from this number, also when a later plan covers only a few repositories.
    pub(super) async fn counts(&mut self, shown: &WholePlan, selection: &Selection) -> anyhow::Result<()> {
        let whole = !selection.is_by_name() && selection.shard.of() == 1;
        if let Some(among) = shown.among().filter(|_| whole) {
            self.limits.among = Some(among);
            RepositoryCount::note(&shown.of).put(self.store.as_ref(), &RepositoryCount(among)).await?;
        }
        Ok(())
    }
}

impl<'a> Applier<'a, RepositoryPlanner, RepositoryWriter> {
    pub(super) fn of_org(
        org: &'a GithubOrganisation,
        store: &'a Arc<dyn Store>,
        clock: &'a Clock,
        printer: &'a Printer,
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
            lane: Lane::Manual,
            limits: target.limits.current(),
            only_shown: true,
            store,
            clock,
            printer,
        }
    }
}

/// Writes one plan. Also returns whether the plan that was made directly before the write had only
/// confirmed changes.
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
    // A service may use the same store. The claim ensures that only one process works on a key.
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
    // While this process has the claim, no other run can record what it finds. Otherwise this report
    // could replace the one of a later run. Changes that nobody confirmed are not in the report, and
    // an undo has only its own changes. Such a report does not show the state of the key.
    let recorded = match &written {
        Ok((report, true)) if !is_undo(&gate.generation) => record(applier, key, report).await,
        _ => Ok(()),
    };
    let outcome = failure.map_or(Outcome::Done, Outcome::Retry);
    store.finish(&claim.lease, outcome, clock.now()).await?;
    recorded?;
    Ok(written?)
}

/// Records what a run found.
async fn record<P: Planner, W>(
    applier: &Applier<'_, P, W>,
    key: &Key,
    report: &Report,
) -> anyhow::Result<()> {
    KeyState::record(applier.store.as_ref(), key, report, applier.clock.now()).await?;
    applier.planner.record(key, report).await?;
    Ok(())
}

const CHANGED: &str =
    "the plan changed since it was shown, new changes were not written; run `beadle plan` again";

/// Plans a claimed key again, and writes only those changes of the new plan that were shown. Also
/// returns whether the new plan had only shown changes.
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
        let mut plan = applier.planner.plan(key, (applier.hint)(key).as_deref(), applier.lane).await?;
        let (generation, planned) = (plan.generation.clone(), applier.clock.now());
        let gate = ApplyContext { generation, planned, ..gate.clone() };
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
        // If the writes end before this change, the next plan has the change again.
        let on_step = |at: usize, result: &StepResult| {
            if *result != StepResult::NotReached {
                print(at, result);
            }
        };
        let mut report = apply(key, &plan, &applier.writer, &gate, &on_step).await?;
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
            // The summary and the exit code must show that this plan differs from the plan that was
            // shown.
            let why = CHANGED.to_owned();
            report.unknowns.push(Unknown { aspect: "plan".into(), part: None, why, transient: true });
        }
        return Ok((report, is_all));
    }
}

/// The maximum number of times that Beadle plans a key again. Beadle does so if the first write of
/// the key waited so long for a budget that the plan is no longer valid.
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

/// Prints the number of changes for each kind of result.
pub(super) fn summary(tally: &Tally, printer: &Printer) {
    printer.line(summary_line(tally, printer));
}

/// Returns one line with the number of changes for each kind of result.
fn summary_line(tally: &Tally, printer: &Printer) -> String {
    let written = format!("{} written", counted(tally.written, "change", "changes"));
    let mut parts = vec![printer.paint(Tone::Good, written)];
    let policies =
        if tally.held_policies == 1 { "policy held by the gate" } else { "policies held by the gate" };
    let more_severe = [
        (tally.withheld, Tone::Notice, "skipped by the mode"),
        (tally.held, Tone::Danger, "held by the guard"),
        (tally.held_policies, Tone::Danger, policies),
        (tally.waiting, Tone::Notice, "skipped because of another change that was not written"),
        (tally.again, Tone::Danger, "still needed after the writes (see `beadle plan`)"),
        (tally.failed, Tone::Danger, "failed"),
        (tally.unknown, Tone::Danger, "unknown"),
    ];
    let more_severe = more_severe.into_iter().filter(|(count, ..)| *count > 0);
    parts.extend(more_severe.map(|(count, tone, what)| printer.paint(tone, format!("{count} {what}"))));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_changes() {
        let printer = Printer::plain();
        let tally = Tally { written: 1, ..Tally::default() };
        let all = Tally {
            written: 6,
            held: 2,
            held_policies: 1,
            withheld: 1,
            waiting: 1,
            failed: 1,
            unknown: 1,
            again: 1,
        };
        insta::assert_snapshot!(format!(
            "{}\n{}",
            summary_line(&tally, &printer),
            summary_line(&all, &printer)
        ));
    }
}
