//! Finds the reconciler for a key. The kind and the instance of the key determine the reconciler.
//! The instance is an organisation, a directory or a target.

use parking_lot::RwLock;
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{Class, Clock, Failure, Key, Reconcile, Report, Run, Store, Time};
use beadle_repositories::WithAcceptedPermissions;

use crate::app::groups::directories_and_targets::Directories;
use crate::app::groups::target::GroupTarget;
use crate::app::organisations::open_organisation::GithubOrganisation;
use crate::app::service::generation_fence::InForce;
use crate::app::service::other_accepted_generation::{MappingsToTarget, PolicyInForce};
use crate::config::{Config, OrgConfig};

/// Passes a key to the reconciler of the key's instance. An instance is not open if its policy is
/// invalid, a secret is missing, or a probe contradicts the configuration. The keys of such an
/// instance wait. The keys of other instances do not wait.
#[derive(Clone)]
pub(crate) struct InstanceRouter {
    known: Arc<RwLock<HashMap<String, Arc<dyn Reconcile>>>>,
    configured: Arc<[String]>,
    /// The shortest and the longest time that a key waits if its instance is not open.
    hold: RangeInclusive<Duration>,
    /// The time at which the process began to open the instances.
    since: Time,
    clock: Clock,
}

/// Returns how long a key waits for its instance to open. `opening` is the time for which Beadle
/// has tried to open the instance. The result is a quarter of `opening`. So the key runs soon after
/// its instance opens, and the worker rarely claims keys of an instance that cannot open.
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
        self.known.write().insert(instance.to_owned(), reconciler);
    }
}

#[async_trait]
impl Reconcile for InstanceRouter {
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        let instance = run.lease.key.instance();
        let known = self.known.read().get(instance).cloned();
        if let Some(reconciler) = known {
            return reconciler.reconcile(run).await;
        }
        if !self.configured.iter().any(|name| name == instance) {
            let text = format!("the configuration no longer has {instance}");
            return Err(Failure::new(Class::Rejected, text));
        }
        let now = self.clock.now();
        let until = now + wait(now.since(self.since), &self.hold);
        let text = format!("{instance} is not available yet; see `beadle tasks` and the log");
        Err(Failure::new(Class::RateLimited { until, spares_events: false }, text))
    }

    fn parks_unresolved(&self, instance: &str) -> bool {
        let known = self.known.read();
        known.get(instance).is_none_or(|reconciler| reconciler.parks_unresolved(instance))
    }

    async fn record_failure(&self, key: &Key, failure: &Failure) -> Result<(), Failure> {
        let known = self.known.read().get(key.instance()).cloned();
        match known {
            Some(reconciler) => reconciler.record_failure(key, failure).await,
            None => Ok(()),
        }
    }
}

/// Returns a reconciler whose runs can use new permissions of the App as soon as an owner has
/// accepted them. The reconciler of sweeps needs no such addition. A sweep only lists the
/// repositories, and this needs no new permission.
fn with_accepted_permissions(org: &GithubOrganisation, inner: Arc<dyn Reconcile>) -> Arc<dyn Reconcile> {
    Arc::new(WithAcceptedPermissions { inner, reader: org.reader.clone() })
}

/// The reconcilers for every kind of key, by instance.
pub(crate) struct ReconcilerRegistry {
    repositories: InstanceRouter,
    sweeps: InstanceRouter,
    dispatches: InstanceRouter,
    groups: InstanceRouter,
    markers: InstanceRouter,
    teams: InstanceRouter,
    checks: InstanceRouter,
    policies: InstanceRouter,
    installations: InstanceRouter,
    /// The organisations of the configuration. Their policies can have mappings.
    orgs: Vec<Arc<OrgConfig>>,
    /// True if other processes use the same store.
    is_shared: AtomicBool,
}

