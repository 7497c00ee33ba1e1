//! Lets every process use the App's new permissions as soon as an owner of the organisation has
//! accepted these permissions.

use std::sync::Arc;

use async_trait::async_trait;
use beadle_engine::{Failure, Key, Reconcile, Report, Run};
use beadle_github::Reader;

/// A reconciler that never uses a token with outdated permissions. The token must have the
/// permissions that the last event about permissions reported. After an event about permissions,
/// one process starts a sweep. This process stores the permissions before it marks any key. So in
/// every process, a run that begins after its key was marked finds these permissions in the store.
pub struct WithAcceptedPermissions {
    /// The reconciler that runs the keys.
    pub inner: Arc<dyn Reconcile>,
    /// The reader, which contains the token that the reconciler uses.
    pub reader: Reader,
}

#[async_trait]
impl Reconcile for WithAcceptedPermissions {
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        self.reader.heed_accepted_permissions().await?;
        self.inner.reconcile(run).await
    }

    fn parks_unresolved(&self, instance: &str) -> bool {
        self.inner.parks_unresolved(instance)
    }

    async fn record_failure(&self, key: &Key, failure: &Failure) -> Result<(), Failure> {
        self.inner.record_failure(key, failure).await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    use beadle_engine::{Budgets, Clock, Lane, Lease, Store, Time, swept_hint};
    use beadle_github::{Api, Asks, Credential, Endpoint};
    use beadle_secrets::SigningKey;
    use beadle_secrets::testing::signing_key;
    use beadle_store_sqlite::{SqliteSettings, SqliteStore};
    use beadle_transport::ClientSettings;
    use beadle_transport::testing::{Arrived, Recorder};
    use serde_json::json;

    use super::*;
    use crate::in_force::PolicyHandle;
    use crate::policy::Policy;
    use crate::sweep::Sweep;

    /// A reconciler that sends one request.
    struct Reads(Reader);

    #[async_trait]
    impl Reconcile for Reads {
        async fn reconcile(&self, _: &Run) -> Result<Report, Failure> {
            self.0.rate_limit().await?;
            let subject = String::new();
            Ok(Report { subject, steps: Vec::new(), unknowns: Vec::new(), skipped: None, failure: None })
        }
    }

    /// Creates the GitHub connection of one process. Each process has its own token.
    fn reader(wire: &Arc<Recorder>, key: &SigningKey, store: &Arc<dyn Store>, clock: &Clock) -> Reader {
        let settings = ClientSettings { wire: Some(wire.clone()), ..ClientSettings::default() };
        let credential = Credential::App { id: 7, key: key.clone(), installation: Some(1) };
        let (endpoint, budgets) = (Endpoint::new("https://github.test"), Budgets::new("acme", 0));
        let api = Api::new(&endpoint, "acme", credential, budgets, clock, settings).unwrap();
        Reader::new(api.keeping(store.clone()), Asks::default())
    }

    fn run(kind: &'static str, lane: Lane, hint: Option<String>) -> Run {
        let lease = Lease { key: Key::new(kind, "acme", 3), epoch: 1, until: Time(i64::MAX) };
        Run { lease, lane, hint, since: Time(0) }
    }

    #[tokio::test(start_paused = true)]
    async fn after_an_event_about_permissions_every_process_gets_one_new_token() {
        let is_accepted = Arc::new(AtomicBool::new(false));
        let has_write = is_accepted.clone();
        let wire = Recorder::new(move |arrived| match arrived.segments.last().map(String::as_str) {
            Some("access_tokens") => {
                let level = if has_write.load(Ordering::SeqCst) { "write" } else { "read" };
                let permissions = json!({ "issues": level });
                let end = "2001-09-10T01:46:40Z";
                (201, json!({ "token": "t", "expires_at": end, "permissions": permissions }))
            }
            // The sweep fails when it lists the repositories, after it has stored the permissions.
            Some("graphql") => (400, json!({ "message": "Problems parsing JSON" })),
            _ => (200, json!({})),
        });
        let tokens = || {
            let is_for_a_token =
                |arrived: &&Arrived| arrived.segments.ends_with(&["access_tokens".to_owned()]);
            wire.arrived().iter().filter(is_for_a_token).count()
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("beadle.db");
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open_inline(&path, SqliteSettings::default()).unwrap());
        let (clock, key) = (Clock::simulated(Time(1_000_000_000_000)), signing_key());
        let (one, other) = (reader(&wire, &key, &store, &clock), reader(&wire, &key, &store, &clock));
        let files =
            BTreeMap::from([("settings.yml".to_owned(), "repository: { topics: [shop] }\n".to_owned())]);
        let policy = Policy::from_sources(files, "admin", Path::new("policy")).unwrap();
        let policy = PolicyHandle::new(policy);
        let sweep = Sweep { reader: one.clone(), store: store.clone(), clock: clock.clone(), policy };
        let process =
            |reader: Reader| WithAcceptedPermissions { inner: Arc::new(Reads(reader.clone())), reader };
        let (one, other) = (process(one), process(other));
        let works = || run("repository", Lane::Event, None);

        one.reconcile(&works()).await.unwrap();
        other.reconcile(&works()).await.unwrap();
        assert_eq!(tokens(), 2, "each process has a token");
        // A scheduled sweep reports no event, so no process drops its token.
        assert!(sweep.reconcile(&run("sweep", Lane::Sweep, Some(swept_hint("")))).await.is_err());
        other.reconcile(&works()).await.unwrap();
        assert_eq!(tokens(), 2);
        assert!(sweep.reconcile(&run("sweep", Lane::Event, None)).await.is_err());
        assert_eq!(tokens(), 3, "the sweep itself has a new token");
        other.reconcile(&works()).await.unwrap();
        assert_eq!(tokens(), 3, "the event was about a team, and the permissions are the same");
        is_accepted.store(true, Ordering::SeqCst);
        assert!(sweep.reconcile(&run("sweep", Lane::Event, None)).await.is_err());
        assert_eq!(tokens(), 4);
        for _ in 0..3 {
            one.reconcile(&works()).await.unwrap();
            other.reconcile(&works()).await.unwrap();
            assert_eq!(tokens(), 5, "the other process has one new token too");
        }
    }
}
