//! Runs the `policy` keys. A push to the repository of a policy makes the key of the policy due.

use std::sync::Arc;

use async_trait::async_trait;
use beadle_engine::worker::{Reconcile, Run};
use beadle_engine::{Class, Failure, Report};

use crate::app::application::App;
use crate::app::configured_organisation::ServedOrganisation;

/// Reads the policy of one organisation, and puts a new generation of it in force.
pub(crate) struct PolicyReading {
    pub(crate) app: Arc<App>,
    pub(crate) organisation: Arc<ServedOrganisation>,
}

#[async_trait]
impl Reconcile for PolicyReading {
    async fn reconcile(&self, _: &Run) -> Result<Report, Failure> {
        let skipped = match self.organisation.reload(&self.app).await {
            Ok(_) => None,
            Err(error) => {
                let failure = error.downcast_ref::<Failure>();
                let class = failure.map_or(Class::Rejected, |failure| failure.class);
                let why = format!("{error:#}");
                // A retry of the key does not help against an invalid policy. The task of the
                // policy reports it until another commit is pushed.
                if class != Class::Rejected {
                    return Err(Failure::new(class, why));
                }
                Some(why)
            }
        };
        Ok(Report {
            subject: format!("policy of {}", self.organisation.file.name),
            steps: Vec::new(),
            unknowns: Vec::new(),
            skipped,
            failure: None,
        })
    }
}
