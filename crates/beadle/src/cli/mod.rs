//! The command line, with help that teaches.

mod command_args;
mod decide_args;
mod decider_args;
mod help;
mod holds_and_previews_args;
mod journal_and_history_args;
mod report_args;

use std::path::PathBuf;
use std::time::Duration;

use beadle_engine::parse_span;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

pub(crate) use command_args::{
    ApplyArgs, ExplainArgs, Format, ImportArgs, InitArgs, LAST_SWEEP, ListArgs, PlanArgs, PlanTotalArgs,
    QueueArgs, RebindArgs, SchemaFile, Scope, Selection, SelfCommand, StoreCommand, SweepArgs,
    TargetsCommand, TasksCommand, Tool, UndoArgs, WaiveArgs, WaiversArgs,
};
#[cfg(feature = "aws")]
pub(crate) use command_args::{AwsCommand, AwsDoctorArgs};
pub(crate) use decide_args::{ApproveArgs, DecideArgs, RejectArgs};
pub(crate) use decider_args::DeciderArgs;
pub(crate) use holds_and_previews_args::{HoldsArgs, PreviewsArgs};
pub(crate) use journal_and_history_args::{HistoryArgs, JournalArgs, JournalFormat};
pub(crate) use report_args::{ReportArgs, ReportFormat};

use beadle_config::StoreLocation;

/// The heading of the options that every command has.
const GLOBAL: &str = "Global options";

/// Keep GitHub repositories and access groups as declared
///
/// A policy declares the repositories, and a directory such as Okta declares the groups. Beadle
/// repairs a difference within seconds of the event that reports it. Sweeps repair what no event
/// reported.
///
/// Start with `beadle init`, or write beadle.toml yourself: `beadle example` prints one. Then run
/// `beadle check`, `beadle plan` and `beadle serve`. A new organisation is in mode `observe`: Beadle shows the changes and writes
/// none of them.
#[derive(Debug, Parser)]
#[command(
    name = "beadle",
    version,
    max_term_width = 100,
    after_help = "\
Who removed the team contractors from acme/widgets, and which line of the policy asked for it?
  beadle history acme/widgets --setting \"team contractors\"
What would an undo of the last sweep write?
  beadle undo last-sweep

`beadle COMMAND --help` shows the details and examples of a command.

Exit codes: 0 success, 1 error, 2 changes are left (`plan`, `apply`, `sweep`) or over a guard limit (`plan-total`)"
)]
pub(crate) struct Cli {
    /// Configuration file
    #[arg(
        long,
        short,
        global = true,
        env = "BEADLE_CONFIG",
        hide_env_values = true,
        default_value = "beadle.toml",
        value_name = "FILE",
        help_heading = GLOBAL
    )]
    pub(crate) config: PathBuf,
    /// Location of the store, in place of `store.path`: `state/beadle.db`, `dynamodb://TABLE` or
    /// `postgres://HOST/DATABASE`
    #[arg(
        long,
        global = true,
        env = "BEADLE_STORE",
        hide_env_values = true,
        value_name = "LOCATION",
        help_heading = GLOBAL
    )]
    pub(crate) store: Option<StoreLocation>,
    /// When to use colour; `auto` follows the terminal and NO_COLOR
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "WHEN",
        help_heading = GLOBAL
    )]
    pub(crate) color: Color,
    /// What to log: a level, such as `warn`, or levels per module, such as
    /// `info,beadle_engine=debug`
    #[arg(
        long,
        global = true,
        env = "BEADLE_LOG",
        hide_env_values = true,
        value_name = "FILTER",
        help_heading = GLOBAL
    )]
    pub(crate) log: Option<String>,
    /// Format of the log, on standard error
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "text",
        env = "BEADLE_LOG_FORMAT",
        hide_env_values = true,
        value_name = "FORMAT",
        help_heading = GLOBAL
    )]
    pub(crate) log_format: LogFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Parses the arguments of this process.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let matches = command().try_get_matches()?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command()))
    }
}

/// Returns the command line with its groups of commands and its examples.
pub(crate) fn command() -> clap::Command {
    help::teach(Cli::command())
}

/// The use of colour in the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// Colour if the output goes to a terminal that shows it
    Auto,
    /// Colour in every case
    Always,
    /// No colour
    Never,
}

