//! Writes the folder of a program as an archive.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::dist::release::Release;
use crate::run::run;

/// Packs a folder. The archive does not contain the order of the files on the disk, the user who
/// built it, or the time of the build.
pub(crate) fn pack(release: &Release, folder: &Path) -> anyhow::Result<()> {
    let name = folder.file_name().context("the folder has no name")?.to_string_lossy().into_owned();
    let parent = folder.parent().context("the folder has no parent")?;
    let archive = release.files.join(format!("{name}.tar"));
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--format=gnu", "--owner=0", "--group=0", "--numeric-owner", "--mode=go-w"]);
    tar.arg(format!("--mtime=@{}", release.epoch)).arg("--directory").arg(parent);
    run(tar.arg("--create").arg("--file").arg(&archive).arg(&name))?;
    run(Command::new("gzip").args(["-9", "--no-name", "--force"]).arg(&archive))
}
