//! Checks the files of a release. Runs the programs. Installs the packages in the root folder of an
//! empty Debian, and removes them again.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::dist::checksums::SUMS;
use crate::dist::image;
use crate::dist::packages;
use crate::dist::release::Release;
use crate::dist::target::{Kind, Target};
use crate::run::{root, run, step};

/// The release of Debian for the test installation, and the packages that Beadle's packages need.
const DEBIAN: (&str, &str) = ("bookworm", "ca-certificates");
/// Files that each package must contain.
const INSTALLED: &[&str] = &[
    "usr/bin/beadle",
    "usr/lib/systemd/system/beadle.service",
    "usr/share/man/man1/beadle.1.gz",
    "usr/share/man/man1/beadle-self-check.1.gz",
    "usr/share/bash-completion/completions/beadle",
    "usr/share/fish/vendor_completions.d/beadle.fish",
    "usr/share/doc/beadle/LICENSE-MIT",
];
/// The files that the operator writes. The removal of the package must keep these files.
const WRITTEN: &[(&str, &str)] = &[
    (
        "etc/beadle/beadle.toml",
        "[store]\npath = \"/var/lib/beadle/beadle.db\"\n\n[[org]]\nname = \"acme\"\n\
         app = { id = 1, key = \"file:beadle-app.pem\" }\nwebhook_secrets = []\npolicy = \"policy\"\n\
         mode = \"observe\"\n",
    ),
    ("etc/beadle/policy/settings.yml", "repository: { delete_branch_on_merge: true }\n"),
];

/// Checks the files that this machine can check, and prints which checks it leaves out.
pub(crate) fn check(release: &Release, targets: &[Target]) -> anyhow::Result<()> {
    step("checksums");
    run(Command::new("sha256sum").args(["--check", "--quiet", SUMS]).current_dir(&release.files))?;
    for target in targets {
        if !target.runs_here() {
            step(&format!("{}: this machine cannot run the program, it is not checked", target.label));
            continue;
        }
        if target.kind == Kind::Static {
            alone(release, target)?;
            contained(release, target)?;
        }
        if release.packs(target.kind) {
            contents(release, target)?;
            installed(release, target)?;
        }
    }
    Ok(())
}

/// Unpacks an archive, and runs its program in a root folder that contains nothing else.
fn alone(release: &Release, target: &Target) -> anyhow::Result<()> {
    step(&format!("{}: the program alone", target.label));
    let name = format!("beadle-{}-{}", release.version, target.label);
    let folder = emptied(release, "alone")?;
    let archive = release.files.join(format!("{name}.tar.gz"));
    run(Command::new("tar").arg("--extract").arg("--file").arg(&archive).arg("--directory").arg(&folder))?;
    let inside = folder.join(name);
    for file in ["man/beadle.1.gz", "completions/_beadle", "beadle.service", "LICENSE-APACHE"] {
        expect_file(&inside, file)?;
    }
    works(release, &inside, "/beadle")
}

/// Runs the program of the image, in the root folder of the container.
fn contained(release: &Release, target: &Target) -> anyhow::Result<()> {
    step(&format!("the image for {}", target.architecture));
    let folder = emptied(release, "image")?;
    let Some(inside) = image::unpack(release, target, &folder)? else { return Ok(()) };
    for file in ["etc/ssl/certs/ca-certificates.crt", "etc/beadle", "var/lib/beadle", "tmp"] {
        expect_file(&inside, file)?;
    }
    works(release, &inside, "/usr/local/bin/beadle")
}

/// Checks the files of the packages, without an installation.
fn contents(release: &Release, target: &Target) -> anyhow::Result<()> {
    let deb = packages::deb(release, target);
    step(&format!("the contents of {}", deb.display()));
    let folder = emptied(release, "contents")?;
    run(Command::new("dpkg-deb").arg("--extract").arg(&deb).arg(&folder))?;
    for file in INSTALLED.iter().chain(&["etc/beadle", "usr/share/zsh/vendor-completions/_beadle"]) {
        expect_file(&folder, file)?;
    }
    let rpm = packages::rpm(release, target);
    let Ok(listed) = Command::new("rpm").args(["--query", "--list", "--package"]).arg(&rpm).output() else {
        step("rpm is missing, the package for RPM is not checked");
        return Ok(());
    };
    let listed = String::from_utf8(listed.stdout)?;
    for file in INSTALLED {
        if !listed.lines().any(|line| line.trim_start_matches('/') == *file) {
            bail!("{} does not contain {file}", rpm.display());
        }
    }
    Ok(())
}

