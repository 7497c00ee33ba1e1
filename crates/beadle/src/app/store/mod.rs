//! Opens the configured store, or a store at another location. The files of this folder open
//! PostgreSQL, compare clocks, and split long texts into notes.

pub(crate) mod clock_check;
pub(crate) mod postgres;
pub(super) mod text_parts;

use std::sync::Arc;

use anyhow::Context as _;
use beadle_engine::transfer::is_unfinished;
use beadle_engine::{Store, Timing};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::config::Config;
use beadle_config::StoreLocation;

/// Opens the configured store. Creates the file if the store is a file that does not exist.
pub(crate) async fn open(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    let store = open_at(config, &config.place).await?;
    check_finished(store.as_ref(), &config.place.to_string()).await?;
    Ok(store)
}

/// Opens the configured store. If the store does not exist, returns `None`. Commands that only read
/// use this function, because they must not create a store.
pub(crate) async fn open_if_there(config: &Config) -> anyhow::Result<Option<Arc<dyn Store>>> {
    if is_there(config, &config.place).await? { open(config).await.map(Some) } else { Ok(None) }
}

/// Returns whether the store exists. If the store exists, a call that opens the store creates
/// nothing. A DynamoDB table counts as existing, because Beadle never creates a table when it opens
/// a store.
pub(crate) async fn is_there(config: &Config, place: &StoreLocation) -> anyhow::Result<bool> {
    match place {
        StoreLocation::File(path) => Ok(config.base.join(path).exists()),
        StoreLocation::Table { .. } => Ok(true),
        StoreLocation::Postgres(url) => postgres::exists(url).await,
    }
}

/// Opens the configured store, and returns an error if the store does not exist. If this function
/// created an empty store, a command would wrongly report that no change is held and no key waits.
/// A pause or a confirmation would be in a store that no service reads. Only the commands that
/// start an instance create its store: `serve`, `apply`, `sweep` and `store copy`.
pub(crate) async fn open_existing(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    let store = open_if_there(config).await?;
    store.with_context(|| {
        format!(
            "there is no store at {}\nhint: check `store.path` and `--store`; `beadle serve` creates the store at its first start",
            config.database().map_or_else(|| config.place.to_string(), |path| path.display().to_string())
        )
    })
}

/// Creates a store in a temporary folder. The store is deleted when the folder is dropped.
pub(crate) fn temporary() -> anyhow::Result<(TempDir, Arc<dyn Store>)> {
    let folder = tempfile::tempdir()?;
    let store = SqliteStore::open(&folder.path().join("beadle.db"), SqliteSettings::default())?;
    let store: Arc<dyn Store> = Arc::new(store);
    Ok((folder, store))
}

/// Opens the store at `place`.
pub(crate) async fn open_at(config: &Config, place: &StoreLocation) -> anyhow::Result<Arc<dyn Store>> {
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
        table @ StoreLocation::Table { .. } => open_as_table(config, table).await,
        StoreLocation::Postgres(url) => {
            let lease = config.file.worker.lease.into();
            postgres::open(url, Timing { lease, ..Timing::default() }).await
        }
    }
}

/// Returns whether several processes can work with the store at the same time.
pub(crate) fn is_shared(place: &StoreLocation) -> bool {
    match place {
        StoreLocation::File(_) => false,
        StoreLocation::Table { .. } | StoreLocation::Postgres(_) => true,
    }
}

/// Rings `bell` each time another process marks a key as due. Stops when the caller drops the
/// returned value. Does nothing if the store is a file, because only one service uses this file.
/// Does nothing on AWS, because the functions there use the messages of the queues.
pub(crate) fn listen(place: &StoreLocation, bell: &Arc<Notify>) -> Option<Box<dyn Send + Sync>> {
    match place {
        StoreLocation::File(_) | StoreLocation::Table { .. } => None,
        StoreLocation::Postgres(url) => postgres::listen(url, bell),
    }
}

/// Returns an error if this store is the unfinished result of `beadle store copy`. Such a store is
/// incomplete.
pub(crate) async fn check_finished(store: &dyn Store, place: &str) -> anyhow::Result<()> {
    if is_unfinished(store).await {
        anyhow::bail!(
            "an earlier `beadle store copy` into {place} did not finish: delete {place}, and copy again"
        );
    }
    Ok(())
}

/// Returns the settings for a store in a DynamoDB table.
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
async fn open_as_table(config: &Config, place: &StoreLocation) -> anyhow::Result<Arc<dyn Store>> {
    Ok(Arc::new(open_table(config, place).await?))
}

/// Opens a DynamoDB table as the store.
#[cfg(feature = "aws")]
pub(crate) async fn open_table(
    config: &Config,
    place: &StoreLocation,
) -> anyhow::Result<beadle_store_dynamodb::DynamoStore> {
    use std::time::Duration;

    use beadle_store_dynamodb::DynamoStore;

    let StoreLocation::Table { name, region, endpoint } = place else {
        anyhow::bail!("the store must be a table such as `dynamodb://NAME`, found `{place}`");
    };
    // Beadle must close a dead connection long before a lease expires.
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
async fn open_as_table(_: &Config, place: &StoreLocation) -> anyhow::Result<Arc<dyn Store>> {
    anyhow::bail!("the store {place} needs a Beadle built with `--features aws`")
}
