//! Checks that a list is complete. Beadle treats an incomplete list as unknown. Beadle compares the
//! pages of a list with the list's total, and with each other. The list is a GraphQL connection or
//! a REST list.

use std::collections::HashSet;

use beadle_engine::{Class, Failure};
use beadle_transport::Path;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::shape::{optional, shape};

/// The maximum number of pages that Beadle reads from one list.
const MOST_PAGES: usize = 1000;

/// The number of rows on a full page of a REST list.
pub(crate) const WHOLE_PAGE: usize = 100;

/// Returns the path of the next page of a REST list. Returns `None` if `path` has no page number. A
/// path without a page number is the path of the first page, or its list uses cursors.
///
/// For a page number after the last page, GitHub returns an empty page.
/// <https://docs.github.com/rest/using-the-rest-api/using-pagination-in-the-rest-api>
pub(crate) fn page_after(path: &Path) -> Option<Path> {
    let address = path.to_string();
    let (before, query) = address.split_once('?')?;
    let mut is_numbered = false;
    let parameter = |part: &str| match part.strip_prefix("page=").and_then(|page| page.parse::<u32>().ok()) {
        Some(page) => {
            is_numbered = true;
            format!("page={}", page.saturating_add(1))
        }
        None => part.to_owned(),
    };
    let query = query.split('&').map(parameter).collect::<Vec<_>>().join("&");
    is_numbered.then(|| Path::given(&format!("{before}?{query}")))
}

/// Returns the rows of a page. The rows are the page's `edges`, or the page's `nodes` if it has no
/// `edges`.
pub(crate) fn entries(connection: &Value) -> &[Value] {
    let list = connection["edges"].as_array().or_else(|| connection["nodes"].as_array());
    list.map_or(&[], Vec::as_slice)
}

/// The field of a page that describes the next page. This field shows whether a next page exists,
/// and contains the cursor of the next page.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
    #[serde(default, deserialize_with = "optional")]
    end_cursor: Option<String>,
}

/// Returns the cursor for a connection's next page, or `None` after the last page.
pub(crate) fn next(connection: &Value) -> Result<Option<Value>, Failure> {
    match shape(&connection["pageInfo"]) {
        Some(PageInfo { has_next_page: false, .. }) => Ok(None),
        Some(PageInfo { has_next_page: true, end_cursor: Some(cursor) }) => Ok(Some(cursor.into())),
        _ => Err(retry("a page of the list has no `hasNextPage`")),
    }
}

/// All rows that Beadle has read from one list. A row or an id can appear twice for three reasons:
/// the list changed during the read, GitHub repeated a page, or an id is wrong. If one of these
/// reasons applies, a row might be missing, or a write could change the wrong entry.
#[derive(Debug, Default)]
pub(crate) struct Distinct {
    /// For each row, the digest of the row or of its id. The rows of a long list can be whole
    /// repositories, so Beadle does not keep the rows here.
    rows: HashSet<[u8; 16]>,
    pages: usize,
    cursors: HashSet<String>,
}

impl Distinct {
    /// Adds the rows of a page and the cursor of the next page. If the list is not reliable,
    /// returns an error with the reason.
    pub(crate) fn page<'a>(
        &mut self,
        rows: impl IntoIterator<Item = &'a Value>,
        next: Option<&str>,
    ) -> Result<(), String> {
        self.pages += 1;
        if self.pages > MOST_PAGES {
            return Err(format!("the list has no end: more than {MOST_PAGES} pages"));
        }
        for row in rows {
            if row.is_null() {
                return Err("an entry of the list is null".into());
            }
            if !is_nameless(row) && !self.rows.insert(digest(row)) {
                return Err("an entry of the list, or its id, appears twice".into());
            }
        }
        match next {
            Some(next) if !self.cursors.insert(next.to_owned()) => {
                Err("the list has no end: a page repeats the cursor of its next page".into())
            }
            _ => Ok(()),
        }
    }
}

