//! Approvals that ended before Beadle wrote the approved change. These approvals ended because the
//! facts that the operator saw have changed. With this record, an operator sees why an approved
//! change is held again.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::guard::Hold;
use crate::journal::{Detail, EntryKind, OperatorAction};
use crate::key::Key;
use crate::note::{Metadata, Note};
use crate::store::{History, Store, StoreError};

/// The maximum number of void approvals of one key. If there are more approvals, the oldest one is
/// forgotten.
const MOST: usize = 20;
/// How many decisions about a key Beadle reads to find the time of an approval.
const DECISIONS: u32 = 200;
/// The maximum time between the end of an approval and the new hold of the same change. A new
/// generation ends the approval, and a sweep might plan the key only some time later.
const LATER: Duration = Duration::from_secs(24 * 3600);

/// An approval that ended before Beadle wrote the change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoidApproval {
    /// The aspect of the approved change.
    pub aspect: String,
    /// The part of the aspect, such as `team platform`.
    pub what: String,
    /// The operator who approved the change.
    pub by: String,
    /// The time of the approval. `None` if the journal no longer contains this time.
    pub approved: Option<Time>,
    /// The time when the approval ended.
    pub since: Time,
}

/// The void approvals of one key, the oldest one first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct VoidApprovals(Vec<VoidApproval>);

impl Metadata for VoidApprovals {
    const KIND: &'static str = "void-approvals";
}

impl fmt::Display for VoidApproval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "approved by {}", self.by)?;
        if let Some(approved) = self.approved {
            write!(f, " at {approved}")?;
        }
        write!(f, ", void since {}: the plan is another one now", self.since)
    }
}

impl VoidApproval {
    /// Records the approvals of the holds in `ended`. The function ignores holds without an
    /// approval, and holds whose approved write has begun.
    ///
    /// # Errors
    ///
    /// Returns an error if the store does not answer.
    pub async fn record(store: &dyn Store, ended: &[Hold], now: Time) -> Result<(), StoreError> {
        let mut by_key: BTreeMap<&Key, Vec<(&Hold, &String)>> = BTreeMap::new();
        for hold in ended.iter().filter(|hold| !hold.spent) {
            if let Some(by) = &hold.approved_by {
                by_key.entry(&hold.key).or_default().push((hold, by));
            }
        }
        for (key, holds) in by_key {
            let decided = approvals(store, key).await?;
            let note = note(key);
            let VoidApprovals(mut all) = note.get(store).await?.unwrap_or_default();
            for (hold, by) in holds {
                all.retain(|one| !one.is_of(hold));
                all.push(Self {
                    aspect: hold.change.aspect.clone(),
                    what: hold.change.what.clone(),
                    by: by.clone(),
                    approved: decided.get(&hold.digest).copied(),
                    since: now,
                });
            }
            let left_out = all.len().saturating_sub(MOST);
            note.put(store, &VoidApprovals(all.split_off(left_out))).await?;
        }
        Ok(())
    }

    /// For each hold, returns the void approval that the hold replaces, if there is one. A hold
    /// with a decision replaces no approval.
    ///
    /// # Errors
    ///
    /// Returns an error if the store does not answer.
    pub async fn of(store: &dyn Store, holds: &[Hold]) -> Result<Vec<Option<Self>>, StoreError> {
        let notes: Vec<Note<VoidApprovals>> = holds.iter().map(|hold| note(&hold.key)).collect();
        let found = Note::get_all(store, &notes).await?;
        let void = |(hold, found): (&Hold, Option<VoidApprovals>)| {
            let VoidApprovals(all) = found?;
            all.into_iter().find(|one| hold.is_open() && one.is_of(hold) && one.is_before(hold))
        };
        Ok(holds.iter().zip(found).map(void).collect())
    }

    fn is_of(&self, hold: &Hold) -> bool {
        self.aspect == hold.change.aspect && self.what == hold.change.what
    }

    /// Returns whether the hold began soon after the end of the approval.
    fn is_before(&self, hold: &Hold) -> bool {
        hold.since >= self.since && hold.since.since(self.since) <= LATER
    }
}

fn note(key: &Key) -> Note<VoidApprovals> {
    Note::of(&[key.as_str()])
}

/// Returns the times of the newest approvals about a key, keyed by the digests of the changes.
async fn approvals(store: &dyn Store, key: &Key) -> Result<BTreeMap<String, Time>, StoreError> {
    let history = History {
        key: Some(key.to_string()),
        kind: Some(EntryKind::Operator),
        limit: DECISIONS,
        ..History::default()
    };
    let mut found = BTreeMap::new();
    for entry in store.newest_entries(history).await? {
        if let Detail::Operator(OperatorAction::Approved { approved, .. }) = entry.detail {
            found.entry(approved).or_insert(entry.at);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_says_who_approved_when_and_why_it_does_not_count() {
        let mut void = VoidApproval {
            aspect: "teams".into(),
            what: "team core".into(),
            by: "ann".into(),
            approved: Some(Time(1_000)),
            since: Time(2_000),
        };
        assert_eq!(
            void.to_string(),
            "approved by ann at 1970-01-01T00:00:01Z, void since 1970-01-01T00:00:02Z: the plan is another one now"
        );
        void.approved = None;
        assert!(void.to_string().starts_with("approved by ann, void since "));
    }
}
