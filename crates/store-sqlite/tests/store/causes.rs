//! Tests the causes in the record of a run. The causes are deliveries.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::store::prelude::*;
use beadle_engine::{
    Change, Clock, Delivery, Detail, EntryKind, Failure, Key, Lane, Limits, LimitsInForce, Listing, Mark,
    Plan, PlanWriter, Planner, Reconcile, Reconciler, Risk, Run, Session, Time, WritePace, testing,
};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};

fn key() -> Key {
    Key::new("repository", "acme", 1)
}

/// A vendor that sends deliveries about the key while Beadle plans and writes.
#[derive(Clone)]
struct Vendor {
    store: Arc<SqliteStore>,
    clock: Clock,
    /// The number of deliveries that a write causes.
    echoes: usize,
}

impl Vendor {
    /// Sends a delivery, and lets some time pass.
    async fn deliver(&self, id: &str) {
        let delivery = Delivery {
            source: "github".into(),
            id: id.into(),
            actor: Some("mona".into()),
            event: "repository.edited".into(),
            instance: "acme".into(),
            received: self.clock.now(),
            body: b"{}".to_vec(),
        };
        self.store.accept(delivery, vec![Mark::new(key(), Lane::Event)]).await.unwrap();
        self.clock.sleep(Duration::from_millis(10)).await;
    }
}

#[async_trait]
impl Planner for Vendor {
    type Write = ();

    async fn plan(&self, _: &Key, _: Option<&str>, _: Lane) -> Result<Plan<()>, Failure> {
        self.deliver("while-planning").await;
        let changes = vec![testing::change("topics", "", &[Risk::Adds])];
        Ok(Plan { changes, ..Plan::new("acme/shop") })
    }
}

#[async_trait]
impl PlanWriter<()> for Vendor {
    async fn open(&self, _: &Key, _: &Plan<()>, _: Time, _: Lane) -> Result<Box<dyn Session<()>>, Failure> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Session<()> for Vendor {
    async fn write(&self, _: &Change<()>) -> Result<(), Failure> {
        // No webhook can arrive in the same millisecond as the end of the plan.
        self.clock.sleep(Duration::from_millis(1)).await;
        for n in 0..self.echoes {
            self.deliver(&format!("echo-{n}")).await;
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_names_only_deliveries_from_before_its_plan() {
    for echoes in [0, 3, 70] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.db");
        let store = Arc::new(SqliteStore::open_inline(&path, SqliteSettings::default()).unwrap());
        let clock = Clock::simulated(Time(1_000_000_000));
        let vendor = Vendor { store: store.clone(), clock: clock.clone(), echoes };
        let since = clock.now();
        vendor.deliver("first").await;
        let reconciler = Reconciler {
            planner: vendor.clone(),
            writer: vendor,
            store: store.clone(),
            clock: clock.clone(),
            limits: LimitsInForce::from(Limits::default()),
            pace: WritePace::new(Duration::ZERO),
        };
        clock.sleep(Duration::from_secs(3600)).await;
        let claim = store.claim(1, clock.now()).await.unwrap().remove(0);
        let run = Run { lease: claim.lease, lane: Lane::Event, hint: None, since };
        reconciler.reconcile(&run).await.unwrap();
        let entries = store.entries(Listing { limit: 100, ..Listing::default() }).await.unwrap();
        let ends = entries.iter().filter(|entry| entry.kind == EntryKind::Run);
        let found: Vec<Vec<String>> = ends
            .map(|entry| match &entry.detail {
                Detail::Run(counts) => {
                    let causes = counts.after.iter().flatten();
                    causes.map(|cause| cause.delivery.clone()).collect()
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(found, [["while-planning", "first"]], "{echoes} deliveries came after the plan");
    }
}
