//! The guard's windows and holds.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use async_trait::async_trait;

use super::error::StoreError;
use super::hold_list::HoldList;
use crate::clock::Time;
use crate::guard::window::{Begun, End, Intent};
use crate::guard::{Decision, GuardReservation, Hold, Limits, Verdict};
use crate::key::Key;
use crate::queue::Lease;

/// Stores the guard's windows and holds.
#[async_trait]
pub trait GuardStore: Send + Sync + 'static {
    /// Submits changes to the guard, in their order. The guard reserves room in the window for each
    /// change that fits. Every other change becomes a stored hold. If a change already has reserved
    /// room, the guard reserves no more room for it. An approved change passes until its hold is
    /// deleted. Returns `None`, and stores nothing, if the lease is not valid.
    async fn reserve(
        &self,
        lease: Option<&Lease>,
        limits: &Limits,
        asked: Vec<Hold>,
        now: Time,
    ) -> Result<Option<Vec<Verdict>>, StoreError>;
    /// Lists the held changes, to show or to count them. An unreadable hold does not cause an
    /// error.
    async fn all_holds(&self) -> Result<HoldList, StoreError>;
    /// Lists the held changes, for decisions. Returns an error if one of them is unreadable.
    async fn holds(&self) -> Result<Vec<Hold>, StoreError> {
        self.all_holds().await?.complete()
    }
    /// Returns a text that changes whenever a hold is added, changed or deleted. Open pages ask for
    /// the text repeatedly. If a store can compute the text without parsing the holds, it should do
    /// so.
    async fn holds_version(&self) -> Result<String, StoreError> {
        let mut hasher = DefaultHasher::new();
        let list = self.all_holds().await?;
        for hold in &list.holds {
            serde_json::to_string(hold).unwrap_or_default().hash(&mut hasher);
        }
        list.unreadable.hash(&mut hasher);
        Ok(format!("{:016x}", hasher.finish()))
    }
    /// Lists the held changes of one key, for people. An unreadable hold does not cause an error.
    async fn all_holds_of(&self, key: &Key) -> Result<HoldList, StoreError>;
    /// Lists the held changes of one key, for decisions. Returns an error if one of them is
    /// unreadable.
    async fn holds_of(&self, key: &Key) -> Result<Vec<Hold>, StoreError> {
        self.all_holds_of(key).await?.complete()
    }
    /// Begins a write, in one transaction. The call checks the lease and the pauses, marks the
    /// reserved room as used, and adds the intent to the journal. The room stays used until
    /// [`GuardStore::conclude`] frees it.
    async fn begin(
        &self,
        lease: Option<&Lease>,
        key: &Key,
        intent: Intent,
        now: Time,
    ) -> Result<Begun, StoreError>;
    /// Records how each of these changes of the instance ended. The guard has allowed all of these
    /// changes. If an approved change was written, its approval ends. A second call with the same
    /// ends changes nothing.
    async fn conclude(&self, instance: &str, ends: Vec<(String, End)>) -> Result<(), StoreError>;
    /// Deletes the holds in `seen` that have not changed since the caller read them. If a stored
    /// hold differs from the hold in `seen`, the stored hold stays. An operator can approve or
    /// reject the change between the caller's read and this call. A deletion of that hold would
    /// lose the decision of the operator, and a rejected change could pass the guard.
    async fn release(&self, seen: Vec<Hold>) -> Result<(), StoreError>;
    /// Stores an operator's decision about a held change, see [`crate::guard::decide`]. An approval
    /// also makes the key due. If the row of the key is unreadable, an approval is not stored, and
    /// the call returns an error that names the row. Returns the hold after this decision. If an
    /// earlier decision stays in force, the returned hold contains the earlier decision. Returns
    /// `None` if no hold has this digest.
    async fn decide(&self, digest: &str, decision: &Decision, now: Time) -> Result<Option<Hold>, StoreError>;
    /// Approves a held change without a reason, see [`GuardStore::decide`]. If the change is
    /// rejected, the rejection stays.
    async fn approve(&self, digest: &str, by: &str, now: Time) -> Result<Option<Hold>, StoreError> {
        self.decide(digest, &Decision::approve(by, None), now).await
    }
    /// Stores approved holds for the changes of a generation. An operator approved this generation
    /// as a whole, so its changes pass the guard. If an operator rejected one of the changes, the
    /// stored hold stays, see [`crate::guard::may_let_pass`].
    async fn let_pass(&self, approved: Vec<Hold>) -> Result<(), StoreError>;
    /// Deletes the holds of this instance, except the holds that belong to `generation`. Returns
    /// the number of deleted holds.
    async fn forget_holds(&self, instance: &str, generation: &str) -> Result<u64, StoreError>;
    /// Lists the reservations of all instances since a time, in order.
    async fn bookings(&self, since: Time) -> Result<Vec<GuardReservation>, StoreError>;
}
