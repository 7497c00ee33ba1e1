//! Beadle's benchmarks. If a benchmark compares figures, all these figures come from the same run.
//! `cargo xtask bench` builds the release binary for the benchmarks.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod bare;
mod burst;
mod calls;
mod clock;
mod cluster;
mod coldstart;
mod cost;
mod day;
mod directory;
mod drain;
mod everything;
mod folder;
mod fresh;
mod generated;
mod intake;
mod load;
mod pages;
mod pages_data;
mod patterns;
mod policy;
mod policy_in_git;
mod processes;
mod resolving;
mod runtime;
mod service;
mod sizes;
mod startup;
mod stores;
mod sweep;
mod working;

use std::path::Path;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["calls"] => calls::run().await,
        ["day"] => calls::day().await,
        ["directory"] => directory::run().await,
        ["coldstart"] => coldstart::run().await,
        ["burst"] => burst::run().await,
        ["cluster", url] => cluster::run(url).await,
        ["fresh"] => fresh::run().await,
        ["policy"] => policy::run().await,
        // `policy` starts this program as a child process with this argument. So the process needs
        // memory only to resolve the policy.
        ["resolve", folder] => resolving::run(Path::new(folder)),
        ["pages"] => pages::run().await,
        ["sweep"] => sweep::run().await,
        ["drain"] => drain::run().await,
        // `drain` starts this program as a child process with this argument.
        ["work", address] => working::run(address).await,
        ["startup"] => startup::run().await,
        ["intake"] => intake::run().await,
        // `intake` starts this program as a child process with this argument, and writes the secret
        // to standard input.
        ["bare", port] => bare::run(port.parse()?).await,
        _ => {
            anyhow::bail!(
                "specify `calls`, `day`, `burst`, `fresh`, `policy`, `directory`, `pages`, `sweep`, `drain`, \
                 `startup`, `intake`, `coldstart` or `cluster URL`"
            )
        }
    }
}
