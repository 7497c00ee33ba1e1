//! The commands, one file or folder each. `shared` contains the parts that several commands use.
//! `plan_base` is a part of `beadle plan`, and `import_group_mappings` is a part of `beadle
//! import`. Commands that only print a text, such as `beadle schema`, are in this file.

mod apply;
mod approve;
#[cfg(feature = "aws")]
mod aws_doctor;
mod budget;
mod check;
mod deliveries;
mod doctor;
mod explain;
mod healthcheck;
mod history;
mod holds;
mod import;
mod import_group_mappings;
mod init;
mod journal;
mod pause;
mod plan;
mod plan_base;
mod plan_total_of_shards;
mod previews;
mod queue;
mod rebind_name_to_owner;
mod reject;
mod reload;
mod report;
mod self_check_before_upgrade;
mod serve;
mod shared;
mod status;
mod store_copy;
mod sweep;
mod targets_probe;
mod tasks;
mod undo;
mod waive;
mod waivers;

use std::sync::Arc;

use beadle_engine::Time;
use beadle_repositories::{FileKind, rule_schema, schema, test_schema, waiver_schema};
use clap::CommandFactory as _;

use crate::app::organisations::installations;
use crate::cli::{Cli, Command, SchemaFile, SelfCommand, StoreCommand, TargetsCommand};
use crate::config::{Config, ConfigPlace, EXAMPLE};
use crate::output::printer::Printer;

/// The exit code of success: no change is pending.
pub(crate) const FINE: u8 = 0;
/// The exit code of a failure.
pub(crate) const FAILED: u8 = 1;
/// The exit code if changes are pending or held.
pub(crate) const PENDING: u8 = 2;

