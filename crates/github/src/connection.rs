//! GraphQL's lists: page by page, to their end, and counted.

use beadle_engine::{Class, Failure};
use serde_json::Value;

/// The cursor of a connection's next page.
pub(crate) fn next(connection: &Value) -> Result<Option<Value>, Failure> {
    let info = &connection["pageInfo"];
    match (info["hasNextPage"].as_bool(), &info["endCursor"]) {
        (Some(false), _) => Ok(None),
        (Some(true), cursor) if cursor.is_string() => Ok(Some(cursor.clone())),
        _ => Err(Failure::new(Class::Retry, "a page of the answer does not say whether another follows")),
    }
}

/// What a page holds: its `edges`, or its `nodes`.
pub(crate) fn entries(connection: &Value) -> &[Value] {
    let list = connection["edges"].as_array().or_else(|| connection["nodes"].as_array());
    list.map_or(&[], Vec::as_slice)
}

/// The pages of one list, held against what each of them says the list has.
///
/// An entry that is taken out of an early page moves the ones behind it forward, over the edge of a page that was read
/// already: they are never shown. The totals tell, because the last page says less than the first.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    seen: u64,
    total: Option<u64>,
    /// The pages do not agree about the total.
    pub(crate) moved: bool,
}

impl Tally {
    /// Counts a page.
    pub(crate) fn page(&mut self, connection: &Value) {
        let total = connection["totalCount"].as_u64().unwrap_or(u64::MAX);
        self.seen += entries(connection).len() as u64;
        self.moved |= self.total.is_some_and(|before| before != total);
        self.total = self.total.max(Some(total));
    }

    /// A list that is shorter than a page of it said is unknown.
    pub(crate) fn complete(&self, doing: &str) -> Result<(), Failure> {
        let total = self.total.unwrap_or(u64::MAX);
        if self.seen >= total {
            return Ok(());
        }
        let why = if self.moved { "changed while it was read" } else { "came back short" };
        Err(Failure::new(Class::Retry, format!("{doing}: the list {why} ({} of {total})", self.seen)))
    }
}
