//! The list of all held changes.

use super::error::StoreError;
use crate::guard::Hold;

/// All held changes. A hold that this version cannot read hides no other hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HoldList {
    /// The holds that this version can read, the oldest first.
    pub holds: Vec<Hold>,
    /// One text for each unreadable hold. The text names the hold, and explains why this version
    /// cannot read the hold.
    pub unreadable: Vec<String>,
}

impl HoldList {
    /// Returns all holds, for a decision. A decision must not treat an unreadable hold as a missing
    /// one.
    ///
    /// # Errors
    ///
    /// Returns [`StoreError::Corrupt`] if this version cannot read one of the holds.
    pub fn complete(self) -> Result<Vec<Hold>, StoreError> {
        match self.unreadable.into_iter().next() {
            Some(why) => Err(StoreError::Corrupt { doing: "listing holds", why }),
            None => Ok(self.holds),
        }
    }

    /// Returns the number of holds that wait for an operator. An unreadable hold waits too.
    pub fn count_waiting(&self) -> usize {
        self.holds.iter().filter(|hold| hold.is_open()).count() + self.unreadable.len()
    }
}
