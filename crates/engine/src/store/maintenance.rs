//! The care of a store: retention, recovery, copies, health.

use async_trait::async_trait;

use super::error::StoreError;
use super::inbox::DeliveryRow;
use crate::clock::Time;
use crate::guard::{GuardReservation, Hold};
use crate::journal::Entry;
use crate::queue::Row;

/// The retention of stored data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Bodies of deliveries received before this time are deleted. The ids stay.
    pub bodies_before: Time,
    /// Ids of deliveries received before this time are deleted.
    pub ids_before: Time,
    /// Journal entries before this time are deleted.
    pub journal_before: Time,
    /// The maximum number of rows to delete in one call.
    pub batch: u32,
}

/// A part of a store's data, as it is stored.
#[derive(Clone, Debug)]
pub enum StoreRecord {
    /// A key that is due, worked on or parked.
    Row(Row),
    /// A delivery, with its body while that is kept. The keys are not marked, because their rows
    /// show whether they are due.
    Delivery(DeliveryRow, Option<Vec<u8>>),
    /// Journal entries with their numbers, in order.
    Entries(Vec<Entry>),
    /// A change that is held, or was approved.
    Hold(Hold),
    /// Reservations in the guard's windows, in order.
    Bookings(Vec<GuardReservation>),
}

/// Takes care of a store.
#[async_trait]
pub trait Maintenance: Send + Sync + 'static {
    /// Deletes data that is older than the retention allows, at most a batch. Returns the number of
    /// deleted rows.
    async fn prune(&self, retention: Retention) -> Result<u64, StoreError>;
    /// Finishes calls that were interrupted between two writes, if the store cannot do all in one:
    /// a delivery that is kept, and whose keys were not all marked. Returns the number of such
    /// calls.
    async fn settle(&self, now: Time) -> Result<u64, StoreError>;
    /// Stores a record of another store, as it is: see [`crate::transfer`].
    async fn take(&self, record: StoreRecord) -> Result<(), StoreError>;
    /// Brings all written data to the place where a copy of the state finds it: with a file, into
    /// that one file.
    async fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }
    /// Checks that the store takes writes.
    async fn ready(&self) -> Result<(), StoreError>;
}
