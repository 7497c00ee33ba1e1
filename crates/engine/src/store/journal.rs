//! The part of a store that keeps the journal.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::error::StoreError;
use super::history::{History, is_called};
use super::listing::Listing;
use crate::clock::Time;
use crate::journal::Entry;
use crate::key::Key;
use crate::queue::Lease;

/// The maximum number of entries in memory during a search of the whole journal.
const PAGE: u32 = 1000;

/// Stores the journal entries.
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Adds entries to the journal, and returns their numbers. If a lease is given and is not
    /// valid, the call adds nothing and returns `None`.
    async fn journal(
        &self,
        lease: Option<&Lease>,
        entries: Vec<Entry>,
        now: Time,
    ) -> Result<Option<Vec<u64>>, StoreError>;
    /// Lists entries in the order of their numbers.
    async fn entries(&self, listing: Listing) -> Result<Vec<Entry>, StoreError>;
    /// Lists entries, with the newest entry first. The list is empty only if no entry meets the
    /// conditions.
    async fn newest_entries(&self, history: History) -> Result<Vec<Entry>, StoreError>;
    /// Returns whether the store has an index of the kinds of entries. If the store has no such
    /// index, a search for one kind in [`Journal::newest_entries`] also reads the entries of other
    /// kinds.
    fn has_index_of_kinds(&self) -> bool {
        false
    }
    /// Lists the intents that have no result, because the process ended during the write.
    async fn open_intents(&self) -> Result<Vec<Entry>, StoreError>;
    /// Returns the keys of all entries whose subject has this name. [`is_called`] compares the
    /// names. A store without an index of the subjects reads the whole journal.
    async fn keys_called(&self, name: &str) -> Result<Vec<Key>, StoreError> {
        let mut found = BTreeSet::new();
        let mut after = 0;
        loop {
            let entries = self.entries(Listing { after, limit: PAGE, ..Listing::default() }).await?;
            let Some(last) = entries.last() else { return Ok(found.into_iter().collect()) };
            after = last.seq;
            let called = entries.iter().filter(|entry| is_called(&entry.subject, name));
            found.extend(called.filter_map(|entry| entry.key.parse::<Key>().ok()));
        }
    }
    /// Returns at most `limit` different subjects of the journal.
    async fn subjects(&self, limit: u32) -> Result<Vec<String>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut found = BTreeSet::new();
        let mut after = 0;
        loop {
            let entries = self.entries(Listing { after, limit: PAGE, ..Listing::default() }).await?;
            let last = entries.last().filter(|_| found.len() < limit);
            let Some(last) = last else { return Ok(found.into_iter().take(limit).collect()) };
            after = last.seq;
            found.extend(entries.into_iter().map(|entry| entry.subject));
        }
    }
}
