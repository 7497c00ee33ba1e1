//! Writes lists whose entries GitHub can add and remove, but not change. To change such an entry,
//! Beadle deletes the entry and creates it again.

use async_trait::async_trait;
use beadle_engine::Failure;
use beadle_github::{Below, Method};
use serde_json::Value;

use super::aspect::{Step, WriteTarget};

/// The action that a change performs on an entry.
pub(super) enum Entry {
    /// Creates the entry with this body.
    Create(Value),
    /// Deletes the entry and creates it again. The step keeps the old body: if GitHub refuses the
    /// new body, Beadle restores the entry with the old body.
    Replace {
        id: u64,
        body: Value,
        before: Value,
    },
    Delete {
        id: u64,
    },
}

/// The step that writes an entry.
pub(super) struct EntryWrite {
    /// The path of the list, below the repository.
    pub(super) list: &'static str,
    pub(super) entry: Entry,
}

#[async_trait]
impl Step for EntryWrite {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        let named = to.named()?;
        let one = |id: u64| Below::at(self.list).id(id);
        match &self.entry {
            Entry::Create(body) => named.send(Method::POST, self.list, Some(body.clone())).await,
            Entry::Delete { id } => named.send(Method::DELETE, one(*id), None).await,
            Entry::Replace { id, body, before } => {
                named.send(Method::DELETE, one(*id), None).await?;
                let made = named.send(Method::POST, self.list, Some(body.clone())).await;
                if made.is_err() {
                    // If the request that restores the entry also fails, the next run creates the
                    // entry.
                    let _ = named.send(Method::POST, self.list, Some(before.clone())).await;
                }
                made.map_err(Failure::after_a_part)
            }
        }
    }

    fn unshown(&self) -> Option<String> {
        match &self.entry {
            Entry::Create(body) => Some(body.to_string()),
            Entry::Replace { .. } | Entry::Delete { .. } => None,
        }
    }
}
