//! The parts that a process needs to work on keys. The process is `beadle serve`, or the worker
//! function on AWS. The files of this folder find the reconciler of a key, stop runs with an
//! outdated generation, and report the condition of the service.

pub(super) mod generation_fence;
pub(crate) mod last_sweep_generation;
pub(crate) mod metric_values;
mod other_accepted_generation;
pub(crate) mod reconciler_registry;
pub(crate) mod record;
#[cfg(test)]
pub(crate) mod testing;

use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use beadle_engine::{Budgets, Clock, Reconcile, Store, StoreError, TaskLease, Time, Worker, WorkerSettings};
use beadle_github::Reader;
use beadle_hooks::github::OrgFacts;
use beadle_server::Metrics;
use futures::future::join_all;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::app::application::App;
use crate::app::gate::generation_holds;
use crate::app::groups::accepted_mappings;
use crate::app::groups::directories_and_targets::Directories;
use crate::app::groups::target::GroupTarget;
use crate::app::operations::pausing;
use crate::app::organisations::installations::Installations;
use crate::app::organisations::open_organisation::GithubOrganisation;
use crate::app::organisations::served_organisation::ServedOrganisation;
use crate::app::policy::mappings as policy_mappings;
use crate::app::policy::pull_request_check_opening;
use crate::app::service::reconciler_registry::ReconcilerRegistry;
use crate::app::service::record::ServiceRecord;
use crate::config::Config;

/// At its start, `beadle serve` waits at most this time for an organisation to open. A large policy
/// on a slow file system takes a long time to read.
const OPENING: Duration = Duration::from_secs(15);
/// The maximum time that a stopping process waits for the store to delete the record of this
/// process.
const LEAVING: Duration = Duration::from_secs(1);

/// The application, and the further parts that the worker and the background tasks share. While
/// Beadle waits for a vendor or a file system, it locks at most one organisation. So the work on
/// other organisations can continue.
pub(crate) struct Service {
    pub(crate) app: Arc<App>,
    pub(crate) store: Arc<dyn Store>,
    /// Wakes the worker when a key is due.
    pub(crate) bell: Arc<Notify>,
    /// The budgets of all credentials that are in use, for the metrics.
    pub(crate) budgets: Arc<RwLock<Vec<Budgets>>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) orgs: Vec<Arc<ServedOrganisation>>,
    pub(crate) directories: Arc<Directories>,
    /// Stops the work with this configuration.
    pub(crate) stop: CancellationToken,
    /// The name of this process in the store. Each process gets a new name.
    pub(crate) process: String,
    /// The time at which the process began to use its configuration.
    pub(crate) started: Time,
    /// The time at which the process started. A reload does not change this time.
    pub(crate) process_started: Time,
    /// The installations of the App in `[installations]`.
    pub(crate) installations: Installations,
    reconcilers: ReconcilerRegistry,
    /// The lease on the work that only one process does at a time. There is no lease if no other
    /// process uses the store. A function on AWS does not have a lease either, because a schedule
    /// starts its tasks.
    lease: OnceLock<Arc<TaskLease>>,
    /// The names of the targets whose last probe agreed with the configuration.
    agreed: Mutex<BTreeSet<String>>,
    /// True if the service has started to use the last accepted mappings of the configuration.
    has_mappings: AtomicBool,
}

impl Service {
    /// Creates a service. Sends no request. `hold` is the shortest and the longest time that a key
    /// waits while its instance is not open. `process_started` is the time at which the process
    /// started.
    pub(crate) fn new(
        app: Arc<App>,
        store: Arc<dyn Store>,
        directories: Directories,
        hold: &RangeInclusive<Duration>,
        process_started: Time,
    ) -> Arc<Self> {
        let reconcilers = ReconcilerRegistry::new(&app.config, hold, &app.clock);
        for (file, _) in &directories.okta {
            reconcilers.add_directory(&file.name, &directories, &store, &app.clock);
        }
        for name in directories.team_files.keys() {
            reconcilers.add_directory(name, &directories, &store, &app.clock);
        }
        for org in &app.config.file.org {
            reconcilers.add_teams(&org.name, &directories, &store, &app.clock);
        }
        let started = app.clock.now();
        Arc::new(Self {
            orgs: app.config.file.org.iter().map(ServedOrganisation::new).collect(),
            app,
            store,
            bell: Arc::default(),
            reconcilers,
            budgets: Arc::new(RwLock::new(directories.budgets())),
            metrics: Arc::default(),
            directories: Arc::new(directories),
            process: format!("{:016x}", rand::random::<u64>()),
            started,
            process_started,
            installations: Installations::default(),
            stop: CancellationToken::new(),
            lease: OnceLock::new(),
            agreed: Mutex::default(),
            has_mappings: AtomicBool::default(),
        })
    }

