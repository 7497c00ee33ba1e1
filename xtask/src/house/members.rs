//! Reads the packages of the workspace from `cargo metadata`.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::run::{cargo_command, root};

/// A package of the workspace.
pub(super) struct Member {
    pub(super) name: String,
    pub(super) folder: PathBuf,
    /// The root files of the package's library and programs. The list leaves out the roots of
    /// tests.
    pub(super) roots: Vec<PathBuf>,
    /// The dependencies of the package. The list leaves out packages that only its tests need.
    pub(super) dependencies: Vec<String>,
    /// The dependencies that the manifest uses with the feature `testing`.
    pub(super) with_testing: Vec<String>,
}

/// Asks cargo for the packages of the workspace.
pub(super) fn members() -> anyhow::Result<Vec<Member>> {
    let mut command = cargo_command();
    command.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let answer = command.current_dir(root()).output().context("cannot run cargo metadata")?;
    if !answer.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&answer.stderr));
    }
    let metadata: Value =
        serde_json::from_slice(&answer.stdout).context("the output of cargo metadata is not valid JSON")?;
    let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
    packages.iter().map(member).collect()
}

fn member(package: &Value) -> anyhow::Result<Member> {
    let name = package["name"].as_str().context("a package has no name")?;
    let manifest = package["manifest_path"].as_str().context("a package has no manifest")?;
    let folder = PathBuf::from(manifest).parent().context("a manifest has no folder")?.to_owned();
    let every = |key: &str| package[key].as_array().map_or(&[][..], Vec::as_slice).iter();
    let is_product = |target: &&Value| {
        let kinds = target["kind"].as_array().map_or(&[][..], Vec::as_slice);
        kinds.iter().any(|kind| ["lib", "bin"].iter().any(|product| kind == product))
    };
    let roots = every("targets").filter(is_product).filter_map(|target| target["src_path"].as_str());
    let built_with = every("dependencies").filter(|dependency| dependency["kind"] != "dev");
    let dependencies = built_with.filter_map(|dependency| dependency["name"].as_str());
    let asks_for_testing = |dependency: &&Value| {
        let features = dependency["features"].as_array().map_or(&[][..], Vec::as_slice);
        features.iter().any(|feature| feature == "testing")
    };
    let with_testing = every("dependencies").filter(asks_for_testing);
    let with_testing = with_testing.filter_map(|dependency| dependency["name"].as_str());
    Ok(Member {
        name: name.to_owned(),
        folder,
        roots: roots.map(PathBuf::from).collect(),
        dependencies: dependencies.map(str::to_owned).collect(),
        with_testing: with_testing.map(str::to_owned).collect(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tests_and_their_dependencies_are_left_out() {
        let package = json!({
            "name": "beadle-groups", "manifest_path": "/beadle/crates/groups/Cargo.toml",
            "targets": [
                { "kind": ["lib"], "src_path": "/beadle/crates/groups/src/lib.rs" },
                { "kind": ["test"], "src_path": "/beadle/crates/groups/tests/leavers.rs" },
            ],
            "dependencies": [
                { "name": "beadle-engine", "kind": null },
                { "name": "beadle-sim", "kind": "dev" },
                { "name": "beadle-secrets", "kind": "dev", "features": ["testing"] },
            ],
        });
        let member = member(&package).unwrap();
        assert_eq!(member.folder, PathBuf::from("/beadle/crates/groups"));
        assert_eq!(member.roots, [PathBuf::from("/beadle/crates/groups/src/lib.rs")]);
        assert_eq!(member.dependencies, ["beadle-engine"]);
        assert_eq!(member.with_testing, ["beadle-secrets"]);
    }

    #[test]
    fn cargo_knows_this_package() {
        assert!(members().unwrap().iter().any(|member| member.name == "xtask" && !member.roots.is_empty()));
    }
}
