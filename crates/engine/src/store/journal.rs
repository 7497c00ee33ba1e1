//! The journal.

use async_trait::async_trait;

use super::error::StoreError;
use super::listing::Listing;
use crate::clock::Time;
use crate::journal::Entry;
use crate::queue::Lease;

/// Keeps the journal.
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Writes entries and returns their numbers. With a lease, writes them only while the lease
    /// holds; `None` if it does not.
    async fn journal(
        &self,
        lease: Option<&Lease>,
        entries: Vec<Entry>,
        now: Time,
    ) -> Result<Option<Vec<u64>>, StoreError>;
    /// Lists entries in their order.
    async fn entries(&self, listing: Listing) -> Result<Vec<Entry>, StoreError>;
    /// Lists the intents without a result: the process ended between the two.
    async fn open_intents(&self) -> Result<Vec<Entry>, StoreError>;
}
