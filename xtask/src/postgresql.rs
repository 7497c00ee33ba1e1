//! Finds the server of PostgreSQL that tests start.

use std::path::Path;

use anyhow::bail;

use crate::run::step;

/// The folder in which Debian installs the programs of each version of the server.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Returns whether the server is installed. Without it, prints that its tests are left out. In CI,
/// this is an error.
pub(crate) fn for_tests() -> anyhow::Result<bool> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = Path::new(DEBIAN).is_dir()
        || std::env::split_paths(&path).any(|folder| folder.join("initdb").is_file());
    if !installed {
        let missing = "PostgreSQL is not installed (Debian's package is `postgresql`)";
        if std::env::var_os("CI").is_some() {
            bail!("{missing}, and CI runs the tests of its store");
        }
        step(&format!("{missing}: the tests of its store are left out"));
    }
    Ok(installed)
}
