//! Wakes workers that sleep until a message arrives. The store sends a message if a change lets a
//! worker claim a key earlier, or in a more urgent lane.
//!
//! Only the row of a key decides whether the key is due. A message only wakes a worker. If a
//! message is lost, [`DynamoStore::waiting`] still finds its key.

use async_trait::async_trait;
use beadle_engine::{Key, Lane, Row, StoreError, Time};

use crate::DynamoStore;
use crate::rows::Sorted;

/// The content of a message: a key that a worker can claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The key that a worker can claim.
    pub key: Key,
    /// The lane of the due key.
    pub lane: Lane,
    /// The earliest time when a worker can claim the key.
    pub at: Time,
}

impl Due {
    /// Returns the message about a changed row, if the workers need a message. `before` is the row
    /// before the change.
    pub(crate) fn between(before: &Row, row: &Row, now: Time) -> Option<Self> {
        let at = row.wakes(before, now)?;
        Some(Self { key: row.key.clone(), lane: row.lane, at })
    }
}

/// Wakes sleeping workers.
#[async_trait]
pub trait Wake: Send + Sync + 'static {
    /// Sends messages for keys that can be claimed. The function returns no error. If a message is
    /// lost, a later call of [`DynamoStore::waiting`] finds its key.
    async fn wake(&self, due: Vec<Due>, now: Time);
}

impl DynamoStore {
    pub(crate) async fn send_wakes(&self, due: Vec<Due>, now: Time) {
        if let (Some(wake), false) = (&self.wake, due.is_empty()) {
            wake.wake(due, now).await;
        }
    }

    /// Returns keys that can be claimed now and are not paused. For each lane, the list contains
    /// the keys that have waited longest, up to `limit`.
    pub async fn waiting(&self, now: Time, limit: usize) -> Result<Vec<Due>, StoreError> {
        const DOING: &str = "looking for keys that wait";
        let is_free = self.free(&[], now).await?;
        let mut waiting = Vec::new();
        for lane in Lane::ALL {
            let Sorted { rows, damaged } =
                self.due_rows(DOING, lane, Some(now), Some(limit), &is_free).await?;
            self.damaged.add(damaged);
            let due = |row: Row| row.due_at().map(|at| Due { key: row.key, lane, at });
            let mut of_lane: Vec<Due> = rows.into_iter().filter_map(due).collect();
            of_lane.sort_by_key(|due| due.at);
            of_lane.truncate(limit);
            waiting.append(&mut of_lane);
        }
        Ok(waiting)
    }
}
