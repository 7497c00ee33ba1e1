//! `beadle sweep`: plans and writes all groups, and the repositories of a shard. The command does
//! not ask for confirmation.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use beadle_engine::apply::{PlanWriter, Planner};
use beadle_engine::guard::Decision;
use beadle_engine::sweep::Summary;
use beadle_engine::{Change, Clock, Hold, Key, Lane, Limits, Mode, Plan, Report, StepResult, Store, Time};
use serde_json::json;

use crate::app::application::App;
use crate::app::connections::budget_and_cache_options::ClientOptions;
use crate::app::connections::budget_share::SpawnedShare;
use crate::app::groups::directories_and_targets::Directories;
use crate::app::operations::applier::{Applier, write};
use crate::app::operations::decided_by::DecidedBy;
use crate::app::operations::held_change_decisions::{Effect, NamedChange, effect, store_decisions};
use crate::app::operations::pausing;
use crate::app::organisations::open_organisation::GithubOrganisation;
use crate::app::store;
use crate::cli::SweepArgs;
use crate::commands::plan::{plan, plan_groups};
use crate::commands::shared::apply_rounds::{MOST, settle};
use crate::commands::shared::command_gate::{
    accept, are_mappings_held, is_held, limit_organisation, limit_target,
};
use crate::commands::shared::decided_by::decided_by;
use crate::commands::shared::expected_write_duration::announce;
use crate::commands::shared::tally::Tally;
use crate::config::Config;
use crate::output::markdown::{Page, Piece};
use crate::output::plans_and_results::{self, PlanScope, WholePlan};
use crate::output::printer::{Printer, Tone};

/// The maximum number of times that Beadle reads the list of repositories if the list is
/// incomplete.
const TRIES: u32 = 3;

pub(crate) async fn run(config: &Arc<Config>, args: &SweepArgs, printer: &Printer) -> anyhow::Result<u8> {
    // The future is large, so it is allocated on the heap.
    Box::pin(sweep(config, args, printer)).await
}

/// The arguments of the command, and the operator. The operator approves the digests in the
/// arguments. `by` is `None` if there are no digests.
struct SweepRequest<'a> {
    args: &'a SweepArgs,
    by: Option<DecidedBy>,
}

async fn sweep(config: &Arc<Config>, args: &SweepArgs, printer: &Printer) -> anyhow::Result<u8> {
    let printer = &printer.beside_json(args.json);
    let (_folder, store) = if args.without_store {
        let (folder, store) = store::temporary()?;
        (Some(folder), store)
    } else {
        (None, store::open(config).await?)
    };
    pausing::pause_new_targets(config, store.as_ref(), Clock::system().now()).await?;
    let by =
        if args.approve.is_empty() { None } else { Some(decided_by(config, &args.decider, printer).await?) };
    let asked = &SweepRequest { args, by };
    let selection = &args.selection;
    let parts = if args.without_store { selection.shard.of() } else { 1 };
    // All calls use the lane of a sweep, so that the reserve of the budget stays available for
    // events and operators.
    let options = ClientOptions { store: Some(store.clone()), patient: true, parts, lane: Lane::Sweep };
    let app = App::new(config, options);
    let clock = &app.clock;
    let mut tally = Tally::default();
    let mut unknown: BTreeSet<&String> = args.approve.iter().collect();
    if selection.repositories() {
        for file in config.orgs(selection.org.as_deref())? {
            let org = app.organisation(file).await?;
            let shared = app.share_budget(&org).await;
            let swept = Box::pin(one(&org, asked, &store, clock, printer)).await;
            SpawnedShare::end_all(shared).await;
            let Some(swept) = swept? else {
                tally.held_policies += 1;
                continue;
            };
            strike(&mut unknown, &swept.shown);
            end(args, &swept, &mut tally, printer)?;
        }
    }
    if selection.groups() {
        let directories = app.directories_with_policies().await?;
        let shared = app.share_team_budgets().await;
        let swept = groups(&app, &directories, asked, &store, printer).await;
        SpawnedShare::end_all(shared).await;
        let (swept, held) = swept?;
        tally.held_policies += held;
        for swept in swept {
            strike(&mut unknown, &swept.shown);
            end(args, &swept, &mut tally, printer)?;
        }
    }
    let is_whole = selection.shard.of() == 1 && !selection.is_by_name();
    for digest in unknown {
        let text = format!("no change has the digest `{digest}`");
        if is_whole {
            printer.error(&text);
            tally.failed += 1;
        } else {
            // If a digest belongs to no change, Beadle prints only a warning, because the change
            // might belong to another shard.
            printer.note(text);
        }
    }
    Ok(tally.code())
}

