//! The Lambda functions' packages, and what they weigh.

use std::path::PathBuf;
use std::process::Command;

use anyhow::bail;

use crate::run::{root, run, step};
use crate::tools;

/// A function: its program, the folder of its crate, whose manifest says how it is built, and what its package may weigh,
/// in MB.
const FUNCTIONS: &[(&str, &str, f64)] = &[("intake", "crates/aws", 6.0), ("worker", "crates/beadle", 12.0)];

/// What the functions are built for. The first is what SAM's and Terraform's templates begin with.
const TARGETS: &[(&str, &str, &[&str])] =
    &[("x86_64", "x86_64-unknown-linux-gnu", &[]), ("arm64", "aarch64-unknown-linux-gnu", &["--arm64"])];

/// Where the programs of an architecture are, a folder a function.
pub(crate) fn folder(architecture: &str) -> PathBuf {
    let lambda = root().join("target/lambda");
    if architecture == "x86_64" { lambda } else { lambda.join(architecture) }
}

/// Builds every package that the toolchain can build, and says what they weigh.
#[expect(clippy::print_stdout, reason = "sizes are what it is run for")]
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
            // The program itself too, for whoever runs it here.
            for format in ["binary", "zip"] {
                let mut command = Command::new(env!("CARGO"));
                command.args(["lambda", "build", "--release", "--bin", name]).args(*flags);
                command.args(["--output-format", format, "--lambda-dir"]).arg(&lambda);
                run(command.env("PATH", tools::path()?).current_dir(root().join(place)))?;
            }
            let zip = lambda.join(name).join("bootstrap.zip");
            #[expect(clippy::cast_precision_loss, reason = "megabytes")]
            let size = std::fs::metadata(&zip)?.len() as f64 / 1e6;
            println!("{architecture}: {name} weighs {size:.2} MB zipped; it may weigh {most} MB");
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
