//! Undoes writes for people who signed in to the pages. Beadle plans the undo first, and then
//! writes exactly the plan that the person saw.

use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Key, Plan, Report, Step, StepResult, whole_plan_digest};
use beadle_server::sign_in::{DecisionRefusal, KeyPlan, OperationDone, UndoPreview, UndoRequest};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::app::operations::applier::Progress;
use crate::app::operations::undoing::{PlannedUndo, SelectedWrites, Undo, UndoSelection, select};
use crate::app::operations::waiving::check_keys;
use crate::app::organisations::open_organisation::GithubOrganisation;
use crate::app::pages::refusal::{one_line, refusal};
use crate::app::service::Service;
use crate::output::plans_and_results::{differences, summary};
use crate::output::plural::counted;
use crate::output::printer::Printer;

/// The maximum time that the answer to the browser waits for the end of the writes. The writes
/// continue after this time.
const PATIENCE: Duration = Duration::from_secs(45);

/// Carries out the undos of people. A process runs only one undo at a time, because each undo makes
/// many calls to GitHub.
pub(crate) struct PageUndo {
    service: Arc<Service>,
    alone: Arc<Mutex<()>>,
}

/// A planned undo.
struct Prepared {
    selected: SelectedWrites,
    organisations: Vec<(Arc<GithubOrganisation>, PlannedUndo)>,
}

/// A receiver that ignores the results, because the person sees the results in the journal.
struct NotShown;

impl Progress for NotShown {
    fn step(&self, _: &str, _: &Step) {}

    fn outdated(&self, _: &str) {}
}

impl PageUndo {
    pub(crate) fn new(service: Arc<Service>) -> Self {
        Self { service, alone: Arc::default() }
    }

    /// Plans an undo.
    pub(crate) async fn plan(&self, asked: &UndoRequest) -> Result<UndoPreview, DecisionRefusal> {
        let _alone = self.begin()?;
        let prepared = Box::pin(self.prepare(asked, "")).await?;
        let plans = prepared.describe();
        let left =
            prepared.selected.left.iter().map(|(one, why)| {
                format!("{}: {} is not undone: {why}", one.subject, differences(&one.change))
            });
        Ok(UndoPreview {
            name: prepared.selected.name.clone(),
            plan: code(&plans),
            summary: prepared.summary(),
            request: asked.clone(),
            left: left.collect(),
            notes: prepared.selected.notes.clone(),
            plans: plans.into_iter().map(|(key, plan)| KeyPlan { key, plan }).collect(),
        })
    }

    /// Undoes writes, if the plan has the code that the person saw.
    pub(crate) async fn undo(
        &self,
        asked: &UndoRequest,
        seen: &str,
        by: &str,
    ) -> Result<OperationDone, DecisionRefusal> {
        let alone = self.begin()?;
        let prepared = Box::pin(self.prepare(asked, by)).await?;
        let plans = prepared.describe();
        if code(&plans) != seen {
            let why = "the plan of the undo has changed: look at the plan again";
            return Err(DecisionRefusal::Conflict(why.to_owned()));
        }
        if !plans.iter().any(|(_, plan)| has_writes(plan)) {
            return Err(DecisionRefusal::Conflict("there is nothing to write".to_owned()));
        }
        let (service, by) = (self.service.clone(), by.to_owned());
        // If the browser closes the connection, the writes continue.
        let running = tokio::spawn(async move {
            let done = Box::pin(carry_out(&service, prepared, by)).await;
            drop(alone);
            done
        });
        match tokio::time::timeout(PATIENCE, running).await {
            Ok(Ok(done)) => Ok(OperationDone { done }),
            Ok(Err(_)) => {
                let why = "the undo ended early: the journal shows what it wrote";
                Err(DecisionRefusal::Unavailable(why.to_owned()))
            }
            Err(_) => {
                let done = "The undo continues. The journal shows the result for each repository.";
                Ok(OperationDone { done: vec![done.to_owned()] })
            }
        }
    }

    fn begin(&self) -> Result<OwnedMutexGuard<()>, DecisionRefusal> {
        let busy = "another undo is planned or written now: wait until it ends, and look at the plan again";
        self.alone.clone().try_lock_owned().map_err(|_| DecisionRefusal::Conflict(busy.to_owned()))
    }

