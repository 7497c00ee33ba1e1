//! Reads a list. The result is the complete list or an error. The read fails if a row has no id, if
//! a row or a page appears twice, or if the list does not end.

use std::collections::HashSet;

use beadle_transport::TransportError;

/// The maximum number of pages in a list. The lists of every real directory have fewer pages.
const MOST_PAGES: usize = 10_000;
/// The maximum number of consecutive pages that have no rows but the address of a next page.
const MOST_EMPTY: usize = 10;

/// A row of a list. Two rows with the same id are the same row.
pub(crate) trait Row {
    /// Returns the id.
    fn id(&self) -> &str;
}

/// A list that Beadle is reading.
pub(crate) struct Listed<T> {
    /// The address of the first page. Errors identify the list by this address.
    request: String,
    rows: Vec<T>,
    ids: HashSet<String>,
    /// The addresses of all pages so far.
    pages: HashSet<String>,
    empty: usize,
}

impl<T: Row> Listed<T> {
    /// Begins to read the list at this address.
    pub(crate) fn new(request: &str) -> Self {
        Self {
            request: request.to_owned(),
            rows: Vec::new(),
            ids: HashSet::new(),
            pages: HashSet::from([request.to_owned()]),
            empty: 0,
        }
    }

    /// Adds a page. `next` is the address of the next page. After an error, the content of the list
    /// is unknown.
    pub(crate) fn take(&mut self, page: Vec<T>, next: Option<&str>) -> Result<(), TransportError> {
        self.empty = if page.is_empty() { self.empty + 1 } else { 0 };
        for row in page {
            if row.id().is_empty() {
                return Err(self.unknown("a row of the list has no id".into()));
            }
            // A row appears twice if rows move between pages during the read. In this case, another
            // row might be missing.
            if !self.ids.insert(row.id().to_owned()) {
                return Err(self.unknown(format!("the list shows {} twice", row.id())));
            }
            self.rows.push(row);
        }
        let Some(next) = next else { return Ok(()) };
        if !self.pages.insert(next.to_owned()) {
            return Err(self.unknown("a page of the list links to a page that Beadle already read".into()));
        }
        if self.pages.len() > MOST_PAGES || self.empty >= MOST_EMPTY {
            return Err(self.unknown(format!("the list has no end after {} pages", self.pages.len() - 1)));
        }
        Ok(())
    }

    /// Returns all rows.
    pub(crate) fn rows(self) -> Vec<T> {
        self.rows
    }

    fn unknown(&self, why: String) -> TransportError {
        TransportError::InvalidResponse { request: self.request.clone(), why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Row for &str {
        fn id(&self) -> &str {
            self
        }
    }

    fn read(pages: &[(&[&'static str], Option<&str>)]) -> Result<usize, String> {
        let mut list = Listed::new("first");
        for (page, next) in pages {
            list.take(page.to_vec(), *next).map_err(|error| error.to_string())?;
        }
        Ok(list.rows().len())
    }

    #[test]
    fn a_list_is_whole_or_unknown() {
        assert_eq!(read(&[(&["a", "b"], Some("2")), (&["c"], Some("3")), (&[], None)]), Ok(3));
        let unknown = |pages: &[(&[&'static str], Option<&str>)], why: &str| {
            let found = read(pages).unwrap_err();
            assert!(found.contains(why), "{found}");
        };
        unknown(&[(&["a", "a"], None)], "shows a twice");
        unknown(&[(&["a", "b"], Some("2")), (&["b"], None)], "shows b twice");
        unknown(&[(&["a", ""], None)], "no id");
        unknown(&[(&["a"], Some("first"))], "already read");
        unknown(&[(&["a"], Some("2")), (&["b"], Some("2"))], "already read");
    }

    #[test]
    fn a_list_without_an_end_is_unknown() {
        let mut list: Listed<&str> = Listed::new("first");
        let mut at = 0;
        let error = loop {
            at += 1;
            assert!(at <= 100, "it is read for ever");
            if let Err(error) = list.take(Vec::new(), Some(&format!("page {at}"))) {
                break error;
            }
        };
        assert!(error.to_string().contains("no end"), "{error}");
    }
}
