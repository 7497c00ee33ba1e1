//! The details of journal entries: one type for each stored shape.
//!
//! Older entries stay in the journal, so no version of Beadle may change a shape that an older
//! version wrote.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::is_default;
use super::operator::OperatorAction;
use super::policy::{PolicyHeld, PolicyInForce, PolicyWithdrawn};
use super::unwritten::UnwrittenChange;
use super::waiver::WaiverEnded;
use crate::plan::{Change, Unknown};

/// The facts of a journal entry. Secrets are removed before the facts are stored in this type.
#[derive(Clone, Debug, PartialEq)]
pub enum Detail {
    /// For an intent: the change that a run is about to write.
    Change(IntendedChange),
    /// For an intent: the workflow that a run is about to dispatch.
    Dispatch(IntendedDispatch),
    /// For a result: what happened to a write.
    Result(WriteResult),
    /// For a result: a dispatch that GitHub carried out.
    Dispatched(Dispatched),
    /// For a result: a dispatch that failed or whose answer was lost.
    NotDispatched(NotDispatched),
    /// For the end of a run: the number of changes by result.
    Run(RunCounts),
    /// For an operator's action: what the operator did.
    Operator(OperatorAction),
    /// For a refused webhook: the answer to its sender.
    Refused(RefusedWebhook),
    /// For the end of a sweep: its summary.
    Sweep(SweepEnd),
    /// The result of a search for missed deliveries.
    Recovery(RecoveryEnd),
    /// For a workflow that was not dispatched because of the mode `observe`.
    ObservedDispatch(ObservedDispatch),
    /// For an aspect that became contested.
    Contested(ContestedAspect),
    /// For a policy that came into force: its generation and its commits.
    Policy(PolicyInForce),
    /// For a policy generation that the gate holds: the reason for the hold, and the code of the
    /// plan.
    PolicyHeld(PolicyHeld),
    /// For a policy generation that was withdrawn during its hold: the reason.
    PolicyWithdrawn(PolicyWithdrawn),
    /// For the end of a waiver: what it exempted.
    WaiverEnded(WaiverEnded),
    /// A detail that this version does not know completely, because another version of Beadle
    /// stored it. It is kept as JSON.
    Other(Value),
}

/// A change that a run is about to write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IntendedChange {
    /// The change.
    #[serde(flatten)]
    pub change: Change<()>,
    /// The generation of the policy in force, which asks for the change.
    pub generation: String,
    /// The operator whose approval let the guard pass the change. `None` if the change needed no
    /// approval, and in entries of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// The earlier generation that first asked for the change. Beadle could not write the change
    /// while that generation was in force. `None` if no earlier generation asked for the change,
    /// and in entries of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_asked: Option<String>,
}

/// A workflow that a run is about to dispatch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntendedDispatch {
    /// The file name of the workflow.
    pub workflow: String,
    /// The repository that contains the workflow.
    pub repository: String,
    /// The branch or tag of the workflow's run.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The inputs of the workflow.
    pub inputs: Value,
    /// The reason why Beadle dispatches the same workflow a second time; `None` for the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<String>,
}

/// Whether a request had its effect. It is stored as `true`, `false` or `"unknown"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "StoredHappened", from = "StoredHappened")]
pub enum Happened {
    /// The request had its effect.
    Yes,
    /// The request had no effect.
    No,
    /// The effect is unknown, because the answer was lost.
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
    /// Whether the change was written. It is `Unknown` if the process ended before the answer
    /// arrived.
    pub written: Happened,
    /// True if a failed write might still have changed the vendor's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<bool>,
    /// The reason why the change was not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The result of a dispatch that GitHub carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispatched {
    /// Always `Yes`. It distinguishes this shape from a dispatch that failed.
    pub dispatched: Happened,
    /// The id of the workflow's run, if GitHub's answer named it.
    pub run: Option<u64>,
    /// How Beadle found the run, if GitHub's answer did not name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The result of a dispatch that failed or whose answer was lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotDispatched {
    /// Whether the workflow was dispatched: `No`, or `Unknown` if the answer was lost.
    pub dispatched: Happened,
    /// The error message.
    pub why: String,
}

/// The number of changes of a run, by result.
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
    /// The number of changes that Beadle only observes, because they would replace values that an
    /// undo restored. `None` if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone: Option<usize>,
    /// The number of changes that failed or were not reached, plus the number of changes that
    /// depend on them.
    pub failed: usize,
    /// The number of contested changes that Beadle writes later. `None` in entries of older
    /// versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postponed: Option<usize>,
    /// The parts that could not be read or resolved.
    pub unknown: Vec<Unknown>,
    /// The gravest changes that were not written. `None` in entries of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unwritten: Option<Vec<UnwrittenChange>>,
    /// The deliveries that made the key due. `None` in entries of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Vec<Cause>>,
    /// True if the run wrote an undo. False in entries of older versions.
    #[serde(default, skip_serializing_if = "is_default")]
    pub is_undo: bool,
}

