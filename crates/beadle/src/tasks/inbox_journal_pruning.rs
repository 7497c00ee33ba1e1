//! Deletes deliveries and journal entries that are older than the retention time. The task deletes
//! these records in small batches.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{BackgroundTask, Failure, Retention, TaskStatus};

use super::{LOOK, REMOTE};
use crate::app::service::Service;
use crate::config::Span;

/// The number of rows that one batch deletes. A batch is small, so that other writes to the store
/// wait only for a short time.
const BATCH: u32 = 2000;
/// The time to wait between two batches, so that other writes can use the store.
const BETWEEN: Duration = Duration::from_millis(200);

/// Returns the divisor of the retention times. The divisor is normally 1. A test uses a larger
/// divisor to shorten a week to an hour.
pub(super) fn divisor() -> u32 {
    fail::fail_point!("retention", |number: Option<String>| {
        number.and_then(|number| number.parse().ok()).unwrap_or(1)
    });
    1
}

/// The task that deletes old records.
pub(super) struct Pruning(pub(super) Arc<Service>);

#[async_trait]
impl BackgroundTask for Pruning {
    fn name(&self) -> String {
        "pruning".into()
    }

    fn period(&self) -> Duration {
        Duration::from_secs(600)
    }

    fn timeout(&self) -> Duration {
        REMOTE
    }

    fn retry(&self) -> Duration {
        LOOK
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let (service, kept) = (&self.0, self.0.config().file.retention);
        let before = |kept: Span| service.clock().now() - Duration::from(kept) / divisor();
        let mut sum = 0;
        loop {
            let retention = Retention {
                bodies_before: before(kept.bodies),
                ids_before: before(kept.ids),
                journal_before: before(kept.journal),
                batch: BATCH,
            };
            let gone = service.store.prune(retention).await?;
            sum += gone;
            if gone < u64::from(BATCH) {
                break;
            }
            service.clock().sleep(BETWEEN).await;
        }
        Ok(if sum == 0 { TaskStatus::Idle } else { TaskStatus::Done(format!("{sum} rows deleted")) })
    }
}
