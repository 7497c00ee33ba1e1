//! `beadle apply`: shows the plan, asks for confirmation, and writes the changes.

use std::sync::Arc;

use anyhow::bail;
use beadle_engine::apply::{PlanWriter, Planner};
use beadle_engine::{Change, Clock, Lane, Plan, Store};

use crate::app::application::App;
use crate::app::connections::budget_and_cache_options::ClientOptions;
use crate::app::connections::budget_share::SpawnedShare;
use crate::app::operations::applier::{Applier, write};
use crate::app::operations::pausing;
use crate::app::store;
use crate::cli::ApplyArgs;
use crate::commands::plan::{plan, plan_groups};
use crate::commands::shared::apply_rounds::{Rounds, Went, settle};
use crate::commands::shared::command_gate::{
    accept, are_mappings_held, is_held, limit_organisation, limit_target,
};
use crate::commands::shared::confirmation::{can_ask, is_confirmed};
use crate::commands::shared::expected_write_duration::announce;
use crate::commands::shared::tally::Tally;
use crate::config::Config;
use crate::output::plans_and_results::{self, WholePlan};
use crate::output::plural::counted;
use crate::output::printer::{Printer, Tone};

pub(crate) async fn run(config: &Arc<Config>, args: &ApplyArgs, printer: &Printer) -> anyhow::Result<u8> {
    let store = store::open(config).await?;
    pausing::pause_new_targets(config, store.as_ref(), Clock::system().now()).await?;
    let app = App::new(config, ClientOptions { store: Some(store.clone()), ..ClientOptions::PATIENT });
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
                // Beadle opens the organisation again for every round. So no round uses an answer
                // that GitHub gave before the latest writes.
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
                    printer.lines(plans_and_results::text(printer, &shown));
                    tally.held_policies += 1;
                    break;
                }
                let say = || announce(&org, &plans, printer);
                let mut applier = Applier::of_org(&org, store, clock, printer);
                applier.planner = applier.planner.recording_with(&planner);
                if !selection.is_by_name() && selection.shard.of() == 1 {
                    applier.counts(&shown.of, shown.among()).await?;
                }
                match make_so(&applier, args, &shown, &plans, &say, (&mut rounds, printer)).await? {
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
                match make_so(&applier, args, &shown, &plans, &|| {}, (&mut rounds, printer)).await? {
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
    (rounds, printer): (&mut Rounds, &Printer),
) -> anyhow::Result<Went> {
    // Only the first round reports names that no repository has. If a round deletes a repository,
    // the next round would otherwise report the name of this repository.
    rounds.misnamed |= rounds.is_first() && args.selection.is_by_name() && !shown.unmatched.is_empty();
    let has_news = rounds.has_news(shown);
    if rounds.is_first() || has_news {
        printer.lines(plans_and_results::text(printer, shown));
    }
    if !has_news {
        rounds.end(shown);
        return Ok(Went::Quiet);
    }
    if writes(shown) && !args.yes && !agreed(shown, printer, is_guarded, None)? {
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

/// Returns whether a change needs `--yes` if Beadle cannot ask on a terminal.
pub(super) type NeedsYes = fn(&Change<()>) -> bool;
/// The instruction for an operator who has checked the plan and has no terminal.
const ADD_YES: &str = "add `--yes`";

/// Asks the operator for confirmation on a terminal. Without a terminal, Beadle does not ask. In
/// that case, the changes for which `needs_yes` is true need `--yes`. If `command` is set, the error
/// names this command.
pub(super) fn agreed(
    plan: &WholePlan,
    printer: &Printer,
    needs_yes: NeedsYes,
    command: Option<&str>,
) -> anyhow::Result<bool> {
    if can_ask() {
        return is_confirmed(&format!("Write these changes to {}?", plan.of), printer);
    }
    ensure_unneeded(plan, needs_yes, command)?;
    printer.note(
        "no terminal, and no change removes, weakens or exposes anything: applying without confirmation",
    );
    Ok(true)
}

/// Returns whether a change removes, weakens or exposes something.
pub(super) fn is_guarded(change: &Change<()>) -> bool {
    change.risks().is_guarded()
}

/// If the modes allow changes that need `--yes`, returns an error with these changes.
fn ensure_unneeded(plan: &WholePlan, needs_yes: NeedsYes, command: Option<&str>) -> anyhow::Result<()> {
    let changes = plan.plans.iter().flat_map(|(_, plan)| &plan.changes);
    let allowed = changes.filter(|change| change.mode.allows(&change.risks()));
    let needed: Vec<&Change<()>> = allowed.filter(|change| needs_yes(change)).collect();
    if !needed.is_empty() {
        let then = command.map_or_else(|| ADD_YES.to_owned(), |command| format!("use `{command} --yes`"));
        bail!(
            "confirmation required for {}: {}; Beadle has no terminal on which it can ask\nhint: check the plan, then \
             {then}",
            plan.of,
            plans_and_results::by_risk(needed.into_iter(), plan.scope.is_undo())
        );
    }
    Ok(())
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
        (tally.undone, Tone::Notice, "skipped because of an undo"),
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
    use beadle_engine::testing::change;
    use beadle_engine::{Key, Mode, Risk};

    use super::*;
    use crate::output::plans_and_results::PlanScope;

    #[test]
    fn without_a_terminal_an_apply_may_add_and_an_undo_may_write_nothing() {
        let plan = |changes: Vec<Change<()>>| WholePlan {
            of: "acme".into(),
            scope: PlanScope::Repositories(Mode::Enforce),
            plans: vec![(Key::new("repository", "acme", 1), Plan { changes, ..Plan::new("acme/shop") })],
            short: None,
            unmatched: Vec::new(),
            links: None,
        };
        let adds = plan(vec![change("teams", "team web", &[Risk::Adds])]);
        let removes = plan(vec![change("teams", "team web", &[Risk::Removes])]);
        assert!(ensure_unneeded(&adds, is_guarded, None).is_ok());
        assert!(ensure_unneeded(&removes, is_guarded, None).is_err());
        let refused = ensure_unneeded(&adds, |_| true, None).unwrap_err().to_string();
        assert!(refused.contains("1 addition") && refused.contains("add `--yes`"), "{refused}");
        let refused = ensure_unneeded(&adds, |_| true, Some("beadle undo 621")).unwrap_err().to_string();
        assert!(refused.ends_with("then use `beadle undo 621 --yes`"), "{refused}");
    }

    #[test]
    fn the_summary_counts_changes() {
        let printer = Printer::plain();
        let tally = Tally { written: 1, ..Tally::default() };
        let all = Tally {
            written: 6,
            held: 2,
            held_policies: 1,
            withheld: 1,
            undone: 1,
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
