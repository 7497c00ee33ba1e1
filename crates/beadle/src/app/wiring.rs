//! Puts the parts together as the configuration says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use beadle_engine::transfer::is_unfinished;
use beadle_engine::worker::Reconcile;
use beadle_engine::{Budgets, Clock, Reconciler, Store, Timing, WritePace};
use beadle_github::{Api, Credential, Endpoint, Reader, Writer};
use beadle_hooks::github::{OrgFacts, Sender};
use beadle_repositories::{
    Dispatch, Policy, PolicyHandle, RepositoryPlanner, RepositoryWriter, Secrets, Sweep,
};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use tokio_util::sync::CancellationToken;

use crate::app::budget_share::BudgetShare;
use crate::app::reading::Reading;
use crate::app::store_location::StoreLocation;
use crate::config::{self, Config};

/// GitHub takes 100 requests at once, of everybody who uses a credential.
const MOST_AT_ONCE: usize = 90;

/// One organisation, ready to work.
pub(crate) struct Org {
    pub(crate) file: Arc<crate::config::OrgConfig>,
    pub(crate) policy: PolicyHandle,
    pub(crate) api: Api,
    pub(crate) reader: Reader,
    /// The turns of its bulk writes.
    pub(crate) pace: WritePace,
    /// What the policy may name.
    secrets: Secrets,
}

/// The ways to organisations that are in use: whoever needs one shares its budget, and the turns of its bulk writes.
#[derive(Default)]
pub(crate) struct GithubClients(Mutex<HashMap<String, (Api, WritePace)>>);

impl GithubClients {
    /// The way to an organisation. Nothing is asked of the network yet.
    pub(crate) fn to(
        &self,
        config: &Config,
        file: &crate::config::OrgConfig,
        clock: &Clock,
        opening: &OpenOptions,
    ) -> anyhow::Result<(Api, WritePace)> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&file.name) {
            return Ok(client.clone());
        }
        let what = format!("the credential of {}", file.name);
        let credential = match (&file.app, &file.token) {
            (Some(app), _) => {
                let key = config.signing_key(&app.key, &what)?;
                Credential::App { id: app.id, key, installation: app.installation }
            }
            (None, Some(token)) => Credential::Token(config.secret(token, &what)?),
            (None, None) => anyhow::bail!("{what}: none is configured"),
        };
        let whole = beadle_transport::ClientSettings::default();
        let part = |points: u32| points / u32::try_from(opening.parts).unwrap_or(u32::MAX).max(1);
        let share = MOST_AT_ONCE / usize::try_from(opening.parts).unwrap_or(usize::MAX).max(1);
        let settings = beadle_transport::ClientSettings {
            concurrency: file.budget.concurrency.min(share).max(1),
            window: file.budget.minute.into(),
            rest_points: part(file.budget.rest_points).max(5),
            graphql_points: part(file.budget.graphql_points).max(5),
            patient: opening.patient,
            ..whole
        };
        let budgets = Budgets::new(&file.name, file.budget.reserve.min(90)).divided(opening.parts);
        let api = Api::new(&Endpoint::new(&file.api), &file.name, credential, budgets, clock, settings)
            .map_err(anyhow::Error::msg)?;
        let api = match &opening.store {
            Some(store) => api.keeping(store.clone()),
            None => api,
        };
        let every = file.budget.write_every() * u32::try_from(opening.parts).unwrap_or(u32::MAX);
        let client = (api, WritePace::new(every));
        clients.insert(file.name.clone(), client.clone());
        Ok(client)
    }
}

impl GithubClients {
    /// Tells others what is spent on the ways of teams, where there is a store to tell it in.
    pub(crate) async fn share(&self, config: &Config, store: Option<&Arc<dyn Store>>) -> Vec<BudgetShare> {
        let mut shared = Vec::new();
        let Some(store) = store else { return shared };
        for file in &config.file.org {
            let client = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&file.name).cloned();
            if let Some((api, pace)) = client.filter(|_| config.teams_of(&file.name).next().is_some()) {
                let stop = CancellationToken::new();
                shared.push(BudgetShare::begin(file, (&api, &pace), store, &stop).await);
            }
        }
        shared
    }
}

