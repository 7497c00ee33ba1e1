//! Searches the journal from its end.

use std::cmp::Reverse;

use beadle_engine::{Entry, EntryKind, History, Store, StoreError};

/// The maximum number of entries that one read of the store returns.
const WINDOW: u32 = 500;
/// The maximum number of entries that one search reads. A further search continues where this
/// search stopped.
const MOST: usize = 5_000;

/// The newest entries of the journal. The newest entry comes first.
#[derive(Debug, Default)]
pub(super) struct Newest {
    /// The entries.
    pub(super) entries: Vec<Entry>,
    /// The search for older entries continues with the entries that have smaller numbers than this.
    /// `None` if there are no older entries.
    pub(super) older: Option<u64>,
}

impl Newest {
    /// Adds the entries of another search. Keeps the newest entries, at most `limit`.
    fn join(&mut self, other: Self, limit: usize) {
        self.older = self.older.max(other.older);
        self.entries.extend(other.entries);
        self.entries.sort_unstable_by_key(|entry| Reverse(entry.seq));
        if let Some(older) = self.older {
            // One of the searches has not read the entries before this number.
            self.entries.retain(|entry| entry.seq >= older);
        }
        if let Some(next) = self.entries.get(limit) {
            self.older = Some(next.seq + 1);
            self.entries.truncate(limit);
        }
    }
}

/// Returns the newest entries that `wanted` accepts. Their numbers are smaller than `before`. If
/// `key` is not empty, returns only entries of this key.
pub(super) async fn newest(
    store: &dyn Store,
    (key, before): (&str, Option<u64>),
    limit: usize,
    is_wanted: &(dyn Fn(&Entry) -> bool + Send + Sync),
) -> Result<Newest, StoreError> {
    newest_of(store, None, (key, before), limit, is_wanted).await
}

/// Returns the newest entries like [`newest`]. If `kind` is set, returns only entries of this kind.
pub(super) async fn newest_of(
    store: &dyn Store,
    kind: Option<EntryKind>,
    (key, before): (&str, Option<u64>),
    limit: usize,
    is_wanted: &(dyn Fn(&Entry) -> bool + Send + Sync),
) -> Result<Newest, StoreError> {
    let key = Some(key.to_owned()).filter(|key| !key.is_empty());
    // Not every store can handle a number greater than `i64::MAX`.
    let before = before.map(|before| before.min(i64::MAX.unsigned_abs()));
    // If few entries have this kind, a store without an index would read the whole journal.
    let of_store = kind.filter(|_| store.has_index_of_kinds());
    // Most searches want all entries, so one small read is enough. This read includes one further
    // entry to find out whether there are older entries.
    let first = u32::try_from(limit.saturating_add(1)).map_or(WINDOW, |first| first.min(WINDOW));
    let mut history = History { before, key, kind: of_store, limit: first, ..History::default() };
    let mut newest = Newest::default();
    let mut looked = 0;
    loop {
        let found = store.newest_entries(history.clone()).await?;
        let Some(last) = found.last().map(|entry| entry.seq) else { return Ok(newest) };
        looked += found.len();
        for entry in found {
            if kind.is_some_and(|kind| entry.kind != kind) || !is_wanted(&entry) {
                continue;
            }
            if newest.entries.len() >= limit {
                newest.older = Some(entry.seq + 1);
                return Ok(newest);
            }
            newest.entries.push(entry);
        }
        if looked >= MOST {
            newest.older = Some(last);
            return Ok(newest);
        }
        (history.before, history.limit) = (Some(last), WINDOW);
    }
}

