//! The journal records each delivery, key, plan, change and result.

mod detail;

use serde::{Deserialize, Serialize};

use crate::clock::Time;

pub use detail::{
    Cause, ContestedAspect, Detail, Dispatched, Happened, IntendedChange, IntendedDispatch, NotDispatched,
    ObservedDispatch, OperatorAction, Recovered, RecoveryEnd, RefusedWebhook, RunCounts, SweepEnd,
    SweepSummary, WriteResult,
};

/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A write is about to begin. If an intent has no result, the process ended between the two, and
    /// Beadle observes the key again.
    Intent,
    /// The result of a write.
    Result,
    /// A run ended: the number of changes, the unknown parts, the holds.
    Run,
    /// An operator paused, resumed, approved or confirmed something.
    Operator,
    /// A webhook was refused: its sender is not configured.
    Refused,
    /// A sweep ended: the number of checked, drifted, repaired, held, failed and unknown keys.
    Sweep,
    /// A search for missed deliveries ended.
    Recovery,
    /// A workflow would have been dispatched in another mode.
    Dispatch,
    /// Two writers write an aspect of the key.
    Contested,
}

impl EntryKind {
    /// Returns the name that is stored and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Result => "result",
            Self::Run => "run",
            Self::Operator => "operator",
            Self::Refused => "refused",
            Self::Sweep => "sweep",
            Self::Recovery => "recovery",
            Self::Dispatch => "dispatch",
            Self::Contested => "contested",
        }
    }
}

/// One entry of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The number of the entry, from 1, in the order of writing; 0 until it is stored.
    #[serde(default)]
    pub seq: u64,
    /// The time of the entry.
    pub at: Time,
    /// The kind.
    pub kind: EntryKind,
    /// The key that the entry is about; `-` for none.
    pub key: String,
    /// The name for people, such as `acme/widgets`.
    pub subject: String,
    /// For a result: the number of its intent.
    pub intent: Option<u64>,
    /// The details, by kind.
    pub detail: Detail,
}