/// Runs a command and returns its exit code.
pub(crate) async fn run(cli: Cli, printer: &Printer) -> anyhow::Result<u8> {
    let read = || Config::load(&cli.config).map(|config| config.stored_at(cli.store.clone()));
    let config = || read().map(Arc::new);
    // The configuration, with the organisations that the service added because of
    // `[installations]`. The store contains these organisations.
    let whole = async || anyhow::Ok(Arc::new(installations::with_stored(read()?).await?));
    // If a command calls a vendor, it also needs the secrets that are stored at AWS.
    let armed = async || {
        let config = whole().await?;
        config.fetch_secrets().await;
        anyhow::Ok(config)
    };
    match cli.command {
        Command::Plan(args) => plan::run(&armed().await?, &args, printer).await,
        Command::Apply(args) => Box::pin(apply::run(&armed().await?, &args, printer)).await,
        Command::Sweep(args) => Box::pin(sweep::run(&armed().await?, &args, printer)).await,
        Command::Previews(args) => previews::run(&*config()?, &args, printer).await,
        Command::PlanTotal(args) => plan_total_of_shards::run(&*whole().await?, &args, printer),
        Command::Explain(args) => explain::run(&armed().await?, &args, printer).await,
        Command::Budget { org, json } => budget::run(&armed().await?, org.as_deref(), json, printer).await,
        Command::Check { json } => check::run(&cli.config, json, printer),
        Command::Import(args) => match args.from {
            Some(tool) => import::convert(tool, &args, printer),
            None => Box::pin(import::run(&armed().await?, &args, printer)).await,
        },
        Command::Serve => {
            let place = ConfigPlace { file: cli.config.clone(), store: cli.store.clone() };
            Box::pin(serve::run(&place)).await
        }
        Command::Reload { json } => reload::run(&*armed().await?, json, printer).await,
        Command::Doctor => doctor::run(&armed().await?, printer).await,
        #[cfg(feature = "aws")]
        Command::Aws(crate::cli::AwsCommand::Doctor(args)) => {
            aws_doctor::doctor(&*armed().await?, &args, printer).await
        }
        Command::Targets(TargetsCommand::Probe { release }) => {
            targets_probe::probe(&armed().await?, release.as_deref(), printer).await
        }
        Command::Pause { scope, time, decider } => {
            pause::pause(&whole().await?, (&scope, time), &decider, printer).await
        }
        Command::Resume { scope, decider } => pause::resume(&whole().await?, &scope, &decider, printer).await,
        Command::Holds(args) => holds::run(&*config()?, &args, printer).await,
        Command::Approve(args) => approve::run(&*config()?, &args, printer).await,
        Command::Reject(args) => reject::run(&*config()?, &args, printer).await,
        Command::Undo(args) => Box::pin(undo::run(&armed().await?, &args, printer)).await,
        Command::Waive(args) => Box::pin(waive::run(&armed().await?, &args, printer)).await,
        Command::Waivers(args) => waivers::run(&armed().await?, &args, printer).await,
        Command::Rebind(args) => rebind_name_to_owner::run(&armed().await?, &args, printer).await,
        Command::Schema { file } => {
            let schema = match file {
                SchemaFile::Settings => schema(FileKind::Settings),
                SchemaFile::Suborg => schema(FileKind::Suborg),
                SchemaFile::Layer => schema(FileKind::Layer),
                SchemaFile::Repo => schema(FileKind::Repo),
                SchemaFile::Deployment => schema(FileKind::Deployment),
                SchemaFile::Rule => rule_schema(),
                SchemaFile::Test => test_schema(),
                SchemaFile::Waivers => waiver_schema(),
            };
            printer.json(&serde_json::to_string_pretty(&schema)?);
            Ok(FINE)
        }
        Command::Deliveries(args) => deliveries::run(&*config()?, &args, printer).await,
        Command::Queue(args) => queue::run(&config()?, &args, printer).await,
        Command::Journal(args) => journal::run(&*config()?, &args, printer).await,
        Command::History(args) => history::run(&*config()?, &args, printer).await,
        Command::Report(args) => report::run(&*config()?, &args, printer).await,
        Command::Status { json, watch } => status::run(&*config()?, json, watch, printer).await,
        Command::Tasks { json, command } => {
            // To list tasks, the command reads the store. To run a task, the command calls the
            // service, and this call needs the operator token.
            let config = if command.is_some() { armed().await? } else { config()? };
            tasks::run(&config, command, json, printer).await
        }
        Command::Healthcheck => healthcheck::run(&*config()?, printer).await,
        Command::Store(StoreCommand::Copy { from, to }) => {
            store_copy::copy(&*config()?, from, to, printer).await
        }
        Command::Itself(SelfCommand::Check) => self_check_before_upgrade::run(&*config()?, printer).await,
        Command::Init(args) => {
            Box::pin(init::begin(&cli.config, &args, printer)).await?;
            Box::pin(init::finish(&armed().await?, &cli.config, &args, printer)).await
        }
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

/// Returns a readable text about the time since an event.
fn ago(then: Time, now: Time) -> String {
    let seconds = now.since(then).as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The variables that can contain the name of the user who runs a command.
const USER_VARIABLES: [&str; 3] = ["SUDO_USER", "USER", "USERNAME"];
/// The name in the journal if none of these variables contains a name.
const UNKNOWN_USER: &str = "an unknown user";

/// Returns the name of the user who runs this command. The journal records this name. If the store
/// is a table, the name comes from AWS. Returns `None` if no variable contains a name.
async fn system_user(config: &Config) -> Option<String> {
    let caller = if config.is_at_aws() { caller().await } else { None };
    caller.or_else(shell_user)
}

/// Returns the name of [`system_user`], or a text that shows that the name is not known. `advice`
/// is the end of a note about an unknown name.
async fn operator(config: &Config, advice: &str, printer: &Printer) -> String {
    if let Some(name) = system_user(config).await {
        return name;
    }
    let variables = USER_VARIABLES.join("`, `");
    printer.note(format!(
        "none of the variables `{variables}` is set, so the journal names `{UNKNOWN_USER}`; {advice}"
    ));
    UNKNOWN_USER.to_owned()
}

/// Returns the caller's identity at AWS, or `None` if AWS does not answer.
#[cfg(feature = "aws")]
async fn caller() -> Option<String> {
    let aws = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    let answer = aws_sdk_sts::Client::new(&aws).get_caller_identity().send().await;
    match answer {
        Ok(identity) => identity.arn().map(str::to_owned),
        Err(error) => {
            let error = aws_sdk_sts::Error::from(error);
            tracing::warn!(%error, "AWS caller identity unknown, using the user name of the shell");
            None
        }
    }
}

/// Returns `None`, because this build has no AWS SDK. Without the AWS SDK, the store cannot be a
/// table.
#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "with AWS' SDK it asks AWS")]
async fn caller() -> Option<String> {
    None
}

#[expect(clippy::disallowed_methods, reason = "the operator's name is read here only")]
fn shell_user() -> Option<String> {
    let mut names = USER_VARIABLES.into_iter().filter_map(|variable| std::env::var(variable).ok());
    names.find(|name| !name.trim().is_empty())
}