/// How an organisation is opened.
#[derive(Clone)]
pub(crate) struct OpenOptions {
    /// Keeps answers between runs.
    pub(crate) store: Option<Arc<dyn Store>>,
    /// Waits for a used-up budget: for commands.
    pub(crate) patient: bool,
    /// Into how many parts the budget is divided, where processes cannot tell each other what they spend.
    pub(crate) parts: u64,
}

impl OpenOptions {
    /// Of a command that needs no store.
    pub(crate) const PATIENT: Self = Self { store: None, patient: true, parts: 1 };
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { store: None, patient: false, parts: 1 }
    }
}

impl Org {
    /// Reads its policy and secrets, and makes its way to GitHub. Nothing is asked of the network yet.
    pub(crate) async fn open(
        config: &Config,
        file: &Arc<crate::config::OrgConfig>,
        clock: &Clock,
        opening: &OpenOptions,
        clients: &GithubClients,
    ) -> anyhow::Result<Self> {
        let policy = policy(config, file, &mut Reading::default()).await?;
        Self::with(policy, config, file, clock, opening, clients)
    }

    /// The same, with a policy that was read before.
    pub(crate) fn with(
        policy: Policy,
        config: &Config,
        file: &Arc<crate::config::OrgConfig>,
        clock: &Clock,
        opening: &OpenOptions,
        clients: &GithubClients,
    ) -> anyhow::Result<Self> {
        let (api, pace) = clients.to(config, file, clock, opening)?;
        let reader = Reader::new(api.clone(), policy.asks());
        let mut secrets = Secrets::new();
        for (name, reference) in &file.secrets {
            let what = format!("the secret `{name}` of {}", file.name);
            secrets.insert(name.clone(), config.secret(reference, &what)?);
        }
        Ok(Self { file: file.clone(), policy: PolicyHandle::new(policy), api, reader, pace, secrets })
    }

    /// What plans its repositories; with a store it remembers which file in repos/ belongs to which repository.
    pub(crate) fn planner(&self, store: Option<&Arc<dyn Store>>) -> RepositoryPlanner {
        let planner =
            RepositoryPlanner::new(self.reader.clone(), self.policy.clone(), config::modes(&self.file))
                .lending(self.secrets.clone());
        match store {
            Some(store) => planner.remembering(store.clone()),
            None => planner,
        }
    }

    pub(crate) fn writer(&self) -> RepositoryWriter {
        RepositoryWriter::new(Writer::new(self.api.clone()), self.reader.clone())
    }

    /// What reconciles its repositories, and its sweeps.
    pub(crate) fn reconcilers(&self, store: &Arc<dyn Store>, clock: &Clock) -> [Arc<dyn Reconcile>; 3] {
        let repositories = Reconciler {
            planner: self.planner(Some(store)),
            writer: self.writer(),
            store: store.clone(),
            clock: clock.clone(),
            limits: self.file.limits(),
            pace: self.pace.clone(),
        };
        let sweep = Sweep {
            reader: self.reader.clone(),
            store: store.clone(),
            clock: clock.clone(),
            policy: self.policy.clone(),
        };
        let dispatch = Dispatch {
            reader: self.reader.clone(),
            writer: Writer::new(self.api.clone()),
            store: store.clone(),
            clock: clock.clone(),
            rules: config::rules(&self.file),
        };
        [Arc::new(repositories), Arc::new(sweep), Arc::new(dispatch)]
    }
}

/// Reads the policy of an organisation.
pub(crate) async fn policy(
    config: &Config,
    file: &crate::config::OrgConfig,
    reading: &mut Reading,
) -> anyhow::Result<Policy> {
    let folder = config.base.join(&file.policy);
    let home = file.policy_repository.clone();
    Ok(reading.read(move |at| Policy::load_noting(&folder, &home, at)).await??)
}

/// Opens the store.
pub(crate) async fn store(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    let store = open(config, &config.place).await?;
    if is_unfinished(store.as_ref()).await {
        anyhow::bail!("a copy into {} did not end: delete it, and copy again", config.place);
    }
    Ok(store)
}

