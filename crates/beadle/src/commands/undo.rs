//! `beadle undo`: undoes writes of Beadle by restoring the earlier values.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::bail;
use beadle_engine::guard::GUARD_CHECKS_UNDO;
use beadle_engine::{Change, EndedSweep, GuardPreview, Key, StepResult, Store, last_writing_sweep};
use beadle_repositories::Shard;
use serde_json::{Value, json};

use crate::app::application::App;
use crate::app::connections::budget_and_cache_options::ClientOptions;
use crate::app::connections::budget_share::SpawnedShare;
use crate::app::operations::not_undone;
use crate::app::operations::undo_afterwards::resume;
use crate::app::operations::undoing::{PlannedUndo, SelectedWrites, Undo, UndoSelection, select};
use crate::app::operations::written_changes::named;
use crate::app::organisations::open_organisation::GithubOrganisation;
use crate::app::store;
use crate::cli::{LAST_SWEEP, UndoArgs};
use crate::commands::ago;
use crate::commands::apply::{agreed, declined, summary, writes};
use crate::commands::shared::command_gate::limit_organisation;
use crate::commands::shared::decided_by::decided_by;
use crate::commands::shared::tally::Tally;
use crate::config::Config;
use crate::output::equal_lines::EXAMPLES;
use crate::output::guard_preview;
use crate::output::plans_and_results::{self, WholePlan};
use crate::output::printer::Printer;
use crate::output::progress::Progress;
use crate::output::undo_plan;
use crate::output::undo_results::UndoResults;

/// An undo that `beadle undo` carries out.
struct UndoCommand<'a> {
    undo: Undo<'a>,
    args: &'a UndoArgs,
    printer: &'a Printer,
    /// Sentences about what happens after the undo.
    afterwards: &'a [String],
    /// The command that names the same sweeps by their numbers. `None` if the operator did not
    /// write [`LAST_SWEEP`].
    by_number: Option<String>,
}

/// What the command did in an organisation.
enum Went {
    /// The command only planned the undo, for the output as JSON. The preview names the changes
    /// that the guard would hold.
    Planned(Box<WholePlan>, (String, GuardPreview)),
    /// The command wrote the undo.
    Wrote(Wrote),
    /// The operator declined the plan.
    Declined,
}

/// The written undo of an organisation.
#[derive(Default)]
struct Wrote {
    tally: Tally,
    /// The number of values that are not restored.
    left: usize,
    /// The number of the undo in the journal. `None` if there was nothing to write.
    number: Option<u64>,
    /// The keys with a written change, each with its name.
    keys: Vec<(Key, String)>,
}

pub(crate) async fn run(config: &Arc<Config>, args: &UndoArgs, printer: &Printer) -> anyhow::Result<u8> {
    let store = store::open_existing(config).await?;
    let app = App::new(config, ClientOptions { store: Some(store.clone()), ..ClientOptions::PATIENT });
    let since = args.since.map(|start| start.time(app.clock.now())).transpose();
    let asked = UndoSelection {
        what: words(&app, store.as_ref(), args, printer).await?,
        since: since.map_err(anyhow::Error::msg)?,
        org: args.org.clone(),
        repo: args.repo.clone(),
        keys: args.keys.clone(),
    };
    let selected = select(config, &store, &asked).await?;
    for line in not_undone::lines(&selected.left, most(args)) {
        printer.error(&line);
    }
    for note in &selected.notes {
        printer.note(note);
    }
    for undo in &selected.earlier_undos {
        printer.note(&undo.sentence);
    }
    if selected.writes.is_empty() && !args.json {
        printer.note("Beadle wrote nothing that it can undo");
        return Ok(Tally::default().code_with(selected.left.len()));
    }
    // With `--json`, the command writes nothing, so nobody makes a decision.
    let by = if args.json { String::new() } else { decided_by(config, &args.decider, printer).await?.name };
    let (name, keys) = (selected.name.clone(), selected.keys.clone());
    let undo = Undo { name, by, keys, store: &store, clock: &app.clock };
    let by_number = args.what.iter().any(|word| word == LAST_SWEEP);
    let by_number = by_number.then(|| format!("beadle undo {}", asked.what.join(" ")));
    let command = UndoCommand { undo, args, printer, afterwards: &selected.afterwards, by_number };
    let (mut plans, mut all): (Vec<WholePlan>, Vec<Wrote>) = (Vec::new(), Vec::new());
    let mut guard: Vec<(String, GuardPreview)> = Vec::new();
    for file in config.orgs(args.org.as_deref())? {
        let changes = selected.of_organisation(&file.name);
        if changes.is_empty() {
            continue;
        }
        let org = app.organisation(file).await?;
        let shared = app.share_budget(&org).await;
        let went = command.organisation(&org, &changes).await;
        SpawnedShare::end_all(shared).await;
        match went? {
            Went::Planned(plan, held) => {
                plans.push(*plan);
                guard.push(held);
            }
            Went::Wrote(wrote) => all.push(wrote),
            Went::Declined => {
                let tally = sum(&all);
                let further = if tally == Tally::default() { "" } else { "further " };
                printer.note(format!("no {further}change was written"));
                hints(&all, printer);
                return Ok(declined(&tally, printer));
            }
        }
    }
    if args.json {
        printer.json(&as_json(&selected, &plans, &guard_preview::sentences(&guard)).to_string());
        return Ok(json_code(&plans, selected.left.len()));
    }
    let (tally, left) = (sum(&all), all.iter().map(|wrote| wrote.left).sum::<usize>());
    summary(&tally, printer);
    if tally.held > 0 {
        printer
            .note("the guard holds changes: approve them (see `beadle holds`), then run this command again");
    }
    hints(&all, printer);
    Ok(tally.code_with(selected.left.len() + left))
}

