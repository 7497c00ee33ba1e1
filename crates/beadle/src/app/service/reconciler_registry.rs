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
use beadle_github::Reader;
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

/// Returns how long a key waits for its instance to open. `opening` is the time since Beadle began
/// to open the instance. The result is a quarter of `opening`. So the key runs soon after its
/// instance opens, and the worker rarely claims keys of an instance that cannot open.
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

/// Wraps a reconciler so that its runs can use the App permissions that an owner has accepted. The
/// reconciler of sweeps needs no such wrapper. A sweep only lists the repositories, and the list
/// needs no new permission. The reconcilers of team events and of installations need no token of
/// the organisation.
fn with_accepted_permissions(reader: &Reader, inner: Arc<dyn Reconcile>) -> Arc<dyn Reconcile> {
    Arc::new(WithAcceptedPermissions { inner, reader: reader.clone() })
}

/// The reconcilers for every kind of key. Each instance has its own reconciler for a kind.
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
    /// Creates a registry without an open instance. `hold` is the shortest and the longest time
    /// that a key waits while its instance is not open.
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

    /// Adds the reconciler for an organisation's repositories and the reconciler for its sweeps.
    /// From now on, the worker runs the keys of these repositories and sweeps.
    pub(crate) fn add(&self, org: &GithubOrganisation, store: &Arc<dyn Store>, clock: &Clock) {
        let in_force = self.is_shared.load(Ordering::SeqCst).then(|| {
            let (store, file, policy) = (store.clone(), org.file.clone(), org.policy.clone());
            Arc::new(PolicyInForce { store, file, policy }) as Arc<dyn InForce>
        });
        let [repository, sweep] = org.reconcilers(store, clock, in_force);
        self.repositories.add(&org.file.name, with_accepted_permissions(&org.reader, repository));
        self.sweeps.add(&org.file.name, sweep);
    }

    /// Adds the reconciler of an organisation's dispatches. Dispatches do not depend on the policy.
    pub(crate) fn add_dispatch(&self, org: &GithubOrganisation, store: &Arc<dyn Store>, clock: &Clock) {
        let dispatch = with_accepted_permissions(&org.reader, org.dispatches(store, clock));
        self.dispatches.add(&org.file.name, dispatch);
    }

    /// Adds the reconciler for the pull requests that change the policy of an organisation.
    pub(crate) fn add_check(&self, org: &GithubOrganisation, check: Arc<dyn Reconcile>) {
        self.checks.add(&org.file.name, with_accepted_permissions(&org.reader, check));
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
        let groups = target.reconciler(store, clock, in_force);
        let groups = match target.github() {
            Some(reader) => with_accepted_permissions(reader, groups),
            None => groups,
        };
        self.groups.add(name, groups);
    }

    /// Adds a check to the runs. A run passes the check only if this process uses the accepted
    /// generation. The check is necessary because other processes can accept a different
    /// generation. The check applies only to instances that the caller adds later.
    pub(crate) fn share(&self) {
        self.is_shared.store(true, Ordering::SeqCst);
    }

    /// Adds the reconciler for the pushes to the repository of an organisation's policy. `readers`
    /// are the readers of the organisations whose repositories contain the policy and its base.
    pub(crate) fn add_policy(&self, org: &str, readers: &[&Reader], reading: Arc<dyn Reconcile>) {
        let reading = readers.iter().fold(reading, |inner, reader| with_accepted_permissions(reader, inner));
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

    /// Adds the reconciler for the events of a directory, and the reconciler for its sweeps. The
    /// reconcilers work only for open targets.
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
    use std::collections::BTreeMap;
    use std::path::Path;

    use beadle_engine::{Budgets, Lane, Lease, WritePace};
    use beadle_github::{Api, Asks, Credential, Endpoint};
    use beadle_repositories::Policy;
    use beadle_secrets::SigningKey;
    use beadle_secrets::testing::signing_key;
    use beadle_store_sqlite::{SqliteSettings, SqliteStore};
    use beadle_transport::ClientSettings;
    use beadle_transport::testing::{Arrived, Recorder};
    use serde_json::json;

    use super::*;
    use crate::app::connections::budget_and_cache_options::ClientOptions;
    use crate::app::connections::github::GithubClients;

    /// A reconciler that sends no request.
    struct Idle;

    #[async_trait]
    impl Reconcile for Idle {
        async fn reconcile(&self, _: &Run) -> Result<Report, Failure> {
            Err(Failure::new(Class::Rejected, "nothing to do"))
        }
    }

    /// Returns the connection of one process. Each process has its own token.
    fn api(wire: &Arc<Recorder>, key: &SigningKey, store: &Arc<dyn Store>, clock: &Clock) -> Api {
        let settings = ClientSettings { wire: Some(wire.clone()), ..ClientSettings::default() };
        let credential = Credential::App { id: 7, key: key.clone(), installation: Some(1) };
        let (endpoint, budgets) = (Endpoint::new("https://github.test"), Budgets::new("acme", 0));
        Api::new(&endpoint, "acme", credential, budgets, clock, settings).unwrap().keeping(store.clone())
    }

    /// Simulates a GitHub without data. Each token has the permissions that are accepted when
    /// GitHub creates the token.
    fn github(is_accepted: &Arc<AtomicBool>) -> Arc<Recorder> {
        let is_accepted = is_accepted.clone();
        Recorder::new(move |arrived| {
            if !is_for_a_token(arrived) {
                return (404, json!({ "message": "Not Found" }));
            }
            let level = if is_accepted.load(Ordering::SeqCst) { "write" } else { "read" };
            let (end, permissions) = ("2001-09-10T01:46:40Z", json!({ "issues": level }));
            (201, json!({ "token": level, "expires_at": end, "permissions": permissions }))
        })
    }

    fn is_for_a_token(arrived: &Arrived) -> bool {
        arrived.segments.last().is_some_and(|last| last == "access_tokens")
    }

    #[tokio::test(start_paused = true)]
    async fn the_runs_of_each_kind_use_permissions_that_another_process_learned_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("beadle.toml");
        let text = "[[org]]\nname = \"acme\"\npolicy = \"p\"\napp = { id = 7, key = \"env:K\" }\n\
                    [[target]]\nname = \"teams\"\ngithub = { org = \"acme\", teams_from_policy = true }\n";
        std::fs::write(&path, text).unwrap();
        let config = Config::load(&path).unwrap();
        let (clock, key) = (Clock::simulated(Time(1_000_000_000_000)), signing_key());
        let hold = Duration::from_secs(1)..=Duration::from_secs(1);
        for (kind, instance, id) in [
            ("repository", "acme", "1"),
            ("organisation", "acme", "1"),
            ("dispatch", "acme", "d/rule"),
            (beadle_groups::mark::KIND, "teams", "1"),
            (beadle_hooks::github::CHECK, "acme", "1"),
            ("policy", "acme", "1"),
        ] {
            let store =
                SqliteStore::open_inline(&folder.path().join(kind), SqliteSettings::default()).unwrap();
            let store: Arc<dyn Store> = Arc::new(store);
            let is_accepted = Arc::new(AtomicBool::new(false));
            let wire = github(&is_accepted);
            let (one, other) = (api(&wire, &key, &store, &clock), api(&wire, &key, &store, &clock));
            let files =
                BTreeMap::from([("settings.yml".to_owned(), "repository: { topics: [shop] }\n".to_owned())]);
            let policy = Policy::from_sources(files, "admin", Path::new("policy")).unwrap();
            let client = (one, WritePace::new(Duration::ZERO));
            let (options, clients) = (ClientOptions::PATIENT, GithubClients::with("acme", client.clone()));
            let directories = Arc::new(Directories::open(&config, &clock, &options, &clients).unwrap());
            let org = GithubOrganisation::new(&config, &config.file.org[0], policy, client).unwrap();
            let registry = ReconcilerRegistry::new(&config, &hold, &clock);
            registry.add(&org, &store, &clock);
            registry.add_dispatch(&org, &store, &clock);
            registry.add_check(&org, Arc::new(Idle));
            registry.add_policy("acme", &[&org.reader], Arc::new(Idle));
            registry.add_target(&directories.targets["teams"], &directories, &store, &clock);

            assert!(org.reader.rate_limit().await.is_err());
            is_accepted.store(true, Ordering::SeqCst);
            Reader::new(other, Asks::default()).renew_token().await.unwrap();
            let tokens = || wire.arrived().iter().filter(|arrived| is_for_a_token(arrived)).count();
            assert_eq!(tokens(), 2, "each process has a token");
            let lease = Lease { key: Key::new(kind, instance, id), epoch: 1, until: Time(i64::MAX) };
            let run = Run { lease, lane: Lane::Event, hint: None, since: clock.now() };
            // GitHub knows no repository, so the run may fail.
            drop(registry.by_kind()[kind].reconcile(&run).await);
            assert!(org.reader.rate_limit().await.is_err());
            assert_eq!(tokens(), 3, "{kind}: the run dropped the old token");
        }
    }

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