/// Returns the digest of a row. Two rows about the same thing have the same digest. If an entry
/// changes between the reads of two pages, its two rows have the same id but different fields. So
/// the digest covers only the id or the number of the row, and the login if the row is an account.
/// An id of 0 does not count, because GitHub gives no such id.
fn digest(row: &Value) -> [u8; 16] {
    let mut ids = ["id", "databaseId", "number"].into_iter().filter_map(|field| row.get(field));
    let id = ids.find(|id| !id.is_null() && **id != 0);
    let identity = id.map_or_else(|| row.to_string(), |id| format!("{id} {}", row["login"]));
    let whole: [u8; 32] = Sha256::digest(identity).into();
    std::array::from_fn(|at| whole[at])
}

/// Returns `true` if a row does not show its account. There are three possible reasons: GitHub
/// hides the account, the document does not read accounts of this type, or an invitation by mail
/// has no account yet. Two identical rows without an account can be about two accounts, so Beadle
/// does not treat them as a repeated row.
fn is_nameless(row: &Value) -> bool {
    let tells_nothing = |who: &Value| {
        let is_bare = |fields: &Map<String, Value>| fields.keys().all(|name| name.as_str() == "__typename");
        who.is_null() || who.as_object().is_some_and(is_bare)
    };
    ["node", "actor", "invitee"].iter().any(|part| row.get(part).is_some_and(tells_nothing))
}

/// Compares the number of rows in the pages of one connection with the totals in these pages.
///
/// If somebody deletes an entry of an early page during the read, the later entries move forward.
/// An entry can move into a page that Beadle has already read, and Beadle then does not see this
/// entry. Beadle detects this because the total in the last page is then smaller than the total in
/// the first page.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    seen: u64,
    total: Option<u64>,
    /// True if the totals in the pages differ.
    pub(crate) moved: bool,
    distinct: Distinct,
}

impl Tally {
    /// Adds a page, and returns the cursor of the next page.
    pub(crate) fn page(&mut self, connection: &Value) -> Result<Option<Value>, Failure> {
        let next = next(connection)?;
        let total = connection["totalCount"].as_u64().unwrap_or(u64::MAX);
        let rows = entries(connection);
        self.distinct.page(rows, next.as_ref().and_then(Value::as_str)).map_err(retry)?;
        self.seen += rows.len() as u64;
        self.moved |= self.total.is_some_and(|before| before != total);
        self.total = self.total.max(Some(total));
        Ok(next)
    }

    /// Returns an error if the largest total in the pages is greater than the number of rows that
    /// Beadle read.
    pub(crate) fn complete(&self, doing: &str) -> Result<(), Failure> {
        let total = self.total.unwrap_or(u64::MAX);
        if self.seen >= total {
            return Ok(());
        }
        let why = if self.moved { "changed while it was read" } else { "has only some entries" };
        Err(retry(format!("{doing}: the list {why} ({} of {total})", self.seen)))
    }
}

fn retry(text: impl Into<String>) -> Failure {
    Failure::new(Class::Retry, text.into())
}

