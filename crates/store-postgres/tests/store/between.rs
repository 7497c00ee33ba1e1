//! Tests with several processes on one schema. Each store has its own connections, so it behaves
//! like a process.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::store::prelude::*;
use beadle_engine::testing::hold;
use beadle_engine::{
    Accepted, Clock, Delivery, Entry, EntryKind, Hold, Key, Lane, Limits, Listing, Mark, Outcome, Store,
    TaskLease, Time, Verdict,
};
use beadle_store_postgres::{PostgresListener, PostgresStore};
use tokio::sync::Notify;

use crate::cluster::{new_schema, open, run};

/// A time when no key waits for its debounce any more.
const LATER: Time = Time(1_000_000);

fn key(n: u64) -> Key {
    Key::new("repository", "acme", n)
}

fn marks(n: u64) -> Vec<Mark> {
    (0..n).map(|n| Mark::new(key(n), Lane::Event)).collect()
}

fn entry(n: u64) -> Entry {
    Entry {
        seq: 0,
        at: LATER,
        kind: EntryKind::Run,
        key: key(n).to_string(),
        subject: "acme/widgets".into(),
        intent: None,
        trace: None,
        detail: serde_json::json!({ "n": n }).into(),
    }
}

async fn two() -> (String, Arc<PostgresStore>, Arc<PostgresStore>) {
    let url = new_schema().await;
    let (one, other) = (open(&url).await, open(&url).await);
    (url, Arc::new(one), Arc::new(other))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_key_is_claimed_by_one_process() {
    let (_, one, other) = two().await;
    one.mark(marks(200), Time(0)).await.unwrap();
    let claim_all = |store: Arc<PostgresStore>| async move {
        let (mut keys, mut empty) = (Vec::new(), 0);
        // A claim skips the rows that the other process has locked. So an empty claim does not mean
        // that all keys are done.
        while empty < 20 {
            let claims = store.claim(7, LATER).await.unwrap();
            empty = if claims.is_empty() { empty + 1 } else { 0 };
            keys.extend(claims.into_iter().map(|claim| claim.lease.key));
        }
        keys
    };
    let tasks = [&one, &other, &one, &other].map(|store| tokio::spawn(claim_all(store.clone())));
    let mut claimed = Vec::new();
    for task in tasks {
        claimed.extend(task.await.unwrap());
    }
    assert_eq!(claimed.len(), 200, "no key is claimed twice");
    assert_eq!(claimed.into_iter().collect::<BTreeSet<_>>().len(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_of_two_processes_are_all_kept() {
    let (_, one, other) = two().await;
    let mark = |store: Arc<PostgresStore>, is_reverse: bool| async move {
        for _ in 0..25 {
            let mut marks = marks(20);
            if is_reverse {
                marks.reverse();
            }
            store.mark(marks, LATER).await.unwrap();
        }
    };
    let tasks = [(one.clone(), false), (other.clone(), true), (one.clone(), true), (other, false)]
        .map(|(store, is_reverse)| tokio::spawn(mark(store, is_reverse)));
    for task in tasks {
        task.await.unwrap();
    }
    for n in 0..20 {
        assert_eq!(one.row(&key(n)).await.unwrap().unwrap().wanted, 100, "{n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_reaches_two_processes_is_stored_once() {
    let (_, one, other) = two().await;
    let delivery = |n: u64| Delivery {
        source: "github".into(),
        id: n.to_string(),
        event: "push".into(),
        actor: Some("a\0b".into()),
        instance: "acme".into(),
        received: Time(5),
        body: b"{}".to_vec(),
    };
    for n in 0..30 {
        let (a, b) = tokio::join!(one.accept(delivery(n), marks(1)), other.accept(delivery(n), marks(1)));
        let stored = [a.unwrap(), b.unwrap()].iter().filter(|done| **done == Accepted::Stored).count();
        assert_eq!(stored, 1, "{n}");
    }
    assert_eq!(one.row(&key(0)).await.unwrap().unwrap().wanted, 30);
    let listed = one.deliveries(Listing { limit: 1, ..Listing::default() }).await.unwrap();
    assert_eq!(listed[0].actor.as_deref(), Some("a\u{fffd}b"), "PostgreSQL cannot store U+0000");
}

/// Submits 20 removals one by one, and returns how many of them the guard lets pass.
async fn passed(store: Arc<PostgresStore>, from: u64) -> usize {
    let limits = Limits { removes: 10, ..Limits::default() };
    let mut passed = 0;
    for n in from..from + 20 {
        let asked = Hold { why: String::new(), ..hold(n) };
        let verdicts = store.reserve(None, &limits, vec![asked], LATER).await.unwrap().unwrap();
        passed += usize::from(verdicts == [Verdict::Pass]);
    }
    passed
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_share_the_window_of_an_instance() {
    let (_, one, other) = two().await;
    let (a, b) = tokio::join!(tokio::spawn(passed(one.clone(), 0)), tokio::spawn(passed(other, 100)));
    assert_eq!(a.unwrap() + b.unwrap(), 10);
    assert_eq!(one.holds().await.unwrap().len(), 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_continues_after_a_number_misses_no_entry() {
    let (_, one, other) = two().await;
    let write = |store: Arc<PostgresStore>| async move {
        for n in 0..50 {
            store.journal(None, vec![entry(n), entry(n)], LATER).await.unwrap().unwrap();
        }
    };
    let writers = [&one, &other, &one, &other].map(|store| tokio::spawn(write(store.clone())));
    let (mut read, mut after) = (Vec::new(), 0);
    let mut is_over = false;
    while !is_over {
        // After the writers have ended, the next read sees everything that they wrote.
        is_over = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let entries = one.entries(Listing { after, limit: 1000, ..Listing::default() }).await.unwrap();
        after = entries.last().map_or(after, |entry| entry.seq);
        read.extend(entries.into_iter().map(|entry| entry.seq));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(read, (1..=400).collect::<Vec<u64>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_of_one_process_wakes_the_others() {
    let (url, one, other) = two().await;
    let bell = Arc::new(Notify::new());
    let _listener = PostgresListener::start(&url, bell.clone()).unwrap();
    let patience = Duration::from_secs(30);
    tokio::time::timeout(patience, bell.notified()).await.expect("the bell rings once connected");
    one.mark(marks(1), Time(0)).await.unwrap();
    tokio::time::timeout(patience, bell.notified()).await.expect("a mark rings the bell");
    let claim = other.claim(1, LATER).await.unwrap().remove(0);
    one.mark(marks(1), LATER).await.unwrap();
    assert!(other.finish(&claim.lease, Outcome::Done, LATER).await.unwrap());
    tokio::time::timeout(patience, bell.notified()).await.expect("the key is due again");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_processes_takes_the_lease_on_the_tasks() {
    let (_, one, other) = two().await;
    let leases: Vec<Arc<TaskLease>> = (0..8)
        .map(|n| {
            let store: Arc<dyn Store> = if n % 2 == 0 { one.clone() } else { other.clone() };
            Arc::new(TaskLease::new(store, Clock::system(), &format!("process {n}")))
        })
        .collect();
    let looks = leases.iter().cloned().map(|lease| tokio::spawn(async move { lease.look().await }));
    for look in looks.collect::<Vec<_>>() {
        look.await.unwrap().unwrap();
    }
    let is_held = |lease: &&Arc<TaskLease>| lease.is_held();
    assert_eq!(leases.iter().filter(is_held).count(), 1);
    leases.iter().find(is_held).unwrap().release().await;
    leases[5].look().await.unwrap();
    assert!(leases[5].is_held());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_has_a_clock() {
    let (_, one, _) = two().await;
    let (before, at) = (Clock::system().now(), one.clock().await.unwrap().unwrap());
    // The server runs on this machine.
    assert!(at >= before && at <= Clock::system().now() + Duration::from_millis(1), "{before} {at}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_replaced() {
    // Other tests use the same server, so this test ends only the connections with this name.
    let url = new_schema().await.replace("&schema=", "&application_name=lost&schema=");
    let one = open(&url).await;
    let bell = Arc::new(Notify::new());
    let _listener = PostgresListener::start(&url, bell.clone()).unwrap();
    let patience = Duration::from_secs(30);
    tokio::time::timeout(patience, bell.notified()).await.expect("the bell rings once connected");
    one.mark(marks(3), Time(0)).await.unwrap();
    tokio::time::timeout(patience, bell.notified()).await.expect("a mark rings the bell");
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE application_name = 'lost' AND pid <> pg_backend_pid()";
    run(&url, end).await;
    while one.claim(5, LATER).await.map_or(0, |claims| claims.len()) < 3 {}
    tokio::time::timeout(patience, bell.notified()).await.expect("the listener connects again");
}
