//! `beadle plan --base`: shows the changes between two versions of a policy.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use beadle_engine::{GateLimits, GateVerdict, Key, Plan, Store};
use beadle_repositories::{Policy, Preview};
use serde_json::json;

use crate::app::application::App;
use crate::app::connections::budget_share::SpawnedShare;
use crate::app::file_timeout::FileReader;
use crate::app::gate::accepted_limits;
use crate::app::gate::guard_limits::GuardLimits;
use crate::app::gate::held_generation::{HeldGeneration, delayed_lines};
use crate::app::policy::group_changes_between_versions::{self, ChangedGroups};
use crate::cli::{Format, PlanArgs};
use crate::commands::shared::tally::code;
use crate::config::OrgConfig;
use crate::output::markdown::{Page, Piece};
use crate::output::plans_and_results::{self, PlanScope, WholePlan};
use crate::output::plural::counted;
use crate::output::printer::{Printer, Tone};
use crate::output::progress::Progress;

/// Plans the changes from the policy in the folder `base` to the configured policy.
pub(crate) async fn run(
    app: &App,
    base: &Path,
    args: &PlanArgs,
    store: Option<&Arc<dyn Store>>,
    printer: &Printer,
) -> anyhow::Result<u8> {
    let orgs = app.config.orgs(args.selection.org.as_deref())?;
    let [file] = orgs.as_slice() else {
        bail!(
            "`--base` needs one organisation, and the configuration has {}\nhint: add `--org NAME`",
            orgs.len()
        );
    };
    let (folder, home) = (base.to_owned(), file.policy_repository.clone());
    let before = FileReader::default().read(move |at| Policy::load_noting(&folder, &home, at)).await?;
    let before = before.with_context(|| format!("the policy in {}", base.display()))?;
    let org = app.organisation(file).await?;
    let after = org.policy.current();
    let shared = app.share_budget(&org).await;
    let progress = Progress::new(&format!("reading {}", file.name), printer);
    let planner = org.planner(store).only_looking();
    let at = |done, total| progress.at(done, total);
    let preview = Box::pin(planner.preview(Some(&before), &after, &at)).await;
    progress.end();
    let groups = groups(app, file, (&before, after.as_ref()), store, printer).await;
    SpawnedShare::end_all(shared).await;
    let Preview { plans, delayed, drift, affected, total, incomplete, .. } = preview?;
    let delayed = delayed_lines(&delayed, |_| true);
    let groups = groups?;
    let drift = drift as u64 + groups.iter().map(|changed| changed.drift).sum::<u64>();
    let of = (file.name.as_str(), after.as_ref());
    let counted_plans: Vec<(Key, Plan<()>)> =
        plans.iter().chain(groups.iter().flat_map(ChangedGroups::plans)).cloned().collect();
    let counted_total = total + groups.iter().map(|changed| changed.total).sum::<u64>();
    let limits = gate_limits(file, store).await?;
    let (shown, verdict) = HeldGeneration::judge(of, &counted_plans, counted_total, &limits, app.clock.now());
    let is_held = matches!(verdict, GateVerdict::Held { .. });
    let is_incomplete = !incomplete.is_empty() || groups.iter().any(|changed| !changed.incomplete.is_empty());
    let passes = !is_held && !is_incomplete;
    let verdict = stated(&verdict, is_incomplete);
    let plan = WholePlan {
        of: file.name.clone(),
        scope: PlanScope::Repositories(file.mode),
        plans,
        short: (!incomplete.is_empty()).then(|| incomplete.join("; ")),
        unmatched: Vec::new(),
        links: org.links(),
    };
    let compared = format!(
        "compared with {}: {affected} of {} affected; drift that exists already: {}{}",
        base.display(),
        counted(total, "repository", "repositories"),
        counted(drift, "value", "values"),
        if drift > 0 { ", because both policies ask for these changes: see `beadle plan`" } else { "" }
    );
    let held_groups: Vec<String> = groups.iter().flat_map(held).collect();
    let mut wholes = vec![plan];
    wholes.extend(groups.into_iter().map(of_groups));
    let left = wholes.iter().filter(|plan| plan.is_pending()).count();
    match args.format {
        Format::Json => {
            let mut json = plans_and_results::json(&wholes, args.selection.shard);
            json["preview"] = json!({
                "base": before.generation, "generation": after.generation, "affected": affected, "total": total,
                "drift": drift, "held": is_held, "verdict": verdict, "plan": shown.digest, "sums": shown.sums,
                "groups": shown.groups, "held_groups": held_groups, "delayed": delayed,
            });
            printer.json(&serde_json::to_string_pretty(&json)?);
        }
        Format::Text => {
            for plan in &wholes {
                printer.lines(plans_and_results::text(printer, plan));
            }
            printer.line(compared);
            for line in &delayed {
                printer.line(printer.paint(Tone::Notice, line));
            }
            for held in &held_groups {
                printer.line(printer.paint(Tone::Danger, held));
            }
            printer.line(printer.paint(if passes { Tone::Good } else { Tone::Danger }, verdict));
        }
        Format::Markdown => {
            let mut page = sums(&shown, &compared, &verdict);
            for held in delayed.into_iter().chain(held_groups) {
                page.quote(&[Piece::value(held)]);
            }
            printer.lines(page.text().trim_end());
            for plan in &wholes {
                printer.line("");
                printer.lines(plans_and_results::markdown(plan).trim_end());
            }
        }
    }
    Ok(code(0, left))
}