/// Converts every row with `read`. If `read` cannot convert a row, the row has no usable identity.
/// The whole list is then unknown.
pub(crate) fn each<T>(
    rows: &[Value],
    doing: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Vec<T>, Failure> {
    let read: Option<Vec<T>> = rows.iter().map(read).collect();
    read.ok_or_else(|| retry(format!("{doing}: an entry of the list has no identity")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_with_a_number_has_a_page_after_it() {
        let after = |address: &str| page_after(&Path::given(address)).map(|path| path.to_string());
        let list = "https://api.github.com/orgs/acme/properties/values";
        for (page, expected) in [
            ("?per_page=100&page=2", Some("?per_page=100&page=3")),
            ("?page=9&per_page=100", Some("?page=10&per_page=100")),
            ("?per_page=100", None),
            ("?per_page=100&after=Y3Vyc29y", None),
            ("?page=last", None),
            ("", None),
        ] {
            let expected = expected.map(|page| format!("{list}{page}"));
            assert_eq!(after(&format!("{list}{page}")), expected, "{page}");
        }
    }

    fn page(nodes: &Value, total: u64, next: Option<&str>) -> Value {
        json!({ "totalCount": total, "nodes": nodes,
            "pageInfo": { "hasNextPage": next.is_some(), "endCursor": next } })
    }

    fn read(pages: &[Value]) -> Result<(), Failure> {
        let mut tally = Tally::default();
        for page in pages {
            tally.page(page)?;
        }
        tally.complete("reading")
    }

    #[test]
    fn a_page_that_does_not_tell_its_place_is_unknown() {
        let of = |info: Value| next(&json!({ "pageInfo": info })).ok();
        assert_eq!(of(json!({ "hasNextPage": false, "endCursor": null })), Some(None));
        assert_eq!(of(json!({ "hasNextPage": false })), Some(None));
        assert_eq!(of(json!({ "hasNextPage": true, "endCursor": "1" })), Some(Some(json!("1"))));
        for info in [
            Value::Null,
            json!({}),
            json!({ "hasNextPage": null, "endCursor": "1" }),
            json!({ "hasNextPage": "false" }),
            json!({ "hasNextPage": true, "endCursor": null }),
            json!({ "hasNextPage": true, "endCursor": 1 }),
            json!([false, null]),
        ] {
            assert_eq!(of(info.clone()), None, "{info}");
        }
    }

    #[test]
    fn a_list_is_whole_or_unknown() {
        let (a, b) = (json!({ "id": "a" }), json!({ "id": "b" }));
        let first = || page(&json!([a]), 2, Some("1"));
        assert!(read(&[first(), page(&json!([b]), 2, None)]).is_ok());
        let cases = [
            ("a row twice and one missing", vec![first(), page(&json!([a]), 2, None)]),
            ("the id of another row", vec![page(&json!([b, { "id": "b", "name": "a" }]), 2, None)]),
            (
                "the number of another row",
                vec![page(&json!([{ "number": 1, "title": "a" }, { "number": 1 }]), 2, None)],
            ),
            ("a row missing", vec![page(&json!([a]), 2, None)]),
            ("a null row", vec![first(), page(&json!([null]), 2, None)]),
            ("page one again", vec![first(), first()]),
            ("a row twice that changed", {
                let changed = json!({ "id": "a", "name": "new" });
                vec![first(), page(&json!([changed]), 2, None)]
            }),
            ("an endless cursor", vec![first(), page(&json!([b]), 2, Some("1"))]),
            ("no word on a next page", vec![json!({ "totalCount": 1, "nodes": [a] })]),
        ];
        for (case, pages) in cases {
            assert!(read(&pages).is_err(), "{case} is taken for a whole list");
        }
    }

    #[test]
    fn rows_that_do_not_tell_whom_they_are_about_are_no_repetition() {
        for row in [
            json!({ "permission": "READ", "node": null }),
            json!({ "actor": null }),
            json!({ "bypassMode": "ALWAYS", "actor": { "__typename": "User" } }),
            json!({ "invitee": null }),
        ] {
            assert!(read(&[page(&json!([row, row]), 2, None)]).is_ok(), "{row}");
            assert!(read(&[page(&json!([row]), 2, None)]).is_err(), "{row}: one is missing");
        }
        let known = json!({ "actor": { "__typename": "Team", "databaseId": 1 } });
        assert!(read(&[page(&json!([known, known]), 2, None)]).is_err());
    }

    #[test]
    fn an_entry_without_its_identity_makes_the_list_unknown() {
        let rows = [json!({ "name": "bug" }), json!({ "color": "red" })];
        let name = |row: &Value| row["name"].as_str().map(str::to_owned);
        assert!(each(&rows, "reading labels", name).is_err());
        assert_eq!(each(&rows[..1], "reading labels", name).unwrap(), ["bug"]);
    }
}
