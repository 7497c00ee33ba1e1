//! Builds the programs of a release, so that two builds of the same commit are identical.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::dist::release::Release;
use crate::dist::target::{GLIBC, Kind, Target};
use crate::run::{cargo_command, root, run, step};
use crate::tools;

/// The features of the released programs: all stores, the export of traces, and the sign-in of
/// operators to AWS.
pub(crate) const FEATURES: &str = "postgres,otel,sso";
/// The features of a draft. A draft leaves out AWS, because the AWS crates take as long to build as
/// all other crates together. No check of a release's files needs AWS. The tests build the AWS
/// crates.
const DRAFT_FEATURES: &str = "postgres";

/// Builds the program of a target, and returns the path of the program. The program contains the
/// list of its dependencies. `cargo audit bin` reads this list.
pub(crate) fn program(release: &Release, target: &Target) -> anyhow::Result<PathBuf> {
    step(&format!("program for {}", target.label));
    // Cargo does not distinguish builds that differ only in the flags below. So each build has a
    // separate folder.
    let folder = release.work.join("cargo").join(&target.label);
    std::fs::create_dir_all(&folder)?;
    let paths = paths(&folder)?;
    let mut flags: Vec<String> =
        paths.iter().map(|(real, shown)| format!("--remap-path-prefix={real}={shown}")).collect();
    flags.extend(target.flags().iter().map(|flag| (*flag).to_owned()));
    let c_flags: Vec<String> =
        paths.iter().map(|(real, shown)| format!("-ffile-prefix-map={real}={shown}")).collect();
    let mut command = cargo_command();
    command.args(["auditable", target.command(), "--locked", "--package", "beadle", "--bin", "beadle"]);
    let features = if release.is_draft() { DRAFT_FEATURES } else { FEATURES };
    command.args(["--features", features, "--profile", &release.profile, "--target", &target.asked()]);
    command.arg("--target-dir").arg(&folder);
    command.env("PATH", tools::release_path()?);
    command.env("SOURCE_DATE_EPOCH", release.epoch.to_string()).env("CARGO_INCREMENTAL", "0");
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}")).env("CFLAGS", c_flags.join(" "));
    run(command.current_dir(root()))?;
    let built = folder.join(&target.triple).join(&release.profile).join("beadle");
    if !built.exists() {
        bail!("cargo did not write {}", built.display());
    }
    let bytes = std::fs::read(&built)?;
    check(&bytes, target.kind, &paths).with_context(|| built.display().to_string())?;
    Ok(built)
}

/// Returns pairs of names. The first name is a folder on this machine, which a compiler can write
/// into a program. The second name is the one that the compiler writes instead. A later pair has
/// priority over an earlier pair.
fn paths(folder: &Path) -> anyhow::Result<Vec<(String, &'static str)>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let home = home.context("neither CARGO_HOME nor HOME is set")?;
    let asked = Command::new("rustc").args(["--print", "sysroot"]).current_dir(root()).output()?;
    let toolchain = PathBuf::from(String::from_utf8(asked.stdout)?.trim());
    let paths = [
        (root().canonicalize()?, "/beadle"),
        (folder.to_owned(), "/target"),
        (home, "/cargo"),
        (toolchain, "/rust"),
    ];
    Ok(paths.into_iter().map(|(path, shown)| (path.display().to_string(), shown)).collect())
}

/// Returns an error if a program contains a path of this machine, lacks the list of its
/// dependencies, or needs a newer glibc than the packages require.
fn check(program: &[u8], kind: Kind, paths: &[(String, &str)]) -> anyhow::Result<()> {
    for (path, _) in paths {
        if let Some(found) = around(program, path.as_bytes()) {
            bail!("the program contains a path of this machine: {found:?}");
        }
    }
    if around(program, b".dep-v0").is_none() {
        bail!("the program does not contain the list of its dependencies");
    }
    let newest = newest_glibc(program);
    if kind == Kind::Glibc && newest > GLIBC {
        bail!("the program needs glibc 2.{newest}, and the packages require 2.{GLIBC}");
    }
    Ok(())
}

/// Finds `text` in a program. Returns the part of the program that begins with `text`.
fn around(program: &[u8], text: &[u8]) -> Option<String> {
    let at = program.windows(text.len()).position(|part| part == text)?;
    let end = (at + 120).min(program.len());
    Some(String::from_utf8_lossy(program.get(at..end)?).into_owned())
}

/// Returns the newest glibc version that a program requires. The result is the number after `2.`.
fn newest_glibc(program: &[u8]) -> u32 {
    let text = String::from_utf8_lossy(program);
    let numbers = text.split("GLIBC_2.").skip(1).filter_map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    });
    numbers.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without symbols, the program of a release is 19 MB smaller.
    #[test]
    fn the_program_of_a_release_has_no_symbols() {
        let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let release = &manifest["profile"]["release"];
        assert_eq!(release["strip"].as_str(), Some("symbols"));
        // If a package has its own table in the profile, cargo does not use the profile's value.
        let own = release["package"].get("beadle");
        assert!(own.is_none_or(|own| own.get("strip").and_then(toml::Value::as_str) == Some("symbols")));
    }

    #[test]
    fn a_program_is_checked_for_paths_dependencies_and_glibc() {
        let paths = [("/home/mona/.cargo".to_owned(), "/cargo")];
        let of = |text: &str, kind| check(text.as_bytes(), kind, &paths).map_err(|error| error.to_string());
        let fine = "\u{7f}ELF GLIBC_2.2.5 GLIBC_2.28 .dep-v0 /cargo/registry/src/a.rs";
        assert_eq!(of(fine, Kind::Glibc), Ok(()));
        let path = of(".dep-v0 /home/mona/.cargo/registry/src/a.rs", Kind::Static).unwrap_err();
        assert!(path.contains("/home/mona/.cargo/registry/src/a.rs"), "{path}");
        assert!(of("GLIBC_2.28", Kind::Glibc).unwrap_err().contains("dependencies"));
        let newer = "GLIBC_2.34 .dep-v0";
        assert!(of(newer, Kind::Glibc).unwrap_err().contains("needs glibc 2.34"));
        assert_eq!(of(newer, Kind::Static), Ok(()), "it contains its own");
    }
}
