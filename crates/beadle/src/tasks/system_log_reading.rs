//! Reads the System Log of a directory, to find events that no event hook delivered.

use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{BackgroundTask, Failure, TaskStatus};

use super::Directory;

/// The timeout for each run. If Beadle has not read the log for a day, there are many new pages. So
/// a run can take a long time.
const TIMEOUT: Duration = Duration::from_secs(1800);

/// The task that reads the System Log of one directory.
pub(super) struct SystemLog(pub(super) Directory);

#[async_trait]
impl BackgroundTask for SystemLog {
    fn name(&self) -> String {
        format!("System Log of {}", self.0.file.name)
    }

    fn period(&self) -> Duration {
        Duration::from(self.0.file.log_every).max(Duration::from_millis(100))
    }

    fn timeout(&self) -> Duration {
        TIMEOUT
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let Directory { service, file, .. } = &self.0;
        let caught = self.0.catchup().read_on().await?;
        if caught.missed > 0 {
            tracing::info!(
                directory = file.name,
                events = caught.missed,
                "missed events found in the System Log"
            );
            service.bell.notify_one();
        }
        if caught.beyond {
            tracing::warn!(
                directory = file.name,
                "Okta's System Log no longer has some missed events, a sweep checks all groups"
            );
            service.bell.notify_one();
        }
        Ok(match caught.missed {
            0 => TaskStatus::Idle,
            missed => TaskStatus::Done(format!("missed events found: {missed}")),
        })
    }
}
