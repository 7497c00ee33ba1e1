//! Carries out operations and creates waivers for people who signed in to the pages. The commands
//! use the same functions.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::journal::OperatorAction;
use beadle_engine::{Driver, Entry, Key, StoreError, TaskStatus};
use beadle_repositories::policy::{Waiver, key_of_value, meant_key};
use beadle_server::Reloads;
use beadle_server::sign_in::{
    DecisionEnd, DecisionRefusal, DecisionRequest, Decisions, Operation, OperationDone, OperationRequest,
    ScopeRequest, UndoPreview, UndoRequest, WaiverDone, WaiverRequest,
};

use crate::app::operations::decided_by::DecidedBy;
use crate::app::operations::key_names::ensure_known;
use crate::app::operations::pausing::{NamedScope, PauseScope, Resumed, ScopeNames, check_length, named};
use crate::app::operations::reload_result::ReloadResult;
use crate::app::operations::retrying::{keys_to_retry, retry};
use crate::app::operations::waiver_repositories::covered;
use crate::app::operations::waiving;
use crate::app::organisations::open_organisation::GithubOrganisation;
use crate::app::pages::decisions::PageDecisions;
use crate::app::pages::refusal::{one_line, refusal};
use crate::app::pages::undo::PageUndo;
use crate::app::service::Service;
use crate::config::waiver_rules;
use crate::output::plural::counted;

/// Carries out operations in a service.
pub(crate) struct PageOperations {
    service: Arc<Service>,
    driver: Driver,
    reloads: Reloads,
    decisions: PageDecisions,
    undo: PageUndo,
}

type Done = Result<OperationDone, DecisionRefusal>;

fn one(line: String) -> OperationDone {
    OperationDone { done: vec![line], ..OperationDone::default() }
}

fn unavailable(error: &StoreError) -> DecisionRefusal {
    DecisionRefusal::Unavailable(error.to_string())
}

#[async_trait]
impl Decisions for PageOperations {
    async fn decide(&self, asked: &DecisionRequest) -> Result<DecisionEnd, DecisionRefusal> {
        Box::pin(self.decisions.decide(asked)).await
    }

    async fn waive(&self, asked: &WaiverRequest) -> Result<WaiverDone, DecisionRefusal> {
        let now = self.service.clock().now();
        let unknown = || DecisionRefusal::NotFound(format!("there is no repository `{}`", asked.repository));
        let (owner, name) = asked.repository.split_once('/').ok_or_else(unknown)?;
        let org = self.service.orgs.iter().find(|org| org.file.name.eq_ignore_ascii_case(owner));
        let org = org.ok_or_else(unknown)?;
        if asked.keys.is_empty() {
            return Err(DecisionRefusal::Invalid("a waiver needs at least one key".to_owned()));
        }
        // The hint of `waiving::meant_keys` names a command, but a person on a page chooses from
        // the keys that the form suggests.
        let meant = |key: &String| {
            meant_key(key).map_err(|must| DecisionRefusal::Invalid(format!("`{key}` must {must}")))
        };
        let keys: Vec<String> = asked.keys.iter().map(meant).collect::<Result<_, _>>()?;
        // A page shows the hint on the same line as the error.
        let invalid =
            |error: anyhow::Error| DecisionRefusal::Invalid(beadle_engine::one_line(&error.to_string()));
        let named = (now, "the end");
        let waiver = Waiver {
            keys,
            repositories: vec![name.to_owned()],
            until: waiving::until(&asked.until, named).map_err(invalid)?,
            reason: asked.reason.clone(),
            owner: asked.by.clone(),
            asked: None,
        };
        waiving::check(&waiver, &org.file, named).map_err(invalid)?;
        let Some(open) = org.open() else {
            let why = format!("the organisation {} is unavailable", org.file.name);
            return Err(DecisionRefusal::Unavailable(why));
        };
        let rows = covered(&open.reader, std::slice::from_ref(&waiver)).await;
        let rows = rows.map_err(|failure| DecisionRefusal::Unavailable(failure.text))?;
        // A pattern would also exempt other repositories, and repositories that do not exist yet.
        if !matches!(rows.as_slice(), [row] if row.name.eq_ignore_ascii_case(name)) {
            return Err(unknown());
        }
        let store = self.service.store.as_ref();
        let stored = waiving::waive(store, &org.file, &waiver, (&rows, asked.by.clone()), now).await;
        stored.map_err(|error| DecisionRefusal::Unavailable(error.to_string()))?;
        self.service.bell.notify_one();
        // The waiver is already stored. So if Beadle cannot read the policy, the waiver is still
        // valid.
        let planner = open.planner(Some(&self.service.store)).only_looking();
        let undeclared = Box::pin(waiving::undeclared(&planner, name, &waiver)).await.ok().flatten();
        Ok(WaiverDone { code: waiver.id(), until: waiver.until, undeclared })
    }

