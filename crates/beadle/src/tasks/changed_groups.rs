//! Asks a directory which groups have changed. This is necessary because the System Log does not
//! contain every change.

use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{BackgroundTask, Failure, TaskStatus};

use super::{Directory, REMOTE};

/// The task that asks one directory which groups have changed.
pub(super) struct ChangedGroups(pub(super) Directory);

#[async_trait]
impl BackgroundTask for ChangedGroups {
    fn name(&self) -> String {
        format!("changed groups of {}", self.0.file.name)
    }

    fn period(&self) -> Duration {
        Duration::from(self.0.file.changes_every).max(Duration::from_millis(100))
    }

    fn timeout(&self) -> Duration {
        REMOTE
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let service = &self.0.service;
        let changed = self.0.catchup().probe().await?;
        if changed == 0 {
            return Ok(TaskStatus::Idle);
        }
        service.bell.notify_one();
        Ok(TaskStatus::Done(format!("changed groups found: {changed}")))
    }
}
