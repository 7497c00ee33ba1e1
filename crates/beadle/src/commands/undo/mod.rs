//! `beadle undo`: restores the values from before writes of Beadle.

mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use beadle_engine::guard::UNDO_GENERATION;
use beadle_engine::journal::OperatorAction;
use beadle_engine::{
    Change, Clock, Detail, Entry, EntryKind, Key, Lane, Mark, Plan, Report, StepResult, Store, run_counts,
};
use beadle_repositories::Step;
use beadle_repositories::creation::name_in;
use beadle_repositories::undo::reversals;

use self::written::{Written, named, since};
use crate::app::application::App;
use crate::app::budget_share::SpawnedShare;
use crate::app::client_options::OpenOptions;
use crate::app::github_organisation::GithubOrganisation;
use crate::app::key_names::{called_now, repository_keys};
use crate::app::store;
use crate::cli::UndoArgs;
use crate::commands::apply::{Applier, agreed, declined, summary, write, writes};
use crate::commands::gate::limit_organisation;
use crate::commands::operator;
use crate::commands::tally::Tally;
use crate::config::{Config, OrgConfig};
use crate::output::printer::Printer;
use crate::output::render::{self, PlanScope, WholePlan};

/// The values of one undo that are the same for all organisations.
struct Undo<'a> {
    /// The name of the undo, such as `undo of 1234`.
    name: String,
    /// The operator.
    by: String,
    args: &'a UndoArgs,
    store: &'a Arc<dyn Store>,
    clock: &'a Clock,
    printer: &'a Printer,
}

