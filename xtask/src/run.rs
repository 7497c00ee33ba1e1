//! Runs programs, and reports the programs that fail.

use std::process::Command;

use anyhow::{Context as _, bail};

/// Prints the name of the next step.
#[expect(clippy::print_stderr, reason = "a developer's command talks to its developer")]
pub(crate) fn step(name: &str) {
    eprintln!("\n== {name}");
}

/// Runs a program, and returns an error if its exit code is not 0.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let shown = format!("{command:?}");
    let status = command.status().with_context(|| format!("cannot run {shown}"))?;
    if !status.success() {
        bail!("{shown} ended with {status}");
    }
    Ok(())
}

/// Runs the same cargo that runs this command.
pub(crate) fn cargo(args: &[&str], env: &[(&str, &str)]) -> anyhow::Result<()> {
    run(cargo_command().args(args).envs(env.iter().copied()).current_dir(root()))
}

/// Returns a command that runs the same cargo that runs this command.
///
/// For this command, cargo has set variables that describe the package `xtask`. Some build scripts,
/// for example the one of ring, must run again if these variables change. So this function removes
/// these variables. Otherwise, `cargo test` would build some crates again after each `cargo xtask
/// test`, and `cargo xtask test` after each `cargo test`.
pub(crate) fn cargo_command() -> Command {
    let mut command = Command::new(env!("CARGO"));
    for (name, _) in std::env::vars_os() {
        let shown = name.to_string_lossy();
        if shown.starts_with("CARGO_PKG_") || shown.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Returns the folder of the workspace.
pub(crate) fn root() -> &'static std::path::Path {
    std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
