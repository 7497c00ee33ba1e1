//! Finds programs from Debian packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::run::{root, run};

/// Returns the path of a program. If the program is not installed, the function fetches the Debian
/// package, and returns the path of the program in the unpacked files.
pub(crate) fn program(package: &str, name: &str) -> anyhow::Result<PathBuf> {
    if Command::new(name).arg("--version").output().is_ok() {
        return Ok(name.into());
    }
    let target = root().join("target/tools").join(package);
    let program = target.join("usr/bin").join(name);
    if !program.exists() {
        unpack(package, &target)?;
    }
    Ok(program)
}

/// Fetches a Debian package, and unpacks it. The package is not installed, because the installation
/// could start a server.
fn unpack(package: &str, target: &Path) -> anyhow::Result<()> {
    if Command::new("apt-get").arg("--version").output().is_err() {
        bail!("install {package}");
    }
    std::fs::create_dir_all(target)?;
    run(Command::new("apt-get").args(["download", "-qq", package]).current_dir(target))?;
    let mut files = std::fs::read_dir(target)?.filter_map(|entry| Some(entry.ok()?.path()));
    let archive = files.find(|path| path.extension().is_some_and(|ending| ending == "deb"));
    let archive = archive.with_context(|| format!("apt-get download {package} created no file"))?;
    run(Command::new("dpkg").arg("-x").arg(&archive).arg(target))?;
    std::fs::remove_file(archive)?;
    Ok(())
}
