//! Checks that the open files still exist under their paths, and remembers damage that SQLite
//! found.

use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use beadle_engine::StoreError;
use rusqlite::{ErrorCode, ffi};

/// The device and the number of a file. Both numbers stay the same when the file is renamed.
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> Option<Identity> {
    path.exists().then_some((0, 0))
}

/// The name endings of the files that SQLite keeps next to an open database file: the write-ahead
/// log, and the memory that the processes share.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// The known facts about the health of the open file.
#[derive(Debug)]
pub(crate) struct Health {
    path: PathBuf,
    /// The open files: the database file, and SQLite's further files.
    opened: OnceLock<Vec<(PathBuf, Identity)>>,
    /// The first damage that SQLite reported. `None` if it reported no damage.
    damage: Mutex<Option<String>>,
}

impl Health {
    /// Creates the record for the file at `path`.
    pub(crate) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), opened: OnceLock::new(), damage: Mutex::default() }
    }

    /// Records which files are open for writing. From now on, the paths must belong to these files.
    /// Call this after the first write access, because an overlay file system makes a new file at
    /// that moment.
    pub(crate) fn opened(&self) {
        let Some(own) = identity(&self.path) else { return };
        let mut files = vec![(self.path.clone(), own)];
        // If the path is a link, SQLite keeps the further files in the folder of the linked file.
        if let Ok(real) = std::fs::canonicalize(&self.path) {
            for ending in BESIDE {
                let mut beside = real.clone().into_os_string();
                beside.push(ending);
                let beside = PathBuf::from(beside);
                files.extend(identity(&beside).map(|identity| (beside, identity)));
            }
        }
        self.opened.get_or_init(|| files);
    }

    /// Returns the reason why a write would be lost. Returns `None` if writes are safe. A new
    /// commit is at first only in the write-ahead log. So the commit is also lost if somebody
    /// deletes the log.
    pub(crate) fn lost(&self) -> Option<String> {
        let opened = self.opened.get()?;
        let (path, _) = opened.iter().find(|(path, known)| identity(path).as_ref() != Some(known))?;
        Some(format!(
            "{} was deleted or replaced while it was open: stop Beadle, put the file back, and start it again",
            path.display()
        ))
    }

    /// Returns an error if a path no longer belongs to the open file. When the process ends, the
    /// system deletes an open file that has lost its path, and all writes are lost.
    pub(crate) fn check(&self) -> rusqlite::Result<()> {
        match self.lost() {
            Some(why) => {
                Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CANTOPEN), Some(why)))
            }
            None => Ok(()),
        }
    }

    /// Returns an error if SQLite has found damage in the file, even if the present call would not
    /// read the damaged part.
    pub(crate) fn is_whole(&self, doing: &'static str) -> Result<(), StoreError> {
        match self.damage.lock().clone() {
            Some(why) => Err(StoreError::Corrupt { doing, why }),
            None => Ok(()),
        }
    }

    /// Converts an SQLite error into an error of the store.
    pub(crate) fn explain(&self, doing: &'static str, error: &rusqlite::Error) -> StoreError {
        let is_damage =
            matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase));
        if is_damage {
            let why = format!(
                "{}: {error}. Stop Beadle, keep a copy of the file, and put a backup in its place; without one, start with \
                 an empty store: the next sweep checks everything",
                self.path.display()
            );
            let mut damage = self.damage.lock();
            if damage.is_none() {
                *damage = Some(why.clone());
            }
            return StoreError::Corrupt { doing, why };
        }
        let why = error.to_string();
        match error {
            // The text of the error itself begins with the number of a column. The number of a
            // column does not help a reader.
            rusqlite::Error::FromSqlConversionFailure(_, _, what) => {
                StoreError::Corrupt { doing, why: what.to_string() }
            }
            rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..) => StoreError::Corrupt { doing, why },
            _ => StoreError::Unavailable { doing, why },
        }
    }
}
