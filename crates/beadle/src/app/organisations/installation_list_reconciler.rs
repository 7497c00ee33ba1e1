//! Runs the key of the App's installations. An event about an installation marks the key as due.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use beadle_engine::{Class, Failure, Reconcile, Report, Run};

use crate::app::service::Service;

/// Lists the installations of the App.
struct InstallationReconciler {
    /// The service that owns this reconciler.
    service: Weak<Service>,
}

/// Makes the service process the key of the App's installations, if the configuration has
/// `[installations]`.
pub(crate) fn begin(service: &Arc<Service>) {
    if service.config().file.installations.is_some() {
        service.begin_installations(Arc::new(InstallationReconciler { service: Arc::downgrade(service) }));
    }
}

#[async_trait]
impl Reconcile for InstallationReconciler {
    async fn reconcile(&self, _: &Run) -> Result<Report, Failure> {
        let Some(service) = self.service.upgrade() else {
            return Err(Failure::new(Class::Retry, "the service stops"));
        };
        let looked =
            service.installations.look(service.config(), service.store.as_ref(), service.clock()).await;
        if let Err(error) = looked {
            let class = error.downcast_ref::<Failure>().map_or(Class::Retry, |failure| failure.class);
            return Err(Failure::new(class, format!("{error:#}")));
        }
        Ok(Report {
            subject: "installations of the App".to_owned(),
            steps: Vec::new(),
            unknowns: Vec::new(),
            skipped: None,
            failure: None,
        })
    }
}