    /// Shares the work with the other processes that use the store. The caller calls this method
    /// before the first organisation opens.
    pub(crate) fn share(&self) {
        self.reconcilers.share();
        self.lease.get_or_init(|| {
            Arc::new(TaskLease::new(self.store.clone(), self.clock().clone(), &self.process))
        });
    }

    /// Returns the lease on the tasks that only one process runs.
    pub(crate) fn task_lease(&self) -> Option<Arc<TaskLease>> {
        self.lease.get().cloned()
    }

    /// Returns whether this process does the work that only one process does. For example, only one
    /// process plans a new generation for the gate.
    pub(crate) fn is_chosen(&self) -> bool {
        self.lease.get().is_none_or(|lease| lease.is_held())
    }

    /// Returns the configuration.
    pub(crate) fn config(&self) -> &Config {
        &self.app.config
    }

    /// Returns the clock.
    pub(crate) fn clock(&self) -> &Clock {
        &self.app.clock
    }

    /// Returns the facts that the intake needs about each organisation, keyed by the organisation's
    /// name.
    pub(crate) fn org_facts(&self) -> HashMap<&str, OrgFacts> {
        self.orgs.iter().map(|org| (org.file.name.as_str(), org.known.clone())).collect()
    }

    /// Returns the budget of each credential, with the name of its organisation, directory or
    /// target. The list also has the budgets of organisations that are not open. For example, an
    /// organisation cannot open if GitHub denies the credential that Beadle needs to read the
    /// policy's repository. A credential whose secret is missing is not in the list.
    pub(crate) fn credentials(&self) -> Vec<(String, Budgets)> {
        let of_org = |org: &Arc<ServedOrganisation>| {
            let (api, _) = self.app.client_of(&org.file).ok()?;
            Some((org.file.name.clone(), api.budgets().clone()))
        };
        let orgs = self.orgs.iter().filter_map(of_org);
        orgs.chain(self.directories.credentials()).collect()
    }

    /// Returns the worker, with as many concurrent runs as the configuration allows.
    pub(crate) fn worker(&self) -> Arc<Worker> {
        let file = &self.config().file;
        Arc::new(Worker {
            store: self.store.clone(),
            clock: self.clock().clone(),
            reconcilers: self.reconcilers.by_kind(),
            settings: WorkerSettings {
                concurrency: file.worker.concurrency.max(1),
                are_runs_shared: file.org.len() + file.okta.len() + file.target.len() > 1,
                ..WorkerSettings::default()
            },
            bell: self.bell.clone(),
            counts: Arc::default(),
        })
    }

    /// Opens an organisation if it is not open yet. Returns `true` if this call opened the
    /// organisation.
    pub(crate) async fn open(&self, org: &ServedOrganisation) -> anyhow::Result<bool> {
        let begin = |opened: &GithubOrganisation| self.reconcilers.add(opened, &self.store, self.clock());
        let is_chosen = self.lease.get().is_some_and(|lease| lease.is_held());
        let is_new = org.open_now(&self.app, is_chosen, begin).await?;
        if let Some(opened) = org.open().filter(|_| is_new) {
            self.reconcilers.add_dispatch(&opened, &self.store, self.clock());
            let check =
                pull_request_check_opening::reconciler(&self.app, &opened, &self.directories, &self.store);
            self.reconcilers.add_check(&opened, check);
            let mut budgets = self.budgets.write();
            budgets.push(opened.api.budgets().clone());
        }
        self.follow_mappings(org).await?;
        Ok(is_new)
    }

    /// Starts to use the mappings of an organisation's policy, if they are not in force yet.
    pub(crate) async fn follow_mappings(&self, org: &ServedOrganisation) -> Result<(), StoreError> {
        policy_mappings::follow(self.config(), &self.directories, org, self.store.as_ref()).await
    }

    /// Begins to process the key of an organisation's policy. If the configuration names an
    /// organisation that Beadle cannot connect to, the runs of the key fail with the reason.
    pub(crate) fn begin_policy(&self, org: &ServedOrganisation, reconciler: Arc<dyn Reconcile>) {
        let readers = self.app.policy_readers(&org.file).unwrap_or_default();
        let readers: Vec<&Reader> = readers.iter().collect();
        self.reconcilers.add_policy(&org.file.name, &readers, reconciler);
    }

    /// Begins to process the key of the App's installations.
    pub(crate) fn begin_installations(&self, reconciler: Arc<dyn Reconcile>) {
        self.reconcilers.add_installations(reconciler);
    }

    /// Begins to work on the keys of an open organisation, if the worker does not work on them yet.
    pub(super) fn begin(&self, org: &ServedOrganisation, opened: &GithubOrganisation) {
        if org.begins() {
            self.reconcilers.add(opened, &self.store, self.clock());
            self.bell.notify_one();
        }
    }

