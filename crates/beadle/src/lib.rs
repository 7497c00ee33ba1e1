//! Beadle keeps GitHub repositories and access groups in their declared state.

mod app;
#[cfg(feature = "aws")]
pub mod aws;
mod cli;
mod commands;
mod config;
mod journal;
mod logging;
mod notify;
pub mod output;
mod pull_request;
mod reload_signal;
mod stop_signals;
mod tasks;
#[cfg(feature = "otel")]
mod traces;

use std::process::ExitCode;

use crate::cli::Cli;
use crate::output::printer::Printer;

/// Returns the definition of the command line. For example, the generator of the man pages calls
/// this function.
pub fn command_line() -> clap::Command {
    cli::command()
}

/// Runs the command line of this process and returns its exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => {
            // Exit code 2 means that changes are pending. So an error in the command line has exit
            // code 1, like every other error.
            let _ = error.print(); // a closed pipe needs no message
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    #[cfg(feature = "failpoints")]
    let _failpoints = fail::FailScenario::setup();
    logging::start(&cli);
    let printer = Printer::new(cli.color);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(commands::run(cli, &printer));
            // The program must exit even if a read still waits for a disk.
            runtime.shutdown_timeout(std::time::Duration::from_secs(2));
            result
        }
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(_) if printer.has_lost() => {
            printer.error("cannot write a part of the output");
            ExitCode::from(commands::FAILED)
        }
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            printer.error(&format!("{error:#}"));
            ExitCode::from(commands::FAILED)
        }
    }
}
