//! Background tasks: the work that a service repeats. Each task has its own file.
//!
//! Several processes can share a store. The third column shows which of these processes run the
//! task: only the process with the lease on the tasks (`one`), or all processes (`all`).
//!
//! | file | for each | runs in | what it does |
//! |---|---|---|---|
//! | `organisation_opening` | organisation | all | opens an organisation that could not be opened at the start |
//! | `own_login_lookup` | organisation | all | reads the login of the App, so that the intake recognises Beadle's own writes |
//! | `policy_reload` | organisation | all | starts to use a new generation of the policy |
//! | `budget_sharing` | organisation | all | shares the budget of the credential with other processes |
//! | `commit_state_check_run` | organisation | one | shows at each commit of the policy whether the policy is in force |
//! | `sweep_start` | organisation, directory | one | starts sweeps |
//! | `comment_approvals` | organisation | one | looks for comments that approve held changes |
//! | `sweep_summary_log` | organisation, directory | one | logs the summary of a sweep |
//! | `missed_webhooks` | App | one | finds webhooks that GitHub sent and Beadle did not accept |
//! | `target_opening` | target | all | compares the target with its configuration |
//! | `waiver_ends` | organisation | all | marks the repositories of a waiver as due when the waiver ends, and warns before the end |
//! | `token_expiry_warning` | target | all | warns before a token ends |
//! | `system_log_reading` | directory | one | reads the System Log for events that no hook delivered |
//! | `changed_groups` | directory | one | asks which groups have changed, because the System Log is incomplete |
//! | `declared_team_changes` | file of a policy | all | looks for changes of the teams and members that a policy declares |
//! | `installation_listing` | process | all | lists the App's installations, so that Beadle learns which organisations it must work on |
//! | `mappings_reload` | process | all | reads the mappings, and starts to use new ones |
//! | `limits_reload` | process | all | starts to use raised limits of the guard, if the gate lets the limits pass |
//! | `rest_answer_pruning` | process | one | deletes stored answers from GitHub that Beadle no longer reads |
//! | `control_record_pruning` | process | one | deletes records of controls that are older than the retention |
//! | `service_record_update` | process | all | stores what the process uses, for `beadle status` |
//! | `interrupted_deliveries` | process | one | finishes deliveries whose process ended before it marked their keys |
//! | `notifications` | process | one | sends notifications to the channels |
//! | `interrupted_writes` | process with a shared store | one | marks the keys of interrupted writes |
//! | `store_clock_check` | process with a shared store | all | compares the clock with the clock of the store |
//! | `secret_retries` | `beadle serve` | all | reads missing secrets from AWS |
//! | `metrics_update` | `beadle serve` | all | reads the condition of the organisations and targets for the metrics |
//! | `inbox_journal_pruning` | `beadle serve` | one | deletes records that are older than the retention |
//!
//! While a task waits for a vendor, the task locks no other organisation, directory or target. So
//! the tasks that use other vendors continue.

mod budget_sharing;
mod changed_groups;
mod comment_approvals;
mod commit_state_check_run;
mod control_record_pruning;
mod declared_team_changes;
mod inbox_journal_pruning;
mod installation_listing;
mod interrupted_deliveries;
mod interrupted_writes;
mod limits_reload;
mod mappings_reload;
mod metrics_update;
mod missed_webhooks;
mod notifications;
mod organisation_opening;
mod own_login_lookup;
mod policy_reload;
mod rest_answer_pruning;
mod secret_retries;
mod service_record_update;
mod store_clock_check;
mod sweep_start;
mod sweep_summary_log;
mod system_log_reading;
mod target_opening;
mod token_expiry_warning;
mod waiver_ends;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{BackgroundTask, Class, Driver, Failure, StoreError};

use crate::app::organisations::served_organisation::ServedOrganisation;
use crate::app::service::Service;
use crate::app::store;

#[cfg(feature = "aws")]
pub(crate) use budget_sharing::is_shared_budget;
pub(crate) use interrupted_writes::recover_interrupted_writes;
pub(crate) use sweep_start::other_modes;
pub(crate) use target_opening::is_target_probe;

/// The period of the tasks that only check whether there is work.
const LOOK: Duration = Duration::from_secs(10);
/// The timeout for each run of the tasks that use only the store and the disk.
const LOCAL: Duration = Duration::from_secs(60);
/// The timeout for each run of the tasks that send requests to a vendor.
const REMOTE: Duration = Duration::from_secs(300);

/// The kind of process that runs the tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// `beadle serve`.
    Service,
    /// The worker function on AWS. The function has fewer tasks, because DynamoDB itself deletes
    /// old items. The function does some work without a task: it reads its secrets again, and
    /// writes the figures for the alarms.
    #[cfg(feature = "aws")]
    Function,
}

/// Returns a driver that runs every task that the configuration needs.
pub(crate) fn driver(service: &Arc<Service>, host: Host) -> Driver {
    let driver = Driver::new(service.store.clone(), service.clock().clone(), all(service, host));
    driver.sharing(service.task_lease())
}

