//! Reads the journal from its end. A store lists entries in the order in which they were written.

use std::collections::VecDeque;

use beadle_engine::{Entry, Listing, Store, StoreError};

/// The number of entries that are read at once.
const WINDOW: u32 = 500;
/// The number of entries that one search looks at. A further search continues where it stopped.
const MOST: u64 = 10_000;

/// The newest entries of the journal, with the newest one first.
#[derive(Debug, Default)]
pub(super) struct Newest {
    /// The entries.
    pub(super) entries: Vec<Entry>,
    /// The number before which the search for older entries continues; `None` if there are none.
    pub(super) older: Option<u64>,
}

/// Returns the newest entries that are wanted and have a smaller number than `before`.
pub(super) async fn newest(
    store: &dyn Store,
    before: Option<u64>,
    limit: usize,
    is_wanted: &(dyn Fn(&Entry) -> bool + Send + Sync),
) -> Result<Newest, StoreError> {
    let mut end = match before {
        Some(before) => before,
        None => last_number(store).await?.saturating_add(1),
    };
    let mut newest = Newest::default();
    let mut looked = 0;
    while end > 1 {
        if looked >= MOST {
            newest.older = Some(end);
            return Ok(newest);
        }
        let after = end.saturating_sub(u64::from(WINDOW) + 1);
        let mut found = store.entries(Listing { after, since: None, key: None, limit: WINDOW }).await?;
        found.retain(|entry| entry.seq < end);
        if found.is_empty() {
            // Only the oldest entries are deleted, so nothing is before the first gap.
            return Ok(newest);
        }
        looked += u64::from(WINDOW);
        for entry in found.into_iter().rev() {
            if newest.entries.len() >= limit {
                newest.older = Some(entry.seq + 1);
                return Ok(newest);
            }
            if is_wanted(&entry) {
                newest.entries.push(entry);
            }
        }
        end = after + 1;
    }
    Ok(newest)
}

/// Returns the newest entries of one key that have a smaller number than `before`.
pub(super) async fn newest_of(
    store: &dyn Store,
    key: &str,
    before: Option<u64>,
    limit: usize,
) -> Result<Newest, StoreError> {
    let mut last: VecDeque<Entry> = VecDeque::new();
    let (mut after, mut has_older) = (0, false);
    loop {
        let listing = Listing { after, since: None, key: Some(key.to_owned()), limit: WINDOW };
        let found = store.entries(listing).await?;
        let Some(end) = found.last().map(|entry| entry.seq) else { break };
        after = end;
        for entry in found.into_iter().filter(|entry| before.is_none_or(|before| entry.seq < before)) {
            last.push_back(entry);
            if last.len() > limit {
                last.pop_front();
                has_older = true;
            }
        }
        if before.is_some_and(|before| after >= before) {
            break;
        }
    }
    let older = last.front().map(|entry| entry.seq).filter(|_| has_older);
    Ok(Newest { entries: last.into_iter().rev().collect(), older })
}

/// Returns the number of the last entry, or 0. The number of reads grows with the logarithm of the
/// length of the journal.
async fn last_number(store: &dyn Store) -> Result<u64, StoreError> {
    let Some(mut low) = first_after(store, 0).await? else { return Ok(0) };
    let mut step = u64::from(WINDOW);
    while let Some(found) = first_after(store, low.saturating_add(step)).await? {
        low = found;
        step = step.saturating_mul(2);
    }
    // The entry `low` exists, and no entry is after `high`.
    let mut high = low.saturating_add(step);
    while low < high {
        let middle = low + (high - low) / 2;
        match first_after(store, middle).await? {
            Some(found) => low = found,
            None => high = middle,
        }
    }
    Ok(low)
}

async fn first_after(store: &dyn Store, after: u64) -> Result<Option<u64>, StoreError> {
    let found = store.entries(Listing { after, since: None, key: None, limit: 1 }).await?;
    Ok(found.first().map(|entry| entry.seq))
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Detail, EntryKind, Retention, Time};
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
        assert!(newest(store, None, 3, &all).await.unwrap().entries.is_empty());
        journal(store, 2001).await;
        let mut shown = newest(store, None, 3, &all).await.unwrap();
        assert_eq!(numbers(&shown), [2001, 2000, 1999]);
        let mut seen = numbers(&shown);
        while let Some(before) = shown.older {
            shown = newest(store, Some(before), 700, &all).await.unwrap();
            seen.extend(numbers(&shown));
        }
        assert_eq!(seen, (1..=2001).rev().collect::<Vec<_>>());
        let policies = newest(store, None, 2, &|entry| entry.kind == EntryKind::Policy).await.unwrap();
        assert_eq!(numbers(&policies), [2000, 1990]);
        let retention = Retention {
            bodies_before: Time(0),
            ids_before: Time(0),
            journal_before: Time(1990),
            batch: 10_000,
        };
        store.prune(retention).await.unwrap();
        let left = newest(store, None, 100, &all).await.unwrap();
        assert_eq!((left.entries.len(), left.older), (12, None), "{:?}", numbers(&left));
    }

    #[tokio::test]
    async fn the_entries_of_a_key_have_pages_too() {
        let folder = tempfile::tempdir().unwrap();
        let store = exchange::store(&folder);
        journal(store.as_ref(), 1600).await;
        let mut shown = newest_of(store.as_ref(), "repository:acme:1", None, 2).await.unwrap();
        assert_eq!(numbers(&shown), [1600, 1597]);
        let mut seen = numbers(&shown);
        while let Some(before) = shown.older {
            shown = newest_of(store.as_ref(), "repository:acme:1", Some(before), 100).await.unwrap();
            seen.extend(numbers(&shown));
        }
        assert_eq!(seen.len(), 534);
        assert_eq!(seen.last(), Some(&1));
    }
}