/// Formats the verdict of the gate as text. If the plan is incomplete, the missing part might
/// contain changes that exceed a limit.
fn stated(verdict: &GateVerdict, is_incomplete: bool) -> String {
    match verdict {
        GateVerdict::Held { .. } => format!("{verdict}; the service would hold this policy"),
        GateVerdict::Passes if is_incomplete => {
            "the preview is incomplete; the service would wait until it can plan every part".to_owned()
        }
        GateVerdict::Passes => verdict.to_string(),
    }
}

/// Returns the limits that the gate of a service uses. Raised limits of the guard are valid only
/// after a service has accepted them.
async fn gate_limits(file: &OrgConfig, store: Option<&Arc<dyn Store>>) -> anyhow::Result<GateLimits> {
    let Some(store) = store else { return Ok(file.gate_limits()) };
    let configured = GuardLimits::of_organisation(file);
    let usable = accepted_limits::usable(store.as_ref(), &file.name, configured).await?;
    Ok(file.gate_limits_with(&usable.guard))
}

/// Compares two versions of the policy. Plans the groups whose mappings, teams or members differ.
/// If Beadle cannot open a directory or a target, only the groups of this directory or target are
/// unknown.
async fn groups(
    app: &App,
    file: &Arc<OrgConfig>,
    (before, after): (&Policy, &Policy),
    store: Option<&Arc<dyn Store>>,
    printer: &Printer,
) -> anyhow::Result<Vec<ChangedGroups>> {
    if !group_changes_between_versions::differ(before, after) {
        return Ok(Vec::new());
    }
    let (directories, failures) = app.available_directories_without(&file.name).await?;
    for failure in &failures {
        printer.note(format!("{failure:#}"));
    }
    let progress = Progress::new(&format!("reading the groups of {}", file.name), printer);
    let opened = (app.config.as_ref(), &directories);
    let found =
        group_changes_between_versions::preview(opened, (store, &app.clock), file, (before, after, false))
            .await;
    progress.end();
    Ok(found?)
}