    /// Finds the writes, and plans the undo in each organisation.
    async fn prepare(&self, asked: &UndoRequest, by: &str) -> Result<Prepared, DecisionRefusal> {
        let service = &self.service;
        check_keys(&asked.keys).map_err(|error| DecisionRefusal::Invalid(one_line(&error)))?;
        let selection = UndoSelection {
            what: asked.runs.clone(),
            since: asked.since,
            org: asked.organisation.clone(),
            repo: asked.repositories.clone(),
            keys: asked.keys.clone(),
        };
        let selected = select(service.config(), &service.store, &selection).await;
        let selected = selected.map_err(|error| refusal(&error))?;
        let (name, by, keys) = (selected.name.clone(), by.to_owned(), asked.keys.clone());
        let undo = Undo { name, by, keys, store: &service.store, clock: service.clock() };
        let mut organisations = Vec::new();
        for org in &service.orgs {
            let changes = selected.of_organisation(&org.file.name);
            if changes.is_empty() {
                continue;
            }
            let Some(open) = org.open() else {
                let why = format!("the organisation {} is unavailable", org.file.name);
                return Err(DecisionRefusal::Unavailable(why));
            };
            let planned = undo.plan(&open, &changes).await;
            let planned = planned.map_err(|failure| DecisionRefusal::Unavailable(failure.text))?;
            organisations.push((open, planned));
        }
        Ok(Prepared { selected, organisations })
    }
}

impl Prepared {
    /// Returns the summary of the plans, one line for each organisation.
    fn summary(&self) -> Vec<String> {
        let printer = Printer::plain();
        let lines = self.organisations.iter().map(|(org, planned)| summary(&printer, &planned.whole(org)));
        lines.collect()
    }

    /// Returns the plans of all organisations as data.
    fn describe(&self) -> Vec<(Key, Plan<()>)> {
        self.organisations.iter().flat_map(|(_, planned)| planned.describe()).collect()
    }
}

/// Returns the code of a plan.
fn code(plans: &[(Key, Plan<()>)]) -> String {
    whole_plan_digest(plans.iter().map(|(key, plan)| (key, plan)))
}

/// Returns whether the modes allow Beadle to write at least one change of a plan.
fn has_writes<W>(plan: &Plan<W>) -> bool {
    plan.changes.iter().any(|change| change.mode.allows(&change.risks()))
}

/// Writes an undo. Returns sentences about the results.
async fn carry_out(service: &Service, prepared: Prepared, by: String) -> Vec<String> {
    let Prepared { selected, organisations } = prepared;
    // The prepared planners already know the keys.
    let (name, keys) = (selected.name.clone(), Vec::new());
    let undo = Undo { name, by, keys, store: &service.store, clock: service.clock() };
    let mut done = Vec::new();
    for (org, planned) in organisations {
        if !planned.plans.iter().any(|(_, plan)| has_writes(plan)) {
            continue;
        }
        if let Err(error) = undo.begin(&org, None).await {
            done.push(format!("{}: not undone: {}", org.file.name, one_line(&error)));
            continue;
        }
        let (applier, plans) = undo.applier(&org, planned, &NotShown);
        for (key, plan) in &plans {
            if service.stop.is_cancelled() {
                done.push("The service stops, so Beadle does not write the remaining changes.".to_owned());
                return done;
            }
            match undo.write(&applier, (key, plan)).await {
                Ok(None) => {}
                Ok(Some((report, number))) => done.push(line(&report, number)),
                Err(error) => done.push(format!("{}: not undone: {}", plan.subject, one_line(&error))),
            }
        }
    }
    service.bell.notify_one();
    done
}

/// Returns the result of one key as a sentence.
fn line(report: &Report, run: Option<u64>) -> String {
    let written = report.count(|result| *result == StepResult::Written);
    let mut parts = vec![format!("{} written", counted(written, "change", "changes"))];
    for (number, what) in [
        (report.count(|result| matches!(result, StepResult::Held { .. })), "held by the guard"),
        (report.count(|result| *result == StepResult::Withheld), "skipped by the mode"),
        (report.failed(), "failed"),
        (report.unknowns.len(), "unknown"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    let run = run.map(|run| format!(" (entry {run} of the journal)")).unwrap_or_default();
    format!("{}: {}{run}", report.subject, parts.join(", "))
}

#[cfg(test)]
mod tests {
    use beadle_engine::testing::change;
    use beadle_engine::{Change, Mode, Risk};

    use super::*;

    fn plan(mode: Mode) -> Plan<()> {
        let changes = vec![Change { mode, ..change("teams", "team core", &[Risk::Removes]) }];
        Plan { changes, ..Plan::new("acme/shop") }
    }

    #[test]
    fn a_plan_without_a_write_is_nothing_to_confirm() {
        assert!(has_writes(&plan(Mode::Enforce)));
        assert!(!has_writes(&plan(Mode::AddOnly)) && !has_writes(&plan(Mode::Observe)));
        assert!(!has_writes(&Plan::<()>::new("acme/shop")));
    }

    #[test]
    fn the_result_of_a_repository_is_one_line() {
        let step = |outcome| Step { change: change("teams", "team core", &[Risk::Removes]), outcome };
        let mut report = Report::of_nothing(&plan(Mode::Enforce));
        report.steps = vec![step(StepResult::Written), step(StepResult::Withheld)];
        assert_eq!(
            line(&report, Some(7)),
            "acme/shop: 1 change written, 1 skipped by the mode (entry 7 of the journal)"
        );
    }
}
