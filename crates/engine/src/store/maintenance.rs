//! The maintenance of a store: the deletion of old data, recovery after interrupted calls, copies
//! and health checks.

use async_trait::async_trait;

use super::error::StoreError;
use super::inbox::DeliveryRow;
use crate::clock::Time;
use crate::guard::{GuardReservation, Hold};
use crate::journal::Entry;
use crate::queue::Row;

/// The ages of the data that a store deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The store deletes the bodies of deliveries that arrived before this time. The store keeps
    /// the ids of these deliveries.
    pub bodies_before: Time,
    /// The store deletes the ids of deliveries that arrived before this time.
    pub ids_before: Time,
    /// The store deletes journal entries that are older than this time.
    pub journal_before: Time,
    /// The maximum number of rows that one call deletes.
    pub batch: u32,
}

/// A piece of stored data that is copied from one store to another.
#[derive(Clone, Debug)]
pub enum StoreRecord {
    /// A key with its row in the queue.
    Row(Row),
    /// A delivery, with its body if the body is still stored. The receiving store does not make the
    /// keys of the delivery due. The copied rows of the keys already show whether the keys are due.
    Delivery(DeliveryRow, Option<Vec<u8>>),
    /// Entries of the journal, with their numbers, in order.
    Entries(Vec<Entry>),
    /// A change that is held or approved.
    Hold(Hold),
    /// Reservations of room in the guard's windows, in order.
    Bookings(Vec<GuardReservation>),
}

/// Maintains a store.
#[async_trait]
pub trait Maintenance: Send + Sync + 'static {
    /// Deletes data that is older than `retention` allows, up to the number of rows in
    /// `retention.batch`. Returns the number of deleted rows.
    async fn prune(&self, retention: Retention) -> Result<u64, StoreError>;
    /// Completes calls that were interrupted. A store needs this method if it executes one call in
    /// several steps. The call then also finds stored deliveries that have not made all their keys
    /// due yet. Returns the number of completed calls.
    async fn settle(&self, now: Time) -> Result<u64, StoreError>;
    /// Stores a record from another store without changing the record: see [`crate::transfer`].
    async fn take(&self, record: StoreRecord) -> Result<(), StoreError>;
    /// Makes all written data visible to a backup. If the store is a file, all data must be in this
    /// one file afterwards.
    async fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }
    /// Checks that the store can write.
    async fn ready(&self) -> Result<(), StoreError>;
    /// Returns the time of the store's own clock, or `None` if the store has none. Processes on
    /// several machines compare their own clocks with the store's clock, because the end of a lease
    /// depends on the clock.
    async fn clock(&self) -> Result<Option<Time>, StoreError> {
        Ok(None)
    }
}