/// Returns one line for each reason why the guard would hold changes in the groups of a target.
fn held(changed: &ChangedGroups) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    if let Some(why) = &changed.exceeded {
        let target = &changed.target;
        lines.push(format!("{target}: the guard would hold a part of these changes: {why}"));
    }
    for (_, plan) in changed.plans() {
        for stop in plan.changes.iter().filter_map(|change| change.stop.as_ref()) {
            let line = format!("{}: held until an approval: {stop}", plan.subject);
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines
}

/// Returns the plan of a target's groups, for printing. If both a new mapping and new declared
/// members change a group, the plan contains all of these changes. If a part of a group is unknown,
/// the plan contains the group even if it has no change.
fn of_groups(changed: ChangedGroups) -> WholePlan {
    let mut plans: BTreeMap<Key, Plan<()>> = BTreeMap::new();
    for (key, mut plan) in changed.mapped.into_iter().chain(changed.declared).chain(changed.unknown) {
        let known = plans.entry(key).or_insert_with(|| Plan::new(&plan.subject));
        let first = known.changes.len();
        plan.changes.iter_mut().flat_map(|change| &mut change.after).for_each(|at| *at += first);
        known.changes.append(&mut plan.changes);
        known.unknowns.append(&mut plan.unknowns);
    }
    WholePlan {
        of: changed.target,
        scope: PlanScope::Groups,
        plans: plans.into_iter().collect(),
        short: (!changed.incomplete.is_empty()).then(|| changed.incomplete.join("; ")),
        unmatched: Vec::new(),
        links: None,
    }
}

/// Returns the page that compares the two versions: the gate's verdict, and the changes sorted into
/// groups.
fn sums(shown: &HeldGeneration, compared: &str, verdict: &str) -> Page {
    let mut page = Page::default();
    page.paragraph(&[Piece::value(verdict).bold()]);
    page.paragraph(&[Piece::value(compared)]);
    let text = "This page names repositories and teams that can be private, because a reviewer needs the whole plan. Show \
                it only to members of the organisation.";
    page.quote(&[Piece::own(text)]);
    if !shown.groups.is_empty() {
        page.table(&["risk", "aspect", "change", "repositories", "such as"]);
    }
    for group in &shown.groups {
        let risk = Piece::own(group.risk.as_str());
        page.row(&[
            if group.risk.is_guarded() { risk.bold() } else { risk },
            Piece::value(&group.aspect),
            Piece::value(&group.what),
            Piece::number(group.repositories),
            Piece::value(group.examples.join(", ")),
        ]);
    }
    page
}

#[cfg(test)]
mod tests {
    use beadle_engine::testing::change;
    use beadle_engine::{Change, Risk, Time};

    use super::*;

    #[test]
    fn the_changes_of_a_group_with_a_new_mapping_and_new_members_are_one_plan() {
        let key = Key::new("target-group", "teams", "corp/00g1");
        let plan = |changes: Vec<Change<()>>| (key.clone(), Plan { changes, ..Plan::new("teams/Ops") });
        let rename = change("group", "rename", &[Risk::Changes]);
        let create = change("group", "create", &[Risk::Adds]);
        let mut add = change("members", "add", &[Risk::Adds]);
        add.after = vec![0];
        let mut leave = change("members", "remove", &[Risk::Removes]);
        leave.stop = Some("all members would leave".to_owned());
        let changed = ChangedGroups {
            target: "teams".to_owned(),
            mapped: vec![plan(vec![rename])],
            declared: vec![plan(vec![create, add, leave])],
            incomplete: vec!["teams/Dev: members is unknown".to_owned()],
            exceeded: Some("at most 0 removals".to_owned()),
            ..ChangedGroups::default()
        };
        assert_eq!(
            held(&changed),
            [
                "teams: the guard would hold a part of these changes: at most 0 removals",
                "teams/Ops: held until an approval: all members would leave",
            ]
        );
        let whole = of_groups(changed);
        let [(_, merged)] = whole.plans.as_slice() else { panic!("{} plans", whole.plans.len()) };
        assert_eq!((merged.subject.as_str(), merged.changes.len()), ("teams/Ops", 4));
        assert_eq!(merged.changes[2].after, [1], "it still waits for the group of its own plan");
        assert!(whole.is_pending() && whole.short.is_some());
    }

    #[test]
    fn an_incomplete_preview_does_not_pass() {
        let text = |is_incomplete| stated(&GateVerdict::Passes, is_incomplete);
        assert_eq!(text(false), "the gate lets this policy pass");
        assert!(text(true).starts_with("the preview is incomplete"), "{}", text(true));
        let held = GateVerdict::Held { exceeded: Vec::new() };
        assert!(stated(&held, true).ends_with("the service would hold this policy"));
    }

    #[test]
    fn a_page_names_the_verdict_and_each_group_once() {
        let change = change("teams", "team @acme/x|y", &[Risk::Removes]);
        let plan = |n: u64| {
            let plan = Plan { changes: vec![change.clone()], ..Plan::new(format!("acme/r{n}")) };
            (Key::new("repository", "acme", n), plan)
        };
        let plans: Vec<(Key, Plan<()>)> = (0..3).map(plan).collect();
        let shown = HeldGeneration::new(("acme", "g1"), &plans, 3, Time(0));
        let page = sums(&shown, "compared with a", "the gate lets this policy pass");
        let rows: Vec<&str> = page.text().lines().filter(|line| line.starts_with("| ")).collect();
        assert_eq!(
            rows,
            [
                "| risk | aspect | change | repositories | such as |",
                "| **removes** | `teams` | `team @acme/x`&#124;`y` | 3 | `acme/r0, acme/r1, acme/r2` |",
            ]
        );
        assert!(page.text().starts_with("**`the gate lets this policy pass`**"), "{}", page.text());
    }
}
