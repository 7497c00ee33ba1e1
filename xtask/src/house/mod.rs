//! The rules of the house, which `cargo xtask house` and `cargo xtask ci` check:
//!
//! - **The files of a package form no circle.** So a developer can understand, test and move a file
//!   together with the files below it. See `uses` for the definition of a use.
//! - **A file has at most 500 lines.**
//! - **A package depends only on packages of lower layers.**
//! - **If the tests of a package use the test tools of another package, the manifest asks for the
//!   feature `testing` of the other package.**
//!
//! `xtask/house.toml` states the layers, and each exception with its reason. An exception that is
//! no longer necessary is also a problem. So every new exception is a change that a reviewer sees.

mod circles;
mod graph;
mod layers;
mod members;
mod modules;
mod rules;
mod sizes;
mod testing;
mod uses;

use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::run::root;

/// Checks the rules of the house for the workspace.
pub(crate) fn check() -> anyhow::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("house.toml");
    let rules = rules::read(&path)?;
    let members = members::members()?;
    let mut problems = layers::problems(&rules.layers, &members);
    problems.extend(testing::problems(&members)?);
    let folders: Vec<PathBuf> =
        members.iter().map(|member| member.folder.canonicalize()).collect::<std::io::Result<_>>()?;
    problems.extend(sizes::problems(&root().canonicalize()?, &folders, &rules.large)?);
    for member in &members {
        let graph = graph::read(&member.folder, &member.roots)?;
        problems.extend(graph::problems(&member.name, &graph, &rules.circle));
    }
    let is_member = |package: &str| members.iter().any(|member| member.name == package);
    for one in rules.circle.iter().filter(|one| !is_member(&one.package)) {
        problems.push(format!("`[[circle]]` names {}, which is not a package: remove it", one.package));
    }
    if !problems.is_empty() {
        bail!("the workspace breaks the rules of xtask/house.toml:\n\n{}", problems.join("\n\n"));
    }
    Ok(())
}
