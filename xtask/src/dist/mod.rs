//! Builds the files of a release into `target/packages/files`, and checks them.

mod archive;
mod build;
mod chart;
mod checksums;
mod image;
mod install;
mod packages;
mod release;
mod sbom;
mod source;
mod stage;
mod target;

use anyhow::bail;
use clap::{Args, ValueEnum};

use crate::run::step;
use crate::tools;
use release::Release;
use target::{Kind, Target};

/// The name of the folder in `target` that contains a release.
const PACKAGES: &str = "packages";
/// The name of the second build's folder. The files of both builds must be identical.
const AGAIN: &str = "packages-again";

/// The arguments of `cargo xtask dist`.
#[derive(Debug, Args)]
pub(crate) struct DistArgs {
    /// What to do
    #[arg(value_enum, default_value = "build")]
    step: Step,
    /// Profile of cargo for the programs; `draft` builds only the static program, in a few minutes
    /// and without AWS
    #[arg(long, default_value = "dist")]
    profile: String,
    /// Build programs of one kind only; packages need `glibc`, images need `static`
    #[arg(long, value_enum)]
    only: Option<Kind>,
}

impl DistArgs {
    /// Returns the arguments that CI uses to check the files of a draft.
    pub(crate) fn check_draft() -> Self {
        Self { step: Step::Check, profile: release::DRAFT.to_owned(), only: None }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Step {
    /// Build archives, packages, images, the chart, the formula, the list of components and checksums
    Build,
    /// Run the built programs, and install and remove the packages in a root folder
    Check,
    /// Build everything a second time, and compare the checksums
    Reproduce,
}

/// Runs one step of a release.
pub(crate) fn run(args: &DistArgs) -> anyhow::Result<()> {
    let release = Release::of(&args.profile, PACKAGES)?;
    let targets = target::possible(args.only.or(release.only()))?;
    match args.step {
        Step::Build => build(&release, &targets).map(drop),
        Step::Check => install::check(&release, &targets),
        Step::Reproduce => reproduce(&release, &targets, args),
    }
}

/// Builds all files, and returns their checksums.
#[expect(clippy::print_stdout, reason = "the checksums are the output of the command")]
fn build(release: &Release, targets: &[Target]) -> anyhow::Result<String> {
    tools::releases()?;
    // If a file of an earlier version stayed in the folder, this file would get a checksum too.
    std::fs::remove_dir_all(&release.files)?;
    std::fs::create_dir_all(&release.files)?;
    let manual = stage::manual(release)?;
    for target in targets {
        let program = build::program(release, target)?;
        let folder = stage::collect(release, target, &program, &manual)?;
        stage::pack(release, &folder)?;
        if target.kind == Kind::Static {
            image::build(release, target, &folder)?;
        }
        if release.packs(target.kind) {
            packages::build(release, target, &folder)?;
        }
    }
    chart::pack(release)?;
    source::pack(release)?;
    sbom::write(release)?;
    let sums = checksums::write(release)?;
    println!("{sums}{}", release.files.display());
    Ok(sums)
}

/// Builds all files again in another folder, and compares them with the first build.
fn reproduce(release: &Release, targets: &[Target], args: &DistArgs) -> anyhow::Result<()> {
    let first = match std::fs::read_to_string(release.files.join(checksums::SUMS)) {
        Ok(sums) => sums,
        Err(_) => build(release, targets)?,
    };
    let again = Release::of(&args.profile, AGAIN)?;
    step("the second build");
    let second = build(&again, targets)?;
    // The first build can have more kinds of programs than the second build.
    let missing = if args.only.is_none() { lacking(&first, &second) } else { Vec::new() };
    let differ = [lacking(&second, &first), missing].concat();
    if !differ.is_empty() {
        bail!("the second build differs from the first one in:\n{}", differ.join("\n"));
    }
    step("both builds are equal");
    Ok(())
}

/// Returns the lines with checksums that `others` does not have.
fn lacking<'a>(sums: &'a str, others: &str) -> Vec<&'a str> {
    sums.lines().filter(|line| !others.lines().any(|other| other == *line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_differs_or_is_missing_is_named() {
        let first = "0a  beadle.deb\n0b  beadle.rpm\n";
        assert!(lacking(first, first).is_empty());
        assert_eq!(lacking("0a  beadle.deb\n", first), Vec::<&str>::new());
        assert_eq!(lacking(first, "0a  beadle.deb\n"), ["0b  beadle.rpm"]);
        assert_eq!(lacking("a  beadle.deb\n", first), ["a  beadle.deb"], "a part of a line is not enough");
    }
}