/// Sweeps the groups of the targets. Also returns the number of targets whose mappings the service
/// holds.
async fn groups(
    app: &App,
    directories: &Directories,
    asked: &SweepRequest<'_>,
    store: &Arc<dyn Store>,
    printer: &Printer,
) -> anyhow::Result<(Vec<Swept>, usize)> {
    let (mut all, mut held, clock) = (Vec::new(), 0, &app.clock);
    for target in directories.wanted(asked.args.selection.target.as_deref())? {
        if are_mappings_held(&app.config, directories, &target.file.name, store, printer).await? {
            held += 1;
            continue;
        }
        limit_target(target, store, printer).await?;
        let selection = &asked.args.selection;
        let planned = plan_groups(target, selection, Some(store), clock, Lane::Sweep, printer).await;
        let (shown, plans) = planned?;
        let applier = Applier::of_target(target, store, clock, printer);
        all.push(make_so(applier, asked, shown, &plans, &|| {}, printer).await?);
    }
    Ok((all, held))
}

/// The results of a sweep, for one organisation or target.
struct Swept {
    summary: Summary,
    tally: Tally,
    shown: WholePlan,
    reports: Vec<Report>,
}

impl Swept {
    /// Returns the names of the repositories with a written change.
    fn written(&self) -> Vec<String> {
        let is_written = |report: &&Report| report.count(|result| *result == StepResult::Written) > 0;
        let subjects =
            self.reports.iter().filter(is_written).filter_map(|report| report.subject.split_once('/'));
        subjects.map(|(_, name)| name.to_owned()).collect()
    }

    /// Returns the number of those changes in this plan that Beadle wrote without effect or never
    /// tried to write.
    fn left(&self, shown: &WholePlan, tried: &BTreeSet<String>) -> usize {
        let is_written = |subject: &str, change: &Change<()>| {
            let mut own = self.reports.iter().filter(|report| report.subject == subject);
            own.any(|report| {
                report.steps.iter().any(|step| step.outcome == StepResult::Written && step.change == *change)
            })
        };
        let of = |(key, plan): &(Key, Plan<()>)| {
            let is_left = |change: &&Change<()>| {
                is_written(&plan.subject, change) || !tried.contains(&change.digest(key))
            };
            plan.changes.iter().filter(is_left).count()
        };
        shown.plans.iter().map(of).sum()
    }

    /// Adds the results of the next round.
    fn follow(&mut self, next: Self) {
        let failed = |reports: &[Report]| reports.iter().filter(|report| report.failed() > 0).count() as u64;
        // If Beadle could not plan a repository, the repository has no report. So this line counts
        // the error of the repository.
        let errors = next.summary.failed.saturating_sub(failed(&next.reports));
        self.tally.add(next.tally);
        for report in next.reports {
            let Some(own) = self.reports.iter_mut().find(|own| own.subject == report.subject) else {
                continue;
            };
            for step in report.steps {
                // If the guard held a change in both rounds, the change counts once.
                if !own.steps.iter().any(|known| known.change == step.change) {
                    own.steps.push(step);
                }
            }
            own.unknowns = report.unknowns;
        }
        let mut summary =
            Summary { checked: self.summary.checked, drifted: self.summary.drifted, ..Summary::default() };
        self.reports.iter().for_each(|report| count(&mut summary, report));
        summary.failed += errors;
        self.summary = summary;
    }
}

