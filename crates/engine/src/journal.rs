//! The record: delivery, key, plan, change, result.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Time;

/// What an entry records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A write is about to be made. An intent without a result was cut off: its key is observed again.
    Intent,
    /// What became of the write.
    Result,
    /// A run ended: how many changes, what is unknown, what is held.
    Run,
    /// An operator did something: paused, resumed, approved.
    Operator,
    /// A webhook was refused, by whom it claimed to be from.
    Refused,
    /// A sweep ended: how many were checked, drifted, repaired, held, failed, unknown.
    Sweep,
    /// Missed deliveries were looked for, and what became of them.
    Recovery,
    /// A workflow was to be dispatched.
    Dispatch,
    /// Two writers fight over an aspect of the key.
    Contested,
}

impl EntryKind {
    /// As stored and printed.
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

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place, from 1, in the order of writing; 0 until it is stored.
    #[serde(default)]
    pub seq: u64,
    /// When.
    pub at: Time,
    /// What it records.
    pub kind: EntryKind,
    /// The key it is about; `-` for none.
    pub key: String,
    /// The thing's name for people, such as `acme/widgets`.
    pub subject: String,
    /// For a result: the intent it belongs to.
    pub intent: Option<u64>,
    /// The details, by kind. Secrets are redacted before they get here.
    pub detail: Value,
}
