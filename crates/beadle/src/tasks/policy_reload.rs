//! Reads the policy of an organisation regularly, and starts to use a new generation of the policy.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{BackgroundTask, Class, Failure, Runs, TaskStatus};

use super::{LOOK, failed};
use crate::app::organisations::served_organisation::ServedOrganisation;
use crate::app::policy::adoption::{
    Adoption, adopt, follow_with_checks, go_on, mark_again, reload, withdraw,
};
use crate::app::service::Service;

/// The timeout for each run. The gate might read all repositories of a large organisation.
const PLANNING: Duration = Duration::from_secs(1800);

/// The task that reads the policy of one organisation.
pub(super) struct PolicyReload {
    of: (Arc<Service>, Arc<ServedOrganisation>),
    /// True if this process might run keys with its old generation after another process has
    /// accepted a new generation. False on AWS, because a function starts to use the new generation
    /// before it runs any key.
    may_be_late: bool,
}

impl PolicyReload {
    pub(super) fn new(of: (Arc<Service>, Arc<ServedOrganisation>), may_be_late: bool) -> Self {
        Self { of, may_be_late }
    }
}

#[async_trait]
impl BackgroundTask for PolicyReload {
    fn name(&self) -> String {
        format!("policy of {}", self.of.1.file.name)
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

    fn wakes(&self) -> Vec<String> {
        // The policy can contain mappings, and the directories need these mappings.
        let oktas = self.of.0.directories.okta.iter().map(|(file, _)| &file.name);
        oktas.chain([&self.of.1.file.name]).map(|name| super::sweep_start::name_of(name)).collect()
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let (service, organisation) = &self.of;
        let Some(org) = organisation.open() else { return Ok(TaskStatus::Idle) };
        if self.may_be_late
            && let Err(failure) = mark_again(service, organisation).await
        {
            let organisation = &organisation.file.name;
            tracing::warn!(organisation, %failure, "keys affected by the policy of another process not due, retrying");
        }
        service.follow_mappings(organisation).await?;
        // Beadle might have missed this step when a generation came into force, for example because
        // the process ended or the store failed.
        follow_with_checks(service, organisation).await;
        let current = org.policy.current().generation.clone();
        if organisation.file.policy.repository().is_some() {
            // A commit never changes, so one read is enough.
            let reloaded = reload(service, organisation).await.map_err(failed);
            let reloaded =
                reloaded.map_err(|failure| failure.during(format_args!("{current} stays in force")))?;
            return reloaded.map_or(Ok(TaskStatus::Idle), Adoption::status);
        }
        let read = organisation.read_policy(&service.app).await;
        let found = read.map_err(|error| {
            go_on(service, organisation);
            let why = format!("invalid policy, {current} stays in force: {error:#}");
            Failure::new(Class::Retry, why)
        })?;
        let is_new = found.generation != current || organisation.is_first();
        let was_read = {
            let mut candidate = organisation.candidate.lock();
            let before = std::mem::replace(&mut *candidate, is_new.then(|| found.generation.clone()));
            before.as_ref() == Some(&found.generation)
        };
        if !is_new {
            let was_held = withdraw(service, organisation).await?;
            return Ok(if was_held {
                TaskStatus::Done("held generation withdrawn".into())
            } else {
                TaskStatus::Idle
            });
        }
        if was_read {
            return adopt(service, organisation, found).await.status();
        }
        go_on(service, organisation);
        Ok(TaskStatus::Idle)
    }
}
