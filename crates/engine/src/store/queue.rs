//! The part of a store that keeps the queue: the rows of the keys, their leases, and the pauses.

use async_trait::async_trait;
use serde::Serialize;

use super::error::StoreError;
use super::row_list::RowList;
use crate::clock::Time;
use crate::delivery::Mark;
use crate::key::{Key, KeyScope, Lane};
use crate::queue::{Claim, Lease, Outcome, Row, Timing};

/// A pause of an instance or a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pause {
    /// The paused instance or key.
    pub scope: String,
    /// The time when the pause ends.
    pub until: Time,
}

impl Pause {
    /// Returns whether the pause applies to a key.
    pub fn covers(&self, key: &Key) -> bool {
        self.scope == key.as_str() || self.scope == key.instance()
    }
}

/// How many keys the queue contains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Depth {
    /// The number of waiting keys in each lane, in the order of [`Lane::ALL`].
    pub due: [u64; 3],
    /// The number of keys that workers have claimed.
    pub leased: u64,
    /// The number of parked keys.
    pub parked: u64,
    /// The time when the oldest waiting key became due. Paused keys do not count, so that a pause
    /// causes no alarm.
    pub oldest: Option<Time>,
}

impl Depth {
    /// Returns the number of waiting keys in one lane.
    pub fn lane(&self, lane: Lane) -> u64 {
        self.due[lane as usize]
    }

    /// Returns the number of keys that wait, run or are parked. [`Queue::all_rows`] lists these
    /// keys.
    pub fn total(&self) -> u64 {
        self.due.iter().sum::<u64>() + self.leased + self.parked
    }
}

/// Stores the queue.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Makes the keys of these marks due, except the keys of unreadable rows. An unreadable row
    /// stays as it is, and the log and [`Queue::all_rows`] name the row. Returns one text for each
    /// unreadable row, as in [`super::RowList::unreadable`]. This call is for many keys, so one
    /// unreadable row must not delay the other keys. A later sweep marks the key of the unreadable
    /// row again.
    async fn mark_readable(&self, marks: Vec<Mark>, now: Time) -> Result<Vec<String>, StoreError>;
    /// Makes the keys of these marks due. If the row of a key is unreadable, the call returns an
    /// error that names the row. The call still makes all other keys due.
    async fn mark(&self, marks: Vec<Mark>, now: Time) -> Result<(), StoreError> {
        match self.mark_readable(marks, now).await?.into_iter().next() {
            Some(why) => Err(StoreError::Corrupt { doing: "marking keys as due", why }),
            None => Ok(()),
        }
    }
    /// Claims at most `limit` due keys, with the most urgent keys first. Paused keys are not
    /// claimed.
    async fn claim(&self, limit: usize, now: Time) -> Result<Vec<Claim>, StoreError> {
        self.claim_except(limit, &[], now).await
    }
    /// Claims at most `limit` due keys, with the most urgent keys first. Paused keys, and keys of
    /// the instances in `except`, are not claimed.
    async fn claim_except(
        &self,
        limit: usize,
        instances: &[String],
        now: Time,
    ) -> Result<Vec<Claim>, StoreError>;
    /// Makes one key due on behalf of an operator, and immediately claims it. Returns `None` if
    /// another worker has the key.
    async fn claim_key(&self, key: &Key, now: Time) -> Result<Option<Claim>, StoreError>;
    /// Claims the keys in `keys` that are due and not paused.
    async fn claim_named(&self, keys: &[Key], now: Time) -> Result<Vec<Claim>, StoreError>;
    /// Renews a lease and returns its new end. Returns `None` if another worker has claimed the
    /// key.
    async fn renew(&self, lease: &Lease, now: Time) -> Result<Option<Time>, StoreError>;
    /// Records the end of a run. Returns `false`, and changes nothing, if another worker has
    /// claimed the key.
    async fn finish(&self, lease: &Lease, outcome: Outcome, now: Time) -> Result<bool, StoreError>;
    /// Returns the earliest time when a worker can claim a key.
    async fn next_due(&self) -> Result<Option<Time>, StoreError>;
    /// Returns the durations that the queue uses, such as the length of a lease.
    fn timing(&self) -> &Timing;

    /// Pauses an instance or a key until a time.
    async fn pause(&self, scope: &str, until: Time) -> Result<(), StoreError>;
    /// Ends the pause of an instance or a key. Returns `false` if the instance or the key was not
    /// paused.
    async fn resume(&self, scope: &str) -> Result<bool, StoreError>;
    /// Lists the pauses that are in force at `now`.
    async fn pauses(&self, now: Time) -> Result<Vec<Pause>, StoreError>;

    /// Lists the rows of keys that are due, claimed or parked, to show or to count them. The parked
    /// keys come first. The other keys follow, the most urgent ones first. An unreadable row does
    /// not cause an error.
    async fn all_rows(&self, limit: u32) -> Result<RowList, StoreError>;
    /// Lists the same rows as [`Queue::all_rows`], for decisions. Returns an error if one of the
    /// rows is unreadable.
    async fn rows(&self, limit: u32) -> Result<Vec<Row>, StoreError> {
        self.all_rows(limit).await?.complete()
    }
    /// Lists the rows of keys that are parked, or that failed in their last run. The rows have no
    /// particular order. An unreadable row does not cause an error. A sweep can make thousands of
    /// keys due, but a store with an index of the troubled rows does not read the other rows.
    async fn troubled(&self) -> Result<RowList, StoreError> {
        let mut list = self.all_rows(u32::MAX).await?;
        list.rows.retain(Row::is_troubled);
        Ok(list)
    }
    /// Returns the row of one key, if there is one.
    async fn row(&self, key: &Key) -> Result<Option<Row>, StoreError>;
    /// Counts the keys of these scopes that wait for a run because of a mark made at `since` or
    /// earlier. Parked keys do not count. Unreadable rows do not count either, because no worker
    /// can claim their keys. A sweep that waited for these keys would never end.
    /// [`Queue::all_rows`] still names the unreadable rows. The count stops at `most`.
    async fn count_waiting(&self, scopes: &[KeyScope], since: Time, most: u32) -> Result<u64, StoreError>;
    /// Counts the keys in the queue, by lane and by state.
    async fn depth(&self, now: Time) -> Result<Depth, StoreError>;
}
