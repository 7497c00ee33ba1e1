//! One file a command.

mod adopt;
mod apply;
mod approve;
#[cfg(feature = "aws")]
mod aws;
mod budget;
mod check;
mod deliveries;
mod directory;
mod doctor;
mod explain;
mod health;
mod journal;
mod named;
mod pause;
mod plan;
mod queue;
mod rounds;
mod serve;
mod store;
mod sweep;
mod tally;
mod tasks;
mod total;

use std::sync::Arc;

use beadle_engine::Time;
use beadle_repositories::{FileKind, schema, test_schema};
use clap::CommandFactory as _;

use crate::cli::{Cli, Command, DirectoryCommand, SchemaFile, StoreCommand};
use crate::config::{Config, EXAMPLE};
use crate::output::printer::Printer;

/// Nothing is left to do.
pub(crate) const FINE: u8 = 0;
/// It did not work.
pub(crate) const FAILED: u8 = 1;
/// Changes are pending, or held.
pub(crate) const PENDING: u8 = 2;

/// Runs a command and gives the exit code.
pub(crate) async fn run(cli: Cli, printer: &Printer) -> anyhow::Result<u8> {
    let config = || Config::load(&cli.config).map(|config| Arc::new(config.stored_at(cli.store.clone())));
    // For what asks vendors: with the secrets that AWS keeps.
    let armed = async || {
        let config = config()?;
        config.fetch_secrets().await;
        anyhow::Ok(config)
    };
    match cli.command {
        Command::Plan(args) => plan::run(&armed().await?, &args, printer).await,
        Command::Apply(args) => apply::run(&armed().await?, &args, printer).await,
        Command::Sweep(args) => Box::pin(sweep::run(&armed().await?, &args, printer)).await,
        Command::Total(args) => total::run(&*config()?, &args, printer),
        Command::Explain(args) => explain::run(&armed().await?, &args, printer).await,
        Command::Budget { org, json } => budget::run(&armed().await?, org.as_deref(), json, printer).await,
        Command::Check { json } => check::run(&cli.config, json, printer),
        Command::Serve => serve::run(&armed().await?).await,
        Command::Doctor => doctor::run(&armed().await?, printer).await,
        #[cfg(feature = "aws")]
        Command::Aws(crate::cli::AwsCommand::Doctor(args)) => {
            aws::doctor(&*armed().await?, &args, printer).await
        }
        Command::Directory(DirectoryCommand::Probe { release }) => {
            directory::probe(&armed().await?, release.as_deref(), printer).await
        }
        Command::Pause { scope, time } => pause::pause(&config()?, &scope, time, printer).await,
        Command::Resume { scope } => pause::resume(&config()?, &scope, printer).await,
        Command::Holds { json } => approve::holds(&*config()?, json, printer).await,
        Command::Approve { digests } => approve::approve(&*config()?, &digests, printer).await,
        Command::Adopt(args) => adopt::run(&armed().await?, &args, printer).await,
        Command::Schema { file } => {
            let schema = match file {
                SchemaFile::Settings => schema(FileKind::Settings),
                SchemaFile::Suborg => schema(FileKind::Suborg),
                SchemaFile::Layer => schema(FileKind::Layer),
                SchemaFile::Repo => schema(FileKind::Repo),
                SchemaFile::Deployment => schema(FileKind::Deployment),
                SchemaFile::Test => test_schema(),
            };
            printer.json(&serde_json::to_string_pretty(&schema)?);
            Ok(FINE)
        }
        Command::Deliveries(args) => deliveries::run(&*config()?, &args, printer).await,
        Command::Queue { json, limit, retry, group } => {
            let wanted = queue::QueueFilter { json, limit, retry, group };
            queue::run(&*config()?, wanted, printer).await
        }
        Command::Journal(args) => journal::run(&*config()?, &args, printer).await,
        Command::Tasks { json, command } => {
            // The list is in the store; for a run the operator token is shown.
            let config = if command.is_some() { armed().await? } else { config()? };
            tasks::run(&config, command, json, printer).await
        }
        Command::Health => health::run(&*config()?, printer).await,
        Command::Store(StoreCommand::Copy { from, to }) => store::copy(&*config()?, from, to, printer).await,
        Command::Example => {
            printer.own(EXAMPLE.trim_end());
            Ok(FINE)
        }
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "beadle", &mut text);
            printer.own(String::from_utf8_lossy(&text).trim_end());
            Ok(FINE)
        }
    }
}

/// How long ago, for people.
fn ago(then: Time, now: Time) -> String {
    let seconds = now.since(then).as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Who runs this command, for the journal: where the state is a table, whom AWS takes the caller for.
async fn operator(config: &Config) -> String {
    let caller = if config.database().is_none() { caller().await } else { None };
    caller.unwrap_or_else(shell_user)
}

#[cfg(feature = "aws")]
use aws::caller;

/// There is no table without AWS' SDK.
#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "with AWS' SDK it asks AWS")]
async fn caller() -> Option<String> {
    None
}

#[expect(clippy::disallowed_methods, reason = "the operator's name is read here only")]
fn shell_user() -> String {
    let name = ["SUDO_USER", "USER", "USERNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    name.unwrap_or_else(|| "an operator".into())
}
