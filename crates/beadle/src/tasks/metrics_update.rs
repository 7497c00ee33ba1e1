//! Reads the condition of the organisations, directories and targets for the metrics. So a request
//! for the metrics does not need to read the state of every repository.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{BackgroundTask, Failure, Runs, TaskStatus};

use super::LOCAL;
use crate::app::service::Service;
use crate::app::service::metric_values::gather;

/// The task that sets the metrics about the condition.
pub(super) struct ConditionMetrics(pub(super) Arc<Service>);

#[async_trait]
impl BackgroundTask for ConditionMetrics {
    fn name(&self) -> String {
        "metrics".into()
    }

    fn runs(&self) -> Runs {
        Runs::Everywhere
    }

    fn period(&self) -> Duration {
        Duration::from_secs(30)
    }

    fn timeout(&self) -> Duration {
        LOCAL
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        self.0.metrics.condition(&gather(&self.0).await?);
        Ok(TaskStatus::Idle)
    }
}
