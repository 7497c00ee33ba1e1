//! `beadle sweep`: the policy made so once, over a share of the repositories, without anybody to ask. For CI jobs.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use beadle_engine::apply::{PlanWriter, Planner};
use beadle_engine::budget::in_lane;
use beadle_engine::sweep::Summary;
use beadle_engine::{Change, Clock, Hold, Key, Lane, Limits, Mode, Plan, Report, StepResult, Store};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use serde_json::json;

use crate::app::budget_share::BudgetShare;
use crate::app::directory::Directories;
use crate::app::wiring::{self, GithubClients, OpenOptions, Org};
use crate::cli::SweepArgs;
use crate::commands::apply::{Applier, announce, write};
use crate::commands::operator;
use crate::commands::plan::{plan, plan_groups};
use crate::commands::rounds::{MOST, settle};
use crate::commands::tally::Tally;
use crate::config::Config;
use crate::output::markdown::{Page, Piece};
use crate::output::printer::{Printer, Tone};
use crate::output::render::{self, PlanScope, WholePlan};

/// A listing that comes back short is read again so often.
const TRIES: u32 = 3;

pub(crate) async fn run(config: &Config, args: &SweepArgs, printer: &Printer) -> anyhow::Result<u8> {
    // Whatever it does it does as a sweep: the reserve is left to events and operators.
    Box::pin(in_lane(Lane::Sweep, sweep(config, args, printer))).await
}

/// What is asked for, and who lets pass what is approved.
struct SweepRequest<'a> {
    args: &'a SweepArgs,
    by: String,
}

async fn sweep(config: &Config, args: &SweepArgs, printer: &Printer) -> anyhow::Result<u8> {
    let clock = Clock::system();
    let temporary = if args.without_store { Some(tempfile::tempdir()?) } else { None };
    let store: Arc<dyn Store> = match &temporary {
        Some(folder) => {
            Arc::new(SqliteStore::open(&folder.path().join("sweep.db"), SqliteSettings::default())?)
        }
        None => wiring::store(config).await?,
    };
    let by = if args.approve.is_empty() { String::new() } else { operator(config).await };
    let asked = &SweepRequest { args, by };
    let selection = &args.selection;
    let parts = if args.without_store { selection.shard.of() } else { 1 };
    let opening = OpenOptions { store: Some(store.clone()), patient: true, parts };
    let clients = GithubClients::default();
    let mut tally = Tally::default();
    let mut unknown: BTreeSet<&String> = args.approve.iter().collect();
    if selection.repositories() {
        for file in config.orgs(selection.org.as_deref())? {
            let org = Org::open(config, file, &clock, &opening, &clients).await?;
            let shared = BudgetShare::where_stored(&org, Some(&store)).await;
            let swept = one(&org, asked, &store, &clock, printer).await;
            BudgetShare::end_all(shared).await;
            let swept = swept?;
            strike(&mut unknown, &swept.shown);
            end(args, &swept, &mut tally, printer)?;
        }
    }
    if selection.groups() {
        let directories = Directories::open(config, &clock, &opening, &clients)?;
        let shared = clients.share(config, Some(&store)).await;
        let swept = groups(&directories, asked, &store, &clock, printer).await;
        BudgetShare::end_all(shared).await;
        for swept in swept? {
            strike(&mut unknown, &swept.shown);
            end(args, &swept, &mut tally, printer)?;
        }
    }
    let is_whole = selection.shard.of() == 1 && !selection.is_by_name();
    for digest in unknown {
        let text = format!("no change here has the digest `{digest}`");
        if is_whole {
            printer.error(&text);
            tally.failed += 1;
        } else {
            // It may belong to another shard.
            printer.note(text);
        }
    }
    Ok(tally.code())
}

async fn groups(
    directories: &Directories,
    asked: &SweepRequest<'_>,
    store: &Arc<dyn Store>,
    clock: &Clock,
    printer: &Printer,
) -> anyhow::Result<Vec<Swept>> {
    let mut all = Vec::new();
    for target in directories.wanted(asked.args.selection.target.as_deref())? {
        let (shown, plans) = plan_groups(target, &asked.args.selection, Some(store), clock, printer).await?;
        let applier = Applier::of_target(target, store, clock, printer);
        all.push(make_so(applier, asked, shown, &plans, &|| {}, printer).await?);
    }
    Ok(all)
}

/// What became of one organisation or target.
struct Swept {
    summary: Summary,
    tally: Tally,
    shown: WholePlan,
    reports: Vec<Report>,
}

impl Swept {
    /// The names of the repositories that something of was written.
    fn written(&self) -> Vec<String> {
        let is_written = |report: &&Report| report.count(|result| *result == StepResult::Written) > 0;
        let subjects =
            self.reports.iter().filter(is_written).filter_map(|report| report.subject.split_once('/'));
        subjects.map(|(_, name)| name.to_owned()).collect()
    }

    /// The number of changes of this plan that were written before, or never tried.
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

