//! Reads the pages of a list. The result is complete, or it contains the reason why it is
//! incomplete.

use std::collections::HashSet;

use serde_json::Value;

use crate::model::{Record, text};

/// The maximum number of pages in a list.
pub(crate) const MOST_PAGES: usize = 10_000;

/// A page of a list, as the server sent it (RFC 7644, 3.4.2; RFC 9865, 2).
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page {
    /// The schemas of the answer. The schemas show whether the answer is a list.
    #[serde(default)]
    schemas: Value,
    pub(crate) total_results: Option<u64>,
    /// The records of the page. Servers can leave this field out if there are no records.
    #[serde(rename = "Resources", default)]
    pub(crate) resources: Option<Vec<Value>>,
    pub(crate) next_cursor: Option<String>,
}

/// The schema of the answer to a request for a list.
const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

impl Page {
    /// Returns whether the answer is a page of a list. Any other JSON object, such as the error
    /// page of a proxy, must not look like an empty list.
    pub(crate) fn is_list(&self) -> bool {
        let names_list =
            || self.schemas.as_array().is_some_and(|names| names.iter().any(|name| name == LIST));
        self.total_results.is_some() || self.resources.is_some() || names_list()
    }
}

/// A record that Beadle cannot use, because it is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Odd {
    /// The id of the record, or its position in the list if it has no id.
    pub id: String,
    /// Why the record is invalid.
    pub why: String,
}

/// The part of a list that Beadle has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// The valid records. The list contains each id only once.
    pub rows: Vec<T>,
    /// The invalid records.
    pub odd: Vec<Odd>,
    /// Why the list is incomplete, or `None` if the list is complete.
    pub short: Option<String>,
}

/// Whether the client must read another page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another page follows.
    More,
    /// This was the last page.
    End,
}

/// A list that the client is reading.
pub(crate) struct Rows<T> {
    taken: Vec<T>,
    odd: Vec<Odd>,
    ids: HashSet<String>,
    /// The number of all rows that have arrived, including invalid and repeated ones. The next page
    /// begins after these rows.
    came: usize,
    /// The largest total in the pages so far, or `None` if no page has a total.
    count: Option<u64>,
    /// True if the client reads the list by index and the last page had fewer rows than requested.
    is_cut: bool,
    pages: usize,
    short: Option<String>,
}

impl<T: Record> Rows<T> {
    pub(crate) fn new() -> Self {
        Self {
            taken: Vec::new(),
            odd: Vec::new(),
            ids: HashSet::new(),
            came: 0,
            count: None,
            is_cut: false,
            pages: 0,
            short: None,
        }
    }

    /// Returns the `startIndex` of the next page.
    pub(crate) fn start(&self) -> usize {
        self.came + 1
    }

    /// Returns the number of different records, valid or not.
    fn distinct(&self) -> usize {
        self.ids.len()
    }

    /// Returns whether all records have arrived. This is true if the number of different records
    /// has reached the server's total.
    pub(crate) fn has_all(&self) -> bool {
        self.count.is_some_and(|count| self.distinct() as u64 >= count)
    }

    /// Returns whether the next page is possibly after the end of the list. This is true in two
    /// cases: all records have arrived, or the server states no total and the last page was not
    /// full.
    pub(crate) fn may_have_ended(&self) -> bool {
        self.has_all() || (self.count.is_none() && self.is_cut)
    }

    /// Adds the rows of a page. Returns whether at least one row is new.
    fn take(&mut self, resources: Vec<Value>) -> bool {
        let before = self.distinct();
        self.pages += 1;
        for shown in resources {
            self.came += 1;
            match T::read(&shown) {
                Ok(record) => {
                    if self.ids.insert(record.id().to_owned()) {
                        self.taken.push(record);
                    }
                }
                Err(why) => {
                    let which = if let Some(id) = text(&shown, "id") {
                        id
                    } else {
                        // If a record has no id, only its position identifies the record.
                        self.short = Some(format!("a record has no id ({why})"));
                        format!("record {} of the list", self.came)
                    };
                    if self.ids.insert(which.clone()) {
                        self.odd.push(Odd { id: which, why });
                    }
                }
            }
        }
        self.distinct() > before
    }

