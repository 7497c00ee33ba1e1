//! Wakes workers that sleep until a message arrives: a key can be claimed earlier than before, or
//! in a more urgent lane.
//!
//! The row is the truth, and a message only wakes. [`DynamoStore::waiting`] finds the keys of lost
//! messages.

use async_trait::async_trait;
use beadle_engine::{Key, Lane, Row, StoreError, Time};

use crate::DynamoStore;

/// A key that can be claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The key.
    pub key: Key,
    /// The lane of the key.
    pub lane: Lane,
    /// The time from which the key can be claimed.
    pub at: Time,
}

impl Due {
    /// Returns the message about a row that was like `before`, if there is one.
    pub(crate) fn between(before: &Row, row: &Row, now: Time) -> Option<Self> {
        let at = row.wakes(before, now)?;
        Some(Self { key: row.key.clone(), lane: row.lane, at })
    }
}

/// Wakes sleeping workers.
#[async_trait]
pub trait Wake: Send + Sync + 'static {
    /// Sends messages for keys that can be claimed. It never fails: a later look for waiting keys
    /// finds the keys of lost messages.
    async fn wake(&self, due: Vec<Due>, now: Time);
}

impl DynamoStore {
    pub(crate) async fn send_wakes(&self, due: Vec<Due>, now: Time) {
        if let (Some(wake), false) = (&self.wake, due.is_empty()) {
            wake.wake(due, now).await;
        }
    }

    /// Returns keys that can be claimed now and are not paused: of each lane the keys that waited
    /// longest, up to `limit`.
    pub async fn waiting(&self, now: Time, limit: usize) -> Result<Vec<Due>, StoreError> {
        const DOING: &str = "looking for keys that wait";
        let is_free = self.free(&[], now).await?;
        let mut waiting = Vec::new();
        for lane in Lane::ALL {
            let rows = self.due_rows(DOING, lane, Some(now), Some(limit), &is_free).await?;
            let due = |row: Row| row.due_at().map(|at| Due { key: row.key, lane, at });
            let mut of_lane: Vec<Due> = rows.into_iter().filter_map(due).collect();
            of_lane.sort_by_key(|due| due.at);
            of_lane.truncate(limit);
            waiting.append(&mut of_lane);
        }
        Ok(waiting)
    }
}
