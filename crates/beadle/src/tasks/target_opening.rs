//! Compares a target with its configuration. If the two agree, Beadle begins to work on the
//! target's keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{BackgroundTask, Failure, Runs, TaskStatus};
use parking_lot::Mutex;

use super::failed;
use crate::app::gate::accepted_limits;
use crate::app::gate::guard_limits::GuardLimits;
use crate::app::gate::new_or_moved_target;
use crate::app::gate::planning_backoff::PlanningBackoff;
use crate::app::groups::target::GroupTarget;
use crate::app::service::Service;

/// The timeout for each run. If the target is new or has a new address, the gate plans all groups
/// of the target.
const PLANNING: Duration = Duration::from_secs(1800);

/// The task that probes one target.
pub(super) struct TargetProbe {
    service: Arc<Service>,
    target: Arc<GroupTarget>,
    /// True after this process has checked whether the target is still stopped. If the target is
    /// not stopped any more, this check marks the parked keys of the target as due.
    has_revived: AtomicBool,
    /// The last failed attempt to plan the target for the gate.
    wait: Mutex<Option<PlanningBackoff>>,
    /// The generation of the mappings that this process used when it last planned the held target.
    planned: Mutex<Option<String>>,
}

impl TargetProbe {
    pub(super) fn new(service: Arc<Service>, target: Arc<GroupTarget>) -> Self {
        Self {
            service,
            target,
            has_revived: AtomicBool::new(false),
            wait: Mutex::default(),
            planned: Mutex::default(),
        }
    }
}

const KIND: &str = "target";

/// Returns whether the task with this name is a target probe.
pub(crate) fn is_target_probe(task: &str) -> bool {
    task.split_once(' ').is_some_and(|(kind, _)| kind == KIND)
}

#[async_trait]
impl BackgroundTask for TargetProbe {
    fn name(&self) -> String {
        format!("{KIND} {}", self.target.file.name)
    }

    fn runs(&self) -> Runs {
        Runs::Everywhere
    }

    fn period(&self) -> Duration {
        Duration::from_secs(30)
    }

    fn timeout(&self) -> Duration {
        PLANNING
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let Self { service, target, has_revived, .. } = self;
        let name = &target.file.name;
        let had_agreed = service.has_agreed(name);
        if !had_agreed && let Some(why) = self.agree().await? {
            return Ok(TaskStatus::Unfinished(format!("target held: {why}; see `beadle holds`")));
        }
        // This step comes after all other steps. The step reads every row of the queue, and the
        // target works without this step.
        if !has_revived.load(Ordering::SeqCst) {
            target.revive_if_released(&service.store, service.clock().now()).await.map_err(failed)?;
            has_revived.store(true, Ordering::SeqCst);
            service.bell.notify_one();
        }
        if had_agreed {
            return Ok(TaskStatus::Idle);
        }
        Ok(TaskStatus::Done("the target behaves as configured".into()))
    }
}

impl TargetProbe {
    /// Compares the target with its configuration. If the two agree and the gate lets the target
    /// pass, begins to work on the target's keys. If the gate holds the target, returns the reason.
    async fn agree(&self) -> Result<Option<String>, Failure> {
        let Self { service, target, .. } = self;
        target.agree(Some(&service.store)).await.map_err(failed)?;
        if let Err(failure) = target.directory.look_at_pushes().await {
            tracing::warn!(
                target = target.file.name,
                error = failure.text,
                "cannot read which groups Okta pushes itself, grant the scope okta.apps.read"
            );
        }
        if let Some(why) = self.pass_gate().await? {
            return Ok(Some(why));
        }
        let (store, configured) = (service.store.as_ref(), GuardLimits::of_target(&target.file));
        target.set_limits(accepted_limits::begin(store, &target.file.name, configured).await?);
        service.begin_target(target);
        Ok(None)
    }

    /// Returns the reason why the gate holds the target. Returns `None` if the target passes. Each
    /// attempt can read all groups of the directories and the target, so Beadle waits longer after
    /// each failure.
    async fn pass_gate(&self) -> Result<Option<String>, Failure> {
        let Self { service, target, wait, planned, .. } = self;
        let generation = service.directories.mappings().generation.clone();
        let recent = wait.lock().as_ref().and_then(|wait| wait.failure(&generation, service.clock().now()));
        if let Some(failure) = recent {
            return Err(failure);
        }
        let last = planned.lock().clone();
        let adopted = Box::pin(new_or_moved_target::adopt(service, target, last.as_deref())).await;
        let before = wait.lock().take();
        match &adopted {
            Ok(_) => *planned.lock() = Some(generation),
            Err(failure) => {
                let now = service.clock().now();
                *wait.lock() = Some(PlanningBackoff::after(before, generation, now, failure.clone()));
            }
        }
        adopted
    }
}
