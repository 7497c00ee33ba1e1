//! Builds the programs of a release, so that two builds of one commit are equal.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::dist::release::Release;
use crate::dist::target::Target;
use crate::run::{root, run, step};
use crate::tools;

/// The features of the released programs.
pub(crate) const FEATURES: &str = "sso";

/// Builds the program of a target, and returns its path. The program contains the list of its
/// dependencies, which `cargo audit bin` reads.
pub(crate) fn program(release: &Release, target: &Target) -> anyhow::Result<PathBuf> {
    step(&format!("program for {}", target.label));
    // Cargo does not distinguish builds that differ only in the flags below, so each has its folder.
    let folder = release.work.join("cargo").join(&target.label);
    std::fs::create_dir_all(&folder)?;
    let paths = paths(&folder)?;
    let mut flags: Vec<String> =
        paths.iter().map(|(real, shown)| format!("--remap-path-prefix={real}={shown}")).collect();
    flags.extend(target.flags().iter().map(|flag| (*flag).to_owned()));
    let c_flags: Vec<String> =
        paths.iter().map(|(real, shown)| format!("-ffile-prefix-map={real}={shown}")).collect();
    let mut command = Command::new(env!("CARGO"));
    command.args(["auditable", target.command(), "--locked", "--package", "beadle", "--bin", "beadle"]);
    command.args(["--features", FEATURES, "--profile", &release.profile, "--target", &target.asked()]);
    command.arg("--target-dir").arg(&folder);
    command.env("PATH", tools::release_path()?);
    command.env("SOURCE_DATE_EPOCH", release.epoch.to_string()).env("CARGO_INCREMENTAL", "0");
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}")).env("CFLAGS", c_flags.join(" "));
    run(command.current_dir(root()))?;
    let built = folder.join(&target.triple).join(&release.profile).join("beadle");
    if !built.exists() {
        bail!("cargo did not write {}", built.display());
    }
    check_paths(&built, &paths)?;
    Ok(built)
}

/// Returns the folders of this machine whose names a compiler may write into a program, and the
/// names that it writes instead. A later entry has priority.
fn paths(folder: &Path) -> anyhow::Result<Vec<(String, &'static str)>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let home = home.context("neither CARGO_HOME nor HOME is set")?;
    let asked = Command::new("rustc").args(["--print", "sysroot"]).current_dir(root()).output()?;
    let toolchain = PathBuf::from(String::from_utf8(asked.stdout)?.trim());
    let paths = [
        (root().canonicalize()?, "/beadle"),
        (folder.to_owned(), "/target"),
        (home.canonicalize()?, "/cargo"),
        (toolchain, "/rust"),
    ];
    Ok(paths.into_iter().map(|(path, shown)| (path.display().to_string(), shown)).collect())
}

/// Returns an error if the program contains a path of this machine.
fn check_paths(program: &Path, paths: &[(String, &str)]) -> anyhow::Result<()> {
    let bytes = std::fs::read(program)?;
    for (path, _) in paths {
        let path = path.as_bytes();
        if let Some(at) = bytes.windows(path.len()).position(|part| part == path) {
            let end = (at + 120).min(bytes.len());
            let found = String::from_utf8_lossy(bytes.get(at..end).unwrap_or_default()).into_owned();
            bail!("{} contains a path of this machine: {found:?}", program.display());
        }
    }
    Ok(())
}