    fn waivable_keys(&self, organisation: &str) -> Vec<String> {
        let org = self.service.orgs.iter().find(|org| org.file.name.eq_ignore_ascii_case(organisation));
        org.map(|org| waiver_rules(&org.file).waivable_keys()).unwrap_or_default()
    }

    fn key_of_value(&self, organisation: &str, (aspect, what, value): (&str, &str, &str)) -> Option<String> {
        let org = self.service.orgs.iter().find(|org| org.file.name.eq_ignore_ascii_case(organisation))?;
        let key = key_of_value(aspect, what, value)?;
        waiver_rules(&org.file).allows(&key).then_some(key)
    }

    async fn operate(&self, asked: &OperationRequest) -> Result<OperationDone, DecisionRefusal> {
        let OperationRequest { operation, by, login } = asked;
        let done = match operation {
            Operation::ApprovePolicy { plan, generation, reason } => {
                let approver = (by.as_str(), login.as_deref());
                self.decisions.approve_policy((plan, generation), reason, approver).await
            }
            Operation::Pause { scope, time } => self.pause(scope, *time, by).await,
            Operation::Resume { scope } => self.resume(scope, by).await,
            Operation::EndUndo { scope } => self.end_undo(scope, by).await,
            Operation::Retry { name } => self.retry(name, by).await,
            Operation::Sweep { name } => self.sweep(name, by).await,
            Operation::EndWaiver { code } => self.end_waiver(code, by).await,
            Operation::Reload => self.reload(by).await,
            Operation::RunTask { name } => self.run_task(name, by).await,
            Operation::Undo { request, plan, reason } => {
                let by = DecidedBy { name: by.clone(), reason: reason.clone() };
                self.undo.undo(request, plan, by).await
            }
        };
        self.service.bell.notify_one();
        done
    }

    async fn plan_undo(&self, asked: &UndoRequest) -> Result<UndoPreview, DecisionRefusal> {
        self.undo.plan(asked).await
    }
}

impl PageOperations {
    pub(crate) fn new(service: Arc<Service>, driver: Driver, reloads: Reloads) -> Self {
        let (decisions, undo) = (PageDecisions::new(service.clone()), PageUndo::new(service.clone()));
        Self { service, driver, reloads, decisions, undo }
    }

    async fn pause(&self, scope: &ScopeRequest, time: Duration, by: &str) -> Done {
        check_length(time).map_err(|error| DecisionRefusal::Invalid(one_line(&error)))?;
        let (scope, now) = (self.scope(scope).await?, self.service.clock().now());
        let place = (self.service.config(), self.service.store.as_ref());
        let until = scope.pause(place, time, DecidedBy::without_reason(by), now).await;
        let until = until.map_err(|error| refusal(&error))?;
        Ok(one(format!("{} is paused until {until}; Beadle still stores webhooks", scope.name)))
    }

    async fn resume(&self, scope: &ScopeRequest, by: &str) -> Done {
        let (scope, now) = (self.scope(scope).await?, self.service.clock().now());
        let place = (self.service.config(), self.service.store.as_ref());
        let resumed = scope.resume(place, DecidedBy::without_reason(by), now).await;
        let resumed = resumed.map_err(|error| refusal(&error))?;
        if let Some(why) = resumed.why_still_paused(&scope.name) {
            return Err(DecisionRefusal::Conflict(why));
        }
        match resumed {
            Resumed::Ended { undone: 0 } => Ok(one(format!("{} is no longer paused", scope.name))),
            Resumed::Ended { undone } => {
                let count = counted(undone, "repository has", "repositories have");
                Ok(one(format!(
                    "{} is no longer paused; {count} undone values, which Beadle still only observes",
                    scope.name
                )))
            }
            Resumed::NotPaused | Resumed::OrganisationPaused { .. } => {
                Err(DecisionRefusal::Conflict(format!("{} is not paused", scope.name)))
            }
        }
    }

