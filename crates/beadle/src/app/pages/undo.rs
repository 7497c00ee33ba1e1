//! Undoes writes for people who signed in to the pages. Beadle plans the undo first, and then
//! writes exactly the plan that the person saw.

use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Key, Plan, whole_plan_digest};
use beadle_server::sign_in::{
    DecisionRefusal, EarlierUndo, KeyPlan, OperationDone, UndoPreview, UndoRequest,
};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::app::operations::decided_by::DecidedBy;
use crate::app::operations::not_undone;
use crate::app::operations::undoing::{PlannedUndo, SelectedWrites, Undo, UndoSelection, select};
use crate::app::operations::waiving::meant_keys;
use crate::app::organisations::open_organisation::GithubOrganisation;
use crate::app::pages::refusal::{one_line, refusal};
use crate::app::service::Service;
use crate::output::equal_lines::EXAMPLES;
use crate::output::guard_preview;
use crate::output::plans_and_results::summary;
use crate::output::printer::Printer;
use crate::output::undo_results::UndoResults;

/// The maximum time that the answer to the browser waits for the end of the writes. The writes
/// continue after this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// Carries out the undos that people request. A process runs only one undo at a time, because each
/// undo makes many calls to GitHub.
pub(crate) struct PageUndo {
    service: Arc<Service>,
    alone: Arc<Mutex<()>>,
}

/// A planned undo.
struct Prepared {
    selected: SelectedWrites,
    organisations: Vec<(Arc<GithubOrganisation>, PlannedUndo)>,
    /// Sentences about the changes that the guard would hold.
    guard: Vec<String>,
}

impl PageUndo {
    pub(crate) fn new(service: Arc<Service>) -> Self {
        Self { service, alone: Arc::default() }
    }

    /// Plans an undo.
    pub(crate) async fn plan(&self, asked: &UndoRequest) -> Result<UndoPreview, DecisionRefusal> {
        let _alone = self.begin()?;
        let prepared = Box::pin(self.prepare(asked, "")).await?;
        let (plans, summary) = (prepared.describe(), prepared.summary());
        let Prepared { selected, guard, .. } = prepared;
        let SelectedWrites { name, left, keys, notes, earlier_undos, afterwards, .. } = selected;
        let earlier_undos = earlier_undos.into_iter();
        let earlier_undos =
            earlier_undos.map(|undo| EarlierUndo { number: undo.number, sentence: undo.sentence }).collect();
        Ok(UndoPreview {
            name,
            plan: code(&plans),
            summary,
            request: UndoRequest { keys, ..asked.clone() },
            left: not_undone::lines(&left, EXAMPLES),
            notes,
            earlier_undos,
            guard,
            afterwards,
            plans: plans.into_iter().map(|(key, plan)| KeyPlan { key, plan }).collect(),
        })
    }

    /// Undoes writes, if the plan has the code that the person saw.
    pub(crate) async fn undo(
        &self,
        asked: &UndoRequest,
        seen: &str,
        by: DecidedBy,
    ) -> Result<OperationDone, DecisionRefusal> {
        let alone = self.begin()?;
        let prepared = Box::pin(self.prepare(asked, &by.name)).await?;
        let plans = prepared.describe();
        if code(&plans) != seen {
            let why = "the plan of the undo has changed: look at the plan again";
            return Err(DecisionRefusal::Conflict(why.to_owned()));
        }
        if !plans.iter().any(|(_, plan)| has_writes(plan)) {
            return Err(DecisionRefusal::Conflict("there is nothing to write".to_owned()));
        }
        let service = self.service.clone();
        let summary = prepared.summary();
        // If the browser closes the connection, the writes continue.
        let running = tokio::spawn(async move {
            let done = Box::pin(carry_out(&service, prepared, by)).await;
            drop(alone);
            done
        });
        match tokio::time::timeout(PATIENCE, running).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(_)) => {
                let why = "the undo ended early: the journal shows what it wrote";
                Err(DecisionRefusal::Unavailable(why.to_owned()))
            }
            Err(_) => {
                let done = "The undo continues. The journal shows the result for each repository.";
                let done = [done.to_owned()].into_iter().chain(summary).collect();
                Ok(OperationDone { done, ..OperationDone::default() })
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
        meant_keys(&asked.keys).map_err(|error| DecisionRefusal::Invalid(one_line(&error)))?;
        let selection = UndoSelection {
            what: asked.runs.clone(),
            since: asked.since,
            org: asked.organisation.clone(),
            repo: asked.repositories.clone(),
            keys: asked.keys.clone(),
        };
        let selected = select(service.config(), &service.store, &selection).await;
        let selected = selected.map_err(|error| refusal(&error))?;
        let (name, by, keys) = (selected.name.clone(), by.to_owned(), selected.keys.clone());
        let undo = Undo { name, by, keys, store: &service.store, clock: service.clock() };
        let (mut organisations, mut guard) = (Vec::new(), Vec::new());
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
            let held = undo.preview_guard(&open, &planned).await;
            guard.push(held.map_err(|error| DecisionRefusal::Unavailable(error.to_string()))?);
            organisations.push((open, planned));
        }
        Ok(Prepared { selected, organisations, guard: guard_preview::sentences(&guard) })
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

/// Writes an undo. Returns sentences about the results, and the numbers of the undo in the journal.
async fn carry_out(service: &Service, prepared: Prepared, by: DecidedBy) -> OperationDone {
    let Prepared { selected, organisations, .. } = prepared;
    let DecidedBy { name: by, reason } = by;
    // The prepared planners already know the keys.
    let (name, keys) = (selected.name, Vec::new());
    let undo = Undo { name, by, keys, store: &service.store, clock: service.clock() };
    let (mut results, mut done) = (UndoResults::default(), OperationDone::default());
    let mut has_stopped = false;
    for (org, planned) in organisations {
        if has_stopped || !planned.plans.iter().any(|(_, plan)| has_writes(plan)) {
            continue;
        }
        match undo.begin(&org, reason.as_deref()).await {
            Ok(number) => done.undo.extend(number),
            Err(error) => {
                results.errors.push((org.file.name.clone(), not_undone_because(&error)));
                continue;
            }
        }
        let (applier, plans) = undo.applier(&org, planned);
        for (key, plan) in &plans {
            has_stopped = service.stop.is_cancelled();
            if has_stopped {
                break;
            }
            match undo.write(&applier, (key, plan)).await {
                Ok(None) => {}
                Ok(Some(report)) => results.reports.push((key.clone(), report)),
                Err(error) => results.errors.push((plan.subject.clone(), not_undone_because(&error))),
            }
        }
    }
    service.bell.notify_one();
    done.done = results.sentences();
    if has_stopped {
        done.done.push("The service stops, so Beadle does not write the remaining changes.".to_owned());
    }
    done
}

fn not_undone_because(error: &anyhow::Error) -> String {
    format!("not undone: {}", one_line(error))
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
}
