//! Writes archives. Two builds of the same commit write identical archives.

use std::path::Path;
use std::process::Command;

use crate::dist::release::Release;
use crate::run::run;

/// Packs files and folders of `folder` into the file `archive`. The order of the files on the disk,
/// the user, the umask and the time of the build do not affect the archive.
pub(crate) fn tar(release: &Release, folder: &Path, names: &[&str], archive: &Path) -> anyhow::Result<()> {
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--format=gnu", "--owner=0", "--group=0", "--numeric-owner"]);
    tar.arg("--mode=u=rwX,go=rX").arg(format!("--mtime=@{}", release.epoch));
    run(tar.arg("--directory").arg(folder).arg("--create").arg("--file").arg(archive).args(names))
}

/// Compresses a file of the release, and adds `suffix` to the name of the file.
pub(crate) fn compress(file: &Path, suffix: &str) -> anyhow::Result<()> {
    run(Command::new("gzip").args(["-9", "--no-name", "--force", "--suffix", suffix]).arg(file))
}