    /// The results of its repositories that were planned again.
    fn follow(&mut self, next: Self) {
        let failed = |reports: &[Report]| reports.iter().filter(|report| report.failed() > 0).count() as u64;
        // Errors have no report.
        let errors = next.summary.failed.saturating_sub(failed(&next.reports));
        self.tally.add(next.tally);
        for report in next.reports {
            let Some(own) = self.reports.iter_mut().find(|own| own.subject == report.subject) else {
                continue;
            };
            for step in report.steps {
                // A change that was held before is held again, and counts once.
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

/// Tells it, and adds it up.
fn end(args: &SweepArgs, swept: &Swept, tally: &mut Tally, printer: &Printer) -> anyhow::Result<()> {
    tell(args, swept, printer)?;
    if let Some(path) = &args.summary {
        append(path, &markdown(args, swept))?;
    }
    tally.add(swept.tally);
    Ok(())
}

async fn one(
    org: &Org,
    asked: &SweepRequest<'_>,
    store: &Arc<dyn Store>,
    clock: &Clock,
    printer: &Printer,
) -> anyhow::Result<Swept> {
    let (mut shown, mut plans) = plan(org, &org.planner(Some(store)), &asked.args.selection, printer).await?;
    for _ in 1..TRIES {
        let Some(short) = &shown.short else { break };
        printer.note(format!("{}: {short}; reading it again", org.file.name));
        clock.sleep(Duration::from_secs(2)).await;
        (shown, plans) = plan(org, &org.planner(Some(store)), &asked.args.selection, printer).await?;
    }
    let applier = Applier::of_org(org, store, clock, printer);
    let say = || announce(org, &plans, printer);
    let mut swept = make_so(applier, asked, shown, &plans, &say, printer).await?;
    let keys = swept.shown.keys();
    let mut tried = digests(&swept.shown);
    let mut names = swept.written();
    for round in 1..=MOST {
        if names.is_empty() || swept.tally.failed > 0 {
            break;
        }
        // A team or a property that was written can be what a layer selects by: what was written is
        // planned again.
        let args = next_round(asked.args, names, &tried);
        settle(clock).await;
        let (mut shown, mut plans) = plan(org, &org.planner(Some(store)), &args.selection, printer).await?;
        shown.keep(&mut plans, &keys);
        // One that has another name by now is the next sweep's.
        shown.unmatched.clear();
        let planned = digests(&shown);
        if ends(round, &planned, &tried) {
            swept.tally.again += swept.left(&shown, &tried);
            break;
        }
        tried.extend(planned);
        let again = SweepRequest { args: &args, by: asked.by.clone() };
        let applier = Applier::of_org(org, store, clock, printer);
        let next = make_so(applier, &again, shown, &plans, &|| {}, printer).await?;
        names = next.written();
        swept.follow(next);
    }
    Ok(swept)
}

/// The arguments of the next round. An approval is for one write: what was planned before is not
/// approved once more.
fn next_round(args: &SweepArgs, names: Vec<String>, tried: &BTreeSet<String>) -> SweepArgs {
    let mut args = args.clone();
    args.selection.repo = names;
    args.approve.retain(|digest| !tried.contains(digest));
    args
}

/// Whether the plan after this round is the last one, which is not written: it has nothing new, or
/// there were rounds enough. So the exit code tells of what a second plan has.
fn ends(round: usize, planned: &BTreeSet<String>, tried: &BTreeSet<String>) -> bool {
    round >= MOST || planned.is_subset(tried)
}

/// The digest of every change of a plan.
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
    applier.counts(&shown, &args.selection).await?;
    // Nobody looked at the plan: what it is by the time of the write is written. One group's
    // account may be there already by the time that another one needs it.
    applier.only_shown = false;
    if args.without_store {
        // The shards cannot tell each other what they wrote.
        let (shard, limits) = (args.selection.shard, applier.limits);
        applier.limits = Limits {
            removes: shard.part(limits.removes),
            weakens: shard.part(limits.weakens),
            exposes: shard.part(limits.exposes),
            repositories: shard.part(limits.repositories),
            // The window is the shard's own, and so is the share.
            among: shown.among().filter(|_| !args.selection.is_by_name()),
            ..limits
        };
    }
    approve(&applier, &shown, asked).await?;
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

/// Takes what this plan has out of the digests that no plan has had: what stays is another shard's,
/// or mistyped.
fn strike(unknown: &mut BTreeSet<&String>, shown: &WholePlan) {
    for digest in digests(shown) {
        unknown.remove(&digest);
    }
}

/// Lets through what was looked at before, by its digest.
async fn approve<P: Planner, W: PlanWriter<P::Write>>(
    applier: &Applier<'_, P, W>,
    shown: &WholePlan,
    asked: &SweepRequest<'_>,
) -> anyhow::Result<()> {
    let Applier { store, clock, .. } = applier;
    for (key, plan) in &shown.plans {
        for change in plan.changes.iter().filter(|change| asked.args.approve.contains(&change.digest(key))) {
            let hold = Hold {
                digest: change.digest(key),
                key: key.clone(),
                subject: plan.subject.clone(),
                since: clock.now(),
                why: "approved on the command line".into(),
                contested: false,
                approved_by: None,
                spent: false,
                generation: applier.planner.generation(),
                change: change.describe(),
            };
            store.reserve(None, &applier.limits, vec![hold], clock.now()).await?;
            store.approve(&change.digest(key), &asked.by, clock.now()).await?;
        }
    }
    Ok(())
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
    let (kind, head, mode) = match shown.half {
        PlanScope::Repositories(mode) => {
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
        printer.note(format!("{name} is in mode observe: nothing was written"));
    }
    Ok(())
}

/// For a job's summary.
fn markdown(args: &SweepArgs, swept: &Swept) -> String {
    let Swept { summary, shown, reports, .. } = swept;
    let counts = counts(summary);
    let shard = Piece::value(args.selection.shard);
    let mut page = Page::default();
    page.heading(2, &[Piece::value(&shown.of), Piece::own("shard"), shard]);
    page.table(&counts.map(|(what, _)| what));
    page.row(&counts.map(|(_, number)| Piece::number(number)));
    render::incomplete(&mut page, shown);
    render::outcomes(&mut page, reports);
    format!("{}\n", page.text())
}

/// Appends to a job's summary.
pub(super) fn append(path: &Path, text: &str) -> anyhow::Result<()> {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    let mut file = file.with_context(|| format!("cannot write the summary to {}", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write the summary to {}", path.display()))
}

#[cfg(test)]
mod tests;
