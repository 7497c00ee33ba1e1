//! `beadle undo`: undoes writes of Beadle by restoring the earlier values.

use std::collections::BTreeMap;
use std::sync::Arc;

use beadle_engine::{Change, Key, StepResult};
use beadle_repositories::Shard;
use serde_json::{Value, json};

use crate::app::application::App;
use crate::app::connections::budget_and_cache_options::ClientOptions;
use crate::app::connections::budget_share::SpawnedShare;
use crate::app::operations::undoing::{SelectedWrites, Undo, UndoSelection, select};
use crate::app::organisations::open_organisation::GithubOrganisation;
use crate::app::store;
use crate::cli::UndoArgs;
use crate::commands::apply::{agreed, declined, summary, writes};
use crate::commands::shared::command_gate::limit_organisation;
use crate::commands::shared::decided_by::decided_by;
use crate::commands::shared::tally::Tally;
use crate::config::Config;
use crate::output::plans_and_results::{self, WholePlan};
use crate::output::printer::Printer;
use crate::output::undo_plan;

/// An undo of `beadle undo`.
struct UndoCommand<'a> {
    undo: Undo<'a>,
    args: &'a UndoArgs,
    printer: &'a Printer,
}

pub(crate) async fn run(config: &Arc<Config>, args: &UndoArgs, printer: &Printer) -> anyhow::Result<u8> {
    let store = store::open_existing(config).await?;
    let app = App::new(config, ClientOptions { store: Some(store.clone()), ..ClientOptions::PATIENT });
    let since = args.since.map(|start| start.time(app.clock.now())).transpose();
    let asked = UndoSelection {
        what: args.what.clone(),
        since: since.map_err(anyhow::Error::msg)?,
        org: args.org.clone(),
        repo: args.repo.clone(),
        keys: args.keys.clone(),
    };
    let selected = select(config, &store, &asked).await?;
    for (one, why) in &selected.left {
        let change = plans_and_results::differences(&one.change);
        printer.error(&format!("{}: {change} is not undone: {why}", one.subject));
    }
    for note in &selected.notes {
        printer.note(note);
    }
    let mut left = selected.left.len();
    let mut tally = Tally::default();
    if selected.writes.is_empty() && !args.json {
        printer.note("Beadle wrote nothing that it can undo");
        return Ok(tally.code_with(left));
    }
    let (name, by, keys) =
        (selected.name.clone(), decided_by(config, &args.decider, printer).await?.name, args.keys.clone());
    let undo = Undo { name, by, keys, store: &store, clock: &app.clock };
    if args.json {
        return Box::pin(show_json(&app, (&undo, &selected), args, printer)).await;
    }
    let command = UndoCommand { undo, args, printer };
    for file in config.orgs(args.org.as_deref())? {
        let changes = selected.of_organisation(&file.name);
        if changes.is_empty() {
            continue;
        }
        let org = app.organisation(file).await?;
        let shared = app.share_budget(&org).await;
        let went = command.organisation(&org, &changes).await;
        SpawnedShare::end_all(shared).await;
        let Some((results, not_restored)) = went? else {
            let further = if tally == Tally::default() { "" } else { "further " };
            printer.note(format!("no {further}change was written"));
            return Ok(declined(&tally, printer));
        };
        tally.add(results);
        left += not_restored;
    }
    summary(&tally, printer);
    if tally.held > 0 {
        printer
            .note("the guard holds changes: approve them (see `beadle holds`), then run this command again");
    }
    Ok(tally.code_with(left))
}

