//! `beadle sweep`: the policy made so once, over a share of the repositories, without anybody to ask. For CI jobs.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use beadle_engine::budget::in_lane;
use beadle_engine::{Clock, Hold, Lane, Limits, Mode, Report, StepResult, Store};
use beadle_repositories::sweep::Summary;
use beadle_store_sqlite::{Settings as StoreSettings, SqliteStore};
use serde_json::json;

use crate::cli::{Selection, SweepArgs};
use crate::commands::apply::{Hand, announce, write};
use crate::commands::plan::{Writable, plan};
use crate::commands::{FAILED, FINE, PENDING, operator};
use crate::config::Config;
use crate::printer::{Printer, Tone};
use crate::render::{self, OrgPlan};
use crate::sharing::Shared;
use crate::wiring::{self, Opening, Org};

/// A listing that comes back short is read again so often.
const TRIES: u32 = 3;

pub(crate) async fn run(config: &Config, args: &SweepArgs, printer: &Printer) -> anyhow::Result<u8> {
    // Whatever it does it does as a sweep: the reserve is left to events and operators.
    Box::pin(in_lane(Lane::Sweep, sweep(config, args, printer))).await
}

async fn sweep(config: &Config, args: &SweepArgs, printer: &Printer) -> anyhow::Result<u8> {
    let clock = Clock::system();
    let temporary = if args.without_store { Some(tempfile::tempdir()?) } else { None };
    let store: Arc<dyn Store> = match &temporary {
        Some(folder) => {
            Arc::new(SqliteStore::open(&folder.path().join("sweep.db"), StoreSettings::default())?)
        }
        None => wiring::store(config)?,
    };
    let parts = if args.without_store { args.shard.of() } else { 1 };
    let mut code = FINE;
    for file in config.orgs(args.org.as_deref())? {
        let opening = Opening { store: Some(&store), patient: true, parts };
        let org = Org::open(config, file, &clock, opening)?;
        let shared = Shared::where_stored(&org, Some(&store)).await;
        let swept = one(&org, args, &store, &clock, printer).await;
        Shared::end_all(shared).await;
        let (summary, shown, reports) = swept?;
        tell(&org, args, &summary, printer)?;
        if let Some(path) = &args.summary {
            append(path, &markdown(&org, args, &summary, &shown, &reports))?;
        }
        code = match (&shown.short, summary) {
            (Some(_), _) => FAILED,
            (None, Summary { failed, unknown, .. }) if failed + unknown > 0 => FAILED,
            (None, Summary { held, .. }) if held > 0 && code == FINE => PENDING,
            _ => code,
        };
    }
    Ok(code)
}

async fn one(
    org: &Org<'_>,
    args: &SweepArgs,
    store: &Arc<dyn Store>,
    clock: &Clock,
    printer: &Printer,
) -> anyhow::Result<(Summary, OrgPlan, Vec<Report>)> {
    let selection = Selection { org: None, repo: args.repo.clone(), shard: args.shard };
    let (mut shown, mut plans) = plan(org, &selection, Some(store), printer).await?;
    for _ in 1..TRIES {
        let Some(short) = &shown.short else { break };
        printer.note(format!("{}: {short}; reading it again", org.file.name));
        clock.sleep(Duration::from_secs(2)).await;
        (shown, plans) = plan(org, &selection, Some(store), printer).await?;
    }
    let mut limits = org.file.limits();
    if args.without_store {
        // The shards cannot tell each other what they wrote.
        limits = Limits {
            removes: args.shard.part(limits.removes),
            weakens: args.shard.part(limits.weakens),
            exposes: args.shard.part(limits.exposes),
            ..limits
        };
    }
    for digest in missing(&shown, &args.approve) {
        printer.note(format!("{}: no change here has the digest `{digest}`", org.file.name));
    }
    approve(org, &shown, &args.approve, &limits, store, clock).await?;
    announce(org, &plans, printer);
    let hand = Hand { org, store, clock, limits, printer };
    let mut summary = Summary { checked: shown.repositories() as u64, ..Summary::default() };
    if !args.repo.is_empty() && !shown.unmatched.is_empty() {
        shown.unmatched.iter().for_each(|what| printer.error(what));
        summary.failed += 1;
    }
    let mut reports = Vec::new();
    let keys = shown.plans.iter().map(|(key, _)| key);
    for (key, plan) in keys.zip(&plans) {
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
    Ok((summary, shown, reports))
}

/// Digests that belong to nothing in this plan: to another shard, or mistyped.
fn missing<'a>(shown: &OrgPlan, digests: &'a [String]) -> Vec<&'a String> {
    let planned: Vec<String> = shown
        .plans
        .iter()
        .flat_map(|(key, plan)| plan.changes.iter().map(|change| change.digest(key)))
        .collect();
    digests.iter().filter(|digest| !planned.contains(digest)).collect()
}

