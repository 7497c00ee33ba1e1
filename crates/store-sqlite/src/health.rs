//! Checks whether the file is still the one that was opened, and whether SQLite found damage in it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use beadle_engine::StoreError;
use rusqlite::{ErrorCode, ffi};

/// The identity of a file, as opposed to its name.
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

/// The state of the open file.
#[derive(Debug)]
pub(crate) struct Health {
    path: PathBuf,
    opened: OnceLock<Identity>,
    /// The first damage that SQLite reported.
    damage: Mutex<Option<String>>,
}

impl Health {
    /// Returns the state of the file at `path`.
    pub(crate) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), opened: OnceLock::new(), damage: Mutex::default() }
    }

    /// Records that the file is open for writing: from now on it must stay the same file. Not
    /// before, because an overlay makes another file when it opens one for writing.
    pub(crate) fn opened(&self) {
        if let Some(identity) = identity(&self.path) {
            self.opened.get_or_init(|| identity);
        }
    }

    /// Returns the reason why a write would be lost, if there is one.
    pub(crate) fn lost(&self) -> Option<String> {
        let opened = self.opened.get()?;
        (identity(&self.path).as_ref() != Some(opened)).then(|| {
            format!(
                "{} was deleted or replaced while it was open: stop Beadle, put the file back, and start it again",
                self.path.display()
            )
        })
    }

    /// Fails if the file is lost: a write into a deleted file is lost when the process ends.
    pub(crate) fn check(&self) -> rusqlite::Result<()> {
        match self.lost() {
            Some(why) => {
                Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CANTOPEN), Some(why)))
            }
            None => Ok(()),
        }
    }

    /// Fails if SQLite found damage in the file, even if this call would not touch the damage.
    pub(crate) fn is_whole(&self, doing: &'static str) -> Result<(), StoreError> {
        match self.damage.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            Some(why) => Err(StoreError::Corrupt { doing, why }),
            None => Ok(()),
        }
    }

    /// Converts an error of SQLite.
    pub(crate) fn explain(&self, doing: &'static str, error: &rusqlite::Error) -> StoreError {
        let is_damage =
            matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase));
        if is_damage {
            let why = format!(
                "{}: {error}. Stop Beadle, keep a copy of the file, and put a backup in its place; without one, start with \
                 an empty store: the next sweep checks everything",
                self.path.display()
            );
            let mut damage = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
            if damage.is_none() {
                *damage = Some(why.clone());
            }
            return StoreError::Corrupt { doing, why };
        }
        let why = error.to_string();
        match error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..) => StoreError::Corrupt { doing, why },
            _ => StoreError::Unavailable { doing, why },
        }
    }
}
