//! Tests of a worker's bell, in simulated time.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{
    Clock, Failure, Key, Lane, Mark, Reconcile, Report, Run, Store, Time, Worker, WorkerSettings,
};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// A reconciler that records when its runs begin. The runs do not end during the test.
struct Hangs {
    clock: Clock,
    begun: Arc<Mutex<Vec<Time>>>,
}

#[async_trait]
impl Reconcile for Hangs {
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        self.begun.lock().push(self.clock.now());
        self.clock.sleep(Duration::from_secs(60)).await;
        let subject = run.lease.key.to_string();
        Ok(Report { subject, steps: vec![], unknowns: vec![], skipped: None, failure: None })
    }
}

#[tokio::test(start_paused = true)]
async fn a_bell_that_rings_with_each_webhook_does_not_cause_a_look_with_each_webhook() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open_inline(&folder.path().join("b.db"), SqliteSettings::default()).unwrap();
    let (store, bell): (Arc<dyn Store>, Arc<Notify>) = (Arc::new(store), Arc::default());
    let clock = Clock::simulated(Time(1_700_000_000_000));
    let begun: Arc<Mutex<Vec<Time>>> = Arc::default();
    let hangs: Arc<dyn Reconcile> = Arc::new(Hangs { clock: clock.clone(), begun: begun.clone() });
    let worker = Arc::new(Worker {
        store: store.clone(),
        clock: clock.clone(),
        reconcilers: HashMap::from([("repository", hangs)]),
        settings: WorkerSettings { concurrency: 100, ..WorkerSettings::default() },
        bell: bell.clone(),
        counts: Arc::default(),
    });
    let running = tokio::spawn(worker.run(CancellationToken::new(), Duration::ZERO));
    clock.sleep(Duration::from_millis(500)).await;
    for n in 0..50 {
        let mark = Mark::new(Key::new("repository", "acme", n), Lane::Manual);
        store.mark(vec![mark], clock.now()).await.unwrap();
        bell.notify_one();
        clock.sleep(Duration::from_millis(1)).await;
    }
    clock.sleep(Duration::from_millis(50)).await;
    running.abort();
    let begun = begun.lock().clone();
    assert_eq!(begun.len(), 50, "the last ring causes a look too");
    let looks: BTreeSet<Time> = begun.into_iter().collect();
    assert!((2..=10).contains(&looks.len()), "{looks:?}");
}
