//! Opens the stores that the benchmarks fill: an SQLite file or a PostgreSQL schema.

use std::path::Path;
use std::sync::Arc;

use beadle_emulate::Cluster;
use beadle_engine::Store;
use beadle_store_postgres::{PostgresSettings, PostgresStore};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};

/// Opens the store at an address, like the option `--store` of the program.
pub(crate) async fn open(address: &str) -> anyhow::Result<Arc<dyn Store>> {
    if address.starts_with("postgres://") {
        return Ok(Arc::new(PostgresStore::open(address, PostgresSettings::default()).await?));
    }
    Ok(Arc::new(SqliteStore::open(Path::new(address), SqliteSettings::default())?))
}

/// Starts a PostgreSQL server that waits for the disk at each commit, as SQLite does. If PostgreSQL
/// is not installed, the function prints this fact and returns `None`.
pub(crate) async fn cluster() -> Option<Cluster> {
    if !Cluster::is_installed() {
        println!("(PostgreSQL is not installed, so its rows are missing: Debian's package is `postgresql`)");
        return None;
    }
    Some(Cluster::start_durable().await)
}
