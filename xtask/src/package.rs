//! Builds the packages of the Lambda functions, and checks the packages.

use std::path::PathBuf;
use std::process::Command;

use anyhow::bail;
use clap::{Args, ValueEnum};

use crate::run::{cargo_command, root, run, step};
use crate::suite;
use crate::tools;

/// The arguments of `cargo xtask package`.
#[derive(Debug, Args)]
pub(crate) struct PackageArgs {
    /// What to do
    #[arg(value_enum, default_value = "build")]
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Step {
    /// Build the packages, and print their sizes
    Build,
    /// Build the packages, run the programs in them, and build them with SAM too
    Check,
}

/// Runs one step of the packages.
pub(crate) fn run_step(args: &PackageArgs) -> anyhow::Result<()> {
    build()?;
    match args.step {
        Step::Build => Ok(()),
        Step::Check => check(),
    }
}

/// Sends a webhook to the programs in the packages, which use an emulated AWS. Then SAM builds the
/// packages from its template.
fn check() -> anyhow::Result<()> {
    step("functions of the packages");
    tools::tables()?;
    let packages = folder("x86_64").display().to_string();
    suite::one("e2e", "aws::functions::a_webhook", &[("BEADLE_PACKAGES", &packages)])?;
    step("the function that SAM builds");
    tools::sam_build()
}

/// The Lambda functions. Each function has its program, the folder of its crate, and the maximum
/// size of its package in MB. The manifest of the crate has the build options.
const FUNCTIONS: &[(&str, &str, f64)] = &[("intake", "crates/aws", 6.0), ("worker", "crates/beadle", 12.0)];

/// The processor architectures of the packages. The SAM and Terraform templates use the first one
/// by default.
const TARGETS: &[(&str, &str, &[&str])] =
    &[("x86_64", "x86_64-unknown-linux-gnu", &[]), ("arm64", "aarch64-unknown-linux-gnu", &["--arm64"])];

/// Returns the folder for the packages of an architecture. This folder contains one folder for each
/// function.
pub(crate) fn folder(architecture: &str) -> PathBuf {
    let lambda = root().join("target/lambda");
    if architecture == "x86_64" { lambda } else { lambda.join(architecture) }
}

/// Builds the packages for all architectures that the toolchain can build, and prints their sizes.
#[expect(clippy::print_stdout, reason = "the sizes are the output of the command")]
pub(crate) fn build() -> anyhow::Result<()> {
    tools::emulators()?;
    for (architecture, target, flags) in TARGETS {
        if !is_installed(target)? {
            println!(
                "{architecture}: not built: the toolchain has no standard library for {target} (`rustup target add {target}`)"
            );
            continue;
        }
        for (name, place, most) in FUNCTIONS {
            step(&format!("package {name} for {architecture}"));
            let lambda = folder(architecture);
            // Deployments need only the zip file. The program itself is for a test run of the
            // function on this machine.
            for format in ["binary", "zip"] {
                let mut command = cargo_command();
                command.args(["lambda", "build", "--release", "--bin", name]).args(*flags);
                command.args(["--output-format", format, "--lambda-dir"]).arg(&lambda);
                run(command.env("PATH", tools::path()?).current_dir(root().join(place)))?;
            }
            let zip = lambda.join(name).join("bootstrap.zip");
            #[expect(clippy::cast_precision_loss, reason = "megabytes")]
            let size = std::fs::metadata(&zip)?.len() as f64 / 1e6;
            println!("{architecture}: {name} has {size:.2} MB zipped, at most {most} MB allowed");
            if size > *most {
                bail!("{} is too large", zip.display());
            }
        }
    }
    Ok(())
}

/// Returns whether the toolchain has the standard library of a target.
pub(crate) fn is_installed(target: &str) -> anyhow::Result<bool> {
    let asked = Command::new("rustc").args(["--print", "target-libdir", "--target", target]).output()?;
    Ok(asked.status.success() && PathBuf::from(String::from_utf8(asked.stdout)?.trim()).exists())
}