impl Color {
    /// Returns whether standard output gets colour.
    pub(crate) fn on_stdout(self) -> bool {
        self.is_on(|| anstream::AutoStream::choice(&std::io::stdout()))
    }

    /// Returns whether standard error gets colour.
    pub(crate) fn on_stderr(self) -> bool {
        self.is_on(|| anstream::AutoStream::choice(&std::io::stderr()))
    }

    fn is_on(self, auto: impl Fn() -> anstream::ColorChoice) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => auto() != anstream::ColorChoice::Never,
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
    /// Show the changes that a policy or directory asks for, write nothing
    ///
    /// Beadle reads the repositories and groups, compares them with the policy and the directories,
    /// and prints each difference with its risk and the line that asks for it.
    ///
    /// Exit code: 0 nothing to change, 2 changes are pending or something is unknown, 1 an error.
    Plan(PlanArgs),
    /// Show what merging each open pull request of a policy would change
    ///
    /// The check of a pull request stores its result. This command prints the results, and reads
    /// nothing from GitHub. Each result names the commit that was checked. With `--pull`, each kind of
    /// change names up to 50 repositories, and with `--json` all of them.
    Previews(PreviewsArgs),
    /// Show the plan, ask for confirmation, write the changes
    ///
    /// The modes and the guard's limits apply. Without a terminal, changes that remove, weaken or
    /// expose something need `--yes`. Beadle plans again after the writes, and writes changes that
    /// the first ones made necessary.
    ///
    /// Exit code: 0 no change is left, 2 the guard or the mode stopped changes, 1 a change failed
    /// or something is unknown.
    Apply(ApplyArgs),
    /// Plan and write without confirmation, for CI jobs
    ///
    /// Beadle prints one summary for each organisation and target. Without a store, it divides the
    /// guard's limits and GitHub's budgets by the number of shards.
    ///
    /// Exit code: 0 everything is as declared, 2 the guard or the mode stopped changes, 1 a change
    /// failed or something is unknown.
    Sweep(SweepArgs),
    /// Add up the plans of all shards, compare the sum with the guard's limits
    ///
    /// Reads files that `beadle plan --format json` printed, one for each shard.
    ///
    /// Exit code: 0 within the limits, 2 over a limit, 1 a plan is incomplete.
    #[command(alias = "total")]
    PlanTotal(PlanTotalArgs),
    /// Show each declared value, the line that sets it and the lines it overrides
    Explain(ExplainArgs),
    /// Show the remaining rate limit of GitHub
    ///
    /// The command itself uses none of this limit.
    Budget {
        /// Show one organisation only, such as `acme`
        #[arg(long, value_name = "ORG")]
        org: Option<String>,
        /// Print JSON, one organisation a line
        #[arg(long)]
        json: bool,
    },
    /// Check the configuration and the policy, run the policy's tests
    ///
    /// Needs no network and no secret. Exit code: 0 all files are valid, 1 a file is not.
    Check {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write a policy that declares what is live
    ///
    /// Beadle reads every repository. settings.yml gets the values that most repositories share.
    /// layers/ gets the values that all repositories with the same topic, property or team share.
    /// repos/ gets all other values. The values that GitHub has by default are left out. `beadle
    /// plan` of the policy is empty.
    ///
    /// With `--from`, Beadle converts the files of another tool, and prints each line that it cannot
    /// convert. This needs no configuration and no network.
    ///
    /// Writes only to the folder, and never overwrites a file. Exit code: 0 success, 1 an error.
    Import(ImportArgs),
    /// Run the service: receive webhooks, repair drift, sweep on schedule
    ///
    /// SIGTERM and Ctrl-C stop the service. SIGHUP makes it read beadle.toml again, as `beadle
    /// reload` does.
    Serve,
    /// Make the running service read beadle.toml and its secrets again
    ///
    /// Sends a request to the configured operator listener. The service checks the file first. If
    /// the file is invalid, the service keeps its configuration. Otherwise it ends the runs in
    /// progress, and works with the new configuration. It receives webhooks all the time. A changed
    /// mode passes the gate first, as at a start.
    ///
    /// New values of `[store]`, `[traces]`, `server.listen`, `server.operator` and `worker.lease` need a
    /// restart.
    ///
    /// Exit code: 0 the service uses the file, 2 a value needs a restart, 1 an error.
    Reload {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Diagnose permissions, events, clock, store and webhook delivery
    ///
    /// Sends a signed test delivery to the service of this configuration.
    ///
    /// Exit code: 0 no problem, 1 a check failed.
    Doctor,
    /// Test the access to directories (Okta) and targets (SCIM servers, GitHub teams)
    #[command(subcommand, alias = "directory")]
    Targets(TargetsCommand),
    /// Stop all writes to an organisation, repository or target for a time
    ///
    /// Beadle still stores webhooks, and processes them after the pause.
    Pause {
        #[command(flatten)]
        scope: Scope,
        /// Duration of the pause, such as `30m`, `2h` or `7d`; at most `30d`
        #[arg(long = "for", value_parser = parse_span, value_name = "DURATION")]
        time: Duration,
        #[command(flatten)]
        decider: DeciderArgs,
    },
    /// End a pause, or let Beadle change again what an operator undid
    ///
    /// During a pause, the command ends only the pause. Otherwise, the policy applies again to the
    /// values that `beadle undo` restored.
    Resume {
        #[command(flatten)]
        scope: Scope,
        #[command(flatten)]
        decider: DeciderArgs,
    },
    /// List held changes and held policies
    ///
    /// Equal changes of several repositories with the same cause are one group, with one code.
    /// Changes that wait for a decision come first.
    Holds(HoldsArgs),
    /// Approve held changes or a held policy, so that Beadle writes them
    ///
    /// Changes pass the guard. The code of a group stands for exactly the changes that `beadle
    /// holds` shows: if a change joins the group or gets another value, the group has another code.
    /// A generation of a policy passes the gate and comes into force, if its plan is still the one
    /// that `beadle holds` shows.
    ///
    /// On a terminal, Beadle first shows what you are going to approve, and asks for confirmation.
    /// Without a terminal, it asks nothing. The code of a plan stands for exactly the plan that you
    /// saw. The name of a generation stands for the plan that the gate holds now.
    ///
    /// Exit code: 0 success, 1 a code names nothing, or a change was not approved, 2 you declined.
    Approve(ApproveArgs),
    /// Reject held changes, so that they stay held
    ///
    /// Beadle holds a rejected change until somebody approves it, or until the change is no longer
    /// needed. A rejected change no longer counts as a hold that waits for a decision. A rejection
    /// withdraws an approval whose write has not begun.
    ///
    /// On a terminal, Beadle first shows the changes and asks for confirmation if there are
    /// several. Without a terminal, it asks nothing.
    ///
    /// Exit code: 0 success, 1 a code names nothing, or a change was not rejected, 2 you declined.
    Reject(RejectArgs),
    /// Undo what Beadle wrote: show the plan, ask for confirmation, restore earlier values
    ///
    /// The earlier values are in the journal. Beadle leaves alone what somebody changed since, and
    /// names what it cannot restore. Afterwards Beadle only observes the restored values, until the
    /// policy agrees with them, or until `beadle resume`. The policy still asks for the undone
    /// values, so revert the commit of the policy too.
    ///
    /// At the end, Beadle prints the command that undoes the undo.
    ///
    /// Exit code: 0 everything is restored, 1 an error, 2 something is not restored. With `--json`: 2
    /// if the plan has changes or cannot restore something.
    Undo(UndoArgs),
    /// Exempt keys of a repository from the policy until a time
    ///
    /// Beadle does not compare the keys: it neither repairs nor reports them. The waiver is in the
    /// store of the service. `[org.waivers]` limits its length and the keys. At the end, Beadle
    /// compares the keys again.
    ///
    /// `beadle explain acme/widgets` prints the keys that the policy declares for a repository.
    /// `beadle schema repo` prints every key that a policy can declare for it.
    Waive(WaiveArgs),
    /// List all waivers, or end a waiver of `beadle waive`
    ///
    /// A waiver in `waivers.yml` of the policy ends when the policy no longer has it.
    Waivers(WaiversArgs),
    /// Confirm which repository, team or user a name in the policy means now
    ///
    /// A file in repos/ belongs to the repository that Beadle first saw with its name. A team's
    /// slug and a user's login mean the team and the user that Beadle first saw with that name. If
    /// another repository, team or user takes the name, Beadle grants it nothing until you confirm
    /// it.
    #[command(alias = "adopt")]
    Rebind(RebindArgs),
    /// Print the JSON Schema of a policy file, for editors
    Schema {
        /// Kind of the file
        #[arg(value_enum, default_value = "settings")]
        file: SchemaFile,
    },
    /// List webhook deliveries, newest first
    Deliveries(ListArgs),
    /// List the keys that wait, run or are parked
    ///
    /// A key is the unit of work: one repository, one organisation or one group of a target.
    Queue(QueueArgs),
    /// Show the state of the service and everything that is not as declared
    ///
    /// Beadle prints one line for each organisation, directory and target: the mode and the policy
    /// in force, the last and the next sweep, and how many repositories or groups have a problem.
    /// Then it prints one line for each problem: what is parked, held, contested, unknown, failing
    /// or drifted, with the cause and the names. Reads the store, and asks the service of this
    /// machine whether it is ready. Sends no request to GitHub.
    ///
    /// Exit code: 0 everything is as declared, 2 something is parked, held, contested, unknown,
    /// failing or drifted, 1 the service is down, a task fails, a sweep is overdue or an error.
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Print the state again and again until Ctrl-C
        #[arg(long)]
        watch: bool,
    },
    /// List the background tasks, or run one now
    ///
    /// The service stores the result of a task when the result changes, and once a minute.
    Tasks {
        /// Print JSON, one task a line
        #[arg(long, global = true)]
        json: bool,
        #[command(subcommand)]
        command: Option<TasksCommand>,
    },
    /// Show what Beadle wrote, held and refused, and why
    ///
    /// Each line shows what Beadle changed, where and when, the line of the policy that asked for
    /// the change, and the author of the policy. It names the person who had changed the value
    /// before, if a webhook or the directory reports that person. The newest line comes first.
    ///
    /// The service deletes old entries. To keep them, export them regularly with `--format ndjson`.
    Journal(JournalArgs),
    /// Show each setting of a repository or group over time
    ///
    /// Shows the values that Beadle wrote, the newest first. For each value, it shows the line of
    /// the policy that asked for the value, the author of the policy and, if known, the person who
    /// had changed the value before. For a removed entry of a list, it also shows the line that
    /// declared the entry before.
    History(HistoryArgs),
    /// Show which repositories met which line of the policy on a day
    ///
    /// Each row is about one key of the policy in one repository. It shows the status, such as
    /// `met` or `waived`, the start of this status, the line and the commit that declare the key,
    /// and the time of the last check. The rows come from records that the service stores when a
    /// run finds something new. A day without a record is `not recorded`, and never `met`. Sends no
    /// request to GitHub.
    ///
    /// Exit code: 0 every key is met, waived or not applicable, 2 at least one is not met, unknown or
    /// not recorded, 1 an error.
    Report(ReportArgs),
    /// Check that the service answers, for containers
    ///
    /// Sends a request to the public listener of this configuration, on this machine.
    ///
    /// Exit code: 0 the service answers, 1 it does not.
    #[command(alias = "health")]
    Healthcheck,
    /// Copy the store to another file or table
    #[command(subcommand)]
    Store(StoreCommand),
    /// Check the installed Beadle
    #[command(name = "self", subcommand)]
    Itself(SelfCommand),
    /// Set up an organisation: create the GitHub App, write beadle.toml and a first policy
    ///
    /// Beadle shows the address of a local page. The page sends your browser to GitHub, where an
    /// owner of the organisation creates and installs the App, with the permissions that the policy
    /// needs. Beadle then diagnoses the setup. The organisation is in mode `observe`.
    ///
    /// Beadle asks for the values that no option sets. With `--yes` or without a terminal, it asks
    /// nothing. It overwrites no file. If the command was interrupted, run it again to continue.
    ///
    /// Exit code: 0 the setup is complete, 1 an error or a check failed.
    Init(InitArgs),
    /// Print a commented beadle.toml
    Example,
    /// Check a deployment on AWS
    #[cfg(feature = "aws")]
    #[command(subcommand)]
    Aws(AwsCommand),
    /// Print the completions of a shell
    Completions {
        /// Name of the shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// Returns whether the command is a service, which runs until somebody stops it.
    pub(crate) fn is_service(&self) -> bool {
        matches!(self, Self::Serve)
    }
}
