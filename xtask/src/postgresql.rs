//! Finds the PostgreSQL server that tests start.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::bail;

use crate::run::step;

/// The folder where Debian installs the programs of each version of the server.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Returns whether the server is installed. If PostgreSQL is not installed, prints that the tests
/// that need PostgreSQL do not run. In CI, a missing server is an error.
pub(crate) fn for_tests() -> anyhow::Result<bool> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = has_server(&path, Path::new(DEBIAN));
    if !installed {
        let missing = "PostgreSQL is not installed (Debian's package is `postgresql`)";
        if std::env::var_os("CI").is_some() {
            bail!("{missing}, and CI runs the tests of its store");
        }
        step(&format!("{missing}: the tests of its store are left out"));
    }
    Ok(installed)
}

/// Searches for the program that prepares a server. Returns whether the program is in a folder of
/// `path`, or in the subfolder of a version in the folder `debian`. The tests find the program in
/// the same way (`tools/emulate/src/cluster.rs`). The package `xtask` cannot use the function of
/// the tests, because `xtask` must not build the AWS clients.
fn has_server(path: &OsStr, debian: &Path) -> bool {
    let versions = std::fs::read_dir(debian).into_iter().flatten().flatten();
    let of_debian = versions.map(|version| version.path().join("bin"));
    std::env::split_paths(path).chain(of_debian).any(|folder| folder.join("initdb").is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_without_a_server_are_not_enough() {
        let folder = tempfile::tempdir().unwrap();
        let programs = folder.path().join("17/bin");
        std::fs::create_dir_all(&programs).unwrap();
        let elsewhere = folder.path().join("missing");
        std::fs::write(programs.join("psql"), "").unwrap();
        assert!(!has_server(programs.as_os_str(), folder.path()));
        std::fs::write(programs.join("initdb"), "").unwrap();
        assert!(has_server(programs.as_os_str(), &elsewhere), "it is in PATH");
        assert!(has_server(elsewhere.as_os_str(), folder.path()), "it is in Debian's folder");
    }
}