/// Prints the plan of an undo as JSON, and writes nothing. Parts that could not be read are errors,
/// as when the command writes.
async fn show_json(
    app: &App,
    (undo, selected): (&Undo<'_>, &SelectedWrites),
    args: &UndoArgs,
    printer: &Printer,
) -> anyhow::Result<u8> {
    let mut plans = Vec::new();
    for file in app.config.orgs(args.org.as_deref())? {
        let changes = selected.of_organisation(&file.name);
        if changes.is_empty() {
            continue;
        }
        let org = app.organisation(file).await?;
        let shared = app.share_budget(&org).await;
        let planned = undo.plan(&org, &changes).await;
        SpawnedShare::end_all(shared).await;
        plans.push(planned?.whole(&org));
    }
    let not_undone = selected
        .left
        .iter()
        .map(|(one, why)| json!({ "key": one.key, "name": one.subject, "change": one.change, "why": why }));
    let not_undone: Vec<Value> = not_undone.collect();
    let organisations = plans_and_results::json(&plans, Shard::default())["organisations"].take();
    let shown = json!({
        "undo": selected.name, "notes": selected.notes, "organisations": organisations, "not_undone": not_undone,
    });
    printer.json(&shown.to_string());
    Ok(json_code(&plans, selected.left.len()))
}

/// Returns the exit code for plans that the command only shows. `left` is the number of writes that
/// Beadle cannot undo.
fn json_code(plans: &[WholePlan], left: usize) -> u8 {
    let (mut tally, mut left) = (Tally::default(), left);
    for (_, plan) in plans.iter().flat_map(|plan| &plan.plans) {
        tally.unknown += plan.unknowns.len();
        left += plan.changes.len() + plan.waits.len() + usize::from(plan.skipped.is_some());
    }
    tally.code_with(left)
}

impl UndoCommand<'_> {
    /// Undoes writes to repositories of an organisation. Returns the results, and the number of
    /// values that are not restored. Returns `None` if the operator declined the plan.
    async fn organisation(
        &self,
        org: &GithubOrganisation,
        changes: &BTreeMap<Key, Vec<&Change<()>>>,
    ) -> anyhow::Result<Option<(Tally, usize)>> {
        let (undo, printer) = (&self.undo, self.printer);
        // An undo must not use raised limits earlier than the runs of the policy.
        limit_organisation(org, undo.store, printer).await?;
        let planned = undo.plan(org, changes).await?;
        let shown = planned.whole(org);
        printer.lines(undo_plan::text(printer, &shown));
        let left =
            shown.plans.iter().map(|(_, plan)| plan.waits.len() + usize::from(plan.skipped.is_some())).sum();
        if writes(&shown) {
            if !self.args.yes && undo_plan::leaves_names_out(&shown) {
                printer.note("to see all repositories: run this command with `--json`");
            }
            // No policy asks for the values that an undo restores, so a person must confirm each of
            // these changes.
            if !self.args.yes && !agreed(&shown, printer, |_| true)? {
                return Ok(None);
            }
            undo.begin(org, self.args.decider.reason()).await?;
        }
        let mut tally = Tally::default();
        let (applier, plans) = undo.applier(org, planned, printer);
        for (key, plan) in &plans {
            match undo.write(&applier, (key, plan)).await {
                Ok(None) => tally.unknown += plan.unknowns.len(),
                Ok(Some((report, number))) => {
                    tally.count(&report);
                    let is_written = report.count(|result| *result == StepResult::Written) > 0;
                    if let Some(number) = number.filter(|_| is_written) {
                        self.hint(key, &plan.subject, number);
                    }
                }
                Err(error) => {
                    printer.error(&format!("{}: {error:#}", plan.subject));
                    tally.failed += 1;
                }
            }
        }
        Ok(Some((tally, left)))
    }

    /// Prints how to undo the undo of a key. `number` is the number of the undo's run in the
    /// journal.
    fn hint(&self, key: &Key, subject: &str, number: u64) {
        let option = if key.kind() == "organisation" { "--org" } else { "--repo" };
        self.printer.note(format!(
            "{subject}: to undo this undo: `beadle undo {number}`; to follow the policy again: \
             `beadle resume {option} {subject}`"
        ));
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Mode, Plan, Risk, Unknown, Waiting, testing};

    use super::*;
    use crate::output::plans_and_results::PlanScope;

    #[test]
    fn the_exit_code_of_a_shown_plan_is_1_after_an_error_and_2_for_changes() {
        let whole = |plan: Plan<()>| WholePlan {
            of: "acme".into(),
            scope: PlanScope::Undo(Mode::Enforce),
            plans: vec![(Key::new("repository", "acme", 1), plan)],
            short: None,
            unmatched: Vec::new(),
            links: None,
        };
        let none = || Plan::new("acme/shop");
        let mut changed = none();
        changed.changes.push(testing::change("teams", "team core", &[Risk::Adds]));
        let mut waiting = none();
        waiting.waits.push(Waiting { aspect: "secrets".into(), why: "not restored".into() });
        let mut unknown = none();
        unknown.unknowns.push(Unknown {
            aspect: "topics".into(),
            part: None,
            why: "incomplete list".into(),
            transient: true,
        });
        for (plan, left, code) in
            [(none(), 0, 0), (none(), 1, 2), (changed, 0, 2), (waiting, 0, 2), (unknown, 1, 1)]
        {
            assert_eq!(json_code(&[whole(plan)], left), code);
        }
    }
}
