//! Tests an upgrade: builds the program of an older commit, and runs it together with the program
//! of this tree.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::run::{cargo_command, root, run, step};
use crate::{postgresql, suite, tools};

/// The environment variable with the path of the older program, for the tests.
const VARIABLE: &str = "BEADLE_OLD_PROGRAM";
/// The end-to-end tests of an upgrade.
const TESTS: &str = "upgrade::";
/// The features that the tests need in the older program.
const FEATURES: [&str; 4] = ["failpoints", "aws", "postgres", "otel"];

/// Builds the program of a commit, and runs the tests of an upgrade from this commit.
pub(crate) fn show(from: &str) -> anyhow::Result<()> {
    if !postgresql::for_tests()? {
        bail!("an upgrade is shown on PostgreSQL too");
    }
    tools::fetch()?;
    tools::tables()?;
    let commit = commit(from)?;
    step(&format!("the program of {commit}"));
    let program = build(&commit)?;
    step(&format!("upgrades from {commit}"));
    suite::one("e2e", TESTS, &[(VARIABLE, &program.display().to_string())])
}

/// Returns the full id of the commit `from`.
fn commit(from: &str) -> anyhow::Result<String> {
    let mut git = Command::new("git");
    git.args(["rev-parse", "--verify", "--quiet", "--end-of-options"]).arg(format!("{from}^{{commit}}"));
    let answer = git.current_dir(root()).output().context("cannot run git")?;
    if !answer.status.success() {
        bail!("`{from}` is not a commit of this repository");
    }
    Ok(String::from_utf8(answer.stdout)?.trim().to_owned())
}

/// Builds the program in a separate worktree, and returns the path of the program. The build has a
/// separate folder, so that it does not replace the build of this tree.
fn build(commit: &str) -> anyhow::Result<PathBuf> {
    let folder = root().join("target/upgrade");
    let (tree, target) = (folder.join("tree"), folder.join("build"));
    remove(&tree)?;
    let mut git = Command::new("git");
    // If the previous command was killed while it made the worktree, git has locked the worktree.
    // Only a second --force replaces a locked worktree.
    git.args(["worktree", "add", "--force", "--force", "--detach"]).arg(&tree).arg(commit);
    run(git.current_dir(root()))?;
    let manifest = std::fs::read_to_string(tree.join("crates/beadle/Cargo.toml"))?;
    let mut cargo = cargo_command();
    cargo.args(["build", "--package", "beadle", "--bin", "beadle", "--features", &features(&manifest)?]);
    run(cargo.arg("--target-dir").arg(&target).current_dir(&tree))?;
    remove(&tree)?;
    // The build of another commit uses the same folder.
    let program = folder.join(format!("beadle-{commit}"));
    std::fs::copy(target.join("debug/beadle"), &program).context("the commit has no program `beadle`")?;
    Ok(program.canonicalize()?)
}

/// Removes the worktree, if there is one. An interrupted build leaves the worktree behind. Git
/// itself does not remove a worktree that it does not know, for example one from a cache.
fn remove(tree: &Path) -> anyhow::Result<()> {
    if tree.exists() {
        std::fs::remove_dir_all(tree).context("cannot remove the worktree of the last upgrade")?;
    }
    run(Command::new("git").args(["worktree", "prune"]).current_dir(root()))
}

/// Returns the features that the older version has, separated by commas.
fn features(manifest: &str) -> anyhow::Result<String> {
    let manifest: toml::Table = toml::from_str(manifest)?;
    let known = manifest.get("features").and_then(toml::Value::as_table);
    let has = |feature: &&str| known.is_some_and(|known| known.contains_key(*feature));
    Ok(FEATURES.into_iter().filter(|feature| has(feature)).collect::<Vec<&str>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_version_is_built_with_the_features_that_it_has() {
        let older = "[package]\nname = \"beadle\"\n[features]\naws = []\nfailpoints = []\nsso = []\n";
        assert_eq!(features(older).unwrap(), "failpoints,aws");
        assert_eq!(features("[package]\nname = \"beadle\"\n").unwrap(), "");
        let own = std::fs::read_to_string(root().join("crates/beadle/Cargo.toml")).unwrap();
        assert_eq!(features(&own).unwrap(), FEATURES.join(","));
    }

    #[test]
    fn the_tests_of_an_upgrade_get_the_older_program() {
        let folder = root().join("crates/beadle/tests/e2e/upgrade");
        let text = std::fs::read_to_string(folder.join("mod.rs")).unwrap();
        assert!(text.contains(&format!("\"{VARIABLE}\"")), "{text}");
        for store in ["sqlite", "postgres", "dynamodb"] {
            let test = std::fs::read_to_string(folder.join(format!("{store}.rs"))).unwrap();
            assert!(test.contains("old_program()"), "{store}");
        }
    }
}
