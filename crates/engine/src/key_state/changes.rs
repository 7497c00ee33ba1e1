//! The list of the changes that the last run of a key did not write. A separate note stores this
//! list, because the lists of repositories read the states of all keys, but only the page of one
//! key shows the changes.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::apply::Report;
use crate::journal::UnwrittenChange;
use crate::key::Key;
use crate::note::{Metadata, Note};
use crate::store::{Store, StoreError};
use crate::unwritten::{ListSize, unwritten};

/// The size of the list of one key. A note must stay small.
const OF_KEY: ListSize = ListSize { changes: 20, values: 20 };
/// The number of bytes in the digest of a list.
const DIGEST: usize = 8;

/// The changes that the last run of a key did not write. The gravest change comes first.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct ChangeList(pub(super) Vec<UnwrittenChange>);

impl Metadata for ChangeList {
    const KIND: &'static str = "unwritten";
}

impl ChangeList {
    /// Returns the list of a run.
    pub(super) fn of(report: &Report) -> Self {
        Self(unwritten(report, OF_KEY))
    }

    /// Returns the digest of the list. Returns `None` if the list is empty.
    pub(super) fn digest(&self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let text = serde_json::to_vec(&self.0).unwrap_or_default();
        let hash = Sha256::digest(&text);
        Some(hash.iter().take(DIGEST).fold(String::new(), |text, byte| format!("{text}{byte:02x}")))
    }

    /// Returns the note that contains the list of a key.
    pub(super) fn note(key: &Key) -> Note<Self> {
        Note::of(&[key.as_str()])
    }

    /// Stores the list of a key. Deletes the note if the list is empty.
    pub(super) async fn put(&self, store: &dyn Store, key: &Key) -> Result<(), StoreError> {
        let note = Self::note(key);
        if self.0.is_empty() { note.forget(store).await } else { note.put(store, self).await }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::{Step, StepResult};
    use crate::plan::Risk;
    use crate::testing::change;

    fn report(names: &[&str]) -> Report {
        let step = |what: &&str| Step {
            change: change("labels", what, &[Risk::Adds]),
            outcome: StepResult::Withheld,
        };
        Report {
            subject: "acme/shop".into(),
            steps: names.iter().map(step).collect(),
            unknowns: Vec::new(),
            skipped: None,
            failure: None,
        }
    }

    #[test]
    fn another_list_has_another_digest_and_an_empty_list_has_none() {
        let digest = |names: &[&str]| ChangeList::of(&report(names)).digest();
        assert_eq!(digest(&["a", "b"]), digest(&["a", "b"]));
        assert_ne!(digest(&["a", "b"]), digest(&["a"]));
        assert_eq!(digest(&["a"]).map(|digest| digest.len()), Some(2 * DIGEST));
        assert_eq!(digest(&[]), None);
    }

    #[test]
    fn a_list_is_stored_without_a_name_around_it() {
        let list = ChangeList::of(&report(&["a"]));
        let stored = serde_json::to_value(&list).unwrap();
        assert!(stored.is_array(), "{stored}");
        assert_eq!(serde_json::from_value::<ChangeList>(stored).unwrap(), list);
    }
}
