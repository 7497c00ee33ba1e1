//! Tells workers that sleep until a message comes of keys that can be claimed earlier than before, or in a
//! more urgent lane.
//!
//! The row is the truth and a message only wakes: one that is lost is made up for by [`DynamoStore::waiting`].

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
    /// From when on.
    pub at: Time,
}

impl Due {
    /// Returns the message about a row that was like `before`, if there is one.
    pub(crate) fn between(before: &Row, row: &Row, now: Time) -> Option<Self> {
        let at = row.wakes(before, now)?;
        Some(Self { key: row.key.clone(), lane: row.lane, at })
    }
}

/// Tells those who sleep.
#[async_trait]
pub trait Wake: Send + Sync + 'static {
    /// These can be claimed. It fails for nobody: what was not told is found by whoever looks for what waits.
    async fn wake(&self, due: Vec<Due>, now: Time);
}

impl DynamoStore {
    pub(crate) async fn tell(&self, due: Vec<Due>, now: Time) {
        if let (Some(wake), false) = (&self.wake, due.is_empty()) {
            wake.wake(due, now).await;
        }
    }

    /// Keys that can be claimed now and are not paused, of each lane those that waited longest, at most `limit` of a lane.
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
