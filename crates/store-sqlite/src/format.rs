//! Reads the version of a file's format. The file does not change.

use std::path::Path;
use std::time::Duration;

use beadle_engine::StoreError;
use rusqlite::{Connection, OpenFlags};

use crate::health::Health;
use crate::schema;

/// How long the read waits for a process that has locked the file.
const BUSY: Duration = Duration::from_secs(10);

/// The version of a file's format, and the version that this program writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatVersion {
    /// The version of the file. 0 means that the file is empty.
    pub stored: usize,
    /// The version that this program writes. When the program opens a file of a lower version, it
    /// brings the file to this version. The program refuses a file of a higher version.
    pub supported: usize,
}

/// Reads the version of the file at `path`. In contrast to [`crate::SqliteStore::open`], the
/// function leaves the format of the file as it is.
pub fn format_of(path: &Path) -> Result<FormatVersion, StoreError> {
    const DOING: &str = "reading the version of the database";
    let read = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        schema::version(&connection)
    };
    match read() {
        Ok(stored) => Ok(FormatVersion { stored, supported: schema::supported() }),
        Err(error) => Err(Health::of(path).explain(DOING, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_and_the_file_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.db");
        let supported = schema::supported();
        for stored in [0, 1, supported, supported + 1] {
            let connection = Connection::open(&path).unwrap();
            connection.pragma_update(None, "user_version", stored).unwrap();
            drop(connection);
            let before = std::fs::read(&path).unwrap();
            assert_eq!(format_of(&path).unwrap(), FormatVersion { stored, supported });
            assert_eq!(std::fs::read(&path).unwrap(), before);
        }
    }

    #[test]
    fn a_file_that_is_no_database_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text.db");
        std::fs::write(&path, "this is no database, whatever its name says").unwrap();
        assert!(matches!(format_of(&path), Err(StoreError::Corrupt { .. })));
        let missing = format_of(&folder.path().join("missing.db"));
        assert!(matches!(missing, Err(StoreError::Unavailable { .. })));
    }
}
