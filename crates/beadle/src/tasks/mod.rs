//! Background tasks, one file each: what the service does beside the keys that are due.

mod changed_groups;
mod interrupted_deliveries;
mod interrupted_writes;
mod mappings;
mod missed_webhooks;
mod opening;
mod own_login;
mod policy_reload;
mod pruning;
mod secrets;
mod sweep_start;
mod sweep_summary;
mod system_log;
mod target_probe;
mod token_expiry;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{BackgroundTask, Class, Failure};

use crate::app::service::{Organisation, Service};

pub(crate) use interrupted_writes::recover_interrupted_writes;
pub(crate) use sweep_start::other_modes;
pub(crate) use target_probe::is_target_probe;

/// The period of tasks that only look whether there is something to do.
const LOOK: Duration = Duration::from_secs(10);
/// The timeout of tasks that ask nobody but the store and the disk.
const LOCAL: Duration = Duration::from_secs(60);
/// The timeout of tasks that ask a vendor.
const REMOTE: Duration = Duration::from_secs(300);

/// The process in which tasks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// `beadle serve`.
    Service,
    /// The worker function on AWS. AWS deletes what is too old, and replaces its secrets by itself.
    #[cfg(feature = "aws")]
    Function,
}

/// Every task that the configuration asks for.
pub(crate) fn all(service: &Arc<Service>, host: Host) -> Vec<Arc<dyn BackgroundTask>> {
    let mut all: Vec<Arc<dyn BackgroundTask>> =
        vec![Arc::new(interrupted_deliveries::InterruptedDeliveries(service.clone()))];
    match host {
        Host::Service => {
            all.push(Arc::new(secrets::Secrets(service.clone())));
            all.push(Arc::new(pruning::Pruning(service.clone())));
        }
        #[cfg(feature = "aws")]
        Host::Function => all.push(Arc::new(interrupted_writes::InterruptedWrites(service.clone()))),
    }
    let mut apps: BTreeMap<u64, Vec<Arc<Organisation>>> = BTreeMap::new();
    for org in &service.orgs {
        let of = || (service.clone(), org.clone());
        all.push(Arc::new(opening::Opening(of())));
        all.push(Arc::new(own_login::OwnLogin::new(of())));
        all.push(Arc::new(policy_reload::PolicyReload::new(of())));
        all.push(Arc::new(sweep_start::Repositories(of())));
        all.push(Arc::new(sweep_summary::Repositories(of())));
        if let Some(app) = &org.file.app {
            apps.entry(app.id).or_default().push(org.clone());
        }
    }
    for (app, orgs) in apps {
        all.push(Arc::new(missed_webhooks::MissedWebhooks { service: service.clone(), app, orgs }));
    }
    for target in service.directories.targets.values() {
        all.push(Arc::new(target_probe::TargetProbe::new(service.clone(), target.clone())));
        all.push(Arc::new(token_expiry::TokenExpiry::new(service.clone(), target.clone())));
    }
    for (file, okta) in &service.directories.okta {
        let directory = Directory { service: service.clone(), file: file.clone(), okta: okta.clone() };
        all.push(Arc::new(sweep_start::Groups(directory.clone())));
        all.push(Arc::new(sweep_summary::Groups(directory.clone())));
        all.push(Arc::new(system_log::SystemLog(directory.clone())));
        all.push(Arc::new(changed_groups::ChangedGroups(directory)));
    }
    if !service.config.file.groups_from.is_empty() {
        all.push(Arc::new(mappings::MappingsReload::new(service.clone())));
    }
    all
}

/// A directory, as tasks look after it.
#[derive(Clone)]
struct Directory {
    service: Arc<Service>,
    file: Arc<crate::config::Okta>,
    okta: beadle_okta::Okta,
}

impl Directory {
    fn catchup(&self) -> beadle_groups::sources::Catchup {
        crate::app::directory::catchup(&self.okta, &self.service.store, &self.service.clock)
    }

    /// The period of what only looks whether there is something to do: a directory whose log is
    /// read often is looked after as often.
    fn look(&self) -> Duration {
        Duration::from(self.file.log_every).clamp(Duration::from_millis(100), LOOK)
    }
}

/// The failure of a task; what is behind it decides when it runs again.
fn failed(error: impl Into<anyhow::Error>) -> Failure {
    let error = error.into();
    let class = error.downcast_ref::<Failure>().map_or(Class::Retry, |failure| failure.class);
    Failure::new(class, format!("{error:#}"))
}
