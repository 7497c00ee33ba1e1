//! The parts of a process that works on keys: `beadle serve`, or the worker function on AWS.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use beadle_engine::{Budgets, Clock, Driver, Store, Worker, WorkerSettings};
use beadle_hooks::github::OrgFacts;
use beadle_repositories::Policy;
use beadle_server::Metrics;
use futures::future::join_all;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::app::budget_share::BudgetShare;
use crate::app::directory::Directories;
use crate::app::reading::Reading;
use crate::app::registry::ReconcilerRegistry;
use crate::app::wiring::{self, GithubClients, OpenOptions, Org};
use crate::config::{self, Config};

/// What is said of an organisation that could not be opened.
const NOT_OPEN: &str = "it is not worked on until this is mended; webhooks are kept";

/// The start waits no longer for an organisation: a large policy on a slow file system.
const OPENING: Duration = Duration::from_secs(15);

/// Everything that the worker and the background tasks share.
pub(crate) struct Service {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
    /// Rings when a key became due.
    pub(crate) bell: Arc<Notify>,
    pub(crate) reconcilers: ReconcilerRegistry,
    /// The budgets of all credentials that are in use, for the metrics.
    pub(crate) budgets: Arc<RwLock<Vec<Budgets>>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) orgs: Vec<Arc<Organisation>>,
    pub(crate) directories: Arc<Directories>,
    /// Targets that turned out to be what the configuration calls them.
    agreed: Mutex<BTreeSet<String>>,
    clients: Arc<GithubClients>,
    stop: CancellationToken,
}

/// An organisation of the configuration, open or not.
pub(crate) struct Organisation {
    pub(crate) file: Arc<config::OrgConfig>,
    /// What the intake has to know of it.
    pub(crate) known: OrgFacts,
    open: RwLock<Option<Arc<Org>>>,
    /// Reads the files of its policy.
    reading: tokio::sync::Mutex<Reading>,
    /// The process' part of its budget.
    shared: tokio::sync::Mutex<Option<BudgetShare>>,
}

impl Organisation {
    fn new(file: &Arc<config::OrgConfig>) -> Arc<Self> {
        let (file, known) = (file.clone(), OrgFacts::default());
        Arc::new(Self {
            file,
            known,
            open: RwLock::default(),
            reading: tokio::sync::Mutex::default(),
            shared: tokio::sync::Mutex::default(),
        })
    }

    /// Its parts, if it is open.
    pub(crate) fn open(&self) -> Option<Arc<Org>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads its policy anew.
    pub(crate) async fn read_policy(&self, config: &Config) -> anyhow::Result<Policy> {
        let mut reading = self.reading.lock().await;
        wiring::policy(config, &self.file, &mut reading).await
    }

    /// Says which policy is in force.
    pub(crate) fn policy_in_force(&self, org: &Org) {
        let policy = org.policy.current();
        self.known.watch(policy.branches());
        for remark in &policy.remarks {
            tracing::warn!(organisation = self.file.name, at = %remark.asked, "{}", remark.message);
        }
        tracing::info!(organisation = self.file.name, mode = %self.file.mode, generation = policy.generation, "policy in force");
    }
}

/// What a service is made of.
pub(crate) struct Parts {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
    pub(crate) reconcilers: ReconcilerRegistry,
    pub(crate) directories: Directories,
    pub(crate) clients: Arc<GithubClients>,
    pub(crate) stop: CancellationToken,
}

