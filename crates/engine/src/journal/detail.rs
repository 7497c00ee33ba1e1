//! The details of the journal's entries: one type for each shape that is stored.
//!
//! The JSON is stored data: no version changes a shape that an older version wrote.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::plan::{Change, Unknown};

/// The facts of an entry. Secrets are redacted before they get here.
#[derive(Clone, Debug, PartialEq)]
pub enum Detail {
    /// Intent: the change that a run is about to write.
    Change(IntendedChange),
    /// Intent: the workflow that a run is about to dispatch.
    Dispatch(IntendedDispatch),
    /// Result of a write.
    Result(WriteResult),
    /// Result of a dispatch that was carried out.
    Dispatched(Dispatched),
    /// Result of a dispatch that failed, or whose answer was lost.
    NotDispatched(NotDispatched),
    /// Run: the counts of its results.
    Run(RunCounts),
    /// Operator: the action.
    Operator(OperatorAction),
    /// Refused: the answer to the sender.
    Refused(RefusedWebhook),
    /// Sweep: its summary.
    Sweep(SweepEnd),
    /// Recovery: the missed deliveries.
    Recovery(RecoveryEnd),
    /// Dispatch: the workflow that the mode `observe` did not dispatch.
    ObservedDispatch(ObservedDispatch),
    /// Contested: the aspect that two writers write.
    Contested(ContestedAspect),
    /// A detail that another version of Beadle stored, and that no other shape describes in full.
    Other(Value),
}

/// A change that a run is about to write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IntendedChange {
    /// The change.
    #[serde(flatten)]
    pub change: Change<()>,
    /// The policy's generation that asks for the change.
    pub generation: String,
}

/// A workflow that a run is about to dispatch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntendedDispatch {
    /// The file of the workflow.
    pub workflow: String,
    /// The repository of the workflow.
    pub repository: String,
    /// The branch or tag.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The inputs of the workflow.
    pub inputs: Value,
    /// The reason for a second dispatch of the workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<String>,
}

/// Whether a request was carried out. Stored as `true`, `false` or `"unknown"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "StoredHappened", from = "StoredHappened")]
pub enum Happened {
    /// It was carried out.
    Yes,
    /// It was not carried out.
    No,
    /// The answer was lost.
    Unknown,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StoredHappened {
    Known(bool),
    Lost(Lost),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Lost {
    Unknown,
}

impl From<Happened> for StoredHappened {
    fn from(happened: Happened) -> Self {
        match happened {
            Happened::Yes => Self::Known(true),
            Happened::No => Self::Known(false),
            Happened::Unknown => Self::Lost(Lost::Unknown),
        }
    }
}

impl From<StoredHappened> for Happened {
    fn from(stored: StoredHappened) -> Self {
        match stored {
            StoredHappened::Known(true) => Self::Yes,
            StoredHappened::Known(false) => Self::No,
            StoredHappened::Lost(Lost::Unknown) => Self::Unknown,
        }
    }
}

/// The result of a write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteResult {
    /// Whether the change was written. `Unknown` if the process ended before the answer.
    pub written: Happened,
    /// Whether the vendor may have made a change that is not known to be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<bool>,
    /// The reason why the change was not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The result of a dispatch that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispatched {
    /// Whether the workflow was dispatched: always `Yes`.
    pub dispatched: Happened,
    /// The id of the workflow's run, if the answer named one.
    pub run: Option<u64>,
    /// How Beadle learned of the run, if no answer named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The result of a dispatch that failed, or whose answer was lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotDispatched {
    /// Whether the workflow was dispatched: `No`, or `Unknown` if the answer was lost.
    pub dispatched: Happened,
    /// The error.
    pub why: String,
}

/// The results of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunCounts {
    /// The number of changes in the plan.
    pub changes: usize,
    /// The number of changes that were written.
    pub written: usize,
    /// The number of changes that the guard held.
    pub held: usize,
    /// The number of changes that the mode does not allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<usize>,
    /// The number of changes that failed, were not reached, or waited for one of those.
    pub failed: usize,
    /// The number of contested changes that wait. Older versions stored none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postponed: Option<usize>,
    /// The parts that could not be read or resolved.
    pub unknown: Vec<Unknown>,
    /// The deliveries that made the key due. Older versions stored none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Vec<Cause>>,
}

/// A delivery that made a key due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The event.
    pub event: String,
    /// The actor that the sender named.
    pub by: Option<String>,
    /// The id of the delivery.
    pub delivery: String,
}

/// An action of an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OperatorAction {
    /// A held change was approved.
    Approved {
        /// The digest of the change.
        approved: String,
        /// The operator.
        by: String,
    },
    /// A name of the policy was bound to the team or user that has the name now.
    AdoptedName {
        /// The kind and the name, such as `team platform`.
        adopted: String,
        /// The id that the name stands for from now on.
        id: u64,
        /// The id that the name stood for.
        before: Option<u64>,
        /// The operator.
        by: String,
    },
    /// A file of `repos/` was bound to the repository that has its name now.
    AdoptedFile {
        /// The file.
        adopted: String,
        /// The operator.
        by: String,
    },
    /// An instance or a key was paused.
    Paused {
        /// The end of the pause.
        paused_until: String,
        /// The operator.
        by: String,
    },
    /// A pause was ended.
    Resumed {
        /// Always `true`.
        resumed: bool,
        /// The operator.
        by: String,
    },
}

