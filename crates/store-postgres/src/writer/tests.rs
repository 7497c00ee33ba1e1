//! Tests with a real PostgreSQL server. The tests make the groups of requests themselves.

use beadle_emulate::Cluster;
use beadle_engine::store::prelude::*;
use beadle_engine::{Delivery, Lane};
use tokio::sync::oneshot::Receiver;

use super::*;
use crate::requests::{Accept, MarkKeys};
use crate::{PostgresSettings, PostgresStore};

type Answer<T> = Receiver<Result<Written<T>, StoreError>>;

/// A request with a defect.
struct Panics;

impl Request for Panics {
    type Output = ();
    const DOING: &'static str = "panicking";

    fn run(&self, _: &mut Loaded) -> Result<(), Failed> {
        panic!("a defect");
    }
}

fn key(n: u64) -> Key {
    Key::new("repository", "acme", n)
}

fn mark(n: u64) -> MarkKeys {
    MarkKeys { marks: vec![Mark::new(key(n), Lane::Event)], now: Time(5) }
}

fn job<R: Request>(request: R) -> (Box<dyn Work>, Answer<R::Output>) {
    let (reply, answer) = oneshot::channel();
    (Box::new(Job { request, output: None, reply }), answer)
}

async fn open(cluster: &Cluster) -> (PostgresStore, Arc<Shared>) {
    let store = PostgresStore::open(&cluster.url(), PostgresSettings::default()).await.unwrap();
    let (pool, channel, timing) = (store.pool.clone(), store.channel.clone(), store.timing);
    (store, Arc::new(Shared { pool, channel, timing }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_written_without_the_requests_that_fail() {
    let cluster = Cluster::start().await;
    let (store, shared) = open(&cluster).await;
    store.mark(vec![Mark::new(key(9), Lane::Event)], Time(0)).await.unwrap();
    let client = shared.pool.get().await.unwrap();
    client.batch_execute("UPDATE work SET epoch = -1 WHERE key = 'repository:acme:9'").await.unwrap();
    let (first, first_answer) = job(mark(1));
    let (panics, panicked) = job(Panics);
    let (damaged, damaged_answer) = job(mark(9));
    let (last, last_answer) = job(mark(2));
    let written = write(&shared, vec![first, panics, damaged, last], HASTY).await;
    assert!(written.is_ok(), "each request has its result");
    assert!(first_answer.await.unwrap().is_ok() && last_answer.await.unwrap().is_ok());
    let failed = panicked.await.unwrap().err().unwrap();
    assert!(failed.to_string().contains(PANICKED), "{failed}");
    let skipped = damaged_answer.await.unwrap().ok().unwrap().output;
    assert_eq!(skipped.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["repository:acme:9"]);
    let together = "SELECT count(DISTINCT xmin::text) = 1 AND min(wanted) = 1 AND max(wanted) = 1 FROM work
                    WHERE key <> 'repository:acme:9'";
    assert!(client.query_one(together, &[]).await.unwrap().get::<_, bool>(0));
    // The writers of the store also continue after a panic.
    let failed = store.intake.write(Panics).await.err().unwrap();
    assert!(failed.to_string().contains(PANICKED), "{failed}");
    store.mark(vec![Mark::new(key(1), Lane::Event)], Time(5)).await.unwrap();
    assert_eq!(store.row(&key(1)).await.unwrap().unwrap().wanted, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_does_not_begin_stores_no_delivery() {
    let cluster = Cluster::start().await;
    let (store, shared) = open(&cluster).await;
    let delivery = || Delivery {
        source: "github".into(),
        id: "1".into(),
        event: "push".into(),
        actor: None,
        instance: "acme".into(),
        received: Time(5),
        body: Vec::new(),
    };
    let marks = vec![Mark::new(key(1), Lane::Event)];
    let arrived = Arrived { delivery: delivery(), body: None, keys: "[]".into() };
    let (accept, answer) = job(Accept { arrived, marks: marks.clone() });
    // This statement fails, as if an administrator had cancelled `BEGIN`. The server still executes
    // the next statements.
    let (group, failed) = write(&shared, vec![accept], "SELECT 1 / 0").await.unwrap_err();
    assert!(!failed.is_for_all(), "each request is tried alone: {failed:?}");
    settle(group, Err(&failed));
    assert!(answer.await.unwrap().is_err());
    assert_eq!(store.body("github", "1").await.unwrap(), None);
    // The sender sends the delivery again.
    let accepted = store.accept(delivery(), marks).await.unwrap();
    assert_eq!(accepted, beadle_engine::Accepted::Stored);
    assert_eq!(store.row(&key(1)).await.unwrap().unwrap().wanted, 1);
}
