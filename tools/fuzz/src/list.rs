//! A list with a fault. A vendor shows the list page by page. The clients must read the whole list,
//! or report that the list is unknown.

use std::collections::HashSet;

use beadle_transport::Exchanged;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use serde_json::Value;

use crate::seed::Seed;

/// The fault in one page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// The first row of the page is a row of the first page.
    Twice,
    /// The first row of the page has no id.
    Nameless,
    /// The first row of the page is null.
    Null,
    /// One of the rows is on no page.
    Missing,
    /// The body of the page is cut.
    Cut,
    /// The body of the page is JSON, but not a list.
    NotAList,
    /// The page links to itself as the next page.
    Loop,
    /// The answer with the page has another HTTP status.
    Status,
    /// The body of the page is random.
    Garbage,
    /// The header `Link` of the page is random.
    Link,
}

const FAULTS: [(&str, Fault); 10] = [
    ("twice", Fault::Twice),
    ("nameless", Fault::Nameless),
    ("null", Fault::Null),
    ("missing", Fault::Missing),
    ("cut", Fault::Cut),
    ("not-a-list", Fault::NotAList),
    ("loop", Fault::Loop),
    ("status", Fault::Status),
    ("garbage", Fault::Garbage),
    ("link", Fault::Link),
];

/// How a client finds the next page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paging {
    /// By an address in the header `Link`.
    Link,
    /// By a cursor in the body.
    Cursor,
    /// By the number of rows that have arrived.
    Index,
}

/// The result that a client must return.
enum Expected {
    Whole,
    Unknown,
    /// Any result, because the answers can belong to another list.
    Any,
}

/// A list, and its fault.
#[derive(Clone, Debug)]
pub(crate) struct List {
    rows: usize,
    size: usize,
    fault: Fault,
    /// The page with the fault.
    page: usize,
    status: u16,
    garbage: Bytes,
}

impl List {
    /// Reads the list from the lines of an input.
    pub(crate) fn of(seed: &Seed<'_>) -> Self {
        let named = seed.value("fault").and_then(|name| FAULTS.iter().find(|(other, _)| *other == name));
        Self {
            rows: seed.number("rows").min(40),
            size: seed.number("size").clamp(1, 20),
            fault: named.map_or(Fault::None, |(_, fault)| *fault),
            page: seed.number("page"),
            status: u16::try_from(seed.number("status").clamp(200, 599)).unwrap_or(500),
            garbage: Bytes::copy_from_slice(seed.body),
        }
    }

    /// Returns the numbers of the rows that are on any page.
    fn shown(&self) -> Vec<usize> {
        let missing = (self.fault == Fault::Missing && self.rows > 0).then(|| self.page % self.rows);
        (0..self.rows).filter(|row| Some(*row) != missing).collect()
    }

    /// Returns the number of rows that the list itself reports.
    pub(crate) fn total(&self) -> usize {
        self.rows
    }

    fn pages(&self) -> usize {
        self.shown().len().div_ceil(self.size).max(1)
    }

    /// Returns the page that begins with this row.
    pub(crate) fn page_at(&self, row: usize) -> usize {
        row / self.size
    }

    /// Returns the page after this one, if there is one.
    pub(crate) fn next(&self, page: usize) -> Option<usize> {
        // Only a page with rows can link to itself, because a client can read an empty page many
        // times before it stops.
        if self.fault == Fault::Loop && page == self.page && self.rows > 0 {
            return Some(page);
        }
        (page + 1 < self.pages()).then_some(page + 1)
    }

    /// Returns the rows of a page. `row` builds the row with a given number, and `id` is the name
    /// of the field that identifies a row.
    pub(crate) fn rows(&self, page: usize, row: impl Fn(usize) -> Value, id: &str) -> Vec<Value> {
        let shown = self.shown();
        let start = page.saturating_mul(self.size);
        let mut rows: Vec<Value> = shown.iter().skip(start).take(self.size).map(|at| row(*at)).collect();
        if page == self.page
            && let (Some(first), Some(begin)) = (rows.first_mut(), shown.first())
        {
            match self.fault {
                Fault::Twice => *first = row(*begin),
                Fault::Nameless => first[id] = Value::Null,
                Fault::Null => *first = Value::Null,
                _ => {}
            }
        }
        rows
    }

    /// Returns the answer for a page, with the fault.
    pub(crate) fn answer(&self, page: usize, body: &Value, mut headers: HeaderMap) -> Exchanged {
        let whole = Bytes::from(body.to_string());
        if page != self.page {
            return (200, headers, whole);
        }
        let cut = whole.slice(..whole.len() / 2);
        match self.fault {
            Fault::Cut => (200, headers, cut),
            Fault::NotAList => {
                let others: [&'static [u8]; 4] = [b"null", b"{}", b"\"\"", b"0"];
                (200, headers, Bytes::from_static(others[usize::from(self.status) % others.len()]))
            }
            Fault::Status => (self.status, headers, whole),
            Fault::Garbage => (200, headers, self.garbage.clone()),
            Fault::Link => {
                if let Ok(link) = HeaderValue::from_bytes(&self.garbage) {
                    headers.insert(http::header::LINK, link);
                }
                (200, headers, whole)
            }
            _ => (200, headers, whole),
        }
    }

    fn expected(&self, paging: Paging, is_counted: bool) -> Expected {
        let shown = self.shown().len();
        if self.fault == Fault::Missing {
            // If there is no total, the client cannot distinguish this list from a complete list
            // that has fewer rows.
            return if self.rows > 0 && is_counted { Expected::Unknown } else { Expected::Whole };
        }
        if self.page >= self.pages() {
            return Expected::Whole;
        }
        match self.fault {
            Fault::Twice if self.page > 0 => Expected::Unknown,
            Fault::Nameless | Fault::Null if shown > 0 => Expected::Unknown,
            Fault::Cut | Fault::NotAList => Expected::Unknown,
            Fault::Loop if paging != Paging::Index && shown > 0 => Expected::Unknown,
            Fault::Status if self.status >= 400 => Expected::Unknown,
            Fault::Status if self.status != 200 => Expected::Any,
            Fault::Garbage => Expected::Any,
            Fault::Link if paging == Paging::Link => Expected::Any,
            _ => Expected::Whole,
        }
    }

    /// Checks the result of a client: the ids of the rows, or `None` if the client reports that the
    /// list is unknown.
    ///
    /// `is_counted` is true if the client compares the rows with a total.
    pub(crate) fn check(
        &self,
        paging: Paging,
        is_counted: bool,
        found: Option<Vec<String>>,
        id: impl Fn(usize) -> String,
    ) {
        match self.expected(paging, is_counted) {
            Expected::Whole => {
                let whole: Vec<String> = self.shown().into_iter().map(id).collect();
                assert_eq!(found, Some(whole), "the list is whole: {self:?}");
            }
            Expected::Unknown => assert_eq!(found, None, "the list is unknown: {self:?}"),
            Expected::Any => {
                let found = found.unwrap_or_default();
                let distinct: HashSet<&String> = found.iter().collect();
                assert_eq!(distinct.len(), found.len(), "a row came twice: {self:?}");
                assert!(!distinct.iter().any(|id| id.is_empty()), "a row has no id: {self:?}");
            }
        }
    }
}