/// Opens what is at a place.
pub(crate) async fn open(config: &Config, place: &StoreLocation) -> anyhow::Result<Arc<dyn Store>> {
    match place {
        StoreLocation::File(path) => {
            let path = config.base.join(path);
            let timing = Timing { lease: config.file.worker.lease.into(), ..Timing::default() };
            let settings = SqliteSettings {
                max_bytes: config.file.store.max_mib.map(|mib| mib * 1024 * 1024),
                timing,
                ..SqliteSettings::default()
            };
            Ok(Arc::new(SqliteStore::open(&path, settings)?))
        }
        table @ StoreLocation::Table { .. } => open_table(config, table).await,
    }
}

/// The store, where there is one already: a command that only reads makes no file.
pub(crate) async fn store_if_there(config: &Config) -> anyhow::Result<Option<Arc<dyn Store>>> {
    match config.database() {
        Some(path) if !path.exists() => Ok(None),
        _ => store(config).await.map(Some),
    }
}

/// The store, for a command that looks into what there is: an empty one that it made itself would
/// say that nothing is held, and nothing waits.
pub(crate) async fn existing(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    let store = store_if_there(config).await?;
    store.with_context(|| {
        format!(
            "there is no store at {}\nhint: check `store.path` and `--store`; `beadle serve` makes the file at its first start",
            config.database().unwrap_or_default().display()
        )
    })
}

/// How a table is used.
#[cfg(feature = "aws")]
pub(crate) fn table_settings(config: &Config) -> beadle_store_dynamodb::DynamoSettings {
    let kept = config.file.retention;
    beadle_store_dynamodb::DynamoSettings {
        timing: Timing { lease: config.file.worker.lease.into(), ..Timing::default() },
        bodies: kept.bodies.into(),
        ids: kept.ids.into(),
        journal: kept.journal.into(),
    }
}

#[cfg(feature = "aws")]
async fn open_table(config: &Config, place: &StoreLocation) -> anyhow::Result<Arc<dyn Store>> {
    Ok(Arc::new(table(config, place).await?))
}

/// A table.
#[cfg(feature = "aws")]
pub(crate) async fn table(
    config: &Config,
    place: &StoreLocation,
) -> anyhow::Result<beadle_store_dynamodb::DynamoStore> {
    use std::time::Duration;

    use beadle_store_dynamodb::DynamoStore;

    let StoreLocation::Table { name, region, endpoint } = place else {
        anyhow::bail!("{place} is no table");
    };
    // A connection that nothing comes from any more is given up long before a lease ends.
    let patience = aws_config::timeout::TimeoutConfig::builder()
        .operation_attempt_timeout(Duration::from_secs(5))
        .operation_timeout(Duration::from_secs(15))
        .build();
    let loader = aws_config::defaults(aws_config::BehaviorVersion::latest());
    let mut loader = loader.timeout_config(patience);
    if let Some(region) = region {
        loader = loader.region(aws_config::Region::new(region.clone()));
    }
    if let Some(endpoint) = endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    let client = aws_sdk_dynamodb::Client::new(&loader.load().await);
    Ok(DynamoStore::new(client, name, table_settings(config)))
}

#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "with AWS' SDK it waits for the configuration")]
async fn open_table(_: &Config, place: &StoreLocation) -> anyhow::Result<Arc<dyn Store>> {
    anyhow::bail!("{place} needs a Beadle built with `--features aws`")
}

/// Returns the organisations that may send webhooks.
pub(crate) fn senders(config: &Config, known: &HashMap<&str, OrgFacts>) -> anyhow::Result<Vec<Sender>> {
    let mut senders = Vec::new();
    for org in &config.file.org {
        let what = format!("the webhook secret of {}", org.name);
        let secrets = config.valid_secrets(&org.webhook_secrets, &what)?;
        let known = known.get(org.name.as_str()).cloned().unwrap_or_default();
        senders.push(config.file.github_sender(org, secrets, known));
    }
    Ok(senders)
}
