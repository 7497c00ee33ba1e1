//! The notes about the changes that earlier runs of a key did not write. A run reads these notes
//! once.

use super::ApplyContext;
use super::first_asked::{FirstAsked, NewChanges};
use crate::failure::Failure;
use crate::guard::Hold;
use crate::key::Key;
use crate::refused::Refusals;

/// The stored notes about the unwritten changes of a key.
#[derive(Debug)]
pub struct Remembered {
    /// The changes that the vendor refused.
    pub(super) refusals: Refusals,
    /// The unwritten changes, each with the generation that first asked for the change.
    pub(super) first: FirstAsked,
    /// The changes of the plan that have no record yet.
    pub(super) new: NewChanges,
    /// The rejected changes.
    pub(super) rejected: Vec<Hold>,
}

impl Remembered {
    /// Reads the notes of a key.
    pub async fn read(key: &Key, context: &ApplyContext) -> Result<Self, Failure> {
        let first = FirstAsked::note(key);
        let (refusals, first) = Refusals::note(key).get_with(context.store.as_ref(), &first).await?;
        let (refusals, first) = (refusals.unwrap_or_default(), first.unwrap_or_default());
        Ok(Self { refusals, first, new: NewChanges::new(), rejected: Vec::new() })
    }
}