/// Installs, upgrades and removes the package in an empty Debian.
fn installed(release: &Release, target: &Target) -> anyhow::Result<()> {
    let Some(debian) = debian()? else { return Ok(()) };
    let deb = packages::deb(release, target);
    step(&format!("installing {}", deb.display()));
    let folder = emptied(release, "debian")?;
    run(Command::new("cp").arg("--archive").arg(debian.join(".")).arg(&folder))?;
    std::fs::copy(&deb, folder.join("beadle.deb"))?;
    let inside = |args: &[&str]| {
        let mut command = chroot(&folder)?;
        run(command.args(args))
    };
    inside(&["dpkg", "--install", "/beadle.deb"])?;
    for file in INSTALLED {
        expect_file(&folder, file)?;
    }
    works(release, &folder, "/usr/bin/beadle")?;
    let owner = chroot(&folder)?.args(["stat", "--format=%U:%G %a", "/etc/beadle"]).output()?;
    let owner = String::from_utf8(owner.stdout)?;
    if owner.trim() != "beadle:beadle 750" {
        bail!("/etc/beadle must have the owner and mode `beadle:beadle 750`, found `{}`", owner.trim());
    }
    for (file, text) in WRITTEN {
        let file = folder.join(file);
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(file, text)?;
    }
    // The user of the service must be able to write to the folder, because `beadle init` writes to
    // it. The files in the folder must be valid.
    let script = "cd /etc/beadle && beadle example > example.toml && beadle check && beadle self check";
    inside(&["su", "--shell", "/bin/sh", "beadle", "--command", script])?;
    inside(&["dpkg", "--install", "/beadle.deb"])?;
    for option in ["--remove", "--purge"] {
        inside(&["dpkg", option, "beadle"])?;
        for (file, _) in WRITTEN {
            expect_file(&folder, file)?;
        }
    }
    if folder.join("usr/bin/beadle").exists() {
        bail!("the removal of the package keeps /usr/bin/beadle");
    }
    Ok(())
}

/// Runs the program at `path` inside a root folder.
fn works(release: &Release, folder: &Path, path: &str) -> anyhow::Result<()> {
    let said = |args: &[&str]| -> anyhow::Result<String> {
        let answer = chroot(folder)?.arg(path).args(args).output()?;
        if !answer.status.success() {
            bail!("{path} {args:?} failed: {}", String::from_utf8_lossy(&answer.stderr));
        }
        Ok(String::from_utf8(answer.stdout)?)
    };
    let version = said(&["--version"])?;
    if version.trim() != format!("beadle {}", release.version) {
        bail!("{path} --version must print `beadle {}`, found `{}`", release.version, version.trim());
    }
    if !said(&["example"])?.contains("[[org]]") {
        bail!("{path} example must print a configuration with an organisation");
    }
    Ok(())
}

/// Returns a command that runs another command with `folder` as its root folder. If the user is not
/// root, the other command runs in a namespace.
fn chroot(folder: &Path) -> anyhow::Result<Command> {
    let id = Command::new("id").arg("--user").output().context("cannot run id")?;
    let mut command = if id.stdout.trim_ascii() == b"0" {
        Command::new("chroot")
    } else {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "chroot"]);
        command
    };
    command.arg(folder).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    Ok(command)
}

/// Returns the root folder of an empty Debian. If this machine cannot create the folder, prints
/// that the check is left out.
fn debian() -> anyhow::Result<Option<PathBuf>> {
    let target = root().join("target/tools/debian");
    let marker = target.join("complete");
    if marker.exists() {
        return Ok(Some(target));
    }
    if Command::new("debootstrap").arg("--version").output().is_err() {
        step("debootstrap is missing, the package is not installed: `apt-get install debootstrap`");
        return Ok(None);
    }
    step("fetching an empty Debian");
    let _ = std::fs::remove_dir_all(&target); // this removes the files of an interrupted run
    let (release, packages) = DEBIAN;
    let include = format!("--include={packages}");
    run(Command::new("debootstrap").args(["--variant=minbase", &include, release]).arg(&target))?;
    std::fs::write(marker, "")?;
    Ok(Some(target))
}

/// Returns an empty folder for one check.
fn emptied(release: &Release, name: &str) -> anyhow::Result<PathBuf> {
    let folder = release.work.join("check").join(name);
    let _ = std::fs::remove_dir_all(&folder); // this removes the files of an earlier check
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn expect_file(folder: &Path, file: &str) -> anyhow::Result<()> {
    if !folder.join(file).exists() {
        bail!("{file} is missing in {}", folder.display());
    }
    Ok(())
}
