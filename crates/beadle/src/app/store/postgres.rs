//! Opens a store in PostgreSQL. Without the feature `postgres`, every call returns an error.

use std::sync::Arc;

use beadle_config::PostgresUrl;
use beadle_engine::{Store, Timing};
use tokio::sync::Notify;

/// Opens the store, and creates its schema if it does not exist.
#[cfg(feature = "postgres")]
pub(crate) async fn open(url: &PostgresUrl, timing: Timing) -> anyhow::Result<Arc<dyn Store>> {
    use beadle_store_postgres::{PostgresSettings, PostgresStore};

    let settings = PostgresSettings { timing, ..PostgresSettings::default() };
    Ok(Arc::new(PostgresStore::open(url.with_password(), settings).await?))
}

/// Returns whether the database contains the store.
#[cfg(feature = "postgres")]
pub(crate) async fn exists(url: &PostgresUrl) -> anyhow::Result<bool> {
    Ok(beadle_store_postgres::PostgresStore::exists(url.with_password()).await?)
}

/// Reads the versions of the store, and changes nothing. Returns three versions: the version of the
/// store's schema, the oldest program version that can use this schema, and the schema version of
/// this program. If there is no store, returns `None`.
#[cfg(feature = "postgres")]
pub(crate) async fn version(url: &PostgresUrl) -> anyhow::Result<Option<(i32, i32, i32)>> {
    let found = beadle_store_postgres::PostgresStore::version(url.with_password()).await?;
    Ok(found.map(|found| (found.stored, found.oldest, found.supported)))
}

/// Rings `bell` each time another process marks a key as due. Stops when the caller drops the
/// returned value.
#[cfg(feature = "postgres")]
pub(crate) fn listen(url: &PostgresUrl, bell: &Arc<Notify>) -> Option<Box<dyn Send + Sync>> {
    match beadle_store_postgres::PostgresListener::start(url.with_password(), bell.clone()) {
        Ok(listener) => Some(Box::new(listener)),
        Err(error) => {
            tracing::warn!(%error, "notifications of the database unavailable, workers poll the queue");
            None
        }
    }
}

#[cfg(not(feature = "postgres"))]
#[expect(clippy::unused_async, reason = "with the feature it waits for the server")]
pub(crate) async fn open(url: &PostgresUrl, _: Timing) -> anyhow::Result<Arc<dyn Store>> {
    Err(missing(url))
}

#[cfg(not(feature = "postgres"))]
#[expect(clippy::unused_async, reason = "with the feature it waits for the server")]
pub(crate) async fn exists(url: &PostgresUrl) -> anyhow::Result<bool> {
    Err(missing(url))
}

#[cfg(not(feature = "postgres"))]
#[expect(clippy::unused_async, reason = "with the feature it waits for the server")]
pub(crate) async fn version(url: &PostgresUrl) -> anyhow::Result<Option<(i32, i32, i32)>> {
    Err(missing(url))
}

#[cfg(not(feature = "postgres"))]
pub(crate) fn listen(_: &PostgresUrl, _: &Arc<Notify>) -> Option<Box<dyn Send + Sync>> {
    None
}

#[cfg(not(feature = "postgres"))]
fn missing(url: &PostgresUrl) -> anyhow::Error {
    anyhow::anyhow!("the store {url} needs a Beadle built with `--features postgres`")
}