/// The answer to a webhook with a valid signature that is for no configured instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedWebhook {
    /// The status of the answer.
    pub status: u16,
}

/// The end of a sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepEnd {
    /// The results.
    pub summary: SweepSummary,
    /// The duration in seconds.
    pub took_s: u64,
}

/// The results of a sweep of repositories or groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepSummary {
    /// The number of checked keys.
    pub checked: u64,
    /// The number of keys that were not as declared.
    pub drifted: u64,
    /// The number of keys with written changes.
    pub repaired: u64,
    /// The number of keys with changes that the guard holds.
    pub held: u64,
    /// The number of keys with changes that failed.
    pub failed: u64,
    /// The number of keys with a part that could not be read or resolved.
    pub unknown: u64,
}

/// The end of a search for missed deliveries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryEnd {
    /// The beginning of the time that was searched.
    pub since: String,
    /// The result.
    pub recovered: Recovered,
}

/// The result of a search for missed deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovered {
    /// The number of deliveries whose repositories were made due.
    pub marked: u32,
    /// The number of deliveries that the vendor was asked to send again.
    pub redelivered: u32,
    /// The number of deliveries that arrived: only the answer was lost.
    pub known: u32,
    /// The number of deliveries that failed too often. A sweep covers them.
    pub given_up: u32,
    /// Whether a part of the time is too old for the log. A sweep covers this part.
    pub beyond: bool,
    /// The number of attempts in the log.
    pub seen: usize,
    /// The number of deliveries without a successful attempt.
    pub failed: usize,
    /// Whether the readings of the log disagreed. Beadle reads the same time again soon.
    pub open: bool,
}

/// A workflow that the mode `observe` did not dispatch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedDispatch {
    /// The workflow.
    pub would_dispatch: IntendedDispatch,
}

/// An aspect that two writers write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContestedAspect {
    /// The aspect.
    pub aspect: String,
    /// The part of the aspect, such as `team platform`.
    pub what: String,
    /// The number of times that the same change was made within an hour.
    pub times: u32,
    /// Whether the guard holds the change.
    pub held: bool,
}

impl Detail {
    /// Returns the JSON that is stored.
    pub fn to_value(&self) -> Value {
        let value = match self {
            Self::Change(detail) => serde_json::to_value(detail),
            Self::Dispatch(detail) => serde_json::to_value(detail),
            Self::Result(detail) => serde_json::to_value(detail),
            Self::Dispatched(detail) => serde_json::to_value(detail),
            Self::NotDispatched(detail) => serde_json::to_value(detail),
            Self::Run(detail) => serde_json::to_value(detail),
            Self::Operator(detail) => serde_json::to_value(detail),
            Self::Refused(detail) => serde_json::to_value(detail),
            Self::Sweep(detail) => serde_json::to_value(detail),
            Self::Recovery(detail) => serde_json::to_value(detail),
            Self::ObservedDispatch(detail) => serde_json::to_value(detail),
            Self::Contested(detail) => serde_json::to_value(detail),
            Self::Other(value) => return value.clone(),
        };
        // None of these types has a map, so that each of them has a form in JSON.
        value.unwrap_or_default()
    }
}

impl From<Value> for Detail {
    fn from(value: Value) -> Self {
        let known = read(&value, Self::Change)
            .or_else(|| read(&value, Self::Result))
            .or_else(|| read(&value, Self::Run))
            .or_else(|| read(&value, Self::Dispatch))
            .or_else(|| read(&value, Self::Dispatched))
            .or_else(|| read(&value, Self::NotDispatched))
            .or_else(|| read(&value, Self::Operator))
            .or_else(|| read(&value, Self::Refused))
            .or_else(|| read(&value, Self::Sweep))
            .or_else(|| read(&value, Self::Recovery))
            .or_else(|| read(&value, Self::ObservedDispatch))
            .or_else(|| read(&value, Self::Contested));
        known.unwrap_or(Self::Other(value))
    }
}

/// Reads one shape. A shape that would lose a part of the JSON is not the right one.
fn read<T: Serialize + DeserializeOwned>(value: &Value, detail: impl FnOnce(T) -> Detail) -> Option<Detail> {
    let read = T::deserialize(value).ok()?;
    (serde_json::to_value(&read).ok()? == *value).then(|| detail(read))
}

impl Serialize for Detail {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // By way of the value, so that the order of the keys is the same for every version.
        self.to_value().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Detail {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::from)
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_value(), f)
    }
}

#[cfg(test)]
mod tests;
