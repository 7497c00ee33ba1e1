//! The arguments of the commands that show the journal.

use std::time::Duration;

use beadle_engine::{EntryKind, Risk, parse_span};
use clap::{Args, ValueEnum};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum JournalFormat {
    /// Sentences for people, newest first
    Text,
    /// JSON for programs, one entry a line, oldest first
    Ndjson,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum JournalOnly {
    /// Ends of sweeps, each with its number for `beadle undo`
    #[value(alias = "sweeps")]
    Sweep,
    /// Writes that added something
    Added,
    /// Writes that changed a value to one that is neither stricter nor weaker
    Changed,
    /// Writes that weakened a protection
    Weakened,
    /// Writes that let more people see or write
    Exposed,
    /// Writes that removed something
    Removed,
    /// Policies that came into force, holds of policies, and ends of waivers
    Policy,
    /// Actions of operators, such as pauses, approvals and retries
    Operator,
    /// Runs, also those that wrote all changes
    Run,
    /// Writes, each with its result
    #[value(alias = "result")]
    Intent,
    /// Webhooks from senders that are not configured
    Refused,
    /// Ends of searches for missed deliveries
    Recovery,
    /// Workflows that the mode did not allow Beadle to start
    Dispatch,
    /// Aspects whose changes another writer undoes
    Contested,
}

impl JournalOnly {
    /// Returns the risk of the writes, or `None` if the kind has no writes.
    pub(crate) fn risk(self) -> Option<Risk> {
        match self {
            Self::Sweep
            | Self::Policy
            | Self::Operator
            | Self::Run
            | Self::Intent
            | Self::Refused
            | Self::Recovery
            | Self::Dispatch
            | Self::Contested => None,
            Self::Added => Some(Risk::Adds),
            Self::Changed => Some(Risk::Changes),
            Self::Weakened => Some(Risk::Weakens),
            Self::Exposed => Some(Risk::Exposes),
            Self::Removed => Some(Risk::Removes),
        }
    }

    /// Returns the kind of the entries, or `None` if the risk selects the writes.
    pub(crate) fn kind(self) -> Option<EntryKind> {
        match self {
            Self::Added | Self::Changed | Self::Weakened | Self::Exposed | Self::Removed => None,
            Self::Sweep => Some(EntryKind::Sweep),
            Self::Policy => Some(EntryKind::Policy),
            Self::Operator => Some(EntryKind::Operator),
            Self::Run => Some(EntryKind::Run),
            Self::Intent => Some(EntryKind::Intent),
            Self::Refused => Some(EntryKind::Refused),
            Self::Recovery => Some(EntryKind::Recovery),
            Self::Dispatch => Some(EntryKind::Dispatch),
            Self::Contested => Some(EntryKind::Contested),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct JournalArgs {
    /// Format of the output
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: JournalFormat,
    /// Maximum age of the entries to show, such as `2h` or `7d`
    #[arg(long, value_parser = parse_span, value_name = "DURATION")]
    pub(crate) since: Option<Duration>,
    /// Limit to a key, such as `repository:acme:1296269` or `acme/widgets`
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// Limit to a repository, by its present or a former name, such as `acme/widgets`
    #[arg(long, value_name = "NAME", conflicts_with = "key")]
    pub(crate) repo: Option<String>,
    /// Limit to a group, by its present or a former name, such as `Developers`
    #[arg(long, value_name = "NAME", conflicts_with_all = ["key", "repo"])]
    pub(crate) group: Option<String>,
    /// Limit to what a person or program caused or decided, such as `mona`, and to the writes of the
    /// policies of this author; also finds `mona (signed in with GitHub)`
    #[arg(long, value_name = "LOGIN")]
    pub(crate) who: Option<String>,
    /// Limit to entries of these kinds, such as `removed,exposed`, `sweep` or `policy`
    #[arg(long, value_enum, value_name = "KIND", value_delimiter = ',')]
    pub(crate) only: Vec<JournalOnly>,
    /// Maximum number of lines in the text format
    #[arg(long, default_value_t = 200, value_name = "NUMBER")]
    pub(crate) limit: usize,
    /// Continue with new entries as they arrive, oldest first, until you stop the command
    #[arg(long)]
    pub(crate) follow: bool,
    /// Show the number of each entry, for `beadle undo`; also show runs that wrote all changes
    #[arg(long)]
    pub(crate) numbers: bool,
    /// Limit to the entries with a higher number than this, such as `1200`
    #[arg(long, default_value_t = 0, value_name = "SEQ")]
    pub(crate) after: u64,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Repository or group, by its present or a former name, such as `acme/widgets`
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Limit to the settings whose names contain this text, such as `has_wiki` or `team platform`
    #[arg(long, value_name = "TEXT")]
    pub(crate) setting: Option<String>,
    /// Maximum age of the changes to show, such as `30d`
    #[arg(long, value_parser = parse_span, value_name = "DURATION")]
    pub(crate) since: Option<Duration>,
    /// Print JSON, one change of a setting a line
    #[arg(long)]
    pub(crate) json: bool,
}
