//! Finds the approval that let Beadle write a held change.

use beadle_engine::journal::{IntendedChange, OperatorAction};
use beadle_engine::{Detail, Entry, EntryKind, History, Key, Store, StoreError, Time};
use serde_json::{Value, json};

/// The maximum number of decisions about a key that Beadle reads to find an approval.
const DECISIONS: u32 = 200;

/// The approval that let a write pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Approval {
    /// The operator who approved the change.
    pub(crate) by: String,
    /// The number and the time of the approval's entry in the journal. `None` if the reader did not
    /// search for the entry, or if the journal has no such entry. For example, the approval of a
    /// whole policy approves its changes without an entry for each change.
    pub(crate) entry: Option<(u64, Time)>,
}

impl Approval {
    /// Returns the approval that an intent names, without its entry.
    pub(crate) fn of(detail: &Detail) -> Option<Self> {
        match detail {
            Detail::Change(IntendedChange { approved_by: Some(by), .. }) => {
                Some(Self { by: by.clone(), entry: None })
            }
            _ => None,
        }
    }

    /// Searches the journal for the entry of the approval that an intent names. The approval is
    /// older than the intent.
    pub(crate) async fn find(store: &dyn Store, intent: &Entry) -> Result<Option<Self>, StoreError> {
        let Some(Self { by, .. }) = Self::of(&intent.detail) else { return Ok(None) };
        let (Detail::Change(intended), Ok(key)) = (&intent.detail, intent.key.parse::<Key>()) else {
            return Ok(Some(Self { by, entry: None }));
        };
        let digest = intended.change.digest(&key);
        let history = History {
            key: Some(intent.key.clone()),
            kind: Some(EntryKind::Operator),
            before: Some(intent.seq),
            limit: DECISIONS,
            ..History::default()
        };
        let decisions = store.newest_entries(history).await?;
        let is_its = |entry: &&Entry| match &entry.detail {
            Detail::Operator(OperatorAction::Approved { approved, by: who, .. }) => {
                *approved == digest && *who == by
            }
            _ => false,
        };
        let entry = decisions.iter().find(is_its).map(|entry| (entry.seq, entry.at));
        Ok(Some(Self { by, entry }))
    }

    /// Returns a text such as `approved by sec at 2026-11-29T05:17:06Z (entry 812)`.
    pub(crate) fn text(&self) -> String {
        match self.entry {
            Some((entry, at)) => format!("approved by {} at {at} (entry {entry})", self.by),
            None => format!("approved by {}", self.by),
        }
    }

    /// Returns the approval as JSON.
    pub(crate) fn as_json(&self) -> Value {
        let (entry, at) = self.entry.unzip();
        json!({ "by": self.by, "entry": entry, "at": at.map(|at: Time| at.to_string()) })
    }
}
