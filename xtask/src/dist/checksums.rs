//! Writes the checksums of a release's files.

use std::process::Command;

use anyhow::{Context as _, bail};

use crate::dist::release::Release;

/// The name of the file with the checksums. `sha256sum --check` reads this file.
pub(crate) const SUMS: &str = "SHA256SUMS";

/// Writes the checksums of all files, and returns them as text.
pub(crate) fn write(release: &Release) -> anyhow::Result<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&release.files)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != SUMS && entry.file_type()?.is_file() {
            names.push(name);
        }
    }
    names.sort_unstable();
    let mut command = Command::new("sha256sum");
    let answer = command.args(&names).current_dir(&release.files).output().context("cannot run sha256sum")?;
    if !answer.status.success() {
        bail!("sha256sum failed: {}", String::from_utf8_lossy(&answer.stderr));
    }
    let sums = String::from_utf8(answer.stdout)?;
    std::fs::write(release.files.join(SUMS), &sums)?;
    Ok(sums)
}
