//! Running programs, with the last word on what went wrong.

use std::process::Command;

use anyhow::{Context as _, bail};

/// Says what comes next.
#[expect(clippy::print_stderr, reason = "a developer's command talks to its developer")]
pub(crate) fn step(name: &str) {
    eprintln!("\n== {name}");
}

/// Runs a program; an exit code other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let shown = format!("{command:?}");
    let status = command.status().with_context(|| format!("cannot run {shown}"))?;
    if !status.success() {
        bail!("{shown} ended with {status}");
    }
    Ok(())
}

/// Runs the cargo that runs this.
pub(crate) fn cargo(args: &[&str], env: &[(&str, &str)]) -> anyhow::Result<()> {
    run(Command::new(env!("CARGO")).args(args).envs(env.iter().copied()).current_dir(root()))
}

/// The workspace.
pub(crate) fn root() -> &'static std::path::Path {
    std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
