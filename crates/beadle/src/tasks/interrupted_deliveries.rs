//! Finishes the deliveries whose process ended after the delivery was stored in the inbox and
//! before its keys were marked as due.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{BackgroundTask, Failure, TaskStatus};

use super::LOCAL;
use crate::app::service::Service;

/// The task that finishes interrupted deliveries.
pub(super) struct InterruptedDeliveries(pub(super) Arc<Service>);

#[async_trait]
impl BackgroundTask for InterruptedDeliveries {
    fn name(&self) -> String {
        "interrupted deliveries".into()
    }

    fn period(&self) -> Duration {
        // The period is shorter than a minute. The function on AWS runs its tasks once a minute,
        // and with a period of a minute it could find the task not yet due and run it only every
        // second minute.
        Duration::from_secs(45)
    }

    fn timeout(&self) -> Duration {
        LOCAL
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let settled = self.0.store.settle(self.0.clock().now()).await?;
        if settled == 0 {
            return Ok(TaskStatus::Idle);
        }
        tracing::warn!(deliveries = settled, "webhooks whose storing was interrupted are now stored");
        self.0.bell.notify_one();
        Ok(TaskStatus::Done(format!("interrupted deliveries finished: {settled}")))
    }
}
