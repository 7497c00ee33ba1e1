//! The list of the rows of the queue.

use super::error::StoreError;
use super::unreadable::name_of;
use crate::queue::Row;

/// Rows of the queue. A row that this version cannot read does not hide the other rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowList {
    /// The rows that this version can read.
    pub rows: Vec<Row>,
    /// One text for each unreadable row. The text consists of the name of the row, `: `, and the
    /// reason why this version cannot read the row. For example,
    /// `the row of repository:acme:1: ...`. The reason quotes no stored text.
    pub unreadable: Vec<String>,
    /// The keys of the unreadable rows, in their stored form. The keys have the same order as the
    /// texts in `unreadable`.
    pub unreadable_keys: Vec<String>,
}

impl RowList {
    /// Creates a list. `unreadable` contains the key of each unreadable row, and the text about the
    /// row.
    pub fn new(rows: Vec<Row>, unreadable: &[(String, String)]) -> Self {
        let (unreadable_keys, unreadable) = unreadable.iter().cloned().unzip();
        Self { rows, unreadable, unreadable_keys }
    }

    /// Returns all rows, for a decision. A decision must not treat an unreadable row as a missing
    /// one.
    ///
    /// # Errors
    ///
    /// Returns [`StoreError::Corrupt`] if this version cannot read one of the rows. The error names
    /// the row.
    pub fn complete(self) -> Result<Vec<Row>, StoreError> {
        match self.unreadable.into_iter().next() {
            Some(why) => Err(StoreError::Corrupt { doing: "listing the queue", why }),
            None => Ok(self.rows),
        }
    }

    /// Returns the number of all rows.
    pub fn count(&self) -> usize {
        self.rows.len() + self.unreadable.len()
    }

    /// Returns the names of the unreadable rows, without the reasons.
    pub fn unreadable_names(&self) -> impl Iterator<Item = &str> {
        self.unreadable.iter().map(|text| name_of(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;

    #[test]
    fn a_list_with_an_unreadable_row_is_not_complete() {
        let row = Row::new(Key::new("repository", "acme", 1));
        let whole = RowList::new(vec![row.clone()], &[]);
        assert_eq!((whole.count(), whole.complete()), (1, Ok(vec![row.clone()])));
        let text = "the row of repository:acme:2: the text is not valid JSON".to_owned();
        let list = RowList::new(vec![row], &[("repository:acme:2".to_owned(), text)]);
        assert_eq!(list.count(), 2);
        assert_eq!(list.unreadable_names().collect::<Vec<_>>(), ["the row of repository:acme:2"]);
        let error = list.complete().unwrap_err().to_string();
        assert!(error.contains("the row of repository:acme:2: the text"), "{error}");
    }
}
