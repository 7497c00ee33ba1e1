//! Makes the pictures of the documentation.

use anyhow::Context as _;

use crate::chromium;
use crate::run::root;
use crate::suite;
use crate::tools;

/// The folder of the pictures.
const FOLDER: &str = "docs/screenshots";

/// Takes pictures of a service's pages. The service manages a simulated organisation.
pub(crate) fn take() -> anyhow::Result<()> {
    let program = chromium::program().context("Chromium is not installed: install it first")?;
    tools::fetch()?;
    let folder = root().join(FOLDER);
    std::fs::create_dir_all(&folder)?;
    let folder = folder.display().to_string();
    let env = [(chromium::VARIABLE, program.as_str()), ("BEADLE_SCREENSHOTS", folder.as_str())];
    suite::one("e2e", "browser::screenshots", &env)
}
