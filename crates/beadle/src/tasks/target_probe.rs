//! Compares a target with what the configuration says of it. Before they agree, no key of the
//! target is worked on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{BackgroundTask, Failure, TaskStatus};

use super::{REMOTE, failed};
use crate::app::directory::GroupTarget;
use crate::app::service::Service;

/// The task of one target.
pub(super) struct TargetProbe {
    service: Arc<Service>,
    target: Arc<GroupTarget>,
    /// The keys that a stop had set aside are due again, where the stop is over.
    went_on: AtomicBool,
}

impl TargetProbe {
    pub(super) fn new(service: Arc<Service>, target: Arc<GroupTarget>) -> Self {
        Self { service, target, went_on: AtomicBool::new(false) }
    }
}

const KIND: &str = "target";

/// Returns whether a task is one of these.
pub(crate) fn is_target_probe(task: &str) -> bool {
    task.split_once(' ').is_some_and(|(kind, _)| kind == KIND)
}

#[async_trait]
impl BackgroundTask for TargetProbe {
    fn name(&self) -> String {
        format!("{KIND} {}", self.target.file.name)
    }

    fn period(&self) -> Duration {
        Duration::from_secs(30)
    }

    fn timeout(&self) -> Duration {
        REMOTE
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let Self { service, target, went_on } = self;
        let name = &target.file.name;
        let had_agreed = service.has_agreed(name);
        if !had_agreed {
            self.agree().await?;
        }
        // It comes last: it reads every row, and the target works without it.
        if !went_on.load(Ordering::SeqCst) {
            target.go_on(&service.store, service.clock.now()).await.map_err(failed)?;
            went_on.store(true, Ordering::SeqCst);
            service.bell.notify_one();
        }
        if had_agreed {
            return Ok(TaskStatus::Idle);
        }
        Ok(TaskStatus::Done("the target is what the configuration says".into()))
    }
}

impl TargetProbe {
    /// Compares, and opens the target if they agree.
    async fn agree(&self) -> Result<(), Failure> {
        let Self { service, target, .. } = self;
        target.agree(Some(&service.store)).await.map_err(failed)?;
        if let Err(failure) = target.directory.look_at_pushes().await {
            tracing::warn!(
                target = target.file.name,
                why = failure.text,
                "whether Okta pushes groups itself is unknown; it needs the scope okta.apps.read"
            );
        }
        service.agrees(target);
        Ok(())
    }
}
