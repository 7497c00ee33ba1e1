//! `beadle sweep`: the policy made so once, over a share of the repositories, without anybody to ask. For CI jobs.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use beadle_engine::apply::{Planner, Writer};
use beadle_engine::budget::in_lane;
use beadle_engine::sweep::Summary;
use beadle_engine::{Clock, Hold, Lane, Limits, Mode, Plan, Report, StepResult, Store};
use beadle_store_sqlite::{Settings as StoreSettings, SqliteStore};
use serde_json::json;

use crate::cli::SweepArgs;
use crate::commands::apply::{Hand, announce, write};
use crate::commands::plan::{plan, plan_groups};
use crate::commands::{FAILED, FINE, PENDING, operator};
use crate::config::Config;
use crate::directory::Directories;
use crate::printer::{Printer, Tone};
use crate::render::{self, Half, WholePlan};
use crate::sharing::Shared;
use crate::wiring::{self, Opening, Org, Ways};

/// A listing that comes back short is read again so often.
const TRIES: u32 = 3;

pub(crate) async fn run(config: &Config, args: &SweepArgs, printer: &Printer) -> anyhow::Result<u8> {
    // Whatever it does it does as a sweep: the reserve is left to events and operators.
    Box::pin(in_lane(Lane::Sweep, sweep(config, args, printer))).await
}

/// What is asked for, and who lets pass what is approved.
struct Asked<'a> {
    args: &'a SweepArgs,
    by: String,
}

async fn sweep(config: &Config, args: &SweepArgs, printer: &Printer) -> anyhow::Result<u8> {
    let clock = Clock::system();
    let temporary = if args.without_store { Some(tempfile::tempdir()?) } else { None };
    let store: Arc<dyn Store> = match &temporary {
        Some(folder) => {
            Arc::new(SqliteStore::open(&folder.path().join("sweep.db"), StoreSettings::default())?)
        }
        None => wiring::store(config).await?,
    };
    let by = if args.approve.is_empty() { String::new() } else { operator(config).await };
    let asked = &Asked { args, by };
    let selection = &args.selection;
    let parts = if args.without_store { selection.shard.of() } else { 1 };
    let opening = Opening { store: Some(&store), patient: true, parts };
    let ways = Ways::default();
    let mut code = FINE;
    if selection.repositories() {
        for file in config.orgs(selection.org.as_deref())? {
            let org = Org::open(config, file, &clock, opening, &ways)?;
            let shared = Shared::where_stored(&org, Some(&store)).await;
            let swept = one(&org, asked, &store, &clock, printer).await;
            Shared::end_all(shared).await;
            code = end(args, &swept?, code, printer)?;
        }
    }
    if selection.groups() {
        let directories = Directories::open(config, &clock, opening, &ways)?;
        let shared = ways.share(config, Some(&store)).await;
        let swept = groups(&directories, asked, &store, &clock, printer).await;
        Shared::end_all(shared).await;
        for swept in swept? {
            code = end(args, &swept, code, printer)?;
        }
    }
    Ok(code)
}

async fn groups(
    directories: &Directories<'_>,
    asked: &Asked<'_>,
    store: &Arc<dyn Store>,
    clock: &Clock,
    printer: &Printer,
) -> anyhow::Result<Vec<Swept>> {
    let mut all = Vec::new();
    for target in directories.wanted(asked.args.selection.target.as_deref())? {
        let (shown, plans) = plan_groups(target, &asked.args.selection, Some(store), clock, printer).await?;
        let hand = Hand::of_target(target, store, clock, printer);
        all.push(make_so(hand, asked, shown, &plans, &|| {}, printer).await?);
    }
    Ok(all)
}

/// What became of one organisation or target.
struct Swept {
    summary: Summary,
    shown: WholePlan,
    reports: Vec<Report>,
}

/// Tells it, and gives the exit code so far.
fn end(args: &SweepArgs, swept: &Swept, code: u8, printer: &Printer) -> anyhow::Result<u8> {
    tell(args, swept, printer)?;
    if let Some(path) = &args.summary {
        append(path, &markdown(args, swept))?;
    }
    Ok(match (&swept.shown.short, swept.summary) {
        (Some(_), _) => FAILED,
        (None, Summary { failed, unknown, .. }) if failed + unknown > 0 => FAILED,
        (None, Summary { held, .. }) if held > 0 && code == FINE => PENDING,
        _ => code,
    })
}

async fn one(
    org: &Org<'_>,
    asked: &Asked<'_>,
    store: &Arc<dyn Store>,
    clock: &Clock,
    printer: &Printer,
) -> anyhow::Result<Swept> {
    let (mut shown, mut plans) = plan(org, &asked.args.selection, Some(store), printer).await?;
    for _ in 1..TRIES {
        let Some(short) = &shown.short else { break };
        printer.note(format!("{}: {short}; reading it again", org.file.name));
        clock.sleep(Duration::from_secs(2)).await;
        (shown, plans) = plan(org, &asked.args.selection, Some(store), printer).await?;
    }
    let hand = Hand::of_org(org, store, clock, printer);
    let say = || announce(org, &plans, printer);
    make_so(hand, asked, shown, &plans, &say, printer).await
}