    /// Opens all organisations at the same time. Returns no errors. If Beadle cannot open an
    /// organisation, a background task logs the error and retries.
    pub(crate) async fn open_all(&self) {
        if let Err(error) = self.follow_accepted_mappings().await
            && !self.has_mappings.load(Ordering::SeqCst)
        {
            // The task that reads the mappings repeats this step.
            tracing::warn!(%error, "last accepted mappings unknown, groups wait");
            accepted_mappings::begin_without(self.config(), &self.directories);
        }
        self.end_unknown_holds().await;
        let now = self.clock().now();
        if let Err(error) = pausing::pause_new_targets(self.config(), self.store.as_ref(), now).await {
            tracing::error!(
                error = format!("{error:#}"),
                "pauses unknown, the teams of a paused organisation are possibly not paused"
            );
        }
        policy_mappings::await_all(self.config(), &self.directories, &self.orgs, self.store.as_ref()).await;
        let opening = self.orgs.iter().map(|org| async move {
            let organisation = &org.file.name;
            match tokio::time::timeout(OPENING, self.open(org)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    tracing::debug!(
                        organisation,
                        error = format!("{error:#}"),
                        "organisation unavailable, a background task retries"
                    );
                }
                Err(_) => tracing::debug!(
                    organisation,
                    "organisation did not open in time, a background task retries"
                ),
            }
        });
        join_all(opening).await;
    }

    /// Ends the holds of organisations and targets that are no longer in the configuration. If the
    /// store fails, the next start ends these holds.
    async fn end_unknown_holds(&self) {
        let file = &self.config().file;
        let is_known = |name: &str| {
            file.org.iter().any(|org| org.name == name)
                || file.target.iter().any(|target| target.name == name)
        };
        let ended = generation_holds::end_unknown(self.store.as_ref(), &is_known, self.clock().now()).await;
        if let Err(error) = ended {
            tracing::warn!(%error, "holds of removed organisations and targets not ended");
        }
    }

    /// Starts to use the accepted mappings of the configuration.
    pub(crate) async fn follow_accepted_mappings(&self) -> Result<(), StoreError> {
        let (directories, store) = (self.directories.as_ref(), self.store.as_ref());
        let is_first = !self.has_mappings.load(Ordering::SeqCst);
        accepted_mappings::follow(self.config(), directories, store, is_first).await?;
        self.has_mappings.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Returns whether the last probe of the target agreed with the configuration.
    pub(crate) fn has_agreed(&self, target: &str) -> bool {
        self.agreed.lock().contains(target)
    }

    /// Begins to work on the keys of a target.
    pub(crate) fn begin_target(&self, target: &GroupTarget) {
        self.reconcilers.add_target(target, &self.directories, &self.store, self.clock());
        self.agreed.lock().insert(target.file.name.clone());
        self.bell.notify_one();
    }

    /// Returns whether every organisation, directory and target of the configuration is open.
    #[cfg(feature = "aws")]
    pub(crate) fn is_open(&self) -> bool {
        let Directories { okta, targets, .. } = self.directories.as_ref();
        let file = &self.config().file;
        let are_open = okta.len() == file.okta.len() && targets.len() == file.target.len();
        are_open && self.orgs.iter().all(|org| org.open().is_some())
    }

    /// Tells the other processes that this process stops and no longer uses any budget.
    pub(crate) async fn leave(&self) {
        let note = ServiceRecord::note(&self.process);
        let left = tokio::time::timeout(LEAVING, note.forget(self.store.as_ref())).await;
        if !matches!(left, Ok(Ok(()))) {
            tracing::debug!("record of this service not deleted in the store, it becomes outdated");
        }
        join_all(self.orgs.iter().map(|org| org.leave_share())).await;
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Key, Lane, Lease, Run};

    use super::*;

    #[tokio::test]
    async fn the_worker_runs_the_keys_of_a_target_after_the_target_begins() {
        let second = Duration::from_secs(1);
        let (_folder, service) = testing::service("", second);
        let worker = service.worker();
        // The planner refuses this key before it sends a request.
        let key = Key::new(beadle_groups::mark::KIND, "aws", "1");
        let lease = Lease { key, epoch: 1, until: Time(i64::MAX) };
        let run = Run { lease, lane: Lane::Event, hint: None, since: Time(0) };
        let reconciler = &worker.reconcilers[beadle_groups::mark::KIND];
        let early = reconciler.reconcile(&run).await.unwrap_err().text;
        assert!(early.contains("aws is not available yet"), "{early}");
        assert!(!service.has_agreed("aws"));
        service.begin_target(&service.directories.targets["aws"]);
        let planned = reconciler.reconcile(&run).await.unwrap_err().text;
        assert!(planned.contains("invalid group `1`"), "{planned}");
        assert!(service.has_agreed("aws"));
        tokio::time::timeout(second, service.bell.notified()).await.expect("the worker wakes");
    }
}
