//! Tests of marks and workers while DynamoDB shows the worst allowed behaviour.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use beadle_emulate::{Moto, Odds, Proxy};
use beadle_engine::store::prelude::*;
use beadle_engine::{Accepted, Clock, Delivery, Key, Lane, Mark, Outcome, Time, Timing};
use beadle_store_dynamodb::{DynamoSettings, DynamoStore};

const ODDS: Odds = Odds { throttled: 4, conflict: 4, lost: 4, stale: 30 };
const KEYS: u64 = 4;
const EVENTS: u64 = 60;
const WORKERS: usize = 4;

/// The facts that the runs have seen. `last` is the number of marks that each key had when its
/// latest run began. `two_at_once` is true if two runs ever worked on one key at the same time.
#[derive(Default)]
struct Seen {
    running: HashMap<Key, usize>,
    two_at_once: bool,
    last: HashMap<Key, u64>,
}

async fn work(
    store: DynamoStore,
    clock: impl Fn() -> Time,
    marked: Arc<Mutex<HashMap<Key, u64>>>,
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
) {
    while !stop.load(Ordering::Relaxed) {
        let Ok(claims) = store.claim(2, clock()).await else { continue };
        for claim in claims {
            let key = claim.lease.key.clone();
            {
                let mut seen = seen.lock();
                let running = seen.running.entry(key.clone()).or_default();
                *running += 1;
                seen.two_at_once |= seen.running[&key] > 1;
                let now = marked.lock().get(&key).copied().unwrap_or(0);
                seen.last.insert(key.clone(), now);
            }
            tokio::time::sleep(Duration::from_millis(60)).await;
            *seen.lock().running.get_mut(&key).unwrap() -= 1;
            for _ in 0..20 {
                if store.finish(&claim.lease, Outcome::Done, clock()).await.is_ok() {
                    break;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_last_mark_is_followed_by_a_run_and_no_key_is_worked_on_twice_at_once() {
    let moto = Moto::start().await;
    let settings = DynamoSettings {
        timing: Timing {
            debounce: Duration::from_millis(1),
            lease: Duration::from_secs(20),
            ..Timing::default()
        },
        ..DynamoSettings::default()
    };
    let direct = moto.store(settings).await;
    let proxy = Proxy::start(&moto.url, ODDS, 7).await;
    let store = moto.by(&proxy.url, settings).await;
    let clock = || Clock::system().now();
    let (marked, seen) = (Arc::new(Mutex::new(HashMap::new())), Arc::new(Mutex::new(Seen::default())));
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| tokio::spawn(work(store.clone(), clock, marked.clone(), seen.clone(), stop.clone())))
        .collect();
    let (mut stored, mut last) = (0, HashMap::new());
    for n in 0..EVENTS {
        let key = Key::new("repository", "acme", n % KEYS);
        let delivery = Delivery {
            source: "github".into(),
            id: format!("d{n}"),
            event: "push".into(),
            actor: None,
            instance: "acme".into(),
            received: clock(),
            body: b"{}".to_vec(),
        };
        // This event is being sent. A later run must see at least this event.
        *marked.lock().entry(key.clone()).or_insert(0) += 1;
        last.insert(key.clone(), n / KEYS + 1);
        // If a sender gets no answer, the sender sends the delivery again. The store keeps the
        // delivery only once.
        loop {
            let marks = vec![Mark::new(key.clone(), Lane::Event)];
            match store.accept(delivery.clone(), marks).await {
                Ok(Accepted::Stored) => {
                    stored += 1;
                    break;
                }
                Ok(Accepted::Duplicate) => break,
                Err(_) => {}
            }
        }
    }
    for _ in 0..600 {
        let _ = store.settle(clock()).await; // a later try can succeed
        let depth = direct.depth(clock()).await.unwrap();
        if depth.due == [0; 3] && depth.leased == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    let seen = std::mem::take(&mut *seen.lock());
    assert!(!seen.two_at_once, "two were on one key");
    let depth = direct.depth(clock()).await.unwrap();
    assert_eq!((depth.due, depth.leased, depth.parked), ([0; 3], 0, 0));
    for n in 0..KEYS {
        let key = Key::new("repository", "acme", n);
        let row = direct.row(&key).await.unwrap().unwrap();
        assert_eq!(row.wanted, row.done, "{key}");
        assert!(
            seen.last[&key] >= last[&key],
            "{key}: the last run saw {} of {}",
            seen.last[&key],
            last[&key]
        );
    }
    let listed =
        direct.deliveries(beadle_engine::Listing { limit: 1000, ..Default::default() }).await.unwrap();
    assert_eq!(listed.len() as u64, EVENTS, "{stored} were answered as new");
    for what in ["throttled", "conflict", "lost", "stale"] {
        assert!(proxy.count(what) > 0, "{what} did not happen");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_answer_was_lost_is_known_to_be_ours() {
    let moto = Moto::start().await;
    let direct = moto.store(DynamoSettings::default()).await;
    // After a lost answer, the repeated request can meet a conflict.
    let odds = Odds { throttled: 0, conflict: 30, lost: 40, stale: 0 };
    let proxy = Proxy::start(&moto.url, odds, 11).await;
    let store = moto.by(&proxy.url, DynamoSettings::default()).await;
    for n in 0..30 {
        let (key, now) = (Key::new("repository", "acme", n), Time(1_000_000));
        direct.mark(vec![Mark::new(key.clone(), Lane::Event)], Time(0)).await.unwrap();
        let claim = store.claim_key(&key, now).await.unwrap().expect("nobody else is at it");
        assert_eq!(direct.row(&key).await.unwrap().unwrap().epoch, claim.lease.epoch);
    }
    assert!(proxy.count("lost") > 5, "{} lost", proxy.count("lost"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_without_any_answer_is_known_to_be_ours() {
    let moto = Moto::start().await;
    let direct = moto.store(DynamoSettings::default()).await;
    // The answers to all attempts of the write are lost.
    let proxy = Proxy::start(&moto.url, Odds { throttled: 0, conflict: 0, lost: 100, stale: 0 }, 11).await;
    let store = moto.by(&proxy.url, DynamoSettings::default()).await;
    let key = Key::new("repository", "acme", 1);
    direct.mark(vec![Mark::new(key.clone(), Lane::Event)], Time(0)).await.unwrap();
    let claim = store.claim_key(&key, Time(1_000_000)).await.unwrap().unwrap();
    assert_eq!(direct.row(&key).await.unwrap().unwrap().epoch, claim.lease.epoch);
    assert!(proxy.count("lost") > 1, "the SDK sent the write more than once");
}

#[tokio::test]
async fn a_write_that_conflicts_with_a_transaction_is_sent_again() {
    let moto = Moto::start().await;
    moto.store(DynamoSettings::default()).await;
    let odds = Odds { throttled: 0, conflict: 50, lost: 0, stale: 0 };
    let proxy = Proxy::start(&moto.url, odds, 3).await;
    let store = moto.by(&proxy.url, DynamoSettings::default()).await;
    for n in 0..20 {
        let (name, value) = (format!("note-{n}"), n.to_string());
        store.put(&name, &value).await.unwrap();
        assert_eq!(store.get(&name).await.unwrap(), Some(value));
    }
    assert!(proxy.count("conflict") > 5);
}
