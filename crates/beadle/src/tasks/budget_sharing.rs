//! Shares the budget of an organisation with the other processes. Reports the spending of this
//! process, and computes the process's share of the remaining budget.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{BackgroundTask, Failure, Runs, TaskStatus};

use super::LOCAL;
use crate::app::connections::budget_share::period;
use crate::app::organisations::served_organisation::ServedOrganisation;

/// The task that shares the budget of one organisation.
pub(super) struct SharedBudget(pub(super) Arc<ServedOrganisation>);

const KIND: &str = "shared budget";

/// Returns whether the task with this name shares a budget.
#[cfg(feature = "aws")]
pub(crate) fn is_shared_budget(task: &str) -> bool {
    task.starts_with(KIND)
}

#[async_trait]
impl BackgroundTask for SharedBudget {
    fn name(&self) -> String {
        format!("{KIND} of {}", self.0.file.name)
    }

    fn runs(&self) -> Runs {
        Runs::Everywhere
    }

    fn period(&self) -> Duration {
        period(&self.0.file)
    }

    fn timeout(&self) -> Duration {
        LOCAL
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        self.0.update_share().await?;
        Ok(TaskStatus::Idle)
    }
}
