//! The queue: one row a key, with its leases and pauses.

use async_trait::async_trait;
use serde::Serialize;

use super::error::StoreError;
use crate::clock::Time;
use crate::delivery::Mark;
use crate::key::{Key, KeyScope, Lane};
use crate::queue::{Claim, Lease, Outcome, Row, Timing};

/// A pause of an instance or a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pause {
    /// The name of the instance, or the whole key.
    pub scope: String,
    /// The end of the pause.
    pub until: Time,
}

impl Pause {
    /// Returns whether the pause holds back a key.
    pub fn covers(&self, key: &Key) -> bool {
        self.scope == key.as_str() || self.scope == key.instance()
    }
}

/// The number of keys in the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Depth {
    /// The number of waiting keys, by lane in the order of [`Lane::ALL`].
    pub due: [u64; 3],
    /// The number of keys that are worked on.
    pub leased: u64,
    /// The number of parked keys.
    pub parked: u64,
    /// The time at which the oldest waiting key became due. Paused keys do not count: they are no
    /// reason for an alarm.
    pub oldest: Option<Time>,
}

impl Depth {
    /// Returns the number of waiting keys in one lane.
    pub fn lane(&self, lane: Lane) -> u64 {
        self.due[lane as usize]
    }
}

/// Keeps the keys that are due.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Makes keys due.
    async fn mark(&self, marks: Vec<Mark>, now: Time) -> Result<(), StoreError>;
    /// Claims up to `limit` due keys, the most urgent ones first. Paused keys stay.
    async fn claim(&self, limit: usize, now: Time) -> Result<Vec<Claim>, StoreError> {
        self.claim_except(limit, &[], now).await
    }
    /// Claims up to `limit` due keys, the most urgent ones first, but none of these instances. Paused
    /// keys stay.
    async fn claim_except(
        &self,
        limit: usize,
        instances: &[String],
        now: Time,
    ) -> Result<Vec<Claim>, StoreError>;
    /// Makes one key due for an operator and claims it at once; `None` while another worker has it.
    async fn claim_key(&self, key: &Key, now: Time) -> Result<Option<Claim>, StoreError>;
    /// Claims those of these keys that are due, and no other key. Paused keys stay.
    async fn claim_named(&self, keys: &[Key], now: Time) -> Result<Vec<Claim>, StoreError>;
    /// Renews a lease; `None` if another worker has the key.
    async fn renew(&self, lease: &Lease, now: Time) -> Result<Option<Time>, StoreError>;
    /// Ends a run; `false` if another worker has the key.
    async fn finish(&self, lease: &Lease, outcome: Outcome, now: Time) -> Result<bool, StoreError>;
    /// Returns the time at which the next key can be claimed.
    async fn next_due(&self) -> Result<Option<Time>, StoreError>;
    /// Returns the timing of the rows.
    fn timing(&self) -> &Timing;

    /// Pauses a scope (an instance or a key) until a time.
    async fn pause(&self, scope: &str, until: Time) -> Result<(), StoreError>;
    /// Ends a pause; `false` if there was none.
    async fn resume(&self, scope: &str) -> Result<bool, StoreError>;
    /// Lists the pauses that hold at `now`.
    async fn pauses(&self, now: Time) -> Result<Vec<Pause>, StoreError>;

    /// Lists rows that are pending, leased or parked, the most urgent ones first.
    async fn rows(&self, limit: u32) -> Result<Vec<Row>, StoreError>;
    /// Returns one row.
    async fn row(&self, key: &Key) -> Result<Option<Row>, StoreError>;
    /// Counts the keys of these scopes that wait for a mark of `since` or before, up to `most`. A
    /// parked key does not wait.
    async fn count_waiting(&self, scopes: &[KeyScope], since: Time, most: u32) -> Result<u64, StoreError>;
    /// Counts the keys in the queue.
    async fn depth(&self, now: Time) -> Result<Depth, StoreError>;
}