    /// Adds a page of a list by index. `asked` is the page size in the request.
    pub(crate) fn by_index(&mut self, page: Page, asked: usize) -> Next {
        let resources = page.resources.unwrap_or_default();
        let got = resources.len();
        self.is_cut = got < asked;
        // If somebody deletes a row of an earlier page, all later rows move forward. A row can then
        // move into a page that Beadle has already read. So Beadle uses the largest total in the
        // pages.
        self.count = self.count.max(page.total_results);
        let progress = self.take(resources);
        let count = self.count;
        let is_all = |rows: usize| count.is_some_and(|count| rows as u64 >= count);
        // Some servers state the size of the page as the total. If the total equals the size of a
        // full page, it is possible that another page follows.
        let counts_the_page = count == Some(got as u64) && got == asked;
        if got == 0 {
            if count.is_some_and(|count| self.distinct() as u64 != count) {
                self.is_short();
            }
            return Next::End;
        }
        if !progress {
            // If a server sends more rows than the requested page size, the server ignores the page
            // size. Each of its answers then contains all rows.
            let sends_all = got > asked && count.is_none();
            if !sends_all && (!is_all(self.distinct()) || counts_the_page) {
                let hint = match count {
                    None => " and reports no total: set `page` to fewer rows than the list has",
                    Some(_) => "",
                };
                self.short = Some(format!("the server repeats a page{hint}"));
            }
            return Next::End;
        }
        if is_all(self.came) && !counts_the_page {
            if !is_all(self.distinct()) {
                self.is_short();
            }
            return Next::End;
        }
        // If the server states no total, only an empty page shows the end, because a server can
        // send fewer rows than the page size.
        self.bounded()
    }

    /// Adds a page of a list by cursor. A page can have fewer rows than requested. The list ends
    /// only at a page without a cursor.
    pub(crate) fn by_cursor(&mut self, page: &mut Page) -> Next {
        let resources = page.resources.take().unwrap_or_default();
        let got = resources.len();
        let progress = self.take(resources);
        if got > 0 && !progress {
            self.short = Some("the server repeats a page".into());
            return Next::End;
        }
        if self.came > self.distinct() {
            self.short =
                Some(format!("{} of {} records arrived twice", self.came - self.distinct(), self.came));
        }
        if page.next_cursor.as_deref().is_none_or(str::is_empty) {
            return Next::End;
        }
        self.bounded()
    }

    fn bounded(&mut self) -> Next {
        if self.pages < MOST_PAGES {
            return Next::More;
        }
        self.short = Some(format!("the list has more than {MOST_PAGES} pages"));
        Next::End
    }

    fn is_short(&mut self) {
        let count = self.count.unwrap_or_default();
        self.short = Some(format!("the list has only some entries ({} of {count})", self.distinct()));
    }