/// Prints the results and adds them to the tally.
fn end(args: &SweepArgs, swept: &Swept, tally: &mut Tally, printer: &Printer) -> anyhow::Result<()> {
    tell(args, swept, printer)?;
    if let Some(path) = &args.summary {
        append(path, &markdown(args, swept))?;
    }
    tally.add(swept.tally);
    Ok(())
}

async fn one(
    org: &GithubOrganisation,
    asked: &SweepRequest<'_>,
    store: &Arc<dyn Store>,
    clock: &Clock,
    printer: &Printer,
) -> anyhow::Result<Option<Swept>> {
    let first = org.planner(Some(store));
    let planner = || {
        let planner = org.planner(Some(store)).recording_with(&first);
        // A temporary store knows nothing about the secrets that an earlier sweep wrote.
        if asked.args.without_store { planner.without_secret_memory() } else { planner }
    };
    let (mut shown, mut plans) = plan(org, &planner(), &asked.args.selection, printer).await?;
    for _ in 1..TRIES {
        let Some(short) = &shown.short else { break };
        printer.note(format!("{}: {short}; reading the list again", org.file.name));
        clock.sleep(Duration::from_secs(2)).await;
        (shown, plans) = plan(org, &planner(), &asked.args.selection, printer).await?;
    }
    limit_organisation(org, store, printer).await?;
    // Without a store, Beadle cannot know which policy was accepted. In that case,
    // `beadle plan-total` checks the sum of all shards.
    let is_gated = !asked.args.without_store;
    if is_gated && is_held(org, &shown, &asked.args.selection, (store, clock), printer).await? {
        return Ok(None);
    }
    let mut applier = Applier::of_org(org, store, clock, printer);
    applier.planner = planner();
    let say = || announce(org, &plans, printer);
    let mut swept = make_so(applier, asked, shown, &plans, &say, printer).await?;
    let keys = swept.shown.keys();
    let mut tried = digests(&swept.shown);
    let mut names = swept.written();
    for round in 1..=MOST {
        if names.is_empty() || swept.tally.failed > 0 {
            break;
        }
        // A layer can select repositories by a team or a property that this round wrote. So Beadle
        // plans the written repositories again.
        let args = next_round(asked.args, names, &tried);
        settle(clock).await;
        let (mut shown, mut plans) = plan(org, &planner(), &args.selection, printer).await?;
        shown.keep(&mut plans, &keys);
        // If a repository was renamed since the first round, the next sweep works on it.
        shown.unmatched.clear();
        let planned = digests(&shown);
        if ends(round, &planned, &tried) {
            swept.tally.again += swept.left(&shown, &tried);
            break;
        }
        tried.extend(planned);
        let again = SweepRequest { args: &args, by: asked.by.clone() };
        let mut applier = Applier::of_org(org, store, clock, printer);
        applier.planner = planner();
        let next = make_so(applier, &again, shown, &plans, &|| {}, printer).await?;
        names = next.written();
        swept.follow(next);
    }
    if is_gated {
        accept(org, &swept.shown, &asked.args.selection, store).await?;
    }
    Ok(Some(swept))
}

/// Returns the arguments of the next round. An approval is valid for only one write. So the next
/// round has no approval for a change that this round has already planned.
fn next_round(args: &SweepArgs, names: Vec<String>, tried: &BTreeSet<String>) -> SweepArgs {
    let mut args = args.clone();
    args.selection.repo = names;
    args.approve.retain(|digest| !tried.contains(digest));
    args
}

/// Returns whether the sweep ends before it writes this plan. The sweep ends if the plan has no new
/// change, or after the maximum number of rounds. The changes of the last plan count for the exit
/// code.
fn ends(round: usize, planned: &BTreeSet<String>, tried: &BTreeSet<String>) -> bool {
    round >= MOST || planned.is_subset(tried)
}

/// Returns the digests of all changes in a plan.
fn digests(shown: &WholePlan) -> BTreeSet<String> {
    let changes = shown.plans.iter();
    changes.flat_map(|(key, plan)| plan.changes.iter().map(|change| change.digest(key))).collect()
}

