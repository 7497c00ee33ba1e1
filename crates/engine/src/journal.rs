//! The journal, which is the record of Beadle's work. The journal shows what Beadle wrote, held and
//! refused, with the time and the reason.

mod changed_part;
mod detail;
mod operator;
mod policy;
mod sentences;
mod unwritten;
mod waiver;

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::key::Key;
use crate::trace::TraceId;

pub use changed_part::ChangedPart;
pub(crate) use changed_part::is_default;
pub use detail::{
    Cause, ContestedAspect, Detail, Dispatched, Happened, IntendedChange, IntendedDispatch, NotDispatched,
    ObservedDispatch, Recovered, RecoveryEnd, RefusedWebhook, RunCounts, SweepEnd, SweepSummary, WriteResult,
};
pub use operator::OperatorAction;
pub use policy::{PolicyCommitted, PolicyHeld, PolicyInForce, PolicyWithdrawn};
pub use unwritten::{DriftCause, UnwrittenChange};
pub use waiver::WaiverEnded;

/// What a journal entry reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A write is about to begin. If an intent has no result, the process ended during the write,
    /// and Beadle reads the key again.
    Intent,
    /// A write ended. The entry contains the result of the write.
    Result,
    /// A run ended. The entry contains the number of changes, the holds and the unknown parts.
    Run,
    /// An operator did something: a pause, a resume, an approval, an undo, a waiver, a retry or a
    /// rebind.
    Operator,
    /// Beadle refused a webhook from a sender that is not configured.
    Refused,
    /// A sweep ended. The entry contains the numbers of checked, drifted, repaired, held, failed
    /// and unknown keys.
    Sweep,
    /// A search for missed deliveries ended.
    Recovery,
    /// Beadle did not dispatch a workflow, because the mode does not allow it.
    Dispatch,
    /// An aspect of the key became contested.
    Contested,
    /// A generation of a policy came into force, a hold of a generation began or ended, or a waiver
    /// ended.
    Policy,
    /// A newer version of Beadle wrote the entry, and this version does not know its kind. Beadle
    /// writes no entry of this kind.
    #[serde(other)]
    Other,
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
            Self::Policy => "policy",
            Self::Other => "other",
        }
    }
}

/// One journal entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The number of the entry. Numbers begin at 1 and follow the order of the writes. The number
    /// is 0 until the entry is stored.
    #[serde(default)]
    pub seq: u64,
    /// The time of the reported event.
    pub at: Time,
    /// What the entry reports.
    pub kind: EntryKind,
    /// The key that the entry is about; `-` if it is about no key.
    pub key: String,
    /// The name that people use for the key, such as `acme/widgets`.
    pub subject: String,
    /// The number of the intent that this result belongs to; `None` for all other kinds.
    pub intent: Option<u64>,
    /// The trace of the run that wrote the entry. `None` if Beadle records no traces, or if the
    /// trace is not exported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceId>,
    /// The facts of the entry. The shape of the facts depends on the kind.
    pub detail: Detail,
}

impl Entry {
    /// Returns the entry of an operator's action on a key or a scope. `subject` is the name that
    /// people use for this key or scope.
    pub fn of_operator(action: OperatorAction, (key, subject): (&str, &str), at: Time) -> Self {
        Self {
            seq: 0,
            at,
            kind: EntryKind::Operator,
            key: key.to_owned(),
            subject: subject.to_owned(),
            intent: None,
            trace: crate::trace::current_id(),
            detail: Detail::Operator(action),
        }
    }

    /// If the entry records that an operator began a sweep, returns the organisation or the
    /// directory of the sweep.
    pub fn begun_sweep(&self) -> Option<String> {
        if !matches!(self.detail, Detail::Operator(OperatorAction::Retried { .. })) {
            return None;
        }
        let key = self.key.parse::<Key>().ok()?;
        (key.kind() == "sweep").then(|| key.instance().to_owned())
    }

    /// If the entry records that an operator began a sweep, returns the sentence for the entry. The
    /// pages and the commands show this sentence.
    pub fn begun_sweep_sentence(&self) -> Option<String> {
        let Detail::Operator(OperatorAction::Retried { by, reason, .. }) = &self.detail else {
            return None;
        };
        let because = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        Some(format!("{by} began a sweep of {}{because}", self.begun_sweep()?))
    }
}
