//! Logs a summary of each sweep that has ended.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::sweep::Summary;
use beadle_engine::{BackgroundTask, Failure, TaskStatus};

use super::{Directory, LOCAL, LOOK};
use crate::app::organisations::served_organisation::ServedOrganisation;
use crate::app::service::Service;

fn name_of(instance: &str) -> String {
    format!("sweep summary of {instance}")
}

/// If a sweep has ended, logs the summary of the sweep. Returns the status of the task.
pub(super) fn ended(of: &str, summary: Option<Summary>) -> TaskStatus {
    let Some(Summary { checked, drifted, repaired, held, failed, unknown }) = summary else {
        return TaskStatus::Idle;
    };
    tracing::info!(of, checked, drifted, repaired, held, failed, unknown, "sweep ended");
    TaskStatus::Done(format!("{checked} checked, {drifted} drifted, {repaired} repaired, {failed} failed"))
}

/// The task that logs the sweeps of one organisation.
pub(super) struct Repositories(pub(super) (Arc<Service>, Arc<ServedOrganisation>));

#[async_trait]
impl BackgroundTask for Repositories {
    fn name(&self) -> String {
        name_of(&self.0.1.file.name)
    }

    fn period(&self) -> Duration {
        LOOK
    }

    fn timeout(&self) -> Duration {
        LOCAL
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let (service, name) = (&self.0.0, &self.0.1.file.name);
        let now = service.clock().now();
        let summary = beadle_repositories::sweep::summarise(service.store.as_ref(), name, now).await?;
        Ok(ended(name, summary))
    }
}

/// The task that logs the sweeps of one directory.
pub(super) struct Groups(pub(super) Directory);

#[async_trait]
impl BackgroundTask for Groups {
    fn name(&self) -> String {
        name_of(&self.0.file.name)
    }

    fn period(&self) -> Duration {
        self.0.look()
    }

    fn timeout(&self) -> Duration {
        LOCAL
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let Directory { service, file, .. } = &self.0;
        let mappings = service.directories.mappings();
        let (targets, now) = (mappings.targets(&file.name), service.clock().now());
        let store = service.store.as_ref();
        let summary = beadle_groups::sweep::summarise(store, &file.name, &targets, now).await?;
        Ok(ended(&file.name, summary))
    }
}
