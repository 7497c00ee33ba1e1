//! What the engine needs kept. SQLite, DynamoDB and PostgreSQL are implementations of one trait, and the suite in
//! the module `testing` (feature `testing`) holds them to it.

use async_trait::async_trait;
use serde::Serialize;

use crate::clock::Time;
use crate::delivery::{Accepted, Delivery, Mark};
use crate::guard::window::{Begun, End, Intent};
use crate::guard::{GuardReservation, Hold, Limits, Verdict};
use crate::journal::Entry;
use crate::key::{Key, Lane};
use crate::queue::{Claim, Lease, Outcome, Row, Timing};
use crate::transfer::StoreRecord;

/// Why the store did not do it. Nothing of the call is kept.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum StoreError {
    /// It cannot write now: full disk, read-only, busy. Trying again may help.
    #[error("{doing}: {why}")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// What the store said.
        why: String,
    },
    /// What is stored is not what this version writes.
    #[error("{doing}: {why}; this file was written by another version of Beadle, or is damaged")]
    Corrupt {
        /// What was being done.
        doing: &'static str,
        /// What is wrong.
        why: String,
    },
}

/// A delivery as it is listed: without its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeliveryRow {
    /// The hook it came to.
    pub source: String,
    /// The sender's id.
    pub id: String,
    /// The event.
    pub event: String,
    /// Who caused it, as the sender says.
    pub actor: Option<String>,
    /// The configured instance.
    pub instance: String,
    /// When it came.
    pub received: Time,
    /// The keys it marked.
    pub keys: Vec<Key>,
}

impl DeliveryRow {
    /// The delivery itself.
    pub fn with_body(&self, body: Vec<u8>) -> Delivery {
        Delivery {
            source: self.source.clone(),
            id: self.id.clone(),
            event: self.event.clone(),
            actor: self.actor.clone(),
            instance: self.instance.clone(),
            received: self.received,
            body,
        }
    }
}

/// Everything is held back for an instance or a key until a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pause {
    /// An instance's name, or a whole key.
    pub scope: String,
    /// Until when.
    pub until: Time,
}

/// How full the queue is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Depth {
    /// Keys waiting, by lane in the order of [`Lane::ALL`].
    pub due: [u64; 3],
    /// Keys being worked on.
    pub leased: u64,
    /// Keys set aside.
    pub parked: u64,
    /// The time at which the oldest waiting key became due. Paused keys do not count: they are no
    /// reason for an alarm.
    pub oldest: Option<Time>,
}

impl Depth {
    /// Keys waiting in one lane.
    pub fn lane(&self, lane: Lane) -> u64 {
        self.due[lane as usize]
    }
}

/// How long what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Bodies of deliveries received before this go. Their ids stay.
    pub bodies_before: Time,
    /// Ids of deliveries received before this go.
    pub ids_before: Time,
    /// Journal entries before this go.
    pub journal_before: Time,
    /// The most rows to delete in one call.
    pub batch: u32,
}