async fn make_so<P: Planner, W: PlanWriter<P::Write>>(
    mut applier: Applier<'_, P, W>,
    asked: &SweepRequest<'_>,
    shown: WholePlan,
    plans: &[Plan<P::Write>],
    say: &(dyn Fn() + Sync),
    printer: &Printer,
) -> anyhow::Result<Swept> {
    let args = asked.args;
    if !args.selection.is_by_name() && args.selection.shard.of() == 1 {
        applier.counts(&shown.of, shown.among()).await?;
    }
    // Nobody confirmed the plan. So Beadle makes a new plan directly before the write, and writes
    // this plan. The new plan might contain further changes. For example, the run of another group
    // might have created the account of a member.
    applier.only_shown = false;
    applier.lane = Lane::Sweep;
    if args.without_store {
        // Without a store, a shard cannot see the writes of the other shards. So each shard gets a
        // part of the limits.
        let (shard, limits) = (args.selection.shard, applier.limits);
        applier.limits = Limits {
            removes: shard.part(limits.removes),
            weakens: shard.part(limits.weakens),
            exposes: shard.part(limits.exposes),
            repositories: shard.part(limits.repositories),
            // Each shard has its own window, so the guard computes percentages from the number of
            // repositories in the shard.
            among: shown.among().filter(|_| !args.selection.is_by_name()),
            ..limits
        };
    }
    approve(&applier, &shown, asked, printer).await?;
    say();
    let mut summary = Summary { checked: shown.count() as u64, ..Summary::default() };
    let mut tally = Tally { unknown: usize::from(shown.short.is_some()), ..Tally::default() };
    if args.selection.is_by_name() && !shown.unmatched.is_empty() {
        shown.unmatched.iter().for_each(|what| printer.error(what));
        summary.failed += 1;
        tally.failed += 1;
    }
    let mut reports = Vec::new();
    for ((key, _), plan) in shown.plans.iter().zip(plans) {
        match write(&applier, key, plan).await {
            Ok((report, _)) => {
                summary.drifted += u64::from(!plan.changes.is_empty());
                count(&mut summary, &report);
                tally.count(&report);
                reports.push(report);
            }
            Err(error) => {
                printer.error(&format!("{}: {error:#}", plan.subject));
                summary.failed += 1;
                tally.failed += 1;
            }
        }
    }
    Ok(Swept { summary, tally, shown, reports })
}

/// `unknown` contains the digests that belong to no known change. Removes the digests of this plan
/// from `unknown`. If a digest remains at the end, it is misspelled or belongs to another shard.
fn strike(unknown: &mut BTreeSet<&String>, shown: &WholePlan) {
    for digest in digests(shown) {
        unknown.remove(&digest);
    }
}

/// Approves those changes of the plan whose digests are on the command line. The journal gets an
/// entry for each approval. A rejected change stays held, because the plan does not show the
/// rejection.
async fn approve<P: Planner, W: PlanWriter<P::Write>>(
    applier: &Applier<'_, P, W>,
    shown: &WholePlan,
    asked: &SweepRequest<'_>,
    printer: &Printer,
) -> anyhow::Result<()> {
    let Applier { store, clock, limits, .. } = applier;
    let Some(by) = &asked.by else { return Ok(()) };
    let decision = Decision::approve(&by.name, by.reason.as_deref());
    for (key, plan) in &shown.plans {
        for change in plan.changes.iter().filter(|change| asked.args.approve.contains(&change.digest(key))) {
            let hold = hold_of((key, plan), change, clock.now());
            let decided = approve_hold(store.as_ref(), limits, (&hold, &decision), clock.now()).await?;
            if let Some(hold) = decided
                && let Effect::Rejected(by) = effect(&hold, &decision)
            {
                let hint = "to approve the change anyway, use `beadle approve`";
                let digest = &hold.digest;
                printer.error(&format!("{digest}: the change was already rejected by {by}\nhint: {hint}"));
            }
        }
    }
    Ok(())
}

