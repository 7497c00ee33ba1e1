//! The command line. Its help is written to teach.

mod args;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

#[cfg(feature = "sim")]
pub(crate) use args::SimArgs;
pub(crate) use args::{
    ApplyArgs, ExplainArgs, Format, JournalArgs, JournalFormat, ListArgs, PlanArgs, PlanTotalArgs, RebindArgs,
    SchemaFile, Scope, Selection, StoreCommand, SweepArgs, TargetsCommand, TasksCommand,
};
#[cfg(feature = "aws")]
pub(crate) use args::{AwsCommand, AwsDoctorArgs};

use crate::app::store_location::StoreLocation;

/// Keeps GitHub repositories as a policy declares them, and access groups as a directory does: in seconds when something
/// changes, and on every sweep.
///
/// Begin with `beadle demo` (simulated vendors, nothing to set up), then write a beadle.toml (`beadle example`), look
/// at `beadle plan`, and run `beadle serve`. A new organisation starts in mode `observe`: Beadle plans, and writes
/// nothing until you say so.
#[derive(Debug, Parser)]
#[command(
    name = "beadle",
    version,
    max_term_width = 100,
    after_help = "\
Exit codes: 0 fine, 1 an error; plan, apply, sweep: 2 changes are left."
)]
pub(crate) struct Cli {
    /// The configuration file.
    #[arg(
        long,
        short,
        global = true,
        env = "BEADLE_CONFIG",
        default_value = "beadle.toml",
        value_name = "FILE"
    )]
    pub(crate) config: PathBuf,
    /// Where the state is, in place of `store.path`: a file, or dynamodb://TABLE.
    #[arg(long, global = true, env = "BEADLE_STORE", value_name = "PLACE")]
    pub(crate) store: Option<StoreLocation>,
    /// When to use colour. NO_COLOR is honoured.
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    pub(crate) color: Color,
    /// What to log, as `error`, `warn`, `info`, `debug`, or per module `beadle_engine=debug`.
    #[arg(long, global = true, env = "BEADLE_LOG", value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// How to log.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "text",
        env = "BEADLE_LOG_FORMAT",
        value_name = "FORMAT"
    )]
    pub(crate) log_format: LogFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    /// Returns whether standard output gets colour.
    pub(crate) fn resolve(self) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                let choice = anstream::AutoStream::choice(&std::io::stdout());
                choice != anstream::ColorChoice::Never
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what would be changed; change nothing
    ///
    /// Reads every repository and group (or those named) and what is declared of them, and prints what differs, with the
    /// line that asks for it and the risk of every change. Exit code: 0 nothing to do, 2 changes are pending, 1 an error.
    Plan(PlanArgs),
    /// Make it so: plan, ask, write, print each result
    ///
    /// Modes and the guard's limits hold here too. On a terminal it asks before it writes; elsewhere it needs --yes when
    /// something would be removed, weakened or exposed. Afterwards it plans again, and writes changes that the first
    /// writes made due. Exit code: 0 a second plan is empty, 2 changes are left (the guard or the mode keeps them back), 1 something
    /// failed.
    Apply(ApplyArgs),
    /// Make it so over all repositories and groups, or a share of them, without asking; for CI jobs
    ///
    /// Ends in one summary. Where there is no store, the guard's limits (and GitHub's) are divided by the number of
    /// shards, and what was held passes with --approve. Exit code: 0 as declared now, 2 changes are left (the guard or
    /// the mode keeps them back), 1 something failed, is unknown, or a list came back short.
    Sweep(SweepArgs),
    /// Add up the plans of all shards, before any of them writes
    ///
    /// Reads what `beadle plan --format json` printed. Exit code: 0 within the guard's limits, 2 over them, 1 a plan is
    /// incomplete.
    #[command(alias = "total")]
    PlanTotal(PlanTotalArgs),
    /// Say what a repository or group is asked for, by which line, and what that overrode
    Explain(ExplainArgs),
    /// Say what is left of GitHub's limits; asking costs nothing
    Budget {
        /// Only this organisation.
        #[arg(long, value_name = "ORG")]
        org: Option<String>,
        /// As JSON, one organisation a line.
        #[arg(long)]
        json: bool,
    },
    /// Check configuration and policy, and run the policy's tests, without any network
    Check {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Run the service: take webhooks, reconcile, sweep
    Serve,
    /// Say what is missing: permissions, events, clock, store, a signed delivery to itself
    Doctor,
    /// Compare directories and targets with the configuration
    #[command(subcommand, alias = "directory")]
    Targets(TargetsCommand),
    /// Write nothing to an organisation, a repository or a target for a while
    ///
    /// Webhooks are still taken, and worked off after the pause.
    Pause {
        #[command(flatten)]
        scope: Scope,
        /// How long, as `2h` or `30m`.
        #[arg(long = "for", value_parser = duration, value_name = "TIME")]
        time: Duration,
    },
    /// End a pause
    Resume {
        #[command(flatten)]
        scope: Scope,
    },
    /// List the changes that the guard holds
    Holds {
        /// As JSON, one a line.
        #[arg(long)]
        json: bool,
    },
    /// Let a held change pass, by the digest that `apply` and `holds` show
    Approve {
        /// The digests.
        #[arg(required = true, value_name = "DIGEST")]
        digests: Vec<String>,
    },
    /// Confirm the present owner of a name: the repository of a file in repos/, a team, or a user
    ///
    /// A file in repos/ belongs to the repository that Beadle first saw with its name. A team's slug and a user's login
    /// mean the team and the user that Beadle first saw with that name. If another repository, team or user takes the
    /// name, Beadle grants it nothing until you confirm it:
    ///
    /// `beadle rebind acme/widgets`, `beadle rebind acme --team platform`, `beadle rebind acme --user mona`
    #[command(alias = "adopt")]
    Rebind(RebindArgs),
    /// Print the JSON Schema of the policy's files, for editors
    Schema {
        /// Which file.
        #[arg(value_enum, default_value = "settings")]
        file: SchemaFile,
    },
    /// List webhook deliveries, newest first
    Deliveries(ListArgs),
    /// List the keys that wait, are worked on, or are parked
    Queue {
        /// As JSON, one a line.
        #[arg(long)]
        json: bool,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// Make this key due again, also when it is parked (as `repository:acme:1296269`).
        #[arg(long, value_name = "KEY")]
        retry: Option<String>,
        /// Only this group, by a name that it has or had.
        #[arg(long, value_name = "NAME")]
        group: Option<String>,
    },
    /// List the background tasks of the service, or run one now
    ///
    /// The service notes the result of a task when it changes, and once a minute.
    ///
    /// `beadle tasks`, `beadle tasks run "policy of acme"`
    Tasks {
        /// As JSON, one a line.
        #[arg(long, global = true)]
        json: bool,
        #[command(subcommand)]
        command: Option<TasksCommand>,
    },
    /// Print the journal: what was written, held, refused, and why
    ///
    /// Pruning deletes old entries; export them before with `beadle journal --format ndjson --since 7d`.
    Journal(JournalArgs),
    /// Ask the service of this configuration, on this machine, whether it is there; for containers
    ///
    /// Exit code: 0 it answers, 1 it does not.
    #[command(alias = "health")]
    Healthcheck,
    /// The state itself
    #[command(subcommand)]
    Store(StoreCommand),
    /// Print a commented beadle.toml to begin with
    Example,
    /// Check the deployment on AWS
    #[cfg(feature = "aws")]
    #[command(subcommand)]
    Aws(AwsCommand),
    /// Print completions for a shell
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Run a simulated GitHub, and beside it an Okta and an AWS IAM Identity Center
    #[cfg(feature = "sim")]
    Sim(SimArgs),
    /// See it work: 40 repositories of a simulated GitHub, 12 people of a simulated Okta, drift, and its repair
    #[cfg(feature = "sim")]
    Demo,
}

impl Command {
    /// Returns whether it runs until it is stopped.
    pub(crate) fn is_service(&self) -> bool {
        match self {
            Self::Serve => true,
            #[cfg(feature = "sim")]
            Self::Sim(_) => true,
            _ => false,
        }
    }
}

/// A time as `90s`, `2h`, `1h 30m`, `7d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    beadle_engine::parse_span(text)
}