/// Which rows to list.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Entries after this sequence number, or rows after this many.
    pub after: u64,
    /// At or after this time.
    pub since: Option<Time>,
    /// Only of this key.
    pub key: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// The engine's storage. Every write is durable when it returns; `now` is the caller's clock, so that tests can turn it.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Keeps a delivery and makes its keys due, in one transaction; a known id changes nothing.
    async fn accept(&self, delivery: Delivery, marks: Vec<Mark>) -> Result<Accepted, StoreError>;
    /// Makes keys due.
    async fn mark(&self, marks: Vec<Mark>, now: Time) -> Result<(), StoreError>;
    /// Claims up to `limit` due keys, most urgent first. Paused keys stay.
    async fn claim(&self, limit: usize, now: Time) -> Result<Vec<Claim>, StoreError> {
        self.claim_except(limit, &[], now).await
    }
    /// Claims up to `limit` due keys, most urgent first, but none of these instances. Paused keys
    /// stay.
    async fn claim_except(
        &self,
        limit: usize,
        instances: &[String],
        now: Time,
    ) -> Result<Vec<Claim>, StoreError>;
    /// Makes one key due for an operator and claims it at once; `None` while somebody else works on it.
    async fn claim_key(&self, key: &Key, now: Time) -> Result<Option<Claim>, StoreError>;
    /// Claims those of these keys that are due, and no other. Paused keys stay.
    async fn claim_named(&self, keys: &[Key], now: Time) -> Result<Vec<Claim>, StoreError>;
    /// Renews a lease; `None` when somebody else has the key.
    async fn renew(&self, lease: &Lease, now: Time) -> Result<Option<Time>, StoreError>;
    /// Ends a run; `false` when somebody else has the key.
    async fn finish(&self, lease: &Lease, outcome: Outcome, now: Time) -> Result<bool, StoreError>;
    /// When the next key can be claimed.
    async fn next_due(&self) -> Result<Option<Time>, StoreError>;
    /// The timing that rows are kept by.
    fn timing(&self) -> &Timing;

    /// Asks for room in the window for each change, in their order, and books what gets it; what was booked in this
    /// window already is not booked again, and what was approved passes until it is released. Under a lease that no
    /// longer holds nothing is booked and `None` returned. What is refused is recorded as a hold.
    async fn reserve(
        &self,
        lease: Option<&Lease>,
        limits: &Limits,
        asked: Vec<Hold>,
        now: Time,
    ) -> Result<Option<Vec<Verdict>>, StoreError>;
    /// The changes held now.
    async fn holds(&self) -> Result<Vec<Hold>, StoreError>;
    /// The changes of one key that are held now.
    async fn holds_of(&self, key: &Key) -> Result<Vec<Hold>, StoreError>;
    /// The moment before a write, in one step: checks the lease and the pauses, spends what the
    /// guard gave, and writes the intent to the journal. What was spent stays spent until
    /// [`Store::conclude`] gives it back.
    async fn begin(
        &self,
        lease: Option<&Lease>,
        key: &Key,
        intent: Intent,
        now: Time,
    ) -> Result<Begun, StoreError>;
    /// Notes how changes of this instance ended for which the guard was asked. An approval ends
    /// with its write.
    async fn conclude(&self, instance: &str, ends: Vec<(String, End)>) -> Result<(), StoreError>;
    /// Forgets holds: their changes are no longer asked for.
    async fn release(&self, digests: Vec<String>) -> Result<(), StoreError>;
    /// Lets a held change pass and makes its key due; `None` for an unknown digest. A change that
    /// was approved before keeps its first approval, whether its write was begun or not.
    async fn approve(&self, digest: &str, by: &str, now: Time) -> Result<Option<Hold>, StoreError>;
    /// Forgets holds of other generations of this instance. Returns how many.
    async fn forget_holds(&self, instance: &str, generation: &str) -> Result<u64, StoreError>;

    /// Writes entries; with a lease, only while it holds: `None` when it does not. Gives the entries' numbers.
    async fn journal(
        &self,
        lease: Option<&Lease>,
        entries: Vec<Entry>,
        now: Time,
    ) -> Result<Option<Vec<u64>>, StoreError>;
    /// Entries in their order.
    async fn entries(&self, listing: Listing) -> Result<Vec<Entry>, StoreError>;
    /// Intents without a result: what a kill cut off between the two.
    async fn open_intents(&self) -> Result<Vec<Entry>, StoreError>;

    /// Holds back everything of a scope (an instance or a key) until a time.
    async fn pause(&self, scope: &str, until: Time) -> Result<(), StoreError>;
    /// Ends a pause; `false` when there was none.
    async fn resume(&self, scope: &str) -> Result<bool, StoreError>;
    /// The pauses that hold at `now`.
    async fn pauses(&self, now: Time) -> Result<Vec<Pause>, StoreError>;

    /// Rows of the queue that are pending, leased or parked, most urgent first.
    async fn rows(&self, limit: u32) -> Result<Vec<Row>, StoreError>;
    /// One row.
    async fn row(&self, key: &Key) -> Result<Option<Row>, StoreError>;
    /// How full the queue is.
    async fn depth(&self, now: Time) -> Result<Depth, StoreError>;
    /// Deliveries, newest first.
    async fn deliveries(&self, listing: Listing) -> Result<Vec<DeliveryRow>, StoreError>;
    /// A delivery's body, while it is kept.
    async fn body(&self, source: &str, id: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// A small value by name: a cursor, a remembered pair, a count.
    async fn get(&self, name: &str) -> Result<Option<String>, StoreError>;
    /// Every small value whose name begins so, by name.
    async fn notes(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreError>;
    /// Forgets a small value.
    async fn forget(&self, name: &str) -> Result<(), StoreError>;
    /// Sets a small value.
    async fn put(&self, name: &str, value: &str) -> Result<(), StoreError>;
    /// Deletes what is older than the retention allows, at most a batch. Returns how many rows went.
    async fn prune(&self, retention: Retention) -> Result<u64, StoreError>;
    /// Finishes what was interrupted between two writes, where the store cannot do all in one: a delivery that is kept, and
    /// whose keys were not all marked. Returns how much there was.
    async fn settle(&self, now: Time) -> Result<u64, StoreError>;
    /// What was given in the guard's windows since then, in order.
    async fn bookings(&self, since: Time) -> Result<Vec<GuardReservation>, StoreError>;
    /// Takes over a piece of another store, as it is: see [`crate::transfer`].
    async fn take(&self, piece: StoreRecord) -> Result<(), StoreError>;
    /// Brings everything that was written to where a copy of the state finds it: with a file, into
    /// that one file.
    async fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }
    /// Whether it takes writes.
    async fn ready(&self) -> Result<(), StoreError>;
}
