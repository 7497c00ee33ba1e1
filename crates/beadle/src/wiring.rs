//! Puts the parts together as the configuration says.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use beadle_engine::worker::{Reconcile, Run};
use beadle_engine::{Budgets, Clock, Failure, Reconciler, Report, Store, Timing};
use beadle_github::{Api, Credential, Endpoint, Reader, Writer};
use beadle_hooks::github::Sender;
use beadle_repositories::{Policy, PolicyHandle, RepositoryPlanner, RepositoryWriter, Sweep};
use beadle_store_sqlite::{Settings as StoreSettings, SqliteStore};

use crate::config::Config;

/// One organisation, ready to work.
pub(crate) struct Org<'a> {
    pub(crate) file: &'a crate::config::Org,
    pub(crate) policy: PolicyHandle,
    pub(crate) api: Api,
    pub(crate) reader: Reader,
}

impl<'a> Org<'a> {
    /// Reads its policy and secrets, and makes its way to GitHub. Nothing is asked of the network yet.
    pub(crate) fn open(config: &Config, file: &'a crate::config::Org, clock: &Clock) -> anyhow::Result<Self> {
        let policy = Policy::load(&config.base.join(&file.policy), &file.policy_repository)?;
        let what = format!("the credential of {}", file.name);
        let credential = match (&file.app, &file.token) {
            (Some(app), _) => {
                let key = config.secret(&app.key, &what)?;
                Credential::app(app.id, &key, app.installation).context(what)?
            }
            (None, Some(token)) => Credential::Token(config.secret(token, &what)?),
            (None, None) => anyhow::bail!("{what}: none is configured"),
        };
        let settings = beadle_transport::Settings {
            concurrency: file.budget.concurrency.max(1),
            window: file.budget.minute.into(),
            ..beadle_transport::Settings::default()
        };
        let budgets = Budgets::new(&file.name, file.budget.reserve.min(90));
        let api = Api::new(&Endpoint::new(&file.api), &file.name, credential, budgets, clock, settings)
            .map_err(anyhow::Error::msg)?;
        let reader = Reader::new(api.clone(), policy.asks());
        Ok(Self { file, policy: PolicyHandle::new(policy), api, reader })
    }

    pub(crate) fn planner(&self) -> RepositoryPlanner {
        RepositoryPlanner::new(self.reader.clone(), self.policy.clone(), self.file.modes())
    }

    pub(crate) fn writer(&self) -> RepositoryWriter {
        RepositoryWriter::new(Writer::new(self.api.clone()), self.reader.clone())
    }

    /// What reconciles its repositories, and its sweeps.
    fn reconcilers(&self, store: &Arc<dyn Store>, clock: &Clock) -> (Arc<dyn Reconcile>, Arc<dyn Reconcile>) {
        let repositories = Reconciler {
            planner: self.planner(),
            writer: self.writer(),
            store: store.clone(),
            clock: clock.clone(),
            limits: self.file.limits(),
        };
        let sweep = Sweep {
            reader: self.reader.clone(),
            store: store.clone(),
            clock: clock.clone(),
            policy: self.policy.clone(),
        };
        (Arc::new(repositories), Arc::new(sweep))
    }
}

/// Opens the store.
pub(crate) fn store(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    let settings = StoreSettings {
        max_bytes: config.file.store.max_mib.map(|mib| mib * 1024 * 1024),
        timing: Timing { lease: config.file.worker.lease.into(), ..Timing::default() },
        ..StoreSettings::default()
    };
    Ok(Arc::new(SqliteStore::open(&config.database(), settings)?))
}

/// Who may send webhooks.
pub(crate) fn senders(config: &Config) -> anyhow::Result<Vec<Sender>> {
    let mut senders = Vec::new();
    for org in &config.file.org {
        let what = format!("the webhook secret of {}", org.name);
        let secrets = org.webhook_secrets.iter().map(|reference| config.secret(reference, &what));
        senders.push(Sender {
            instance: org.name.clone(),
            login: org.name.clone(),
            app_id: org.app.as_ref().map(|app| app.id),
            secrets: secrets.collect::<anyhow::Result<_>>()?,
        });
    }
    Ok(senders)
}

/// Hands a key to the reconciler of its organisation.
struct ByInstance(HashMap<String, Arc<dyn Reconcile>>);

#[async_trait]
impl Reconcile for ByInstance {
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        let instance = run.lease.key.instance();
        if let Some(reconciler) = self.0.get(instance) {
            reconciler.reconcile(run).await
        } else {
            let text = format!("the organisation {instance} is no longer in the configuration");
            Err(Failure::new(beadle_engine::Class::Rejected, text))
        }
    }
}

/// What reconciles each kind of key.
pub(crate) fn reconcilers(
    orgs: &[Org<'_>],
    store: &Arc<dyn Store>,
    clock: &Clock,
) -> HashMap<&'static str, Arc<dyn Reconcile>> {
    let (mut repositories, mut sweeps) = (HashMap::new(), HashMap::new());
    for org in orgs {
        let (repository, sweep) = org.reconcilers(store, clock);
        repositories.insert(org.file.name.clone(), repository);
        sweeps.insert(org.file.name.clone(), sweep);
    }
    let by_instance = |reconcilers| Arc::new(ByInstance(reconcilers)) as Arc<dyn Reconcile>;
    HashMap::from([("repository", by_instance(repositories)), ("organisation", by_instance(sweeps))])
}
