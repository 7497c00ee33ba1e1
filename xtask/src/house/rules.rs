//! The content of `xtask/house.toml`: the layers of the crates, and the exceptions with their
//! reasons.

use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rules {
    /// The packages of each layer, from the lowest to the highest.
    pub(super) layers: Vec<Vec<String>>,
    #[serde(default)]
    pub(super) circle: Vec<AllowedCircle>,
    #[serde(default)]
    pub(super) large: Vec<LargeFile>,
}

/// Uses that close circles and are allowed, for one reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AllowedCircle {
    /// The package of all files.
    pub(super) package: String,
    /// Each is `using file -> used file`, from the package's folder.
    pub(super) uses: Vec<String>,
    pub(super) reason: String,
}

/// A file that may have more lines than others.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LargeFile {
    /// The file, from the workspace's folder.
    pub(super) file: String,
    pub(super) reason: String,
}

/// Reads the rules.
pub(super) fn read(path: &Path) -> anyhow::Result<Rules> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is invalid", path.display()))
}