impl Service {
    /// Puts a service together. Nothing is asked of the network.
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let Parts { config, store, clock, reconcilers, directories, clients, stop } = parts;
        let budgets = directories.budgets();
        for (file, _) in &directories.okta {
            reconcilers.add_directory(&file.name, &directories, &store, &clock);
        }
        for org in &config.file.org {
            reconcilers.add_teams(&org.name, &directories, &store, &clock);
        }
        Arc::new(Self {
            orgs: config.file.org.iter().map(Organisation::new).collect(),
            config,
            store,
            clock,
            bell: Arc::default(),
            reconcilers,
            budgets: Arc::new(RwLock::new(budgets)),
            metrics: Arc::default(),
            directories: Arc::new(directories),
            agreed: Mutex::default(),
            clients,
            stop,
        })
    }

    /// The worker, with as many runs at once as the configuration says.
    pub(crate) fn worker(&self) -> Arc<Worker> {
        Arc::new(Worker {
            store: self.store.clone(),
            clock: self.clock.clone(),
            reconcilers: self.reconcilers.by_kind(),
            settings: WorkerSettings {
                concurrency: self.config.file.worker.concurrency.max(1),
                ..WorkerSettings::default()
            },
            bell: self.bell.clone(),
            counts: Arc::default(),
        })
    }

    /// Opens an organisation, if it is not open and can be. Returns whether it was opened now.
    pub(crate) async fn open(&self, org: &Organisation) -> anyhow::Result<bool> {
        // Two who open it at once would be two parts of the budget.
        let mut shared = org.shared.lock().await;
        if org.open().is_some() {
            return Ok(false);
        }
        let options = OpenOptions { store: Some(self.store.clone()), ..OpenOptions::default() };
        let policy = org.read_policy(&self.config).await.context(NOT_OPEN)?;
        let opened = Org::with(policy, &self.config, &org.file, &self.clock, &options, &self.clients);
        let opened = Arc::new(opened.context(NOT_OPEN)?);
        org.policy_in_force(&opened);
        // Before its first call: how much the others have spent.
        *shared =
            Some(BudgetShare::begin(&org.file, (&opened.api, &opened.pace), &self.store, &self.stop).await);
        let mut budgets = self.budgets.write().unwrap_or_else(PoisonError::into_inner);
        budgets.push(opened.api.budgets().clone());
        drop(budgets);
        self.reconcilers.add(&opened, &self.store, &self.clock);
        *org.open.write().unwrap_or_else(PoisonError::into_inner) = Some(opened);
        Ok(true)
    }

    /// Opens every organisation that can be opened, side by side. The task of the others says why
    /// not, and tries again.
    pub(crate) async fn open_all(&self) {
        let opening = self.orgs.iter().map(|org| async move {
            match tokio::time::timeout(OPENING, self.open(org)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    tracing::debug!(organisation = org.file.name, error = format!("{error:#}"), "not open");
                }
                Err(_) => tracing::debug!(organisation = org.file.name, "not open yet"),
            }
        });
        join_all(opening).await;
    }

    /// Returns whether a target turned out to be what the configuration calls it.
    pub(crate) fn has_agreed(&self, target: &str) -> bool {
        self.agreed.lock().unwrap_or_else(PoisonError::into_inner).contains(target)
    }

    /// From now on the keys of a target are worked on.
    pub(crate) fn agrees(&self, target: &crate::app::directory::GroupTarget) {
        self.reconcilers.add_target(target, &self.store, &self.clock);
        self.agreed.lock().unwrap_or_else(PoisonError::into_inner).insert(target.file.name.clone());
        self.bell.notify_one();
    }

    /// Returns whether every organisation, directory and target of the configuration is open.
    #[cfg(feature = "aws")]
    pub(crate) fn is_open(&self) -> bool {
        let Directories { okta, targets, .. } = self.directories.as_ref();
        let file = &self.config.file;
        let are_open = okta.len() == file.okta.len() && targets.len() == file.target.len();
        are_open && self.orgs.iter().all(|org| org.open().is_some())
    }

    /// The background tasks of this service.
    pub(crate) fn driver(self: &Arc<Self>, host: crate::tasks::Host) -> Driver {
        Driver::new(self.store.clone(), self.clock.clone(), crate::tasks::all(self, host))
    }

    /// The process stops: its parts of the budgets are for others.
    pub(crate) async fn leave(&self) {
        for org in &self.orgs {
            if let Some(shared) = org.shared.lock().await.take() {
                shared.end().await;
            }
        }
    }
}