async fn make_so<P: Planner, W: Writer<P::Write>>(
    mut hand: Hand<'_, P, W>,
    asked: &Asked<'_>,
    shown: WholePlan,
    plans: &[Plan<P::Write>],
    say: &(dyn Fn() + Sync),
    printer: &Printer,
) -> anyhow::Result<Swept> {
    let args = asked.args;
    hand.counts(&shown, &args.selection).await?;
    if args.without_store {
        // The shards cannot tell each other what they wrote.
        let (shard, limits) = (args.selection.shard, hand.limits);
        hand.limits = Limits {
            removes: shard.part(limits.removes),
            weakens: shard.part(limits.weakens),
            exposes: shard.part(limits.exposes),
            repositories: shard.part(limits.repositories),
            // The window is the shard's own, and so is the share.
            among: shown.among().filter(|_| !args.selection.is_by_name()),
            ..limits
        };
    }
    for digest in missing(&shown, &args.approve) {
        printer.note(format!("{}: no change here has the digest `{digest}`", shown.of));
    }
    approve(&hand, &shown, asked).await?;
    say();
    let mut summary = Summary { checked: shown.count() as u64, ..Summary::default() };
    if args.selection.is_by_name() && !shown.unmatched.is_empty() {
        shown.unmatched.iter().for_each(|what| printer.error(what));
        summary.failed += 1;
    }
    let mut reports = Vec::new();
    for ((key, _), plan) in shown.plans.iter().zip(plans) {
        match write(&hand, key, plan).await {
            Ok(report) => {
                count(&mut summary, plan, &report);
                reports.push(report);
            }
            Err(error) => {
                printer.error(&format!("{}: {error:#}", plan.subject));
                summary.failed += 1;
            }
        }
    }
    Ok(Swept { summary, shown, reports })
}

/// Digests that belong to nothing in this plan: to another shard, or mistyped.
fn missing<'a>(shown: &WholePlan, digests: &'a [String]) -> Vec<&'a String> {
    let planned: Vec<String> = shown
        .plans
        .iter()
        .flat_map(|(key, plan)| plan.changes.iter().map(|change| change.digest(key)))
        .collect();
    digests.iter().filter(|digest| !planned.contains(digest)).collect()
}

/// Lets through what was looked at before, by its digest.
async fn approve<P: Planner, W: Writer<P::Write>>(
    hand: &Hand<'_, P, W>,
    shown: &WholePlan,
    asked: &Asked<'_>,
) -> anyhow::Result<()> {
    let Hand { store, clock, .. } = hand;
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
                generation: hand.planner.generation(),
                change: change.describe(),
            };
            store.reserve(None, &hand.limits, vec![hold], clock.now()).await?;
            store.approve(&change.digest(key), &asked.by, clock.now()).await?;
        }
    }
    Ok(())
}

fn count<W>(summary: &mut Summary, plan: &Plan<W>, report: &Report) {
    let any = |wanted: fn(&StepResult) -> bool| u64::from(report.count(wanted) > 0);
    summary.drifted += u64::from(!plan.changes.is_empty());
    summary.repaired += any(|result| *result == StepResult::Written);
    summary.held += any(|result| matches!(result, StepResult::Held { .. }));
    summary.failed += any(|result| {
        matches!(
            result,
            StepResult::Failed(_) | StepResult::Postponed(_) | StepResult::NotReached | StepResult::Blocked
        )
    });
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
        Half::Repositories(mode) => ("organisation", format!("{name} ({mode}), shard {shard}"), Some(mode)),
        Half::Groups => ("target", name.clone(), None),
    };
    if args.json {
        let mut line = json!({ "shard": shard.to_string(), "summary": summary });
        line[kind] = json!(name);
        printer.line(serde_json::to_string(&line)?);
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
    let Swept { summary, shown, reports } = swept;
    let counts = counts(summary);
    let names: Vec<&str> = counts.iter().map(|(what, _)| *what).collect();
    let numbers: Vec<String> = counts.iter().map(|(_, n)| n.to_string()).collect();
    let mut text = format!(
        "## {}, shard {}\n\n| {} |\n|{}\n| {} |\n",
        shown.of,
        args.selection.shard,
        names.join(" | "),
        "---|".repeat(names.len()),
        numbers.join(" | ")
    );
    if let Some(short) = &shown.short {
        let noun = shown.half.noun();
        let _ = writeln!(text, "\n> **The list of {noun} is incomplete:** {short}");
    }
    text + &render::outcomes_as_markdown(reports)
}

fn append(path: &Path, text: &str) -> anyhow::Result<()> {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    let mut file = file.with_context(|| format!("cannot write the summary to {}", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write the summary to {}", path.display()))
}