/// Returns the hold of a change that the command line approves.
fn hold_of((key, plan): (&Key, &Plan<()>), change: &Change<()>, now: Time) -> Hold {
    Hold {
        why: "approved on the command line".into(),
        ..Hold::new(key, &plan.subject, &plan.generation, change.clone(), now)
    }
}

/// Stores a hold without a decision, and then stores the decision about this hold. If the guard
/// already holds the change, the decision is about the stored hold. An approval does not end a
/// rejection. Returns the stored hold.
async fn approve_hold(
    store: &dyn Store,
    limits: &Limits,
    (hold, decision): (&Hold, &Decision),
    now: Time,
) -> anyhow::Result<Option<Hold>> {
    store.reserve(None, limits, vec![hold.clone()], now).await?;
    let held = store.holds_of(&hold.key).await?.into_iter().find(|held| held.digest == hold.digest);
    let Some(held) = held else { return Ok(None) };
    if held.rejected.is_some() {
        return Ok(Some(held));
    }
    let decided = store_decisions(store, &[NamedChange { hold: &held, group: None }], decision, now).await?;
    Ok(decided.into_iter().flatten().next())
}

fn count(summary: &mut Summary, report: &Report) {
    let any = |wanted: fn(&StepResult) -> bool| u64::from(report.count(wanted) > 0);
    summary.repaired += any(|result| *result == StepResult::Written);
    summary.held += any(|result| matches!(result, StepResult::Held { .. }));
    summary.failed += u64::from(report.failed() > 0);
    summary.unknown += u64::from(!report.unknowns.is_empty());
}

fn counts(summary: &Summary) -> [(&'static str, u64); 6] {
    let Summary { checked, drifted, repaired, held, failed, unknown } = *summary;
    [
        ("checked", checked),
        ("drifted", drifted),
        ("repaired", repaired),
        ("held", held),
        ("failed", failed),
        ("unknown", unknown),
    ]
}

fn tell(args: &SweepArgs, swept: &Swept, printer: &Printer) -> anyhow::Result<()> {
    let Swept { summary, shown, .. } = swept;
    let (name, shard) = (&shown.of, args.selection.shard);
    let (kind, head, mode) = match shown.scope {
        PlanScope::Repositories(mode) | PlanScope::Undo(mode) => {
            ("organisation", format!("{name} ({mode}), shard {shard}"), Some(mode))
        }
        PlanScope::Groups => ("target", name.clone(), None),
    };
    if args.json {
        let mut line = json!({ "shard": shard.to_string(), "summary": summary });
        line[kind] = json!(name);
        printer.json(&serde_json::to_string(&line)?);
        return Ok(());
    }
    let counts: Vec<String> = counts(summary).iter().map(|(what, n)| format!("{n} {what}")).collect();
    printer.line(format!("{}: {}", printer.paint(Tone::Heading, head), counts.join(", ")));
    if mode == Some(Mode::Observe) && summary.drifted > 0 {
        printer.note(format!("{name}: mode `observe` writes nothing"));
    }
    Ok(())
}

/// Returns the results as Markdown, for the summary of a job.
fn markdown(args: &SweepArgs, swept: &Swept) -> String {
    let Swept { summary, shown, reports, .. } = swept;
    let counts = counts(summary);
    let shard = Piece::value(args.selection.shard);
    let mut page = Page::default();
    page.heading(2, &[Piece::value(&shown.of), Piece::own("shard"), shard]);
    page.table(&counts.map(|(what, _)| what));
    page.row(&counts.map(|(_, number)| Piece::number(number)));
    plans_and_results::incomplete(&mut page, shown);
    plans_and_results::outcomes(&mut page, reports);
    format!("{}\n", page.text())
}

/// Appends text to the summary file of a job.
pub(super) fn append(path: &Path, text: &str) -> anyhow::Result<()> {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    let mut file = file.with_context(|| format!("cannot write the summary to {}", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write the summary to {}", path.display()))
}

#[cfg(test)]
mod tests;
