//! Collects the files of one program in a folder. The archives and the packages contain the same
//! files.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, bail};

use crate::dist::archive;
use crate::dist::release::Release;
use crate::dist::target::Target;
use crate::run::{cargo, root, run, step};
use crate::suite;

/// The files of the repository that every archive contains.
const FILES: &[&str] = &["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"];
/// The lines of the systemd unit that are different in the packages. Each entry has the line in the
/// workspace, and the line in the packages. A package creates a user who owns the files in
/// `/etc/beadle`, so the service reads its secrets from this folder.
const UNIT: &[(&str, &str)] = &[
    ("ExecStart=/usr/local/bin/beadle ", "ExecStart=/usr/bin/beadle "),
    ("DynamicUser=yes\n", "User=beadle\nGroup=beadle\n"),
    (
        "# Secrets: `file:/run/credentials/beadle.service/github.pem`. Other users of the machine cannot read them.\n\
         LoadCredential=github.pem:/etc/beadle/secrets/github.pem\n\
         LoadCredential=webhook.secret:/etc/beadle/secrets/webhook.secret\n",
        "",
    ),
];

/// Writes the man pages and the completions, which are the same for all programs. Returns their
/// folder.
pub(crate) fn manual(release: &Release) -> anyhow::Result<PathBuf> {
    step("man pages and completions");
    let folder = release.work.join("manual");
    let _ = std::fs::remove_dir_all(&folder); // this removes pages of commands that no longer exist
    // The build uses the packages and features of the tests, so that cargo compiles nothing again.
    cargo(&[&["build", "--bin", "beadle-manual"], suite::BUILD, suite::TESTING].concat(), &[])?;
    run(Command::new(root().join("target/debug/beadle-manual")).arg(&folder))?;
    run(Command::new("gzip").args(["-9", "--no-name", "--recursive"]).arg(folder.join("man")))?;
    Ok(folder)
}

/// Collects the files of a program. Returns the folder. The folder has the same name as the
/// archive.
pub(crate) fn collect(
    release: &Release,
    target: &Target,
    program: &Path,
    manual: &Path,
) -> anyhow::Result<PathBuf> {
    let name = format!("beadle-{}-{}", release.version, target.label);
    let folder = release.work.join("stage").join(name);
    let _ = std::fs::remove_dir_all(&folder); // this removes files that the release no longer has
    std::fs::create_dir_all(&folder)?;
    let time = release.time();
    copy(program, &folder.join("beadle"), 0o755, time)?;
    for file in FILES {
        copy(&root().join(file), &folder.join(file), 0o644, time)?;
    }
    for part in ["man", "completions"] {
        std::fs::create_dir_all(folder.join(part))?;
        for entry in std::fs::read_dir(manual.join(part))? {
            let entry = entry?;
            copy(&entry.path(), &folder.join(part).join(entry.file_name()), 0o644, time)?;
        }
    }
    let text = std::fs::read_to_string(root().join("deploy/systemd/beadle.service"))?;
    let service = folder.join("beadle.service");
    std::fs::write(&service, unit(&text)?)?;
    finish(&service, 0o644, time)?;
    Ok(folder)
}

/// Writes the archive of a program.
pub(crate) fn pack(release: &Release, folder: &Path) -> anyhow::Result<()> {
    let name = folder.file_name().context("the folder has no name")?.to_string_lossy().into_owned();
    let parent = folder.parent().context("the folder has no parent")?;
    let file = release.files.join(&name);
    archive::tar(release, parent, &[&name], &file)?;
    archive::compress(&file, ".tar.gz")
}

/// Returns the unit of the packages.
fn unit(text: &str) -> anyhow::Result<String> {
    let mut text = text.to_owned();
    for (from, to) in UNIT {
        if !text.contains(from) {
            bail!("deploy/systemd/beadle.service must contain {from:?}, which packages replace");
        }
        text = text.replace(from, to);
    }
    Ok(text)
}

fn copy(from: &Path, to: &Path, mode: u32, time: SystemTime) -> anyhow::Result<()> {
    std::fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    finish(to, mode, time)
}

/// Sets the permissions and the time of a file. The checkout and the compression of the man pages
/// also set these two values. Without this function, the values would differ in each build.
fn finish(path: &Path, mode: u32, time: SystemTime) -> anyhow::Result<()> {
    let file = File::options().write(true).open(path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.set_modified(time)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_of_the_packages_has_a_user_and_no_path_of_a_build() {
        let text = include_str!("../../../deploy/systemd/beadle.service");
        let unit = unit(text).unwrap();
        for line in ["ExecStart=/usr/bin/beadle --config /etc/beadle/beadle.toml", "User=beadle\n"] {
            assert!(unit.contains(line), "{unit}");
        }
        for gone in ["/usr/local", "DynamicUser", "LoadCredential"] {
            assert!(!unit.contains(gone), "{unit}");
        }
        assert!(super::unit("[Service]\n").is_err());
    }
}