/// Lets through what was looked at before, by its digest.
async fn approve(
    org: &Org<'_>,
    shown: &OrgPlan,
    digests: &[String],
    limits: &Limits,
    store: &Arc<dyn Store>,
    clock: &Clock,
) -> anyhow::Result<()> {
    for (key, plan) in &shown.plans {
        for change in plan.changes.iter().filter(|change| digests.contains(&change.digest(key))) {
            let hold = Hold {
                digest: change.digest(key),
                key: key.clone(),
                subject: plan.subject.clone(),
                since: clock.now(),
                why: "approved on the command line".into(),
                contested: false,
                approved_by: None,
                generation: org.policy.current().generation.clone(),
                change: change.describe(),
            };
            store.reserve(None, limits, vec![hold], clock.now()).await?;
            store.approve(&change.digest(key), &operator(), clock.now()).await?;
        }
    }
    Ok(())
}

fn count(summary: &mut Summary, plan: &Writable, report: &Report) {
    let any = |wanted: fn(&StepResult) -> bool| u64::from(report.count(wanted) > 0);
    summary.drifted += u64::from(!plan.changes.is_empty());
    summary.repaired += any(|result| *result == StepResult::Written);
    summary.held += any(|result| matches!(result, StepResult::Held { .. }));
    summary.failed +=
        any(|result| matches!(result, StepResult::Failed(_) | StepResult::NotReached | StepResult::Blocked));
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

fn tell(org: &Org<'_>, args: &SweepArgs, summary: &Summary, printer: &Printer) -> anyhow::Result<()> {
    let name = &org.file.name;
    if args.json {
        let shown = json!({ "organisation": name, "shard": args.shard.to_string(), "summary": summary });
        printer.line(serde_json::to_string(&shown)?);
        return Ok(());
    }
    let counts: Vec<String> = counts(summary).iter().map(|(what, n)| format!("{n} {what}")).collect();
    let head = printer.paint(Tone::Heading, format!("{name} ({}), shard {}", org.file.mode, args.shard));
    printer.line(format!("{head}: {}", counts.join(", ")));
    if org.file.mode == Mode::Observe && summary.drifted > 0 {
        printer.note(format!("{name} is in mode observe: nothing was written"));
    }
    Ok(())
}

/// For a job's summary.
fn markdown(
    org: &Org<'_>,
    args: &SweepArgs,
    summary: &Summary,
    shown: &OrgPlan,
    reports: &[Report],
) -> String {
    let counts = counts(summary);
    let names: Vec<&str> = counts.iter().map(|(what, _)| *what).collect();
    let numbers: Vec<String> = counts.iter().map(|(_, n)| n.to_string()).collect();
    let mut text = format!(
        "## {}, shard {}\n\n| {} |\n|{}\n| {} |\n",
        org.file.name,
        args.shard,
        names.join(" | "),
        "---|".repeat(names.len()),
        numbers.join(" | ")
    );
    if let Some(short) = &shown.short {
        let _ = writeln!(text, "\n> **The list of repositories is incomplete:** {short}");
    }
    text + &render::outcomes_as_markdown(reports)
}

fn append(path: &Path, text: &str) -> anyhow::Result<()> {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    let mut file = file.with_context(|| format!("cannot write the summary to {}", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write the summary to {}", path.display()))
}
