//! The content of `xtask/house.toml`: the layers of the packages, and the exceptions from the
//! rules. Each exception has a reason.

use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

/// The content of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rules {
    /// The layers, from the lowest to the highest. Each layer lists its packages.
    pub(super) layers: Vec<Vec<String>>,
    #[serde(default)]
    pub(super) circle: Vec<AllowedCircle>,
    #[serde(default)]
    pub(super) large: Vec<LargeFile>,
}

/// Allowed uses that close circles. All these uses have the same reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AllowedCircle {
    /// The package of the files.
    pub(super) package: String,
    /// The allowed uses, each in the form `using file -> used file`. The paths begin at the
    /// package's folder.
    pub(super) uses: Vec<String>,
    pub(super) reason: String,
}

/// A file that is allowed to have more lines than the maximum.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LargeFile {
    /// The path of the file from the workspace's folder.
    pub(super) file: String,
    pub(super) reason: String,
}

/// Reads `xtask/house.toml`.
pub(super) fn read(path: &Path) -> anyhow::Result<Rules> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is invalid", path.display()))
}
