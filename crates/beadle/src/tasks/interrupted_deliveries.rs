//! Finishes interrupted deliveries. A delivery is interrupted if a process stored the delivery in
//! the inbox, but ended before it marked the keys of the delivery as due.

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
        // The function on AWS looks for due tasks once a minute. With a period of a whole minute,
        // this task could become due shortly after the function has looked. The task would then run
        // only once in two minutes.
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
