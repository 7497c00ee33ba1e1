//! Lists the installations of the App, because a webhook about an installation can get lost.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{BackgroundTask, Failure, Runs, TaskStatus};

use super::{REMOTE, failed};
use crate::app::service::Service;

/// The time between two reads of the list. Normally, a webhook reports a change immediately.
const LOOK: Duration = Duration::from_secs(60);

/// The task that lists the installations of the App in `[installations]`.
pub(super) struct Installations(pub(super) Arc<Service>);

#[async_trait]
impl BackgroundTask for Installations {
    fn name(&self) -> String {
        "installations of the App".to_owned()
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
        let service = &self.0;
        let looked =
            service.installations.look(service.config(), service.store.as_ref(), service.clock()).await;
        Ok(looked.map_err(failed)?.map_or(TaskStatus::Idle, TaskStatus::Done))
    }
}
