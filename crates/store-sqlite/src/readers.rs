//! The connections that are only for reads. A slow read, such as a search in a long journal, does
//! not delay the reads of the worker.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::SqliteSettings;
use crate::health::Health;

/// The maximum number of connections. Each connection has its own cache of pages.
const MOST: usize = 4;

/// The connections for reads. The first connection is opened with the store. Further connections
/// are opened when several reads run at the same time.
pub(crate) struct Readers {
    free: Mutex<Vec<Connection>>,
    places: Arc<Semaphore>,
    path: PathBuf,
    settings: SqliteSettings,
    health: Arc<Health>,
}

impl Readers {
    /// Opens the first connection.
    pub(crate) fn open(
        path: &Path,
        settings: SqliteSettings,
        health: &Arc<Health>,
    ) -> rusqlite::Result<Self> {
        let first = crate::connect(path, &settings)?;
        Ok(Self {
            free: Mutex::new(vec![first]),
            places: Arc::new(Semaphore::new(MOST)),
            path: path.to_owned(),
            settings,
            health: health.clone(),
        })
    }

    /// Waits until a connection is free for a read. The caller must keep the returned value until
    /// the read has ended.
    pub(crate) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().acquire_owned().await.ok()
    }

    /// Runs a read on a free connection. Opens another connection if none is free.
    pub(crate) fn run<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let free = self.free.lock().pop();
        let connection = if let Some(connection) = free {
            connection
        } else {
            // Another file might be at the path now. The open connections still use the file that
            // was there when the store opened it.
            self.health.check()?;
            crate::connect(&self.path, &self.settings)?
        };
        let result = read(&connection);
        self.free.lock().push(connection);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_during_another_read_has_its_own_connection() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.db");
        std::fs::File::create(&path).unwrap();
        let health = Arc::new(Health::of(&path));
        health.opened();
        let readers = Readers::open(&path, SqliteSettings::default(), &health).unwrap();
        let seven = |inner: &Connection| inner.query_row("SELECT 7", [], |row| row.get::<_, i64>(0));
        assert_eq!(readers.run(|_| readers.run(seven)), Ok(7));
        assert_eq!(readers.free.lock().len(), 2);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "another file").unwrap();
        let three = readers.run(|_| readers.run(|_| readers.run(|_| Ok(()))));
        assert!(three.unwrap_err().to_string().contains("was deleted or replaced"));
    }
}