/// A delivery that made a key due. The delivery can explain the drift.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The name of the delivery's event, such as `repository.edited`.
    pub event: String,
    /// The person or program that caused the event, as named by the sender of the delivery.
    pub by: Option<String>,
    /// The id of the delivery.
    pub delivery: String,
}

/// The answer to a webhook that has a valid signature but belongs to no configured organisation or
/// directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedWebhook {
    /// The HTTP status of the answer.
    pub status: u16,
}

/// The end of a sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepEnd {
    /// The results of the sweep.
    pub summary: SweepSummary,
    /// The duration of the sweep, in seconds.
    pub took_s: u64,
    /// The number of keys that the sweep did not plan, because their rows of the queue were
    /// unreadable. The summary counts these keys as failed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unreadable: u64,
}

/// The results of a sweep of repositories or groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepSummary {
    /// The number of repositories or groups that the sweep checked.
    pub checked: u64,
    /// The number of repositories or groups that differed from their declared state.
    pub drifted: u64,
    /// The number of repositories or groups where Beadle wrote at least one change. The writes of
    /// an undo do not count.
    pub repaired: u64,
    /// The number of repositories or groups with changes that the guard holds.
    pub held: u64,
    /// The number of repositories or groups with failed changes.
    pub failed: u64,
    /// The number of repositories or groups with a part that could not be read or resolved.
    pub unknown: u64,
}

/// The end of a search for missed deliveries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryEnd {
    /// The start of the period that was searched. The period ends with the search.
    pub since: String,
    /// What the search found.
    pub recovered: Recovered,
}

/// What a search for missed deliveries found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovered {
    /// The number of missed deliveries whose repositories Beadle itself marked as due.
    pub marked: u32,
    /// The number of deliveries that Beadle asked the vendor to send again.
    pub redelivered: u32,
    /// The number of deliveries that the vendor's log shows as failed although Beadle has received
    /// them. Only the answer was lost.
    pub known: u32,
    /// The number of deliveries that failed so often that the search ignores them. A sweep checks
    /// their repositories.
    pub given_up: u32,
    /// True if the vendor's log no longer contains a part of the searched period. A sweep covers
    /// this part.
    pub beyond: bool,
    /// The number of delivery attempts that the vendor's log has for the searched period.
    pub seen: usize,
    /// The number of deliveries without a successful attempt in the vendor's log.
    pub failed: usize,
    /// True if several readings of the log differed. Beadle then soon reads the same period again.
    pub open: bool,
}

/// A workflow that Beadle did not dispatch because of the mode `observe`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedDispatch {
    /// The workflow that Beadle would dispatch in another mode.
    pub would_dispatch: IntendedDispatch,
}

/// An aspect that became contested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContestedAspect {
    /// The contested aspect.
    pub aspect: String,
    /// The part of the aspect, such as `team platform`.
    pub what: String,
    /// How many times Beadle made the same change within an hour.
    pub times: u32,
    /// True if the change is held. If the change is not held, Beadle writes the change again at
    /// growing intervals.
    pub held: bool,
}

impl Detail {
    /// Returns the detail as the JSON that is stored.
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
            Self::Policy(detail) => serde_json::to_value(detail),
            Self::PolicyHeld(detail) => serde_json::to_value(detail),
            Self::PolicyWithdrawn(detail) => serde_json::to_value(detail),
            Self::WaiverEnded(detail) => serde_json::to_value(detail),
            Self::Other(value) => return value.clone(),
        };
        // The conversion to JSON cannot fail, because none of these types contains a map.
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
            .or_else(|| read(&value, Self::Contested))
            .or_else(|| read(&value, Self::Policy))
            .or_else(|| read(&value, Self::PolicyHeld))
            .or_else(|| read(&value, Self::PolicyWithdrawn))
            .or_else(|| read(&value, Self::WaiverEnded));
        known.unwrap_or(Self::Other(value))
    }
}

/// Reads the JSON as one shape. Returns `None` if this shape would lose a part of the JSON. The
/// JSON then has another shape.
fn read<T: Serialize + DeserializeOwned>(value: &Value, detail: impl FnOnce(T) -> Detail) -> Option<Detail> {
    let read = T::deserialize(value).ok()?;
    (serde_json::to_value(&read).ok()? == *value).then(|| detail(read))
}

impl Serialize for Detail {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The detail is converted to a JSON value first, so that every version writes the keys in
        // the same order.
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
