//! Tests of the requests that are committed together.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;

use beadle_engine::store::prelude::*;
use beadle_engine::{
    Accepted, Delivery, Entry, EntryKind, Key, Lane, Listing, Mark, Outcome, StoreError, Time,
};
use beadle_store_postgres::PostgresStore;
use tokio::task::JoinSet;

use crate::cluster::{check, connect, new_schema, open, run};

/// A time when no key waits for its debounce any more.
const LATER: Time = Time(1_000_000);

fn key(n: u64) -> Key {
    Key::new("repository", "acme", n)
}

fn delivery(n: u64) -> Delivery {
    Delivery {
        source: "github".into(),
        id: n.to_string(),
        event: "push".into(),
        actor: None,
        instance: "acme".into(),
        received: Time(5),
        body: n.to_string().into_bytes(),
    }
}

async fn accept(store: Arc<PostgresStore>, n: u64) -> (u64, Result<Accepted, StoreError>) {
    (n, store.accept(delivery(n), vec![Mark::new(key(n), Lane::Event)]).await)
}

/// Stores deliveries at the same time, and returns their results.
async fn accept_all(
    store: &Arc<PostgresStore>,
    numbers: impl Iterator<Item = u64>,
) -> BTreeMap<u64, Result<Accepted, StoreError>> {
    let mut calls = JoinSet::new();
    for n in numbers {
        calls.spawn(accept(store.clone(), n));
    }
    calls.join_all().await.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_of_the_same_moment_share_transactions() {
    let url = new_schema().await;
    let store = Arc::new(open(&url).await);
    let results = accept_all(&store, 0..100).await;
    assert!(results.values().all(|result| *result == Ok(Accepted::Stored)), "{results:?}");
    check(&url, "(SELECT count(*) FROM inbox) = 100").await;
    check(&url, "(SELECT count(DISTINCT xmin::text) FROM inbox) < 100").await;
    for n in 0..100 {
        assert_eq!(store.row(&key(n)).await.unwrap().unwrap().wanted, 1, "{n}");
        let body = store.body("github", &n.to_string()).await.unwrap();
        assert_eq!(body, Some(n.to_string().into_bytes()));
    }
    let again = accept_all(&store, 0..100).await;
    assert!(again.values().all(|result| *result == Ok(Accepted::Duplicate)), "{again:?}");
    assert_eq!(store.row(&key(7)).await.unwrap().unwrap().wanted, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_arrives_twice_at_once_is_stored_once() {
    let store = Arc::new(open(&new_schema().await).await);
    let mut calls = JoinSet::new();
    for n in 0..40 {
        calls.spawn(accept(store.clone(), n / 2));
    }
    let results = calls.join_all().await;
    let stored = results.iter().filter(|(_, result)| *result == Ok(Accepted::Stored)).count();
    let known = results.iter().filter(|(_, result)| *result == Ok(Accepted::Duplicate)).count();
    assert_eq!((stored, known), (20, 20));
    for n in 0..20 {
        assert_eq!(store.row(&key(n)).await.unwrap().unwrap().wanted, 1, "{n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_failure_nor_a_cancelled_caller_affects_the_others() {
    let url = new_schema().await;
    let store = Arc::new(open(&url).await);
    store.mark(vec![Mark::new(key(7), Lane::Sweep)], Time(0)).await.unwrap();
    run(&url, "UPDATE work SET epoch = -1 WHERE key = 'repository:acme:7'").await;
    // The first poll hands the request over, and then the caller stops waiting.
    tokio::select! {
        biased;
        _ = accept(store.clone(), 50) => unreachable!("the server has not answered yet"),
        () = ready(()) => {}
    }
    let mut results = accept_all(&store, (0..100).filter(|n| *n != 50)).await;
    let failed = results.remove(&7).unwrap().unwrap_err();
    assert!(matches!(failed, StoreError::Corrupt { .. }), "{failed}");
    for part in ["repository:acme:7", "`work`", "correct the row"] {
        assert!(failed.to_string().contains(part), "{failed}");
    }
    assert!(results.values().all(|result| *result == Ok(Accepted::Stored)), "{results:?}");
    check(&url, "(SELECT count(*) FROM inbox) = 99 AND NOT EXISTS (SELECT 1 FROM inbox WHERE id = '7')")
        .await;
    check(&url, "(SELECT epoch FROM work WHERE key = 'repository:acme:7') = -1").await;
    for n in (0..100).filter(|n| *n != 7) {
        assert_eq!(store.row(&key(n)).await.unwrap().unwrap().wanted, 1, "{n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_row_delays_only_its_own_requests() {
    let url = new_schema().await;
    let store = Arc::new(open(&url).await);
    store.mark(vec![Mark::new(key(3), Lane::Sweep)], Time(0)).await.unwrap();
    let other = connect(&url).await;
    other
        .batch_execute("BEGIN; SELECT 1 FROM work WHERE key = 'repository:acme:3' FOR UPDATE")
        .await
        .unwrap();
    let locked = tokio::spawn(accept(store.clone(), 3));
    let results = accept_all(&store, (0..20).filter(|n| *n != 3)).await;
    assert!(results.values().all(|result| *result == Ok(Accepted::Stored)), "{results:?}");
    assert!(!locked.is_finished());
    other.batch_execute("COMMIT").await.unwrap();
    assert_eq!(locked.await.unwrap().1, Ok(Accepted::Stored));
    assert_eq!(store.row(&key(3)).await.unwrap().unwrap().wanted, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_for_a_locked_row_do_not_use_up_the_connections() {
    // Other tests use the same server, so this test counts only the connections with this name.
    let url = new_schema().await.replace("&schema=", "&application_name=late&schema=");
    let store = Arc::new(open(&url).await);
    store.mark(vec![Mark::new(key(3), Lane::Sweep)], Time(0)).await.unwrap();
    let other = connect(&url).await;
    other
        .batch_execute("BEGIN; SELECT 1 FROM work WHERE key = 'repository:acme:3' FOR UPDATE")
        .await
        .unwrap();
    let mut locked = JoinSet::new();
    for round in 1..=6 {
        let store_of_call = store.clone();
        locked.spawn(async move { store_of_call.mark(vec![Mark::new(key(3), Lane::Event)], LATER).await });
        let results = accept_all(&store, round * 100..round * 100 + 5).await;
        assert!(results.values().all(|result| *result == Ok(Accepted::Stored)), "{results:?}");
    }
    // The writer of deliveries has at most three connections: for a group, for the requests of a
    // group that failed, and for the requests that wait.
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'late' AND wait_event_type = 'Lock'";
    check(&url, &format!("({waiting}) <= 3")).await;
    other.batch_execute("COMMIT").await.unwrap();
    // On a slow machine, the first requests have waited too long before this point.
    let marked = locked.join_all().await.into_iter().flatten().count() as u64;
    assert_eq!(store.row(&key(3)).await.unwrap().unwrap().wanted, 1 + marked);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_the_same_moment_get_their_own_numbers() {
    let store = Arc::new(open(&new_schema().await).await);
    store.mark((0..50).map(|n| Mark::new(key(n), Lane::Event)).collect(), Time(0)).await.unwrap();
    let claims = store.claim(50, LATER).await.unwrap();
    assert_eq!(claims.len(), 50);
    let mut runs = JoinSet::new();
    for claim in claims {
        let store = store.clone();
        runs.spawn(async move {
            let key = claim.lease.key.to_string();
            let entry = |detail: i64| Entry {
                seq: 0,
                at: LATER,
                kind: EntryKind::Run,
                key: key.clone(),
                subject: "acme/widgets".into(),
                intent: None,
                trace: None,
                detail: serde_json::json!({ "n": detail }).into(),
            };
            let numbers = store.journal(Some(&claim.lease), vec![entry(1), entry(2)], LATER).await;
            let numbers = numbers.unwrap().unwrap();
            assert!(store.finish(&claim.lease, Outcome::Done, LATER).await.unwrap());
            // The lease is over, so neither call changes anything.
            assert_eq!(store.journal(Some(&claim.lease), vec![entry(3)], LATER).await.unwrap(), None);
            assert!(!store.finish(&claim.lease, Outcome::Done, LATER).await.unwrap());
            assert_eq!(store.renew(&claim.lease, LATER).await.unwrap(), None);
            (key, numbers)
        });
    }
    let numbers: BTreeMap<String, Vec<u64>> = runs.join_all().await.into_iter().collect();
    let entries = store.entries(Listing { limit: 1000, ..Listing::default() }).await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<u64>>(), (1..=100).collect::<Vec<u64>>());
    for (key, numbers) in numbers {
        let written = entries.iter().filter(|entry| entry.key == key).map(|entry| entry.seq);
        assert_eq!(written.collect::<Vec<u64>>(), numbers, "{key}");
    }
    assert_eq!(store.next_due().await.unwrap(), None, "every run has ended");
}