/// Returns the words of the command line that select the writes. Replaces [`LAST_SWEEP`] with the
/// number of the newest sweep.
async fn words(
    app: &App,
    store: &dyn Store,
    args: &UndoArgs,
    printer: &Printer,
) -> anyhow::Result<Vec<String>> {
    if !args.what.iter().any(|word| word == LAST_SWEEP) {
        return Ok(args.what.clone());
    }
    let mut numbers: Vec<String> = Vec::new();
    for org in app.config.orgs(args.org.as_deref())? {
        let Some(sweep) = sweep_with_writes(store, &org.name, printer).await? else { continue };
        let (name, number, end, ago) = (&org.name, sweep.number, &sweep.end, ago(sweep.at, app.clock.now()));
        printer.note(format!(
            "{LAST_SWEEP} of {name}: sweep {number} {end}; it ended at {}, {ago} ago",
            sweep.at
        ));
        numbers.push(number.to_string());
    }
    if numbers.is_empty() {
        bail!(
            "the journal has no sweep in which Beadle wrote something\nhint: see `beadle journal --only sweep`"
        );
    }
    // Another sweep might end between the plan that the operator saw and the write.
    if args.yes {
        bail!(
            "`{LAST_SWEEP}` can mean another sweep soon, so `--yes` needs the number of the sweep\nhint: check the plan \
             without `--yes`, then use `beadle undo {} --yes`",
            numbers.join(" ")
        );
    }
    let others = args.what.iter().filter(|word| *word != LAST_SWEEP).cloned();
    Ok(others.chain(numbers).collect())
}

/// Returns the newest sweep of an organisation, if the sweep has writes of a policy. If an earlier
/// version of Beadle ran a sweep, the sweep's results also count the writes of a simultaneous undo.
/// So the function skips sweeps without writes of a policy, and prints a note about each of them.
async fn sweep_with_writes(
    store: &dyn Store,
    name: &str,
    printer: &Printer,
) -> anyhow::Result<Option<EndedSweep>> {
    let mut before = None;
    while let Some(sweep) = last_writing_sweep(store, name, before).await? {
        let number = sweep.number.to_string();
        if !named(store, std::slice::from_ref(&number)).await?.writes.is_empty() {
            return Ok(Some(sweep));
        }
        printer.note(format!(
            "{LAST_SWEEP} of {name} leaves out sweep {number}: the journal has only writes of undos during this sweep, \
             or none"
        ));
        before = Some(sweep.number);
    }
    Ok(None)
}

/// Returns the maximum number of names that a text shows for equal changes of several repositories.
fn most(args: &UndoArgs) -> usize {
    if args.all_names { usize::MAX } else { EXAMPLES }
}

/// Returns the sum of the results of all organisations.
fn sum(all: &[Wrote]) -> Tally {
    let mut tally = Tally::default();
    for wrote in all {
        tally.add(wrote.tally);
    }
    tally
}

/// Prints how to undo the undo, and how to follow the policy again.
fn hints(all: &[Wrote], printer: &Printer) {
    let numbers: Vec<String> = all.iter().filter_map(|wrote| Some(wrote.number?.to_string())).collect();
    let keys = || all.iter().flat_map(|wrote| &wrote.keys);
    if keys().next().is_none() {
        return;
    }
    if !numbers.is_empty() {
        printer.note(format!("to undo this undo: `beadle undo {}`; {GUARD_CHECKS_UNDO}", numbers.join(" ")));
    }
    let resume = resume(keys().map(|(key, name)| (key, name.as_str())));
    printer.note(format!("to follow the policy again: {resume}"));
}

