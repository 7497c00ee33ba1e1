//! The list of all held changes.

use super::error::StoreError;
use super::unreadable::{name_of, without_reason};
use crate::guard::Hold;

/// All held changes. A hold that this version cannot read does not hide the other holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HoldList {
    /// The holds that this version can read, the oldest first.
    pub holds: Vec<Hold>,
    /// One text for each unreadable hold. The text consists of the name of the hold, `: `, and the
    /// reason why this version cannot read the hold. For example, `the hold 5d0c1e2f: ...`.
    pub unreadable: Vec<String>,
}

impl HoldList {
    /// Returns all holds, for a decision. A decision must not treat an unreadable hold as a missing
    /// one.
    ///
    /// # Errors
    ///
    /// Returns [`StoreError::Corrupt`] if this version cannot read one of the holds. The error has
    /// the name of the hold, but no value of the hold, because notifications contain these errors.
    pub fn complete(self) -> Result<Vec<Hold>, StoreError> {
        match self.unreadable.first() {
            Some(text) => Err(StoreError::Corrupt { doing: "listing holds", why: without_reason(text) }),
            None => Ok(self.holds),
        }
    }

    /// Returns the names of the unreadable holds, without the reasons. A reason can quote a value
    /// of the hold, so a text for other systems must not contain a reason.
    pub fn unreadable_names(&self) -> impl Iterator<Item = &str> {
        self.unreadable.iter().map(|text| name_of(text))
    }

    /// Returns the number of holds that wait for an operator. An unreadable hold also counts as
    /// waiting.
    pub fn count_waiting(&self) -> usize {
        self.holds.iter().filter(|hold| hold.is_open()).count() + self.unreadable.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_unreadable_hold_has_no_reason() {
        let texts =
            ["the hold d1: invalid type: string \"hunter2\"", "the hold d2 in the table `hold`: EOF", "d3"];
        let list = HoldList { holds: Vec::new(), unreadable: texts.map(str::to_owned).into() };
        let names: Vec<&str> = list.unreadable_names().collect();
        assert_eq!(names, ["the hold d1", "the hold d2 in the table `hold`", "d3"]);
        let error = list.complete().unwrap_err().to_string();
        assert!(error.contains("the hold d1 is unreadable, `beadle holds` shows the reason"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
