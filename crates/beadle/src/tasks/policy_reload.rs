//! Reads the policy of an organisation regularly, and puts a new generation of it in force.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{BackgroundTask, Class, Failure, TaskStatus};

use super::{LOOK, REMOTE, failed};
use crate::app::configured_organisation::ServedOrganisation;
use crate::app::service::Service;

/// The task that reads the policy of one organisation.
pub(super) struct PolicyReload {
    of: (Arc<Service>, Arc<ServedOrganisation>),
    /// The generation that the last run read. Somebody may be changing the folder while a run reads
    /// it. So a generation comes into force only if two runs in succession read the same one.
    candidate: Mutex<Option<String>>,
}

impl PolicyReload {
    pub(super) fn new(of: (Arc<Service>, Arc<ServedOrganisation>)) -> Self {
        Self { of, candidate: Mutex::default() }
    }
}

fn done(generation: &str) -> TaskStatus {
    TaskStatus::Done(format!("generation {generation} in force"))
}

#[async_trait]
impl BackgroundTask for PolicyReload {
    fn name(&self) -> String {
        format!("policy of {}", self.of.1.file.name)
    }

    fn period(&self) -> Duration {
        LOOK
    }

    fn timeout(&self) -> Duration {
        // The file system may be slow, so the run gets the longer timeout.
        REMOTE
    }

    fn wakes(&self) -> Vec<String> {
        vec![super::sweep_start::name_of(&self.of.1.file.name)]
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let (service, organisation) = &self.of;
        let Some(org) = organisation.open() else { return Ok(TaskStatus::Idle) };
        let current = org.policy.current().generation.clone();
        if organisation.file.policy.repository().is_some() {
            // A commit never changes, so one read is enough.
            let reloaded = organisation.reload(&service.app).await.map_err(failed);
            let reloaded =
                reloaded.map_err(|failure| failure.during(format_args!("{current} stays in force")))?;
            return Ok(reloaded.map_or(TaskStatus::Idle, |generation| done(&generation)));
        }
        let read = organisation.read_policy(&service.app).await;
        let mut candidate = self.candidate.lock();
        match read {
            Ok(policy) if policy.generation == current => *candidate = None,
            Ok(policy) if candidate.as_ref() == Some(&policy.generation) => {
                let generation = policy.generation.clone();
                org.policy.replace(policy);
                organisation.announce_policy(&org);
                *candidate = None;
                return Ok(done(&generation));
            }
            Ok(policy) => *candidate = Some(policy.generation),
            Err(error) => {
                let why = format!("invalid policy, {current} stays in force: {error:#}");
                return Err(Failure::new(Class::Retry, why));
            }
        }
        Ok(TaskStatus::Idle)
    }
}
