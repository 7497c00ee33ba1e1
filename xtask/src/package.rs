//! Builds the packages of the Lambda functions, and checks their sizes.

use std::path::PathBuf;
use std::process::Command;

use anyhow::bail;

use crate::run::{root, run, step};
use crate::tools;

/// The Lambda functions. Each has its program, and the maximum size of its package in MB.
const FUNCTIONS: &[(&str, f64)] = &[("intake", 6.0), ("worker", 12.0)];

/// Builds the programs of both functions at once. Two builds would compile AWS' SDK twice, because
/// each program alone needs other features of it.
const BUILD: &[&str] = &[
    "lambda",
    "build",
    "--release",
    "--features",
    "beadle/aws",
    "--package",
    "beadle-aws",
    "--bin",
    "intake",
    "--package",
    "beadle",
    "--bin",
    "worker",
];

/// How both programs are optimised: small, because a cold start loads the whole program. A panic
/// unwinds, so that it ends only the run that panicked. `cargo lambda` adds nothing to this.
const PROFILE: &[&str] = &[
    "--disable-optimizations",
    "--config",
    "profile.release.opt-level='s'",
    "--config",
    "profile.release.lto='fat'",
    "--config",
    "profile.release.codegen-units=1",
    "--config",
    "profile.release.panic='unwind'",
];

/// The processor architectures for which packages are built. The SAM and Terraform templates use
/// the first one by default.
const TARGETS: &[(&str, &str, &[&str])] =
    &[("x86_64", "x86_64-unknown-linux-gnu", &[]), ("arm64", "aarch64-unknown-linux-gnu", &["--arm64"])];

/// Returns the folder for the packages of an architecture. It has one folder for each function.
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
        step(&format!("packages for {architecture}"));
        let lambda = folder(architecture);
        // Deployments need only the zip files. The programs themselves are for running a function on
        // this machine.
        for format in ["binary", "zip"] {
            let mut command = Command::new(env!("CARGO"));
            command.args(BUILD).args(PROFILE).args(*flags);
            command.args(["--output-format", format, "--lambda-dir"]).arg(&lambda);
            run(command.env("PATH", tools::path()?).current_dir(root()))?;
        }
        for (name, most) in FUNCTIONS {
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

fn is_installed(target: &str) -> anyhow::Result<bool> {
    let asked = Command::new("rustc").args(["--print", "target-libdir", "--target", target]).output()?;
    Ok(asked.status.success() && PathBuf::from(String::from_utf8(asked.stdout)?.trim()).exists())
}
