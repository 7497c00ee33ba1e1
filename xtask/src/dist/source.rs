//! Packs the source of a release, and writes the Homebrew formula that builds it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::dist::archive;
use crate::dist::release::Release;
use crate::run::{root, run, step};

/// The formula, with `@VERSION@` and `@SHA256@` in place of the values.
const FORMULA: &str = "deploy/homebrew/beadle.rb";

/// Packs the files of the commit, and writes the formula.
pub(crate) fn pack(release: &Release) -> anyhow::Result<()> {
    step("the source and the formula");
    let name = format!("beadle-{}-source", release.version);
    let archive = release.files.join(&name);
    let mut git = Command::new("git");
    git.args(["archive", "--format=tar"]).arg(format!("--prefix={name}/")).arg("--output").arg(&archive);
    run(git.arg("HEAD").current_dir(root()))?;
    archive::compress(&archive, ".tar.gz")?;
    let sum = sum(&release.files.join(format!("{name}.tar.gz")))?;
    let formula = std::fs::read_to_string(root().join(FORMULA))?;
    std::fs::write(release.files.join("beadle.rb"), filled(&formula, release.version, &sum)?)?;
    Ok(())
}

/// Returns the formula with its values.
fn filled(formula: &str, version: &str, sum: &str) -> anyhow::Result<String> {
    let formula = formula.replace("@VERSION@", version).replace("@SHA256@", sum);
    if formula.contains('@') || !formula.contains(version) || !formula.contains(sum) {
        bail!("{FORMULA} must have `@VERSION@` and `@SHA256@`, and no other `@`");
    }
    Ok(formula)
}

/// Returns the checksum of a file.
fn sum(file: &Path) -> anyhow::Result<String> {
    let answer = Command::new("sha256sum").arg(file).output().context("cannot run sha256sum")?;
    let text = String::from_utf8(answer.stdout)?;
    let sum = text.split_whitespace().next();
    Ok(sum.with_context(|| format!("sha256sum printed no checksum of {}", file.display()))?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::build::FEATURES;

    #[test]
    fn the_formula_names_the_version_and_the_checksum() {
        let formula = include_str!("../../../deploy/homebrew/beadle.rb");
        let filled = filled(formula, "1.2.3", "0f1e").unwrap();
        assert!(filled.contains("download/v1.2.3/beadle-1.2.3-source.tar.gz\""), "{filled}");
        assert!(filled.contains("sha256 \"0f1e\""), "{filled}");
        let features = format!("\"--features\", \"{FEATURES}\"");
        assert!(filled.contains(&features), "the formula builds the same program: {filled}");
        assert!(super::filled("class Beadle", "1.2.3", "0f1e").is_err());
    }
}