    async fn end_undo(&self, scope: &ScopeRequest, by: &str) -> Done {
        let (scope, now) = (self.scope(scope).await?, self.service.clock().now());
        let by = DecidedBy::without_reason(by);
        let ended = scope.end_undo(self.service.store.as_ref(), by, now).await;
        match ended.map_err(|error| refusal(&error))? {
            0 => Err(DecisionRefusal::Conflict(format!("no undo of {} is in force", scope.name))),
            count => {
                let repositories = counted(count, "repository", "repositories");
                Ok(one(format!("the policy applies to the undone values of {repositories} again")))
            }
        }
    }

    async fn retry(&self, name: &str, by: &str) -> Done {
        let (store, now) = (&self.service.store, self.service.clock().now());
        let keys = self.keys(name).await?;
        let (mut lines, by) = (Vec::new(), DecidedBy::without_reason(by));
        for key in &keys {
            let shown = retry(store.as_ref(), (key, name), &by, now).await;
            let shown = shown.map_err(|error| refusal(&error))?;
            lines.push(format!("{shown} is due now"));
        }
        Ok(OperationDone { done: lines, ..OperationDone::default() })
    }

    /// Returns the keys that match a name. If the store does not know the repository, asks GitHub.
    async fn keys(&self, name: &str) -> Result<Vec<Key>, DecisionRefusal> {
        let store = &self.service.store;
        let unknown = match keys_to_retry(self.service.config(), store, name).await {
            Ok(keys) => {
                let known = ensure_known(store.as_ref(), &keys).await;
                return known.map(|()| keys).map_err(|error| refusal(&error));
            }
            Err(error) => refusal(&error),
        };
        match self.scope(&ScopeRequest::Repository(name.to_owned())).await {
            Ok(found) => found.scope.parse::<Key>().map(|key| vec![key]).map_err(|_| unknown),
            Err(_) => Err(unknown),
        }
    }

    /// Marks the sweep of an organisation or directory as due.
    async fn sweep(&self, name: &str, by: &str) -> Done {
        let service = &self.service;
        let key = if let Some(org) = service.orgs.iter().find(|org| org.file.name == name) {
            let open = self.open(name)?;
            if org.is_first() {
                let why = format!("no policy of {name} is in force yet, so there is nothing to sweep");
                return Err(DecisionRefusal::Conflict(why));
            }
            let answer = open.reader.organisation_and_clock().await;
            let (about, _) = answer.map_err(|failure| DecisionRefusal::Unavailable(failure.text))?;
            let missing = || DecisionRefusal::Unavailable("GitHub's answer has no id".to_owned());
            Key::new("sweep", name, about["id"].as_u64().ok_or_else(missing)?)
        } else if service.config().file.okta.iter().any(|okta| okta.name == name) {
            Key::new("sweep", name, "groups")
        } else {
            let why = format!("the configuration has no organisation and no directory `{name}`");
            return Err(DecisionRefusal::NotFound(why));
        };
        let (shown, now) = (format!("the sweep of {name}"), service.clock().now());
        let by = DecidedBy::without_reason(by);
        let shown = retry(service.store.as_ref(), (&key, &shown), &by, now).await;
        Ok(one(format!("{} is due now", shown.map_err(|error| refusal(&error))?)))
    }

    async fn end_waiver(&self, code: &str, by: &str) -> Done {
        let (store, now) = (self.service.store.as_ref(), self.service.clock().now());
        for org in &self.service.orgs {
            let stored = waiving::to_end(store, &org.file, code).await;
            let Some(waiver) = stored.map_err(|error| unavailable(&error))? else { continue };
            let open = self.open(&org.file.name)?;
            let rows = covered(&open.reader, std::slice::from_ref(&waiver)).await;
            let rows = rows.map_err(|failure| DecisionRefusal::Unavailable(failure.text))?;
            let by = DecidedBy::without_reason(by);
            let ended = waiving::end(store, &org.file, (code, &waiver), (&rows, by), now).await;
            ended.map_err(|error| refusal(&error))?;
            let name = &org.file.name;
            return Ok(one(format!("waiver {code} of {name} ended: Beadle compares its keys again")));
        }
        let why = format!("no waiver `{code}` is stored; a waiver of the policy ends in `waivers.yml`");
        Err(DecisionRefusal::NotFound(why))
    }

