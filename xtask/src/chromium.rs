//! Finds Chromium. Tests use it to look at the pages.

use std::path::PathBuf;

use anyhow::bail;

use crate::run::step;

/// The environment variable with the path of the browser, for the tests.
pub(crate) const VARIABLE: &str = "BEADLE_CHROMIUM";

/// The possible names of the program.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Returns the path of the installed browser. Returns `None` if no browser is installed.
pub(crate) fn program() -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut programs = NAMES.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    programs.find(|program| program.is_file()).map(|program| program.display().to_string())
}

/// Returns the path of the browser for the tests. If there is no browser, prints that the tests in
/// a browser are left out. In CI, a missing browser is an error.
pub(crate) fn for_tests() -> anyhow::Result<Option<String>> {
    let program = program();
    if program.is_none() {
        let missing = "Chromium is not installed (Debian's package is `chromium`)";
        if std::env::var_os("CI").is_some() {
            bail!("{missing}, and CI runs the tests in a browser");
        }
        step(&format!("{missing}: the tests in a browser are left out"));
    }
    Ok(program)
}
