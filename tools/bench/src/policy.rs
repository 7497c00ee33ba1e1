//! Measures what it costs to check the files of a policy, to resolve its layers, and to work with a
//! policy that is in a repository.

use std::process::Command;

use anyhow::Context as _;
use beadle_sim::{Settings, Sim};

use crate::folder::{Ended, Folder};
use crate::{generated, policy_in_git};

/// The number of files in the policy.
const FILES: usize = 5_000;
/// The number of runs. The result is the median of their times.
const RUNS: usize = 5;

pub(crate) async fn run() -> anyhow::Result<()> {
    let sim = Sim::start(([127, 0, 0, 1], 0).into(), Settings::default()).await?;
    let folder = Folder::new(&sim, "", "unused", "60s")?;
    let policy = folder.path.path().join("policy");
    for (path, text) in generated::policy(FILES) {
        let path = policy.join(path);
        std::fs::create_dir_all(path.parent().context("a file of a policy is in a folder")?)?;
        std::fs::write(path, text)?;
    }
    check(&folder).await?;
    // A separate process resolves the policy, so that the measured memory contains nothing else.
    let status = Command::new(std::env::current_exe()?).arg("resolve").arg(&policy).status()?;
    anyhow::ensure!(status.success(), "the policy could not be resolved: {status}");
    Box::pin(policy_in_git::run()).await
}

/// Measures `beadle check`. The first run also reads the files from the disk.
async fn check(folder: &Folder) -> anyhow::Result<()> {
    let (mut times, mut memory) = (Vec::new(), 0);
    for _ in 0..RUNS {
        let Ended { status, took, most } = folder.run(&["check"]).await?;
        anyhow::ensure!(status.code() == Some(0), "the check found errors or failed: {status}");
        times.push(took);
        memory = memory.max(most);
    }
    times.sort_by(f64::total_cmp);
    let median = times.get(RUNS / 2).copied().unwrap_or_default();
    println!("`beadle check` of {FILES} files: {median:.2} s (median of {RUNS} runs), at most {memory} MiB");
    Ok(())
}
