//! The guard's windows and holds.

use async_trait::async_trait;

use super::error::StoreError;
use crate::clock::Time;
use crate::guard::window::{Begun, End, Intent};
use crate::guard::{GuardReservation, Hold, Limits, Verdict};
use crate::key::Key;
use crate::queue::Lease;

/// Keeps the guard's windows and holds.
#[async_trait]
pub trait GuardStore: Send + Sync + 'static {
    /// Asks for room in the window for each change, in their order, and books the room that the
    /// guard gives. Room that was booked in this window already is not booked again, and an approved
    /// change passes until it is released. A refused change is recorded as a hold. Returns `None`
    /// and books nothing if the lease does not hold.
    async fn reserve(
        &self,
        lease: Option<&Lease>,
        limits: &Limits,
        asked: Vec<Hold>,
        now: Time,
    ) -> Result<Option<Vec<Verdict>>, StoreError>;
    /// Lists the held changes.
    async fn holds(&self) -> Result<Vec<Hold>, StoreError>;
    /// Lists the held changes of one key.
    async fn holds_of(&self, key: &Key) -> Result<Vec<Hold>, StoreError>;
    /// Begins a write, in one step: checks the lease and the pauses, spends the room that the guard
    /// gave, and writes the intent to the journal. Spent room stays spent until
    /// [`GuardStore::conclude`] gives it back.
    async fn begin(
        &self,
        lease: Option<&Lease>,
        key: &Key,
        intent: Intent,
        now: Time,
    ) -> Result<Begun, StoreError>;
    /// Records the ends of changes of this instance for which the guard was asked. An approval ends
    /// with its write.
    async fn conclude(&self, instance: &str, ends: Vec<(String, End)>) -> Result<(), StoreError>;
    /// Deletes holds whose changes are no longer planned.
    async fn release(&self, digests: Vec<String>) -> Result<(), StoreError>;
    /// Approves a held change and makes its key due; `None` for an unknown digest. A change that
    /// was approved before keeps its first approval, whether its write was begun or not.
    async fn approve(&self, digest: &str, by: &str, now: Time) -> Result<Option<Hold>, StoreError>;
    /// Deletes the holds of other generations of this instance. Returns the number of deleted holds.
    async fn forget_holds(&self, instance: &str, generation: &str) -> Result<u64, StoreError>;
    /// Lists the reservations in the guard's windows since a time, in order.
    async fn bookings(&self, since: Time) -> Result<Vec<GuardReservation>, StoreError>;
}
