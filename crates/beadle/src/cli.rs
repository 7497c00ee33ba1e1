//! The command line. Its help is written to teach.

use std::path::PathBuf;
use std::time::Duration;

use beadle_repositories::Shard;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::place::Place;

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
    pub(crate) store: Option<Place>,
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
    /// Whether standard output gets colour.
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
    Total(TotalArgs),
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
    /// What directories and targets are, and whether they are what the configuration says
    #[command(subcommand)]
    Directory(DirectoryCommand),
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
    /// `beadle adopt acme/widgets`, `beadle adopt acme --team platform`, `beadle adopt acme --user mona`
    Adopt(AdoptArgs),
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
    /// Print the journal: what was written, held, refused, and why
    ///
    /// Pruning deletes old entries; export them before with `beadle journal --format ndjson --since 7d`.
    Journal(JournalArgs),
    /// Ask the service of this configuration, on this machine, whether it is there; for containers
    ///
    /// Exit code: 0 it answers, 1 it does not.
    Health,
    /// The state itself
    #[command(subcommand)]
    Store(StoreCommand),
    /// Print a commented beadle.toml to begin with
    Example,
    /// What is deployed on AWS
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
    /// Whether it runs until it is stopped.
    pub(crate) fn is_service(&self) -> bool {
        match self {
            Self::Serve => true,
            #[cfg(feature = "sim")]
            Self::Sim(_) => true,
            _ => false,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum DirectoryCommand {
    /// Try credentials, scopes, dialects, filters and paging; write nothing
    ///
    /// With `probe = "write"` in `[target.scim]` it also makes a group of its own, fills it, empties it and deletes it.
    ///
    /// Beadle stops a target that removed other members with a write. If the probe's own writes went
    /// right, Beadle writes to this target again.
    ///
    /// Exit code: 0 all is well, 1 something is not, or could not be tried.
    Probe {
        /// Write to this stopped target again, although the probe tried no write, such as `aws`
        #[arg(long, value_name = "TARGET")]
        release: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Copy everything that a store keeps into an empty one: keys, deliveries, journal, holds, pauses, what is remembered
    ///
    /// Each is a file, or dynamodb://TABLE; a file or table that does not exist is made. Stop Beadle before: what comes
    /// meanwhile is not copied. Exit code: 0 all is copied, 1 it is not.
    Copy {
        /// What is copied; it stays as it is.
        from: Place,
        /// An empty store, or one that does not exist yet.
        to: Place,
    },
}

#[cfg(feature = "aws")]
#[derive(Debug, Subcommand)]
pub(crate) enum AwsCommand {
    /// Say what is missing: secrets, the table, the queues, a signed delivery through the gateway
    ///
    /// The deployment's outputs have what is asked for. Exit code: 0 all is well, 1 something is not.
    Doctor(AwsDoctorArgs),
}

#[cfg(feature = "aws")]
#[derive(Debug, Args)]
pub(crate) struct AwsDoctorArgs {
    /// Where webhooks are taken, as `https://api.example` or with `/hooks/github` after it.
    #[arg(long, value_name = "URL")]
    pub(crate) url: String,
    /// The queue of events.
    #[arg(long, value_name = "URL")]
    pub(crate) event_queue: String,
    /// The queue of sweeps.
    #[arg(long, value_name = "URL")]
    pub(crate) sweep_queue: String,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Selection {
    /// Only this organisation.
    #[arg(long, value_name = "ORG")]
    pub(crate) org: Option<String>,
    /// Only this repository; may be given more than once.
    #[arg(long, value_name = "NAME")]
    pub(crate) repo: Vec<String>,
    /// Only the groups of this target.
    #[arg(long, value_name = "TARGET", conflicts_with_all = ["org", "repo"])]
    pub(crate) target: Option<String>,
    /// Only this group, by its name at the directory or at the target; may be given more than once.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["org", "repo"])]
    pub(crate) group: Vec<String>,
    /// Only this share of the repositories, as `1/4`; the organisation itself and all groups belong to the first.
    #[arg(
        long,
        value_name = "I/N",
        default_value_t,
        hide_default_value = true,
        conflicts_with_all = ["repo", "group"]
    )]
    pub(crate) shard: Shard,
}

impl Selection {
    /// Whether repositories are meant.
    pub(crate) fn repositories(&self) -> bool {
        self.target.is_none() && self.group.is_empty()
    }

    /// Whether groups are meant.
    pub(crate) fn groups(&self) -> bool {
        self.org.is_none() && self.repo.is_empty() && self.shard.is_first()
    }

    /// Whether single things were asked for by name.
    pub(crate) fn is_by_name(&self) -> bool {
        !self.repo.is_empty() || !self.group.is_empty()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For pull requests and job summaries.
    Markdown,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// How to print it.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct SweepArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Keep nothing: no journal, no window, no holds beyond this run.
    #[arg(long)]
    pub(crate) without_store: bool,
    /// Let this change pass the guard, by its digest; may be given more than once.
    #[arg(long, value_name = "DIGEST", value_delimiter = ',')]
    pub(crate) approve: Vec<String>,
    /// Append a summary in Markdown to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) summary: Option<PathBuf>,
    /// The summary as JSON, one organisation a line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TotalArgs {
    /// The plans.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) plans: Vec<PathBuf>,
    /// Do not count this change, by its digest; may be given more than once.
    #[arg(long, value_name = "DIGEST", value_delimiter = ',')]
    pub(crate) approve: Vec<String>,
    /// Append a summary in Markdown to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) summary: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The repository, as `acme/widgets`.
    #[arg(value_name = "OWNER/NAME", required_unless_present = "group", conflicts_with = "group")]
    pub(crate) repository: Option<String>,
    /// A group, by its name at the directory or at the target, in place of a repository.
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<String>,
    /// Only what begins so, such as `teams` or `repository.has_wiki`.
    #[arg(value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AdoptArgs {
    /// The repository, as `acme/widgets`; with `--team` or `--user` the organisation, as `acme`
    #[arg(value_name = "OWNER/NAME")]
    pub(crate) subject: String,
    /// Confirm the team that has this slug now
    #[arg(long, value_name = "SLUG", conflicts_with = "user")]
    pub(crate) team: Option<String>,
    /// Confirm the user who has this login now
    #[arg(long, value_name = "LOGIN")]
    pub(crate) user: Option<String>,
}

#[derive(Debug, Args)]
#[group(required = true)]
pub(crate) struct Scope {
    /// A whole organisation.
    #[arg(long, value_name = "ORG")]
    pub(crate) org: Option<String>,
    /// One repository, as `acme/widgets`.
    #[arg(long, value_name = "OWNER/NAME")]
    pub(crate) repo: Option<String>,
    /// All groups of a target.
    #[arg(long, value_name = "TARGET", conflicts_with_all = ["org", "repo"])]
    pub(crate) target: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaFile {
    /// settings.yml
    Settings,
    /// suborgs/*.yml
    Suborg,
    /// layers/*.yml
    Layer,
    /// repos/*.yml
    Repo,
    /// tests/*.yml
    Test,
    /// deployment-settings.yml
    Deployment,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only what came in this time, as `2h` or `7d`.
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub(crate) since: Option<Duration>,
    /// Only what marked this key.
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: u32,
    /// As JSON, one a line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the body of this delivery.
    #[arg(long, value_name = "ID", conflicts_with_all = ["since", "key"])]
    pub(crate) body: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum JournalFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Ndjson,
}

#[derive(Debug, Args)]
pub(crate) struct JournalArgs {
    /// How to print it.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: JournalFormat,
    /// Only what happened in this time, as `2h` or `7d`.
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub(crate) since: Option<Duration>,
    /// Only of this key.
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// Only of this group, by a name that it has or had.
    #[arg(long, value_name = "NAME", conflicts_with = "key")]
    pub(crate) group: Option<String>,
    /// Only entries after this number.
    #[arg(long, default_value_t = 0, value_name = "SEQ")]
    pub(crate) after: u64,
}

#[cfg(feature = "sim")]
#[derive(Debug, Args)]
pub(crate) struct SimArgs {
    /// Where the simulated GitHub listens.
    #[arg(long, default_value = "127.0.0.1:7070", value_name = "ADDR")]
    pub(crate) github: std::net::SocketAddr,
    /// The state to begin with, a JSON file.
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
    /// Where a simulated Okta listens, beside it.
    #[arg(long, value_name = "ADDR")]
    pub(crate) okta: Option<std::net::SocketAddr>,
    /// Its state.
    #[arg(long, value_name = "FILE", requires = "okta")]
    pub(crate) okta_state: Option<PathBuf>,
    /// Where a simulated AWS IAM Identity Center listens, beside it.
    #[arg(long, value_name = "ADDR")]
    pub(crate) scim: Option<std::net::SocketAddr>,
    /// Its state.
    #[arg(long, value_name = "FILE", requires = "scim")]
    pub(crate) scim_state: Option<PathBuf>,
    /// Every answer takes so long.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    pub(crate) latency: u64,
    /// What stands for the minute of the rate limits; the hour is sixty of it.
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) window: u64,
}

/// A time as `90s`, `2h`, `1h 30m`, `7d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    beadle_engine::parse_span(text)
}
