//! The arguments of the commands.

use std::path::PathBuf;
use std::time::Duration;

use beadle_repositories::Shard;
use clap::{Args, Subcommand, ValueEnum};

use super::duration;
use crate::app::store_location::StoreLocation;

#[derive(Debug, Subcommand)]
pub(crate) enum TargetsCommand {
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
pub(crate) enum TasksCommand {
    /// Have the running service run a task now, and wait for its result
    ///
    /// Asks the operator listener of the configuration. Exit code: 0 the run ended well, 1 it failed.
    Run {
        /// The name of the task, as `beadle tasks` lists it.
        name: String,
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
        from: StoreLocation,
        /// An empty store, or one that does not exist yet.
        to: StoreLocation,
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
    /// Returns whether repositories are meant.
    pub(crate) fn repositories(&self) -> bool {
        self.target.is_none() && self.group.is_empty()
    }

    /// Returns whether groups are meant.
    pub(crate) fn groups(&self) -> bool {
        self.org.is_none() && self.repo.is_empty() && self.shard.is_first()
    }

    /// Returns whether single things were asked for by name.
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
pub(crate) struct PlanTotalArgs {
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
pub(crate) struct RebindArgs {
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
