//! `beadle-manual`: writes Beadle's man pages and completions into a folder. The packages contain
//! both. `beadle` itself does not contain the generator of the man pages.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use clap_complete::Shell;

/// Write the man pages and the completions of Beadle
#[derive(Debug, Parser)]
struct Cli {
    /// Folder for the files, such as `target/manual`
    folder: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let folder = Cli::parse().folder;
    let (man, completions) = (folder.join("man"), folder.join("completions"));
    for place in [&man, &completions] {
        std::fs::create_dir_all(place).with_context(|| format!("cannot create {}", place.display()))?;
    }
    clap_mangen::generate_to(beadle::command_line(), &man).context("cannot write the man pages")?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut beadle::command_line(), "beadle", &completions)
            .with_context(|| format!("cannot write the completions of {shell}"))?;
    }
    Ok(())
}
