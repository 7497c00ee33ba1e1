//! The part of a repository or group that a change is about, with the names of the changed values.

use serde::{Deserialize, Serialize};

use crate::plan::Change;

/// The part that a change is about, with the names of some of the changed values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedPart {
    /// The aspect that the change belongs to.
    pub aspect: String,
    /// The part of the aspect, such as `team platform`. The text is empty if the change is about
    /// the repository as a whole.
    pub what: String,
    /// The names of some of the values that the change sets or removes. Only the state of a key
    /// stores these names. The journal does not store them, because older versions cannot read
    /// them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// The number of further values that `values` does not name.
    #[serde(default, skip_serializing_if = "is_default")]
    pub more_values: usize,
}

impl ChangedPart {
    /// Returns the part of a change. The part names at most `most` values.
    pub(crate) fn of<W>(change: &Change<W>, most: usize) -> Self {
        Self {
            aspect: change.aspect.clone(),
            what: change.what.clone(),
            values: change.fields.iter().take(most).map(|field| field.name.clone()).collect(),
            more_values: change.fields.len().saturating_sub(most),
        }
    }

    /// Returns the names of the values as a text, such as `has_wiki, has_issues, 3 more`. Returns
    /// an empty text if the part names no value.
    pub fn value_names(&self) -> String {
        match (self.values.as_slice(), self.more_values) {
            ([], _) => String::new(),
            (values, 0) => values.join(", "),
            (values, more) => format!("{}, {more} more", values.join(", ")),
        }
    }
}

/// Returns whether a value has its default. Some stored forms leave out a value that has its
/// default.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Risk;
    use crate::testing::change;

    #[test]
    fn a_part_names_only_some_values() {
        let part = |most| ChangedPart::of(&change("settings", "", &[Risk::Changes; 5]), most);
        let names = [0, 2, 5, 9].map(|most| part(most).value_names());
        assert_eq!(names, ["", "x, x, 3 more", "x, x, x, x, x", "x, x, x, x, x"]);
        assert_eq!((part(2).values.len(), part(2).more_values), (2, 3));
    }
}
