//! The engine's storage in one SQLite file. The file has a write-ahead log, and `synchronous=FULL`.
//! One thread does all writes, and commits several requests together. Reads have separate
//! connections. Several processes can open the same file. A process that must wait for another
//! process waits no longer than the busy timeout.

mod bodies;
mod format;
mod guard;
mod health;
mod journal;
mod maintenance;
mod queue;
mod readers;
mod rows;
mod schema;
mod store;
mod writer;

use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::store::Damaged;
use beadle_engine::{StoreError, Timing};
use rusqlite::{Connection, OpenFlags};

pub use format::{FormatVersion, format_of};
use health::Health;
use readers::Readers;
use writer::WriterThread;

/// The settings of a store in one SQLite file.
#[derive(Clone, Copy, Debug)]
pub struct SqliteSettings {
    /// How long a write waits for another process that is writing.
    pub busy: Duration,
    /// The maximum size of the file, in bytes. When the file has reached this size, writes fail as
    /// they do on a full disk. `None` means that the size has no limit.
    pub max_bytes: Option<u64>,
    /// The durations that the queue uses.
    pub timing: Timing,
}

impl Default for SqliteSettings {
    fn default() -> Self {
        Self { busy: Duration::from_secs(10), max_bytes: None, timing: Timing::default() }
    }
}

/// A store that keeps all data in one SQLite file.
pub struct SqliteStore {
    writer: WriterThread,
    readers: Arc<Readers>,
    health: Arc<Health>,
    inline: bool,
    timing: Timing,
    /// The rows of the queue that recent calls could not read.
    damaged: Damaged,
}

impl SqliteStore {
    /// Opens the file, or creates it if it does not exist, and migrates it to the schema of this
    /// version.
    pub fn open(path: &Path, settings: SqliteSettings) -> Result<Self, StoreError> {
        Self::open_as(path, settings, false)
    }

    /// Opens the file for tests in simulated time. Every call runs on the thread of the caller. If
    /// a test waited for another thread, the simulated clock would advance during the wait.
    pub fn open_inline(path: &Path, settings: SqliteSettings) -> Result<Self, StoreError> {
        Self::open_as(path, settings, true)
    }

    fn open_as(path: &Path, settings: SqliteSettings, inline: bool) -> Result<Self, StoreError> {
        const DOING: &str = "opening the database";
        create_private(path).map_err(|error| StoreError::Unavailable {
            doing: DOING,
            why: format!("{}: {error}", path.display()),
        })?;
        let health = Arc::new(Health::of(path));
        let failed = |error: rusqlite::Error| match health.explain(DOING, &error) {
            StoreError::Unavailable { doing, why } => {
                StoreError::Unavailable { doing, why: format!("{}: {why}", path.display()) }
            }
            other @ (StoreError::Corrupt { .. } | StoreError::Newer { .. }) => other,
        };
        let mut connection = connect(path, &settings).map_err(failed)?;
        schema::migrate(&mut connection)
            .map_err(failed)?
            .map_err(|why| StoreError::Corrupt { doing: DOING, why: format!("{}: {why}", path.display()) })?;
        health.opened();
        let readers = Arc::new(Readers::open(path, settings, &health).map_err(failed)?);
        let writer = if inline {
            WriterThread::Inline(Mutex::new(connection), health.clone())
        } else {
            WriterThread::start(connection, path, &settings, &health).map_err(failed)?
        };
        Ok(Self { writer, readers, health, inline, timing: settings.timing, damaged: Damaged::default() })
    }

    /// Runs `read` on a connection that is only for reads.
    async fn read<T, F>(&self, doing: &'static str, read: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let (readers, health) = (self.readers.clone(), self.health.clone());
        let run = move || readers.run(read).map_err(|error| health.explain(doing, &error));
        if self.inline {
            return run();
        }
        let place = self.readers.place().await;
        let run = move || {
            let result = run();
            drop(place);
            result
        };
        let joined = tokio::task::spawn_blocking(run).await;
        joined.unwrap_or_else(|error| Err(StoreError::Unavailable { doing, why: error.to_string() }))
    }
}

/// Creates a file that only its owner can read, because the bodies of webhooks name people and
/// private repositories.
fn create_private(path: &Path) -> std::io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn connect(path: &Path, settings: &SqliteSettings) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(settings.busy)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "cache_size", -8_000)?; // KiB
    if let Some(bytes) = settings.max_bytes {
        let page: u64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        connection.pragma_update(None, "max_page_count", (bytes / page).max(1))?;
    }
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}
