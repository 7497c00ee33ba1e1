//! Runs the `policy` keys. A push to a policy's repository marks the policy's key as due.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use beadle_engine::{Class, Failure, Reconcile, Report, Run};

use crate::app::organisations::served_organisation::ServedOrganisation;
use crate::app::policy::adoption::{Adoption, reload};
use crate::app::service::Service;

/// Reads the policy of one organisation, and starts to use a new generation of the policy.
struct PolicyReconciler {
    /// The service that owns this reconciler.
    service: Weak<Service>,
    organisation: Arc<ServedOrganisation>,
}

/// Makes the service process the key of each policy that is in a repository.
pub(crate) fn begin(service: &Arc<Service>) {
    for organisation in service.orgs.iter().filter(|org| org.file.policy.repository().is_some()) {
        let reconciler =
            PolicyReconciler { service: Arc::downgrade(service), organisation: organisation.clone() };
        service.begin_policy(organisation, Arc::new(reconciler));
    }
}

#[async_trait]
impl Reconcile for PolicyReconciler {
    async fn reconcile(&self, _: &Run) -> Result<Report, Failure> {
        let Some(service) = self.service.upgrade() else {
            return Err(Failure::new(Class::Retry, "the service stops"));
        };
        // The plan of a large organisation takes longer than the maximum time of a run. The work
        // continues after the run, and the next run waits for the end of this work.
        let organisation = self.organisation.clone();
        let reloaded = tokio::spawn(async move {
            // After a reload of the configuration, an old plan must not replace the policy in
            // force.
            tokio::select! {
                reloaded = reload(&service, &organisation) => reloaded,
                () = service.stop.cancelled() => Err(Failure::new(Class::Retry, "the service stops").into()),
            }
        });
        let reloaded = reloaded.await.map_err(|error| Failure::new(Class::Retry, error))?;
        let skipped = match reloaded {
            // If another process plans the generation, that process might accept it. The task that
            // reads the policy then starts to use the generation in this process.
            Ok(None | Some(Adoption::InForce { .. } | Adoption::Elsewhere { .. })) => None,
            Ok(Some(Adoption::Held { generation, why })) => {
                Some(format!("generation {generation} held: {why}; see `beadle holds`"))
            }
            Ok(Some(Adoption::Waits(failure))) => return Err(failure),
            Err(error) => {
                let failure = error.downcast_ref::<Failure>();
                let class = failure.map_or(Class::Rejected, |failure| failure.class);
                let why = format!("{error:#}");
                // If the policy is invalid, a retry of the key does not help. The task that reads
                // the policy reports the error until somebody pushes another commit.
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