/// Returns the newest entries of these keys like [`newest_of`]. Without keys, returns the entries of
/// all keys.
pub(super) async fn newest_of_keys(
    store: &dyn Store,
    kind: Option<EntryKind>,
    (keys, before): (&[String], Option<u64>),
    limit: usize,
    is_wanted: &(dyn Fn(&Entry) -> bool + Send + Sync),
) -> Result<Newest, StoreError> {
    let (first, more) = keys.split_first().map_or(("", keys), |(first, more)| (first.as_str(), more));
    let mut newest = newest_of(store, kind, (first, before), limit, is_wanted).await?;
    for key in more {
        newest.join(newest_of(store, kind, (key.as_str(), before), limit, is_wanted).await?, limit);
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Detail, Retention, Time};
    use serde_json::Value;

    use super::*;
    use crate::exchange;

    fn entry(n: u64) -> Entry {
        Entry {
            seq: 0,
            at: Time(i64::try_from(n).unwrap()),
            kind: if n.is_multiple_of(10) { EntryKind::Policy } else { EntryKind::Run },
            key: format!("repository:acme:{}", n % 3),
            subject: String::new(),
            intent: None,
            trace: None,
            detail: Detail::Other(Value::Null),
        }
    }

    async fn journal(store: &dyn Store, count: u64) {
        let entries = (1..=count).map(entry).collect();
        store.journal(None, entries, Time(0)).await.unwrap();
    }

    fn numbers(newest: &Newest) -> Vec<u64> {
        newest.entries.iter().map(|entry| entry.seq).collect()
    }

    #[tokio::test]
    async fn the_newest_entries_come_first_and_pages_continue() {
        let folder = tempfile::tempdir().unwrap();
        let store = exchange::store(&folder);
        let store = store.as_ref();
        let all = |_: &Entry| true;
        assert!(newest(store, ("", None), 3, &all).await.unwrap().entries.is_empty());
        journal(store, 2001).await;
        let mut shown = newest(store, ("", None), 3, &all).await.unwrap();
        assert_eq!(numbers(&shown), [2001, 2000, 1999]);
        let mut seen = numbers(&shown);
        while let Some(before) = shown.older {
            shown = newest(store, ("", Some(before)), 700, &all).await.unwrap();
            seen.extend(numbers(&shown));
        }
        assert_eq!(seen, (1..=2001).rev().collect::<Vec<_>>());
        let is_policy = |entry: &Entry| entry.kind == EntryKind::Policy;
        let policies = newest(store, ("", None), 2, &is_policy).await.unwrap();
        assert_eq!(numbers(&policies), [2000, 1990]);
        let of_kind = newest_of(store, Some(EntryKind::Policy), ("", None), 2, &all).await.unwrap();
        assert_eq!((numbers(&of_kind), of_kind.older), (vec![2000, 1990], policies.older));
        let beyond = newest(store, ("", Some(u64::MAX)), 1, &all).await.unwrap();
        assert_eq!(numbers(&beyond), [2001]);
        let retention = Retention {
            bodies_before: Time(0),
            ids_before: Time(0),
            journal_before: Time(1990),
            batch: 10_000,
        };
        store.prune(retention).await.unwrap();
        let left = newest(store, ("", None), 100, &all).await.unwrap();
        assert_eq!((left.entries.len(), left.older), (12, None), "{:?}", numbers(&left));
    }

    #[tokio::test]
    async fn the_entries_of_a_key_have_pages_too() {
        let folder = tempfile::tempdir().unwrap();
        let store = exchange::store(&folder);
        journal(store.as_ref(), 1600).await;
        let all = |_: &Entry| true;
        let key = "repository:acme:1";
        let mut shown = newest(store.as_ref(), (key, None), 2, &all).await.unwrap();
        assert_eq!(numbers(&shown), [1600, 1597]);
        let mut seen = numbers(&shown);
        while let Some(before) = shown.older {
            shown = newest(store.as_ref(), (key, Some(before)), 100, &all).await.unwrap();
            seen.extend(numbers(&shown));
        }
        assert_eq!(seen.len(), 534);
        assert_eq!(seen.last(), Some(&1));
    }

    #[tokio::test]
    async fn the_entries_of_several_keys_have_pages_in_the_order_of_the_journal() {
        let folder = tempfile::tempdir().unwrap();
        let store = exchange::store(&folder);
        journal(store.as_ref(), 100).await;
        let all = |_: &Entry| true;
        let keys = ["repository:acme:1", "acme/none", "repository:acme:2"].map(str::to_owned);
        let mut seen = Vec::new();
        let mut before = None;
        loop {
            let shown = newest_of_keys(store.as_ref(), None, (&keys, before), 7, &all).await.unwrap();
            assert!(shown.entries.len() <= 7, "{:?}", numbers(&shown));
            seen.extend(numbers(&shown));
            before = shown.older;
            if before.is_none() {
                break;
            }
        }
        let expected: Vec<u64> = (1..=100).rev().filter(|n: &u64| !n.is_multiple_of(3)).collect();
        assert_eq!(seen, expected);
        let every = newest_of_keys(store.as_ref(), None, (&[], None), 7, &all).await.unwrap();
        assert_eq!(numbers(&every), (94..=100).rev().collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_search_that_finds_nothing_stops_and_can_continue() {
        let folder = tempfile::tempdir().unwrap();
        let store = exchange::store(&folder);
        journal(store.as_ref(), 5_600).await;
        let is_first = |entry: &Entry| entry.seq == 1;
        let none = newest(store.as_ref(), ("", None), 100, &is_first).await.unwrap();
        assert_eq!((none.entries.len(), none.older), (0, Some(500)));
        let found = newest(store.as_ref(), ("", none.older), 100, &is_first).await.unwrap();
        assert_eq!((numbers(&found), found.older), (vec![1], None));
        // The store has an index of the kinds, so [`MOST`] does not limit a search for a kind.
        let (kind, all) = (Some(EntryKind::Refused), |_: &Entry| true);
        let refused = newest_of(store.as_ref(), kind, ("", None), 1, &all).await.unwrap();
        assert_eq!((refused.entries.len(), refused.older), (0, None));
    }
}