impl ReconcilerRegistry {
    /// Creates a registry without an open instance. `hold` limits how long the keys of an instance
    /// wait while the instance is not open.
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
            checks: InstanceRouter::new(&configured, hold, clock),
            policies: InstanceRouter::new(&configured, hold, clock),
            installations: InstanceRouter::new(&configured, hold, clock),
            repositories: InstanceRouter::new(&configured, hold, clock),
            sweeps: InstanceRouter::new(&configured, hold, clock),
            dispatches: InstanceRouter::new(&configured, hold, clock),
            orgs: file.org.clone(),
            is_shared: AtomicBool::default(),
        }
    }

    /// Adds the reconcilers of an organisation's repositories and sweeps. From now on, the worker
    /// runs the keys of these repositories and sweeps.
    pub(crate) fn add(&self, org: &GithubOrganisation, store: &Arc<dyn Store>, clock: &Clock) {
        let in_force = self.is_shared.load(Ordering::SeqCst).then(|| {
            let (store, file, policy) = (store.clone(), org.file.clone(), org.policy.clone());
            Arc::new(PolicyInForce { store, file, policy }) as Arc<dyn InForce>
        });
        let [repository, sweep] = org.reconcilers(store, clock, in_force);
        self.repositories.add(&org.file.name, with_accepted_permissions(org, repository));
        self.sweeps.add(&org.file.name, sweep);
    }

    /// Adds the reconciler of an organisation's dispatches. Dispatches do not depend on the policy.
    pub(crate) fn add_dispatch(&self, org: &GithubOrganisation, store: &Arc<dyn Store>, clock: &Clock) {
        let dispatch = with_accepted_permissions(org, org.dispatches(store, clock));
        self.dispatches.add(&org.file.name, dispatch);
    }

    /// Adds the reconciler for the pull requests that change the policy of an organisation.
    pub(crate) fn add_check(&self, org: &GithubOrganisation, check: Arc<dyn Reconcile>) {
        self.checks.add(&org.file.name, with_accepted_permissions(org, check));
    }

    /// Adds the reconciler of a target. From now on, the worker runs the keys of the target's
    /// groups.
    pub(crate) fn add_target(
        &self,
        target: &GroupTarget,
        of: &Arc<Directories>,
        store: &Arc<dyn Store>,
        clock: &Clock,
    ) {
        let name = &target.file.name;
        let in_force = self.is_shared.load(Ordering::SeqCst).then(|| {
            let (store, directories, orgs) = (store.clone(), of.clone(), self.orgs.clone());
            Arc::new(MappingsToTarget { store, target: name.clone(), directories, orgs }) as Arc<dyn InForce>
        });
        self.groups.add(name, target.reconciler(store, clock, in_force));
    }

    /// Adds a check to the runs: this process must use the accepted generation. The check is
    /// necessary because other processes can accept another generation. The check applies only to
    /// instances that the caller adds later.
    pub(crate) fn share(&self) {
        self.is_shared.store(true, Ordering::SeqCst);
    }

    /// Adds the reconciler for the pushes to the repository of an organisation's policy.
    pub(crate) fn add_policy(&self, org: &str, reading: Arc<dyn Reconcile>) {
        self.policies.add(org, reading);
    }

    /// Adds the reconciler for the events about the App's installations. These events belong to no
    /// organisation.
    pub(crate) fn add_installations(&self, reading: Arc<dyn Reconcile>) {
        self.installations.add(beadle_hooks::github::NO_INSTANCE, reading);
    }

    /// Adds the reconciler for the events of an organisation's teams.
    pub(crate) fn add_teams(&self, org: &str, of: &Directories, store: &Arc<dyn Store>, clock: &Clock) {
        if let Some(marker) = of.team_marker(org, store, clock) {
            self.teams.add(org, Arc::new(marker));
        }
    }

    /// Adds the reconcilers for the events and the sweeps of a directory. The reconcilers work only
    /// for open targets.
    pub(crate) fn add_directory(&self, name: &str, of: &Directories, store: &Arc<dyn Store>, clock: &Clock) {
        let mut marker: Arc<dyn Reconcile> = Arc::new(of.marker(name, store, clock));
        let mut sweep: Arc<dyn Reconcile> = Arc::new(of.sweep(name, store, clock));
        if !of.unavailable.is_empty() {
            (marker, sweep) = (of.partial(name, marker, store, clock), of.partial(name, sweep, store, clock));
        }
        self.markers.add(name, marker);
        self.sweeps.add(name, sweep);
    }

    /// Returns the reconciler of each kind of key.
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
            (beadle_hooks::github::CHECK, shared(&self.checks)),
            ("policy", shared(&self.policies)),
            (beadle_hooks::github::INSTALLATIONS, shared(&self.installations)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_of_a_key_is_a_quarter_of_the_opening_time_and_at_most_the_hold() {
        let hold = Duration::from_secs(1)..=Duration::from_secs(10);
        let waits = |seconds| wait(Duration::from_secs(seconds), &hold).as_secs();
        assert_eq!([0, 3, 12, 40, 4000].map(waits), [1, 1, 3, 10, 10]);
        let fixed = Duration::from_secs(300)..=Duration::from_secs(300);
        assert_eq!(wait(Duration::ZERO, &fixed), Duration::from_secs(300));
        assert_eq!(wait(Duration::from_secs(4000), &fixed), Duration::from_secs(300));
    }
}
