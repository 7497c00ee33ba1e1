//! Opens a store: the pool of connections, and the checks of the server.

use beadle_engine::store::Damaged;
use beadle_engine::{StoreError, Timing};
use deadpool_postgres::{Client, Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::NoTls;
use tokio_postgres::config::SslMode;

use crate::address::Address;
use crate::failed::{Failed, error_of};
use crate::hang::is_suspect;
use crate::schema::SchemaVersion;
use crate::writer::{Shared, Writer};
use crate::{indexes, schema, sql, tls};

/// The oldest supported version of PostgreSQL, as the server reports it. When this comment was
/// written, PostgreSQL's developers maintained no older version.
const OLDEST: i32 = 140_000;
/// How long a call waits for a free connection.
const WAIT: Duration = Duration::from_secs(10);

/// The settings of a store in one PostgreSQL schema.
#[derive(Clone, Copy, Debug)]
pub struct PostgresSettings {
    /// The maximum number of connections of this process.
    pub connections: usize,
    /// The durations that the queue uses.
    pub timing: Timing,
}

impl Default for PostgresSettings {
    fn default() -> Self {
        Self { connections: 8, timing: Timing::default() }
    }
}

/// A store that keeps all data in one PostgreSQL schema.
pub struct PostgresStore {
    pub(crate) pool: Pool,
    pub(crate) channel: String,
    pub(crate) timing: Timing,
    /// Writes deliveries and marks.
    pub(crate) intake: Writer,
    /// Writes the reports of runs. This writer is separate from the writer of deliveries, because
    /// this writer waits for the counter of the journal. All processes share this counter.
    pub(crate) runs: Writer,
    pub(crate) damaged: Damaged,
}

impl PostgresStore {
    /// Connects to the server in `url`, and migrates the schema to this version. If the schema does
    /// not exist, creates it.
    pub async fn open(url: &str, settings: PostgresSettings) -> Result<Self, StoreError> {
        const DOING: &str = "opening the database";
        let address = Address::parse(url).map_err(|why| StoreError::Unavailable { doing: DOING, why })?;
        Self::connect(&address, settings).await.map_err(error_of(DOING))
    }

    /// Returns whether the schema in `url` contains a store. Creates nothing.
    pub async fn exists(url: &str) -> Result<bool, StoreError> {
        const DOING: &str = "looking for the store";
        let address = Address::parse(url).map_err(|why| StoreError::Unavailable { doing: DOING, why })?;
        let found = async {
            let client = pool(&address, 1)?.get().await?;
            schema::exists(&client, &address.schema).await
        };
        found.await.map_err(error_of(DOING))
    }

    /// Reads the version of the schema. `url` names the database and the schema. Returns `None` if
    /// the schema has no store. In contrast to [`PostgresStore::open`], the function changes
    /// nothing.
    pub async fn version(url: &str) -> Result<Option<SchemaVersion>, StoreError> {
        const DOING: &str = "reading the version of the schema";
        let address = Address::parse(url).map_err(|why| StoreError::Unavailable { doing: DOING, why })?;
        let found = async {
            let client = pool(&address, 1)?.get().await?;
            schema::read_version(&client, &address.schema).await
        };
        found.await.map_err(error_of(DOING))
    }

    async fn connect(address: &Address, settings: PostgresSettings) -> Result<Self, Failed> {
        let pool = pool(address, settings.connections)?;
        let mut client = pool.get().await?;
        check(&client).await?;
        schema::migrate(&mut client, &address.schema).await?;
        indexes::complete(client, &address.schema).await;
        let (channel, timing) = (address.channel(), settings.timing);
        let shared = Arc::new(Shared { pool: pool.clone(), channel: channel.clone(), timing });
        let (intake, runs) = (Writer::start(&shared), Writer::start(&shared));
        Ok(Self { pool, channel, timing, intake, runs, damaged: Damaged::default() })
    }
}

/// Creates the pool. The pool opens no connection yet.
fn pool(address: &Address, connections: usize) -> Result<Pool, Failed> {
    let config = address.config.clone();
    let fast = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = if config.get_ssl_mode() == SslMode::Disable {
        Manager::from_config(config, NoTls, fast)
    } else {
        let tls = tls::connector(address.authorities.as_deref()).map_err(Failed::Unusable)?;
        Manager::from_config(config, tls, fast)
    };
    let builder = Pool::builder(manager)
        .max_size(connections.max(1))
        .wait_timeout(Some(WAIT))
        .create_timeout(Some(WAIT))
        .recycle_timeout(Some(WAIT))
        .pre_recycle(Hook::sync_fn(|_, metrics| {
            if is_suspect(metrics.created) {
                return Err(HookError::message("the connection may lead to a server that hangs"));
            }
            Ok(())
        }))
        .runtime(Runtime::Tokio1);
    builder.build().map_err(|error| Failed::Unusable(error.to_string()))
}

/// Returns an error if the server is too old, or if its settings break a promise of the store.
async fn check(client: &Client) -> Result<(), Failed> {
    let settings = "SELECT current_setting('server_version_num')::int4, current_setting('server_encoding'),
                    current_setting('synchronous_commit')";
    let row = sql::one(client, settings, &[]).await?;
    let (version, encoding, durable): (i32, String, String) =
        (sql::get(&row, 0)?, sql::get(&row, 1)?, sql::get(&row, 2)?);
    if version < OLDEST {
        return Err(Failed::Unusable(format!("PostgreSQL {} is too old: use 14 or later", version / 10_000)));
    }
    if encoding != "UTF8" {
        return Err(Failed::Unusable(format!("the database must have the encoding UTF8, found {encoding}")));
    }
    if durable == "off" {
        // The store confirms a delivery, and the sender then does not send it again.
        return Err(Failed::Unusable(
            "`synchronous_commit` is `off`, so a crash of the server would lose confirmed deliveries: run `ALTER ROLE ... \
             SET synchronous_commit = on`"
                .into(),
        ));
    }
    Ok(())
}