pub(crate) async fn run(config: &Arc<Config>, args: &UndoArgs, printer: &Printer) -> anyhow::Result<u8> {
    let store = store::open_existing(config).await?;
    let app = App::new(config, OpenOptions { store: Some(store.clone()), ..OpenOptions::PATIENT });
    let (found, name) = match args.since {
        Some(span) => {
            let begun = app.clock.now() - span;
            (since(store.as_ref(), begun).await?, format!("{UNDO_GENERATION}everything since {begun}"))
        }
        None => {
            (named(store.as_ref(), &args.what).await?, format!("{UNDO_GENERATION}{}", args.what.join(", ")))
        }
    };
    let mut called: BTreeSet<Key> = BTreeSet::new();
    for text in &args.repo {
        let keys = repository_keys(config, &store, text).await?;
        called.extend(called_now(store.as_ref(), keys, text).await?);
    }
    let orgs = config.orgs(args.org.as_deref())?;
    let (mut own, mut left): (Vec<Written>, usize) = (Vec::new(), 0);
    for one in found.into_iter().filter(|one| is_selected(one, args, &called)) {
        match obstacle(&one, &orgs) {
            Some(why) => {
                let change = render::differences(&one.change);
                printer.error(&format!("{}: {change} is not undone: {why}", one.subject));
                left += 1;
            }
            None => own.push(one),
        }
    }
    let mut tally = Tally::default();
    if own.is_empty() {
        printer.note("Beadle wrote nothing that it can undo");
        return Ok(tally.code_with(left));
    }
    let by = operator(config).await;
    let undo = Undo { name, by, args, store: &store, clock: &app.clock, printer };
    for file in orgs {
        let mut changes: BTreeMap<Key, Vec<&Change<()>>> = BTreeMap::new();
        for one in own.iter().filter(|one| one.key.instance().eq_ignore_ascii_case(&file.name)) {
            changes.entry(one.key.clone()).or_default().push(&one.change);
        }
        if changes.is_empty() {
            continue;
        }
        let org = app.organisation(file).await?;
        let shared = app.share_budget(&org).await;
        let went = undo.organisation(&org, &changes).await;
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

/// Returns whether the options select a write. `called` are the keys of the repositories that the
/// operator named.
fn is_selected(one: &Written, args: &UndoArgs, called: &BTreeSet<Key>) -> bool {
    let is_org = |org: &String| one.key.instance().eq_ignore_ascii_case(org);
    args.org.as_ref().is_none_or(is_org) && (args.repo.is_empty() || called.contains(&one.key))
}

/// Returns the reason why Beadle cannot undo a write. It can undo writes to repositories that
/// exist, and to the organisation itself.
fn obstacle(one: &Written, orgs: &[&Arc<OrgConfig>]) -> Option<&'static str> {
    if !matches!(one.key.kind(), "repository" | "organisation") {
        return Some("Beadle does not undo writes to groups; change the directory or the policy");
    }
    if name_in(&one.key).is_some() {
        return Some("Beadle deletes no repository");
    }
    let is_known = orgs.iter().any(|org| one.key.instance().eq_ignore_ascii_case(&org.name));
    (!is_known).then_some("the configuration has no organisation of this name")
}

impl Undo<'_> {
    /// Undoes writes to repositories of an organisation. Returns the results and the number of
    /// values that are not restored, or `None` if the operator declined the plan.
    async fn organisation(
        &self,
        org: &GithubOrganisation,
        changes: &BTreeMap<Key, Vec<&Change<()>>>,
    ) -> anyhow::Result<Option<(Tally, usize)>> {
        let (store, clock, printer) = (self.store, self.clock, self.printer);
        // An undo must not pass limits that a run of the policy may not pass yet.
        limit_organisation(org, store, printer).await?;
        let wanted = changes.iter().map(|(key, changes)| (key.clone(), reversals(changes.iter().copied())));
        let (planner, writer) = org.undo(wanted.collect(), self.name.clone(), &self.by, (store, clock));
        let planned = planner.plans(Lane::Manual).await?;
        let shown = WholePlan {
            of: org.file.name.clone(),
            scope: PlanScope::Repositories(org.file.mode),
            plans: planned.iter().map(|(key, plan)| (key.clone(), plan.describe())).collect(),
            short: None,
            unmatched: Vec::new(),
            links: None,
        };
        printer.lines(render::text(printer, &shown));
        let left =
            planned.iter().map(|(_, plan)| plan.waits.len() + usize::from(plan.skipped.is_some())).sum();
        let mut tally = Tally::default();
        if writes(&shown) {
            if !self.args.yes && !agreed(&shown, printer)? {
                return Ok(None);
            }
            self.note_action(org).await?;
        }
        let reader = planner.reader().clone();
        let applier = Applier {
            planner,
            writer,
            hint: Box::new(move |key| reader.node_of(key.id().parse().ok()?)),
            pace: org.pace.clone(),
            lane: Lane::Manual,
            limits: org.limits.current(),
            only_shown: true,
            store,
            clock,
            printer,
        };
        for (key, plan) in &planned {
            self.one(&applier, key, plan, &mut tally).await?;
        }
        Ok(Some((tally, left)))
    }

    /// Writes the undo of one repository.
    async fn one(
        &self,
        applier: &Applier<'_, beadle_repositories::UndoPlanner, beadle_repositories::UndoWriter>,
        key: &Key,
        plan: &Plan<Box<dyn Step>>,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        if plan.changes.is_empty() {
            tally.unknown += plan.unknowns.len();
            return Ok(());
        }
        let subject = &plan.subject;
        match write(applier, key, plan).await {
            Ok((report, _)) => {
                tally.count(&report);
                let is_written = report.count(|result| *result == StepResult::Written) > 0;
                // The next run of the service records what the undo left.
                let mark = Mark::new(key.clone(), Lane::Manual);
                self.store.mark(vec![mark], self.clock.now()).await?;
                let number = self.note_run(key, &report).await?;
                if let Some(number) = number.filter(|_| is_written) {
                    let option = if key.kind() == "organisation" { "--org" } else { "--repo" };
                    self.printer.note(format!(
                        "{subject}: to undo this undo: `beadle undo {number}`; to follow the policy again: \
                         `beadle resume {option} {subject}`"
                    ));
                }
            }
            Err(error) => {
                self.printer.error(&format!("{subject}: {error:#}"));
                tally.failed += 1;
            }
        }
        Ok(())
    }

    /// Stores an entry about the run in the journal, and returns its number.
    async fn note_run(&self, key: &Key, report: &Report) -> anyhow::Result<Option<u64>> {
        let detail = Detail::Run(run_counts(report, Vec::new()));
        self.journal(EntryKind::Run, key.to_string(), &report.subject, detail).await
    }

    /// Stores in the journal who undid what.
    async fn note_action(&self, org: &GithubOrganisation) -> anyhow::Result<()> {
        let action = OperatorAction::Undid { undid: self.name.clone(), by: self.by.clone() };
        let name = &org.file.name;
        self.journal(EntryKind::Operator, name.clone(), name, Detail::Operator(action)).await?;
        Ok(())
    }

    async fn journal(
        &self,
        kind: EntryKind,
        key: String,
        subject: &str,
        detail: Detail,
    ) -> anyhow::Result<Option<u64>> {
        let at = self.clock.now();
        let entry = Entry { seq: 0, at, kind, key, subject: subject.to_owned(), intent: None, detail };
        let numbers = self.store.journal(None, vec![entry], at).await?;
        Ok(numbers.and_then(|numbers| numbers.first().copied()))
    }
}
