//! Checks that the open file still exists under its path, and remembers damage that SQLite found.

use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use beadle_engine::StoreError;
use rusqlite::{ErrorCode, ffi};

/// The device and the number of a file. They stay the same when the file is renamed.
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

/// What is known about the health of the open file.
#[derive(Debug)]
pub(crate) struct Health {
    path: PathBuf,
    opened: OnceLock<Identity>,
    /// The first damage that SQLite reported; `None` if it reported no damage.
    damage: Mutex<Option<String>>,
}

impl Health {
    /// Creates the record for the file at `path`.
    pub(crate) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), opened: OnceLock::new(), damage: Mutex::default() }
    }

    /// Records which file is open for writing. From now on, the path must lead to this file. The
    /// call comes after the first write access, because an overlay file system makes a new file at
    /// that moment.
    pub(crate) fn opened(&self) {
        if let Some(identity) = identity(&self.path) {
            self.opened.get_or_init(|| identity);
        }
    }

    /// Returns the reason why a write would be lost; `None` if writes are safe.
    pub(crate) fn lost(&self) -> Option<String> {
        let opened = self.opened.get()?;
        (identity(&self.path).as_ref() != Some(opened)).then(|| {
            format!(
                "{} was deleted or replaced while it was open: stop Beadle, put the file back, and start it again",
                self.path.display()
            )
        })
    }

    /// Returns an error if the path no longer leads to the open file. The system deletes such a
    /// file when the process ends, and all writes with it.
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

    /// Converts an error of SQLite into an error of the store.
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
            // The error itself begins with the number of a column, which helps nobody.
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