fn all(service: &Arc<Service>, host: Host) -> Vec<Arc<dyn BackgroundTask>> {
    let mut all: Vec<Arc<dyn BackgroundTask>> = vec![
        Arc::new(limits_reload::LimitsReload::new(service.clone())),
        Arc::new(interrupted_deliveries::InterruptedDeliveries(service.clone())),
        Arc::new(rest_answer_pruning::RestAnswerPruning(service.clone())),
        Arc::new(control_record_pruning::ControlRecordPruning(service.clone())),
        Arc::new(service_record_update::Record::new(service.clone())),
    ];
    match host {
        Host::Service => {
            all.push(Arc::new(secret_retries::Secrets(service.clone())));
            all.push(Arc::new(inbox_journal_pruning::Pruning(service.clone())));
            all.push(Arc::new(metrics_update::ConditionMetrics(service.clone())));
            all.push(Arc::new(interrupted_writes::InterruptedWrites(service.clone())));
            if store::is_shared(&service.config().place) {
                all.push(Arc::new(store_clock_check::StoreClock(service.clone())));
            }
        }
        #[cfg(feature = "aws")]
        Host::Function => all.push(Arc::new(interrupted_writes::InterruptedWrites(service.clone()))),
    }
    let mut apps: BTreeMap<u64, Vec<Arc<ServedOrganisation>>> = BTreeMap::new();
    for org in &service.orgs {
        let of = || (service.clone(), org.clone());
        all.push(Arc::new(organisation_opening::Opening(of())));
        all.push(Arc::new(own_login_lookup::OwnLogin::new(of())));
        all.push(Arc::new(policy_reload::PolicyReload::new(of(), host == Host::Service)));
        all.push(Arc::new(budget_sharing::SharedBudget(org.clone())));
        all.push(Arc::new(sweep_start::Repositories(of())));
        all.push(Arc::new(sweep_summary_log::Repositories(of())));
        all.push(Arc::new(waiver_ends::WaiverEnds(of())));
        if org.file.approve_by_comment.is_some() {
            all.push(Arc::new(comment_approvals::CommentApprovals(of())));
        }
        if org.file.commit_check {
            all.push(Arc::new(commit_state_check_run::CommitCheck(of())));
        }
        if let Some(app) = &org.file.app {
            apps.entry(app.id).or_default().push(org.clone());
        }
    }
    if service.config().file.installations.is_some() {
        all.push(Arc::new(installation_listing::Installations(service.clone())));
    }
    for (app, orgs) in apps {
        all.push(Arc::new(missed_webhooks::MissedWebhooks { service: service.clone(), app, orgs }));
    }
    for target in service.directories.targets.values() {
        all.push(Arc::new(target_opening::TargetProbe::new(service.clone(), target.clone())));
        all.push(Arc::new(token_expiry_warning::TokenExpiry::new(service.clone(), target.clone())));
    }
    for (file, okta) in &service.directories.okta {
        let directory = Directory { service: service.clone(), file: file.clone(), okta: okta.clone() };
        all.push(Arc::new(sweep_start::Groups(directory.clone())));
        all.push(Arc::new(sweep_summary_log::Groups(directory.clone())));
        all.push(Arc::new(system_log_reading::SystemLog(directory.clone())));
        all.push(Arc::new(changed_groups::ChangedGroups(directory)));
    }
    for (name, of) in &service.directories.team_files {
        let (service, name, of) = (service.clone(), name.clone(), of.clone());
        let seen = parking_lot::Mutex::default();
        all.push(Arc::new(declared_team_changes::DeclaredTeamChanges { service, name, of, seen }));
    }
    if !service.config().file.notify.is_empty() {
        all.push(Arc::new(notifications::Notifications::new(service.clone())));
    }
    if !service.config().file.target.is_empty() {
        all.push(Arc::new(mappings_reload::MappingsReload::new(service.clone())));
    }
    all
}

/// A directory together with the service.
#[derive(Clone)]
struct Directory {
    service: Arc<Service>,
    file: Arc<crate::config::Okta>,
    okta: beadle_okta::Okta,
}

impl Directory {
    fn catchup(&self) -> beadle_groups::sources::Catchup {
        crate::app::connections::okta::catchup(&self.okta, &self.service.store, self.service.clock())
    }

    /// Returns the period of the tasks that only check whether there is work. If `log_every` is
    /// shorter, the period is `log_every`.
    fn look(&self) -> Duration {
        Duration::from(self.file.log_every).clamp(Duration::from_millis(100), LOOK)
    }
}

/// Converts an error to the failure of a task. If the cause of the error is a [`Failure`], that
/// failure decides when the task runs next.
fn failed(error: impl Into<anyhow::Error>) -> Failure {
    let error = error.into();
    let of_store = || Some(Failure::from(error.downcast_ref::<StoreError>()?.clone()).class);
    let class = error.downcast_ref::<Failure>().map(|failure| failure.class).or_else(of_store);
    let class = class.unwrap_or(Class::Retry);
    Failure::new(class, format!("{error:#}"))
}