    pub(crate) fn end(self) -> Listed<T> {
        Listed { rows: self.taken, odd: self.odd, short: self.short }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Group;

    fn page(ids: impl IntoIterator<Item = usize>, total: Option<u64>) -> Page {
        let row = |id| json!({ "id": format!("g{id}"), "displayName": format!("G{id}") });
        let resources = Some(ids.into_iter().map(row).collect());
        Page { schemas: Value::Null, total_results: total, resources, next_cursor: None }
    }

    #[test]
    fn an_object_without_a_list_is_no_page() {
        for (shown, is_list) in [
            (json!({ "totalResults": 0 }), true),
            (json!({ "Resources": [] }), true),
            (json!({ "schemas": [LIST] }), true),
            (json!({}), false),
            (json!({ "Resources": null }), false),
            (json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"] }), false),
            (json!({ "schemas": LIST }), false),
            (json!({ "nextCursor": "2" }), false),
        ] {
            let page: Page = serde_json::from_value(shown.clone()).unwrap();
            assert_eq!(page.is_list(), is_list, "{shown}");
        }
    }

    /// Reads these pages, with a page size of 10, until the list ends.
    fn read(pages: Vec<Page>) -> Listed<Group> {
        let mut rows = Rows::new();
        for page in pages {
            if rows.by_index(page, 10) == Next::End {
                break;
            }
        }
        rows.end()
    }

    #[test]
    fn a_list_that_has_as_many_distinct_ids_as_the_server_counts_is_whole() {
        let listed = read(vec![page(0..10, Some(13)), page(10..13, Some(13))]);
        assert_eq!((listed.rows.len(), listed.short), (13, None));
        let listed = read(vec![page(0..0, Some(0))]);
        assert_eq!((listed.rows.len(), listed.short), (0, None));
    }

    #[test]
    fn a_row_twice_and_one_missing_is_no_whole_list() {
        let listed = read(vec![page([0, 1, 2, 2], Some(4))]);
        assert_eq!(listed.rows.len(), 3);
        assert!(listed.short.is_some_and(|why| why.contains("3 of 4")));
        let listed = read(vec![page([0, 1, 2, 2], Some(3))]);
        assert_eq!((listed.rows.len(), listed.short), (3, None), "a row twice, and all are there");
    }

    #[test]
    fn a_page_that_is_repeated_ends_the_list_and_it_is_not_whole() {
        let listed = read(vec![page(0..10, Some(25)), page(0..10, Some(25)), page(0..10, Some(25))]);
        assert_eq!(listed.rows.len(), 10);
        assert!(listed.short.is_some_and(|why| why.contains("repeats")));
    }

    #[test]
    fn a_count_that_only_tells_the_rows_of_its_page_does_not_end_the_list() {
        let listed = read(vec![page(0..10, Some(10)), page(10..14, Some(4))]);
        assert_eq!((listed.rows.len(), listed.short), (14, None));
        let listed = read(vec![page(0..10, Some(10)), page(0..0, Some(0))]);
        assert_eq!(listed.rows.len(), 10);
        assert_eq!(listed.short, None);
    }

    #[test]
    fn a_server_without_a_count_is_read_to_its_last_page() {
        let listed = read(vec![page(0..10, None), page(10..14, None), page(0..0, None)]);
        assert_eq!((listed.rows.len(), listed.short), (14, None));
        let listed = read(vec![page(0..10, None), page(10..14, None), page(14..20, None), page(0..0, None)]);
        assert_eq!((listed.rows.len(), listed.short), (20, None), "the server cut its second page");
        let listed = read(vec![page(0..14, None), page(0..14, None)]);
        assert_eq!((listed.rows.len(), listed.short), (14, None), "it sends all, each time");
        let listed = read(vec![page(0..5, None), page(0..5, None)]);
        assert_eq!(listed.rows.len(), 5);
        assert!(listed.short.is_some_and(|why| why.contains("repeats")), "it may have cut the page");
    }

    #[test]
    fn a_page_behind_the_end_may_be_refused_only_where_the_list_may_have_ended() {
        let mut rows = Rows::<Group>::new();
        assert!(!rows.may_have_ended(), "nothing was read");
        rows.by_index(page(0..10, None), 10);
        assert!(!rows.may_have_ended(), "the page was full");
        rows.by_index(page(10..14, None), 10);
        assert!(rows.may_have_ended());
        let mut rows = Rows::<Group>::new();
        let mut one = Page { next_cursor: Some("more".into()), ..page(0..4, None) };
        assert_eq!(rows.by_cursor(&mut one), Next::More);
        assert!(!rows.may_have_ended(), "a cursor says itself whether the list goes on");
    }

    #[test]
    fn repeated_rows_are_no_rows_of_a_whole_list() {
        let mut rows = Rows::<Group>::new();
        rows.by_index(page([0, 1, 2, 2], Some(4)), 10);
        assert!(!rows.has_all(), "one of the four is missing");
        rows.by_index(page(3..4, Some(4)), 10);
        assert!(rows.has_all());
    }

    #[test]
    fn a_record_that_cannot_be_read_is_named_and_the_rest_goes_on() {
        let mut one = page(0..3, Some(4));
        one.resources.as_mut().unwrap().push(json!({ "id": "odd", "displayName": null }));
        let listed = read(vec![one]);
        assert_eq!((listed.rows.len(), listed.short), (3, None));
        assert_eq!(listed.odd[0].id, "odd");
        let mut one = page(0..3, Some(4));
        one.resources.as_mut().unwrap().push(json!({ "displayName": "nobody" }));
        assert!(read(vec![one]).short.is_some(), "a record that has no id may be anybody");
    }

    #[test]
    fn a_cursor_without_an_end_ends() {
        let mut rows = Rows::<Group>::new();
        let mut one = Page { next_cursor: Some("more".into()), ..page(0..10, None) };
        assert_eq!(rows.by_cursor(&mut one), Next::More);
        let mut one = Page { next_cursor: Some("more".into()), ..page(0..10, None) };
        assert_eq!(rows.by_cursor(&mut one), Next::End);
        assert!(rows.end().short.is_some());
        let mut rows = Rows::<Group>::new();
        let next = |rows: &mut Rows<Group>| {
            rows.by_cursor(&mut Page { next_cursor: Some("more".into()), ..page(0..0, None) })
        };
        assert_eq!((0..MOST_PAGES).filter(|_| next(&mut rows) == Next::More).count(), MOST_PAGES - 1);
        assert!(rows.end().short.is_some_and(|why| why.contains("pages")));
    }
}
