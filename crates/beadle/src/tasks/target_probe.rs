//! Compares a target with what the configuration says of it. Before they agree, no key of the
//! target is worked on.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{BackgroundTask, Failure, TaskStatus};

use super::{REMOTE, failed};
use crate::directory::Target;
use crate::service::Service;

/// The task of one target.
pub(super) struct TargetProbe(pub(super) Arc<Service>, pub(super) Arc<Target>);

const KIND: &str = "target";

/// Whether a task is one of these.
pub(crate) fn is_target_probe(task: &str) -> bool {
    task.split_once(' ').is_some_and(|(kind, _)| kind == KIND)
}

#[async_trait]
impl BackgroundTask for TargetProbe {
    fn name(&self) -> String {
        format!("{KIND} {}", self.1.file.name)
    }

    fn period(&self) -> Duration {
        Duration::from_secs(30)
    }

    fn timeout(&self) -> Duration {
        REMOTE
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let Self(service, target) = self;
        let name = &target.file.name;
        if service.has_agreed(name) {
            return Ok(TaskStatus::Idle);
        }
        target.agree(Some(&service.store)).await.map_err(failed)?;
        if let Err(failure) = target.directory.look_at_pushes().await {
            tracing::warn!(
                target = name,
                why = failure.text,
                "whether Okta pushes groups itself is unknown; it needs the scope okta.apps.read"
            );
        }
        target.go_on(&service.store, service.clock.now()).await.map_err(failed)?;
        service.agrees(target);
        Ok(TaskStatus::Done("the target is what the configuration says".into()))
    }
}
