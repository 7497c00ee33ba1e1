//! The part of a store that keeps the journal.

use async_trait::async_trait;

use super::error::StoreError;
use super::listing::Listing;
use crate::clock::Time;
use crate::journal::Entry;
use crate::queue::Lease;

/// Stores the entries of the journal.
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
    /// Lists entries in the order in which they were written.
    async fn entries(&self, listing: Listing) -> Result<Vec<Entry>, StoreError>;
    /// Lists the intents that have no result, because the process ended during the write.
    async fn open_intents(&self) -> Result<Vec<Entry>, StoreError>;
}
