//! Starts to use raised limits of the guard, if the gate lets the limits pass.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{BackgroundTask, Failure, Runs, TaskStatus};
use parking_lot::Mutex;

use super::LOOK;
use crate::app::gate::planning_backoff::PlanningBackoff;
use crate::app::gate::raised_limits::{Limited, LimitsAdoption, Released, adopt};
use crate::app::service::Service;

/// The timeout for each run. The gate plans every key that has a held change.
const PLANNING: Duration = Duration::from_secs(1800);

/// The task that starts to use raised limits.
pub(super) struct LimitsReload {
    service: Arc<Service>,
    /// For each organisation or target, the last failed attempt.
    waits: Mutex<HashMap<String, PlanningBackoff>>,
    /// For each organisation or target with held limits, the held changes in the last plan. The new
    /// limits would release these changes.
    planned: Mutex<HashMap<String, Released>>,
}

impl LimitsReload {
    pub(super) fn new(service: Arc<Service>) -> Self {
        Self { service, waits: Mutex::default(), planned: Mutex::default() }
    }

    /// Returns the organisations and targets whose keys the worker runs. All other organisations
    /// and targets have no limits in force yet.
    fn all(&self) -> Vec<Limited> {
        let orgs = self.service.orgs.iter().filter(|org| !org.is_first()).filter_map(|org| org.open());
        let targets = self.service.directories.targets.values();
        let agreed = targets.filter(|target| self.service.has_agreed(&target.file.name));
        orgs.map(Limited::Organisation).chain(agreed.cloned().map(Limited::Target)).collect()
    }

    /// Starts to use the limits of one organisation or target.
    async fn adopt(&self, of: &Limited) -> Result<LimitsAdoption, Failure> {
        let (name, now) = (of.name().to_owned(), self.service.clock().now());
        let generation = of.generation();
        let recent = self.waits.lock().get(&name).and_then(|wait| wait.failure(&generation, now));
        if let Some(failure) = recent {
            return Err(failure);
        }
        let planned = self.planned.lock().remove(&name);
        let adopted = Box::pin(adopt(&self.service, of, planned.as_ref())).await;
        if let Ok(LimitsAdoption::Held { planned, .. }) = &adopted {
            self.planned.lock().insert(name.clone(), planned.clone());
        }
        let mut waits = self.waits.lock();
        let before = waits.remove(&name);
        adopted.map_err(|failure| {
            let failure = failure.during(format_args!("the raised limits of {name} wait for the gate"));
            let now = self.service.clock().now();
            waits.insert(name, PlanningBackoff::after(before, generation, now, failure.clone()));
            failure
        })
    }
}

#[async_trait]
impl BackgroundTask for LimitsReload {
    fn name(&self) -> String {
        "limits".into()
    }

    fn runs(&self) -> Runs {
        Runs::Everywhere
    }

    fn period(&self) -> Duration {
        LOOK
    }

    fn timeout(&self) -> Duration {
        PLANNING
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let (mut done, mut held, mut failure) = (Vec::new(), Vec::new(), None);
        for of in self.all() {
            let name = of.name();
            match self.adopt(&of).await {
                Ok(LimitsAdoption::Unchanged) => {}
                Ok(LimitsAdoption::InForce) => done.push(name.to_owned()),
                Ok(LimitsAdoption::Held { why, .. }) => held.push(format!("limits of {name} held: {why}")),
                // An error of one organisation or target must not delay the other organisations and
                // targets.
                Err(error) => failure = Some(error),
            }
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        if !held.is_empty() {
            return Ok(TaskStatus::Unfinished(format!("{}; see `beadle holds`", held.join("; "))));
        }
        if done.is_empty() {
            return Ok(TaskStatus::Idle);
        }
        Ok(TaskStatus::Done(format!("limits of {} in force", done.join(", "))))
    }
}
