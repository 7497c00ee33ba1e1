//! Reads missing secrets from AWS: the secrets that Beadle could not read at an earlier try.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{BackgroundTask, Failure, Runs, TaskStatus};

use super::{LOOK, REMOTE};
use crate::app::service::Service;

/// The task that reads missing secrets from AWS.
pub(super) struct Secrets(pub(super) Arc<Service>);

#[async_trait]
impl BackgroundTask for Secrets {
    fn name(&self) -> String {
        "secrets".into()
    }

    fn runs(&self) -> Runs {
        Runs::Everywhere
    }

    fn period(&self) -> Duration {
        LOOK
    }

    fn timeout(&self) -> Duration {
        REMOTE
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        self.0.config().fetch_secrets().await;
        Ok(TaskStatus::Idle)
    }
}
