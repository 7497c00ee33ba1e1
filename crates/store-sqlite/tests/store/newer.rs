//! Tests of rows that a newer version of Beadle wrote. This version works with rows of a newer
//! version, and loses no part of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::guard::RepositoryCount;
use beadle_engine::journal::{Detail, Entry, EntryKind, RefusedWebhook};
use beadle_engine::store::prelude::*;
use beadle_engine::testing::hold;
use beadle_engine::{
    Clock, CopyError, Hold, Key, Lane, Limits, Listing, Mark, ParkReason, Store, StoreError, Time, Worker,
    WorkerSettings, copy,
};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use rusqlite::Connection;
use serde_json::Value;
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
    let select = "SELECT parked FROM work WHERE key = 'repository:acme:2'";
    let stored: String = file.query_row(select, [], |row| row.get(0)).unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&stored).unwrap(),
        serde_json::from_str::<Value>(parked).unwrap()
    );
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

#[tokio::test]
async fn a_hold_of_a_newer_version_stays_and_the_holds_of_other_generations_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    let store = SqliteStore::open_inline(&path, SqliteSettings::default()).unwrap();
    let limits = Limits { removes: 0, ..Limits::default() };
    let asked = (1..=3).map(|n| Hold { why: String::new(), ..hold(n) }).collect();
    store.reserve(None, &limits, asked, Time(1)).await.unwrap().unwrap();
    let file = Connection::open(&path).unwrap();
    // Another organisation has a hold whose form this version cannot read.
    file.execute("UPDATE hold SET hold = '[1]', instance = 'labs' WHERE digest = 'd1'", []).unwrap();
    assert_eq!(store.forget_holds("acme", "g2").await.unwrap(), 2);
    file.execute("UPDATE hold SET instance = 'acme'", []).unwrap();
    assert_eq!(store.forget_holds("acme", "g2").await.unwrap(), 0);
    let left: String = file.query_row("SELECT hold FROM hold", [], |row| row.get(0)).unwrap();
    assert_eq!(left, "[1]");
}

#[tokio::test]
async fn a_decision_keeps_the_fields_of_a_newer_version() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    let store = SqliteStore::open_inline(&path, SqliteSettings::default()).unwrap();
    let limits = Limits { removes: 0, ..Limits::default() };
    let asked = vec![Hold { why: String::new(), ..hold(1) }];
    store.reserve(None, &limits, asked, Time(1)).await.unwrap().unwrap();
    let file = Connection::open(&path).unwrap();
    let add = "UPDATE hold SET hold = json_set(hold, '$.second_approval', 'needed')";
    file.execute(add, []).unwrap();
    store.approve("d1", "ann", Time(2)).await.unwrap();
    let select = "SELECT hold ->> '$.approved_by', hold ->> '$.second_approval' FROM hold";
    let stored: (String, String) = file.query_row(select, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(stored, ("ann".to_owned(), "needed".to_owned()));
}

#[tokio::test]
async fn the_limit_of_a_share_does_not_end_because_the_number_of_repositories_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open_inline(&folder.path().join("b.db"), SqliteSettings::default()).unwrap();
    let note = RepositoryCount::note("acme");
    store.put(note.name(), r#"{"all":200,"archived":30}"#).await.unwrap();
    let read = note.get(&store).await;
    assert!(matches!(read, Err(StoreError::Newer { .. })), "{read:?}");
    // A sweep counts the repositories again.
    note.put(&store, &RepositoryCount(170)).await.unwrap();
    assert_eq!(note.get(&store).await, Ok(Some(RepositoryCount(170))));
}