    /// Returns an organisation, if it is open.
    fn open(&self, name: &str) -> Result<Arc<GithubOrganisation>, DecisionRefusal> {
        let served = self.service.orgs.iter().find(|served| served.file.name == name);
        served
            .and_then(|served| served.open())
            .ok_or_else(|| DecisionRefusal::Unavailable(format!("the organisation {name} is unavailable")))
    }

    async fn reload(&self, by: &str) -> Done {
        self.note("configuration", OperatorAction::Reloaded { reloaded: true, by: by.to_owned() }).await?;
        let keeps = |why: &str| {
            let why = why.replace('\n', "; ");
            DecisionRefusal::Conflict(format!("the service keeps the previous configuration: {why}"))
        };
        let answer = self.reloads.ask().await.map_err(|why| keeps(&why))?;
        let reloaded: ReloadResult =
            serde_json::from_value(answer).map_err(|error| keeps(&error.to_string()))?;
        Ok(OperationDone { done: reloaded.lines(), ..OperationDone::default() })
    }

    /// Records an action about the service itself in the journal.
    async fn note(&self, subject: &str, action: OperatorAction) -> Result<(), DecisionRefusal> {
        let at = self.service.clock().now();
        let entry = Entry::of_operator(action, ("-", subject), at);
        let stored = self.service.store.journal(None, vec![entry], at).await;
        stored.map(|_| ()).map_err(|error| unavailable(&error))
    }

    async fn run_task(&self, name: &str, by: &str) -> Done {
        let missing = || DecisionRefusal::NotFound(format!("there is no background task `{name}`"));
        if !self.driver.status().iter().any(|record| record.name == name) {
            return Err(missing());
        }
        self.note(name, OperatorAction::RanTask { ran_task: name.to_owned(), by: by.to_owned() }).await?;
        let record = tokio::select! {
            ran = self.driver.activate(name) => ran.map_err(|_| missing())?,
            () = self.service.stop.cancelled() => {
                let why = "the service stops, or it reads its configuration again: run the task again";
                return Err(DecisionRefusal::Unavailable(why.to_owned()));
            }
        };
        match (record.failure, record.last) {
            (Some(why), _) => {
                let why = why.lines().next().unwrap_or_default();
                Err(DecisionRefusal::Conflict(format!("{name} ran and failed: {why}")))
            }
            (None, Some(TaskStatus::Done(what))) => Ok(one(format!("{name} ran: {what}"))),
            (None, Some(TaskStatus::Unfinished(what))) => Ok(one(format!("{name} ran, unfinished: {what}"))),
            (None, Some(TaskStatus::Idle) | None) => Ok(one(format!("{name} ran, and had nothing to do"))),
        }
    }

    /// Finds the scope that a person's request specifies.
    async fn scope(&self, asked: &ScopeRequest) -> Result<PauseScope, DecisionRefusal> {
        let none = ScopeNames::default();
        let names = match asked {
            ScopeRequest::Organisation(name) => ScopeNames { org: Some(name.as_str()), ..none },
            ScopeRequest::Repository(name) if name.contains('/') => {
                ScopeNames { repo: Some(name.as_str()), ..none }
            }
            ScopeRequest::Repository(name) => {
                let why =
                    format!("the repository must be OWNER/NAME, such as `acme/widgets`, found `{name}`");
                return Err(DecisionRefusal::Invalid(why));
            }
            ScopeRequest::Target(name) => ScopeNames { target: Some(name.as_str()), ..none },
        };
        let (org, full_name, name) = match named(self.service.config(), names) {
            Ok(NamedScope::Instance(name)) => return Ok(PauseScope::of_instance(name)),
            Ok(NamedScope::Repository { org, full_name, name }) => (org, full_name, name),
            Err(error) => return Err(refusal(&error)),
        };
        let open = self.open(&org.name)?;
        let scope = PauseScope::of_repository(&open.reader, &open.file.name, (full_name, &name)).await;
        scope.map_err(|error| refusal(&error))
    }
}