/// Returns the plans of an undo as JSON. `guard` contains sentences about the changes that the
/// guard would hold.
fn as_json(selected: &SelectedWrites, plans: &[WholePlan], guard: &[String]) -> Value {
    let not_undone = selected.left.iter().map(|one| {
        let write = &one.write;
        json!({ "key": write.key, "name": write.subject, "change": write.change, "why": one.why() })
    });
    let not_undone: Vec<Value> = not_undone.collect();
    let earlier = selected.earlier_undos.iter();
    let earlier = earlier.map(|undo| json!({ "number": undo.number, "sentence": undo.sentence }));
    let earlier: Vec<Value> = earlier.collect();
    let organisations = plans_and_results::json(plans, Shard::default())["organisations"].take();
    json!({
        "undo": selected.name, "notes": selected.notes, "guard": guard, "afterwards": selected.afterwards,
        "organisations": organisations, "not_undone": not_undone, "earlier_undos": earlier,
    })
}

/// Returns the exit code for plans that the command only shows. A part that could not be read
/// counts as an error, in the same way as when the command writes. `left` is the number of writes
/// that Beadle cannot undo.
fn json_code(plans: &[WholePlan], left: usize) -> u8 {
    let (mut tally, mut left) = (Tally::default(), left);
    for (_, plan) in plans.iter().flat_map(|plan| &plan.plans) {
        tally.unknown += plan.unknowns.len();
        left += plan.changes.len() + plan.waits.len() + usize::from(plan.skipped.is_some());
    }
    tally.code_with(left)
}

impl UndoCommand<'_> {
    /// Plans the undo of writes to repositories of an organisation. Without `--json`, also shows
    /// the plan, asks for confirmation and writes the undo.
    async fn organisation(
        &self,
        org: &GithubOrganisation,
        changes: &BTreeMap<Key, Vec<&Change<()>>>,
    ) -> anyhow::Result<Went> {
        // An undo must not use raised limits before the runs of the policy use them.
        limit_organisation(org, self.undo.store, self.printer).await?;
        let planned = self.undo.plan(org, changes).await?;
        let shown = planned.whole(org);
        let guard = self.undo.preview_guard(org, &planned).await?;
        if self.args.json {
            return Ok(Went::Planned(Box::new(shown), guard));
        }
        self.printer.lines(undo_plan::text(self.printer, &shown, most(self.args)));
        let mut number = None;
        if writes(&shown) {
            for sentence in guard_preview::sentences(&[guard]).iter().chain(self.afterwards) {
                self.printer.note(sentence);
            }
            if !self.args.yes && undo_plan::leaves_names_out(&shown, most(self.args)) {
                self.printer.note("to see all repositories: run this command with `--all-names` or `--json`");
            }
            // No policy asks for the values that an undo restores, so a person must confirm each of
            // these changes.
            if !self.args.yes && !agreed(&shown, self.printer, |_| true, self.by_number.as_deref())? {
                return Ok(Went::Declined);
            }
            number = self.undo.begin(org, self.args.decider.reason()).await?;
        }
        let waits =
            shown.plans.iter().map(|(_, plan)| plan.waits.len() + usize::from(plan.skipped.is_some()));
        let (left, wrote) = (waits.sum(), self.write(org, planned).await);
        Ok(Went::Wrote(Wrote { left, number, ..wrote }))
    }

    /// Writes the planned undo of an organisation, and shows the results.
    async fn write(&self, org: &GithubOrganisation, planned: PlannedUndo) -> Wrote {
        let (mut wrote, mut results) = (Wrote::default(), UndoResults::default());
        let (applier, plans) = self.undo.applier(org, planned);
        let progress = Progress::new(&format!("undoing in {}", org.file.name), self.printer);
        for ((key, plan), done) in plans.iter().zip(1..) {
            match self.undo.write(&applier, (key, plan)).await {
                Ok(None) => wrote.tally.unknown += plan.unknowns.len(),
                Ok(Some(report)) => {
                    wrote.tally.count(&report);
                    if report.count(|result| *result == StepResult::Written) > 0 {
                        wrote.keys.push((key.clone(), plan.subject.clone()));
                    }
                    results.reports.push((key.clone(), report));
                }
                Err(error) => {
                    results.errors.push((plan.subject.clone(), format!("{error:#}")));
                    wrote.tally.failed += 1;
                }
            }
            progress.at(done, plans.len() as u64);
        }
        progress.end();
        let most = most(self.args);
        self.printer.lines(results.text(self.printer, most));
        results.error_lines(most).iter().for_each(|line| self.printer.error(line));
        wrote
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
