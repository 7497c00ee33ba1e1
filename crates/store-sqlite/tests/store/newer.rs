//! Tests of rows that a newer version of Beadle wrote. This version works with them, and loses no
//! part of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::journal::{Detail, Entry, EntryKind, RefusedWebhook};
use beadle_engine::store::prelude::*;
use beadle_engine::{
    Clock, CopyError, Key, Lane, Listing, Mark, ParkReason, Store, Time, Worker, WorkerSettings, copy,
};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use rusqlite::Connection;
use tokio_util::sync::CancellationToken;

fn key(n: u64) -> Key {
    Key::new("repository", "acme", n)
}

#[tokio::test]
async fn words_of_a_newer_version_stop_no_key_and_no_delivery() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    let store = SqliteStore::open_inline(&path, SqliteSettings::default()).unwrap();
    let marks = (1..=3).map(|n| Mark::new(key(n), Lane::Event)).collect();
    store.mark(marks, Time(0)).await.unwrap();
    let file = Connection::open(&path).unwrap();
    file.execute("UPDATE work SET lane = 'urgent' WHERE key <> 'repository:acme:3'", []).unwrap();
    let parked = r#"{"reason":"quarantined","why":"a newer rule","since":5,"until":9}"#;
    let park = "UPDATE work SET parked = ?1, due = NULL WHERE key = 'repository:acme:2'";
    file.execute(park, [parked]).unwrap();
    store.mark(vec![Mark::new(key(2), Lane::Event)], Time(10)).await.unwrap();
    let row = store.row(&key(2)).await.unwrap().unwrap();
    let kept = row.parked.map(|parked| (parked.reason, parked.why));
    assert_eq!((kept, row.wanted), (Some((ParkReason::Held, "a newer rule".into())), 2));
    let depth = store.depth(Time(60_000)).await.unwrap();
    assert_eq!((depth.lane(Lane::Event), depth.lane(Lane::Sweep), depth.parked), (1, 1, 1));
    let claims = store.claim(10, Time(60_000)).await.unwrap();
    let mut claimed: Vec<Key> = claims.into_iter().map(|claim| claim.lease.key).collect();
    claimed.sort();
    assert_eq!(claimed, [key(1), key(3)]);
}

#[tokio::test]
async fn an_entry_of_a_newer_version_is_listed_and_a_copy_without_its_kind_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    let store = SqliteStore::open_inline(&path, SqliteSettings::default()).unwrap();
    let entry = Entry {
        seq: 0,
        at: Time(1),
        kind: EntryKind::Refused,
        key: "-".into(),
        subject: "-".into(),
        intent: None,
        trace: None,
        detail: Detail::Refused(RefusedWebhook { status: 403 }),
    };
    store.journal(None, vec![entry.clone(), entry], Time(1)).await.unwrap().unwrap();
    let file = Connection::open(&path).unwrap();
    let change = r#"UPDATE journal SET kind = 'archived', detail = '{"archived":7}' WHERE seq = 2"#;
    file.execute(change, []).unwrap();
    let all = Listing { limit: 10, ..Listing::default() };
    let kinds: Vec<EntryKind> =
        store.entries(all).await.unwrap().into_iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [EntryKind::Refused, EntryKind::Other]);
    let other = SqliteStore::open_inline(&folder.path().join("c.db"), SqliteSettings::default()).unwrap();
    let copied = copy(&store, &other, Duration::from_secs(3600), Time(9), &|_, _| {}).await;
    assert_eq!(copied, Err(CopyError::Newer(2)));
}

#[tokio::test(start_paused = true)]
async fn a_kind_of_keys_that_only_a_newer_version_knows_is_left_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open_inline(&folder.path().join("b.db"), SqliteSettings::default()).unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    let clock = Clock::simulated(Time(1_700_000_000_000));
    let newer = Key::new("enterprise", "acme", 1);
    store.mark(vec![Mark::new(newer.clone(), Lane::Manual)], clock.now()).await.unwrap();
    let worker = Worker {
        store: store.clone(),
        clock: clock.clone(),
        reconcilers: HashMap::new(),
        settings: WorkerSettings::default(),
        bell: Arc::default(),
        counts: Arc::default(),
    };
    let claim = store.claim(1, clock.now()).await.unwrap().remove(0);
    worker.work(claim, CancellationToken::new()).await;
    let row = store.row(&newer).await.unwrap().unwrap();
    assert!(row.parked.is_none() && row.due_at().is_some(), "{row:?}");
    let why = row.last_error.unwrap();
    assert!(why.contains("kind `enterprise`") && why.contains("a newer version"), "{why}");
}
