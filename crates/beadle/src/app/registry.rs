//! Who works on a key: by its kind, and by the organisation, directory or target that it is of.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::worker::{Reconcile, Run};
use beadle_engine::{Class, Clock, Failure, Report, Store, Time};

use crate::app::directory::{Directories, GroupTarget};
use crate::app::wiring::Org;
use crate::config::Config;

/// Hands a key to the reconciler of its organisation, directory or target. One that cannot be opened yet (its policy is
/// not accepted, a secret is missing, it is not what it is said to be) waits, and keeps no other waiting.
#[derive(Clone)]
pub(crate) struct InstanceRouter {
    known: Arc<RwLock<HashMap<String, Arc<dyn Reconcile>>>>,
    configured: Arc<[String]>,
    /// How long a key waits whose instance is not open: at least, and at most.
    hold: RangeInclusive<Duration>,
    /// Since when instances are being opened.
    since: Time,
    clock: Clock,
}

/// How long a key waits whose instance has not been open for `opening`: a quarter of that. So an instance that opens is
/// worked on soon after, and its keys are looked at seldom while it stays shut.
fn wait(opening: Duration, hold: &RangeInclusive<Duration>) -> Duration {
    (opening / 4).max(*hold.start()).min(*hold.end())
}

impl InstanceRouter {
    fn new(configured: &Arc<[String]>, hold: &RangeInclusive<Duration>, clock: &Clock) -> Self {
        Self {
            known: Arc::default(),
            configured: configured.clone(),
            hold: hold.clone(),
            since: clock.now(),
            clock: clock.clone(),
        }
    }

    fn add(&self, instance: &str, reconciler: Arc<dyn Reconcile>) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(instance.to_owned(), reconciler);
    }
}

#[async_trait]
impl Reconcile for InstanceRouter {
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        let instance = run.lease.key.instance();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).get(instance).cloned();
        if let Some(reconciler) = known {
            return reconciler.reconcile(run).await;
        }
        if !self.configured.iter().any(|name| name == instance) {
            let text = format!("{instance} is no longer in the configuration");
            return Err(Failure::new(Class::Rejected, text));
        }
        let now = self.clock.now();
        let until = now + wait(now.since(self.since), &self.hold);
        let text = format!("{instance} is not ready; the log says why");
        Err(Failure::new(Class::RateLimited { until, spares_events: false }, text))
    }

    fn parks_unresolved(&self, instance: &str) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(instance).is_none_or(|reconciler| reconciler.parks_unresolved(instance))
    }
}

/// What reconciles each kind of key, organisation by organisation.
pub(crate) struct ReconcilerRegistry {
    repositories: InstanceRouter,
    sweeps: InstanceRouter,
    dispatches: InstanceRouter,
    groups: InstanceRouter,
    markers: InstanceRouter,
    teams: InstanceRouter,
}

impl ReconcilerRegistry {
    /// A key whose instance is not open waits for a time within `hold`.
    pub(crate) fn new(config: &Config, hold: &RangeInclusive<Duration>, clock: &Clock) -> Self {
        let file = &config.file;
        let orgs = file.org.iter().map(|org| &org.name);
        let directories = file.okta.iter().map(|okta| &okta.name);
        let targets = file.target.iter().map(|target| &target.name);
        let configured: Arc<[String]> = orgs.chain(directories).chain(targets).cloned().collect();
        Self {
            groups: InstanceRouter::new(&configured, hold, clock),
            markers: InstanceRouter::new(&configured, hold, clock),
            teams: InstanceRouter::new(&configured, hold, clock),
            repositories: InstanceRouter::new(&configured, hold, clock),
            sweeps: InstanceRouter::new(&configured, hold, clock),
            dispatches: InstanceRouter::new(&configured, hold, clock),
        }
    }

    /// From now on this organisation's keys are worked on.
    pub(crate) fn add(&self, org: &Org, store: &Arc<dyn Store>, clock: &Clock) {
        let [repository, sweep, dispatch] = org.reconcilers(store, clock);
        self.repositories.add(&org.file.name, repository);
        self.sweeps.add(&org.file.name, sweep);
        self.dispatches.add(&org.file.name, dispatch);
    }

    /// From now on this target's groups are worked on.
    pub(crate) fn add_target(&self, target: &GroupTarget, store: &Arc<dyn Store>, clock: &Clock) {
        self.groups.add(&target.file.name, Arc::new(target.reconciler(store, clock)));
    }

    /// From now on events of this organisation's teams are worked on.
    pub(crate) fn add_teams(&self, org: &str, of: &Directories, store: &Arc<dyn Store>, clock: &Clock) {
        if let Some(marker) = of.team_marker(org, store, clock) {
            self.teams.add(org, Arc::new(marker));
        }
    }

    /// From now on this directory's events and sweeps are worked on, for the targets that are open.
    pub(crate) fn add_directory(&self, name: &str, of: &Directories, store: &Arc<dyn Store>, clock: &Clock) {
        let mut marker: Arc<dyn Reconcile> = Arc::new(of.marker(name, store, clock));
        let mut sweep: Arc<dyn Reconcile> = Arc::new(of.sweep(name, store, clock));
        if !of.shut.is_empty() {
            (marker, sweep) = (of.partial(name, marker, store, clock), of.partial(name, sweep, store, clock));
        }
        self.markers.add(name, marker);
        self.sweeps.add(name, sweep);
    }

    pub(crate) fn by_kind(&self) -> HashMap<&'static str, Arc<dyn Reconcile>> {
        let shared = |by_instance: &InstanceRouter| Arc::new(by_instance.clone()) as Arc<dyn Reconcile>;
        HashMap::from([
            ("repository", shared(&self.repositories)),
            ("organisation", shared(&self.repositories)),
            ("sweep", shared(&self.sweeps)),
            ("dispatch", shared(&self.dispatches)),
            (beadle_groups::mark::KIND, shared(&self.groups)),
            ("group", shared(&self.markers)),
            ("user", shared(&self.markers)),
            ("team", shared(&self.teams)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_waits_a_quarter_of_what_its_instance_took_to_open_and_never_longer_than_the_hold() {
        let hold = Duration::from_secs(1)..=Duration::from_secs(10);
        let waits = |seconds| wait(Duration::from_secs(seconds), &hold).as_secs();
        assert_eq!([0, 3, 12, 40, 4000].map(waits), [1, 1, 3, 10, 10]);
        let fixed = Duration::from_secs(300)..=Duration::from_secs(300);
        assert_eq!(wait(Duration::ZERO, &fixed), Duration::from_secs(300));
        assert_eq!(wait(Duration::from_secs(4000), &fixed), Duration::from_secs(300));
    }
}
