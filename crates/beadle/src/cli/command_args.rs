//! The arguments of the commands.

use std::path::PathBuf;
use std::time::Duration;

use beadle_engine::{UndoStart, parse_span};
use beadle_repositories::Shard;
use clap::{Args, Subcommand, ValueEnum};

use beadle_config::StoreLocation;

use super::decider_args::DeciderArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum TargetsCommand {
    /// Test the credentials, permissions and API behaviour of directories and targets
    ///
    /// With `probe = "write"` in `[target.scim]`, Beadle also creates a group of its own, fills it,
    /// empties it and deletes it. Otherwise the probe writes nothing.
    ///
    /// Beadle stops writing to a target if a write removed members that it should not remove. Beadle
    /// starts again after a probe whose test writes succeed.
    ///
    /// Exit code: 0 all tests passed, 1 a test failed or was not possible.
    Probe {
        /// Allow writes to a stopped target, such as `aws`, even if the probe tests no write
        #[arg(long, value_name = "TARGET")]
        release: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TasksCommand {
    /// Run a task in the running service, wait for its result
    ///
    /// Sends a request to the configured operator listener. Exit code: 0 success, 1 the task failed.
    Run {
        /// Name of the task, such as `policy of acme`; `beadle tasks` lists the names
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Copy a whole store into an empty one
    ///
    /// Copies keys, deliveries, the journal, holds, pauses and notes. Beadle creates a file, table
    /// or schema that does not exist. Stop Beadle first: changes during the copy are lost.
    ///
    /// Exit code: 0 the copy is complete, 1 it is not.
    Copy {
        /// Store to read, such as `beadle.db` or `dynamodb://TABLE?region=eu-west-1`
        from: StoreLocation,
        /// Empty or new store to write, such as `copy.db` or `postgres://HOST/DATABASE`
        to: StoreLocation,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SelfCommand {
    /// Check that this version of Beadle and the stored data fit
    ///
    /// Reads the configuration and the version of the store's format. Changes nothing: the first
    /// other command that opens a store of an older format changes its format.
    ///
    /// Exit code: 0 they fit, 2 they fit after the step that the command prints, 1 they do not fit.
    Check,
}

#[cfg(feature = "aws")]
#[derive(Debug, Subcommand)]
pub(crate) enum AwsCommand {
    /// Diagnose secrets, table, queues, worker and webhook delivery
    ///
    /// Sends a signed test delivery through the gateway. Copy the values of the options from the
    /// outputs of the CloudFormation stack or the Terraform module.
    ///
    /// Exit code: 0 no problem, 1 a check failed.
    Doctor(AwsDoctorArgs),
}

#[cfg(feature = "aws")]
#[derive(Debug, Args)]
pub(crate) struct AwsDoctorArgs {
    /// Address of the gateway, such as `https://api.example`, with or without the path
    /// `/hooks/github`
    #[arg(long, value_name = "URL")]
    pub(crate) url: String,
    /// Queue of events, such as `https://sqs.eu-west-1.amazonaws.com/123456789012/beadle-event`
    #[arg(long, value_name = "URL")]
    pub(crate) event_queue: String,
    /// Queue of sweeps, such as `https://sqs.eu-west-1.amazonaws.com/123456789012/beadle-sweep`
    #[arg(long, value_name = "URL")]
    pub(crate) sweep_queue: String,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Selection {
    /// Limit to one organisation, such as `acme`
    #[arg(long, value_name = "ORG")]
    pub(crate) org: Option<String>,
    /// Limit to a repository, such as `widgets`; repeatable
    #[arg(long, value_name = "NAME")]
    pub(crate) repo: Vec<String>,
    /// Limit to the groups of a target, such as `aws`
    #[arg(long, value_name = "TARGET", conflicts_with_all = ["org", "repo"])]
    pub(crate) target: Option<String>,
    /// Limit to a group, by its name in the directory or at the target, such as `Developers`;
    /// repeatable
    #[arg(long, value_name = "NAME", conflicts_with_all = ["org", "repo"])]
    pub(crate) group: Vec<String>,
    /// Limit to a shard of the repositories, such as `1/4`; shard 1 also has the organisation and
    /// all groups
    #[arg(
        long,
        value_name = "SHARD",
        default_value_t,
        hide_default_value = true,
        conflicts_with_all = ["repo", "group"]
    )]
    pub(crate) shard: Shard,
}

impl Selection {
    /// Returns whether the selection has repositories.
    pub(crate) fn repositories(&self) -> bool {
        self.target.is_none() && self.group.is_empty()
    }

    /// Returns whether the selection has groups.
    pub(crate) fn groups(&self) -> bool {
        self.org.is_none() && self.repo.is_empty() && self.shard.is_first()
    }

    /// Returns whether the selection names single repositories or groups.
    pub(crate) fn is_by_name(&self) -> bool {
        !self.repo.is_empty() || !self.group.is_empty()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Text for people
    Text,
    /// JSON for programs
    Json,
    /// Markdown for pull requests and job summaries
    Markdown,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Format of the output
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
    /// Compare with the policy in a folder, such as `main/policy`: show only the changes that the
    /// configured policy causes, and the verdict of the gate
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["repo", "target", "group", "shard"])]
    pub(crate) base: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Write without confirmation
    #[arg(long)]
    pub(crate) yes: bool,
}

/// The word that means the newest sweep in which Beadle wrote something.
pub(crate) const LAST_SWEEP: &str = "last-sweep";

#[derive(Debug, Args)]
pub(crate) struct UndoArgs {
    /// `last-sweep`, the newest sweep in which Beadle wrote something; or number of a run, a sweep,
    /// a policy, an undo or a write in the journal, such as `1234`; or code of a change, an
    /// approved group of changes or a policy, such as `8f0c1d2e3a4b`; repeatable
    #[arg(value_name = "RUN", required_unless_present = "since", conflicts_with = "since")]
    pub(crate) what: Vec<String>,
    /// Undo everything that Beadle wrote within this time, such as `2h` or `7d`, or since this time,
    /// such as `2026-12-01T09:00:00Z`
    #[arg(long, value_parser = UndoStart::parse, value_name = "TIME")]
    pub(crate) since: Option<UndoStart>,
    /// Limit to one organisation, such as `acme`
    #[arg(long, value_name = "ORG")]
    pub(crate) org: Option<String>,
    /// Limit to a repository, such as `widgets`; repeatable
    #[arg(long, value_name = "NAME")]
    pub(crate) repo: Vec<String>,
    /// Limit to a key of the policy, such as `branches.main` or `teams[core]`, or as a plan shows
    /// it, such as `has_wiki`; repeatable, or separated by commas
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    pub(crate) keys: Vec<String>,
    /// Show the names of all repositories; without it, at most five for equal changes
    #[arg(long, conflicts_with = "json")]
    pub(crate) all_names: bool,
    /// Print the plan as JSON, with each change of each repository, and write nothing
    #[arg(long, conflicts_with_all = ["yes", "reason", "person"])]
    pub(crate) json: bool,
    /// Write without confirmation
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) decider: DeciderArgs,
}

#[derive(Clone, Debug, Args)]
#[command(mut_arg("reason", |arg| arg.requires("approve")), mut_arg("person", |arg| arg.requires("approve")))]
pub(crate) struct SweepArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Use a temporary store: keep no journal, no guard window and no holds after this run
    #[arg(long)]
    pub(crate) without_store: bool,
    /// Approve a change by its digest, such as `8f0c1d2e3a4b`; repeatable, or separated by commas
    #[arg(long, value_name = "DIGEST", value_delimiter = ',')]
    pub(crate) approve: Vec<String>,
    #[command(flatten)]
    pub(crate) decider: DeciderArgs,
    /// Append a summary in Markdown to a file, such as `$GITHUB_STEP_SUMMARY`
    #[arg(long, value_name = "FILE")]
    pub(crate) summary: Option<PathBuf>,
    /// Print the summary as JSON, one organisation or target a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PlanTotalArgs {
    /// Plans of all shards, such as `plan-1.json`
    #[arg(required = true, value_name = "FILE")]
    pub(crate) plans: Vec<PathBuf>,
    /// Approve a change by its digest, such as `8f0c1d2e3a4b`; repeatable, or separated by commas
    #[arg(long, value_name = "DIGEST", value_delimiter = ',')]
    pub(crate) approve: Vec<String>,
    /// Append a summary in Markdown to a file, such as `$GITHUB_STEP_SUMMARY`
    #[arg(long, value_name = "FILE")]
    pub(crate) summary: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tool {
    /// Files of the Probot settings app, such as `widgets/.github/settings.yml`
    Probot,
    /// Files of safe-settings, such as `admin/.github/settings.yml`
    SafeSettings,
    /// `org.yaml` of peribolos
    Peribolos,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Organisation to read, such as `acme`; needed if there are several
    #[arg(long, value_name = "ORG")]
    pub(crate) org: Option<String>,
    /// Limit to a repository, such as `widgets`, and write only files in repos/; repeatable
    #[arg(long, value_name = "NAME", conflicts_with = "from")]
    pub(crate) repo: Vec<String>,
    /// Convert files of another tool in place of reading GitHub
    #[arg(long, value_enum, value_name = "TOOL", requires = "files")]
    pub(crate) from: Option<Tool>,
    /// Files to convert, with `--from`
    #[arg(value_name = "FILE", requires = "from")]
    pub(crate) files: Vec<PathBuf>,
    /// Folder for the policy, such as `policy`; it must be empty or not exist
    #[arg(long, value_name = "DIR", default_value = "policy")]
    pub(crate) into: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Repository, such as `acme/widgets`
    #[arg(value_name = "OWNER/NAME", required_unless_present = "group", conflicts_with = "group")]
    pub(crate) repository: Option<String>,
    /// Explain a group in place of a repository, by its name in the directory or at the target
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<String>,
    /// Limit to keys that begin with this text, such as `teams` or `repository.has_wiki`
    #[arg(value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Login of the organisation at GitHub, such as `acme`
    #[arg(long, value_name = "ORG")]
    pub(crate) org: Option<String>,
    /// Public address to which GitHub sends webhooks, such as `https://beadle.example.com`
    #[arg(long, value_name = "URL")]
    pub(crate) webhook_url: Option<String>,
    /// Address of GitHub's REST API; of an Enterprise Server `https://ghe.example.com/api/v3`
    #[arg(long, value_name = "URL", default_value = "https://api.github.com")]
    pub(crate) api: String,
    /// Folder of the policy, seen from the folder of the configuration file
    #[arg(long, value_name = "FOLDER", default_value = "policy")]
    pub(crate) policy: String,
    /// Name of the new App, such as `beadle-acme`; no two Apps at GitHub have the same name
    #[arg(long, value_name = "NAME")]
    pub(crate) app_name: Option<String>,
    /// Use an App that exists: its id, such as `12345`; `beadle-app.pem` must have its private key
    #[arg(long, value_name = "ID", conflicts_with = "app_name")]
    pub(crate) app_id: Option<u64>,
    /// Port of the local page; without it, the system chooses a free port
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    pub(crate) port: u16,
    /// Ask no questions: use the default of each option that is not set
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RebindArgs {
    /// Repository that has the name now, such as `acme/widgets`. With `--team`, `--user` or
    /// `--repository`, the organisation whose policy uses the name, such as `acme`
    #[arg(value_name = "OWNER[/NAME]")]
    pub(crate) subject: String,
    /// Confirm the team that has this slug now, such as `platform`
    #[arg(long, value_name = "SLUG", conflicts_with = "user")]
    pub(crate) team: Option<String>,
    /// Confirm the user who has this login now, such as `mona`
    #[arg(long, value_name = "LOGIN")]
    pub(crate) user: Option<String>,
    /// Confirm the repository that contains the policy and has this name now, such as
    /// `acme/policy`
    #[arg(long, value_name = "OWNER/NAME", conflicts_with_all = ["team", "user"])]
    pub(crate) repository: Option<String>,
    #[command(flatten)]
    pub(crate) decider: DeciderArgs,
}

#[derive(Debug, Args)]
#[group(required = true)]
pub(crate) struct Scope {
    /// Organisation, such as `acme`
    #[arg(long, value_name = "ORG")]
    pub(crate) org: Option<String>,
    /// Repository, such as `acme/widgets`
    #[arg(long, value_name = "OWNER/NAME")]
    pub(crate) repo: Option<String>,
    /// Membership target with all its groups, such as `aws`
    #[arg(long, value_name = "TARGET", conflicts_with_all = ["org", "repo"])]
    pub(crate) target: Option<String>,
}

/// The help of `--reason`, because a waiver always needs a reason.
const WAIVER_REASON: &str = "Reason, for the journal and for everybody who reads a plan";

#[derive(Debug, Args)]
#[command(mut_arg("reason", |arg| arg.required(true).help(WAIVER_REASON)))]
pub(crate) struct WaiveArgs {
    /// Repository, such as `acme/widgets`, or a glob for several, such as `acme/api-*`
    #[arg(value_name = "OWNER/NAME")]
    pub(crate) name: String,
    /// Key to exempt, such as `branches[main].protection.enforce_admins` or `teams[core]`, or as a
    /// plan shows it, such as `has_wiki`; `beadle explain acme/widgets` prints the declared keys;
    /// repeatable, or separated by commas
    #[arg(long, required = true, value_name = "KEY", value_delimiter = ',')]
    pub(crate) keys: Vec<String>,
    /// End of the waiver: a duration such as `2d`, a date such as `2026-12-01` (its last moment in
    /// UTC), or a time such as `2026-12-01T18:00:00Z`
    #[arg(long, value_name = "END")]
    pub(crate) until: String,
    #[command(flatten)]
    pub(crate) decider: DeciderArgs,
    /// Person or team that answers for the waiver, such as `mona`; without it, the person of
    /// `--as`, or the operator
    #[arg(long, value_name = "NAME")]
    pub(crate) owner: Option<String>,
}

#[derive(Debug, Args)]
#[command(mut_arg("reason", |arg| arg.requires("end")), mut_arg("person", |arg| arg.requires("end")))]
pub(crate) struct WaiversArgs {
    /// Limit to one organisation, such as `acme`
    #[arg(long, value_name = "ORG")]
    pub(crate) org: Option<String>,
    /// End a waiver of `beadle waive` now, by its code, such as `8f0c1d2e`
    #[arg(long, value_name = "CODE", conflicts_with = "json")]
    pub(crate) end: Option<String>,
    #[command(flatten)]
    pub(crate) decider: DeciderArgs,
    /// Print JSON, one waiver a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(mut_arg("reason", |arg| arg.requires("retry")), mut_arg("person", |arg| arg.requires("retry")))]
pub(crate) struct QueueArgs {
    /// Print JSON, one key a line
    #[arg(long)]
    pub(crate) json: bool,
    /// Maximum number of keys to list
    #[arg(long, default_value_t = 100, value_name = "NUMBER")]
    pub(crate) limit: u32,
    /// Retry a repository, group or key now, even if it is parked, such as `acme/widgets` or
    /// `repository:acme:1296269`
    #[arg(long, value_name = "KEY")]
    pub(crate) retry: Option<String>,
    #[command(flatten)]
    pub(crate) decider: DeciderArgs,
    /// Show one group only, by its present or a former name, such as `Developers`
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<String>,
    /// Show one repository only, by its present or a former name, such as `acme/widgets`
    #[arg(long, value_name = "NAME", conflicts_with = "group")]
    pub(crate) repo: Option<String>,
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
    /// rules/*.yml
    Rule,
    /// tests/*.yml
    Test,
    /// waivers.yml
    Waivers,
    /// deployment-settings.yml
    Deployment,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Maximum age of the deliveries to list, such as `2h` or `7d`
    #[arg(long, value_parser = parse_span, value_name = "DURATION")]
    pub(crate) since: Option<Duration>,
    /// Limit to the deliveries that concern a key, such as `repository:acme:1296269` or
    /// `acme/widgets`
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// Limit to the deliveries that concern a repository, by its present or a former name, such as
    /// `acme/widgets`
    #[arg(long, value_name = "NAME", conflicts_with = "key")]
    pub(crate) repo: Option<String>,
    /// Maximum number of deliveries to list
    #[arg(long, default_value_t = 50, value_name = "NUMBER")]
    pub(crate) limit: u32,
    /// Print JSON, one delivery a line
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the body of one delivery, such as `72d3162e-cc78-11e3-81ab-4c9367dc0958`
    #[arg(long, value_name = "ID", conflicts_with_all = ["since", "key", "repo"])]
    pub(crate) body: Option<String>,
}
