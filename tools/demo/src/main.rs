//! `beadle-demo`: Beadle and its simulated vendors in one binary.
//!
//! This binary runs `demo` and `sim` itself, and passes every other command to Beadle. So the
//! `beadle` binary that an organisation installs contains no simulator.

mod demo;
mod sim;

use std::process::ExitCode;

use beadle::output::{Color, Printer};
use clap::{Parser, Subcommand};

use crate::sim::SimArgs;

/// The exit code of a demo if all checks succeeded.
const FINE: u8 = 0;
/// The exit code of a demo if a check failed, or if the user interrupted the demo.
const FAILED: u8 = 1;

/// Beadle with simulated vendors: GitHub, Okta and AWS IAM Identity Center
#[derive(Debug, Parser)]
#[command(name = "beadle", version, max_term_width = 100)]
struct Cli {
    /// When to use colour; `auto` follows the terminal and NO_COLOR
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    color: Color,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// See Beadle repair a simulated GitHub and AWS, without an account
    ///
    /// The demo has 40 repositories, 12 people, drift and a service that is killed. After each step
    /// it reads the state of the simulated vendors and prints whether Beadle repaired it.
    Demo,
    /// Run a simulated GitHub, Okta and AWS IAM Identity Center
    ///
    /// Without options, only the simulated GitHub runs. Example:
    /// `beadle-demo sim --okta 127.0.0.1:7071 --scim 127.0.0.1:7072`
    Sim(SimArgs),
}

fn main() -> ExitCode {
    let first = std::env::args_os().nth(1);
    if !first.is_some_and(|arg| arg == "demo" || arg == "sim") {
        return beadle::main();
    }
    let cli = Cli::parse();
    let printer = Printer::new(cli.color);
    let result = tokio::runtime::Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| {
        runtime.block_on(async {
            match &cli.command {
                Command::Demo => demo::run(&printer).await,
                Command::Sim(args) => sim::run(args, &printer).await,
            }
        })
    });
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            printer.error(&format!("{error:#}"));
            ExitCode::from(FAILED)
        }
    }
}
