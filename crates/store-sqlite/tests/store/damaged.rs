//! Tests of rows that Beadle cannot read. The error names the row, and nothing panics.

use std::collections::BTreeSet;

use beadle_engine::journal::{Detail, Entry, EntryKind, RefusedWebhook};
use beadle_engine::store::prelude::*;
use beadle_engine::testing::hold;
use beadle_engine::{
    Accepted, Delivery, History, Hold, Key, KeyScope, Lane, Limits, Listing, Mark, Outcome, StoreError, Time,
    Verdict, sweep,
};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use rusqlite::Connection;
use rusqlite::types::Value;

/// The tables. For each table: the name of its row in errors, and its columns.
const TABLES: [(&str, &str, &[&str]); 5] = [
    ("inbox", "the delivery d1", &["event", "instance", "received", "keys", "actor"]),
    (
        "work",
        "the row of repository:acme:1",
        &[
            "lane",
            "wanted",
            "done",
            "claimed",
            "run_at",
            "not_before",
            "spares_events",
            "first_dirty",
            "attempts",
            "epoch",
            "lease_until",
            "parked",
            "hint",
            "last_error",
        ],
    ),
    ("journal", "entry 1 of the journal", &["at", "kind", "key", "subject", "intent", "detail"]),
    ("hold", "the hold d2", &["hold"]),
    ("guard_booking", "the reservation d1", &["at", "state", "weakens", "exposes", "removes", "reaches"]),
];

/// Values of all kinds. SQLite refuses a value if the type of the value differs from the type of
/// the column.
const VALUES: [&str; 11] = [
    "NULL",
    "''",
    "'x'",
    "'{'",
    "'{}'",
    "'null'",
    "'[7]'",
    "-1",
    "2",
    "9223372036854775807",
    "-9223372036854775808",
];

fn delivery() -> Delivery {
    Delivery {
        source: "github".into(),
        id: "d1".into(),
        event: "ping".into(),
        actor: None,
        instance: "acme".into(),
        received: Time(1),
        body: Vec::new(),
    }
}

/// Fills a store so that each table has one row.
async fn fill(store: &SqliteStore) {
    let mark = Mark::new(Key::new("repository", "acme", 1), Lane::Event);
    store.accept(delivery(), vec![mark]).await.unwrap();
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
    store.journal(None, vec![entry], Time(1)).await.unwrap().unwrap();
    let limits = Limits { removes: 1, ..Limits::default() };
    for (n, is_held) in [(1, false), (2, true)] {
        let hold = Hold { why: String::new(), ..hold(n) };
        let verdicts = store.reserve(None, &limits, vec![hold], Time(1)).await.unwrap().unwrap();
        assert_eq!(matches!(verdicts.as_slice(), [Verdict::Hold(_)]), is_held, "{verdicts:?}");
    }
}

/// Reads everything, and returns the errors.
async fn errors(store: &SqliteStore) -> Vec<StoreError> {
    let (key, all) = (Key::new("repository", "acme", 1), Listing { limit: 10, ..Listing::default() });
    let newest = History { limit: 10, ..History::default() };
    let results = [
        store.deliveries(all.clone()).await.err(),
        store.rows(10).await.err(),
        store.row(&key).await.err(),
        store.next_due().await.err(),
        store.entries(all).await.err(),
        store.newest_entries(newest).await.err(),
        store.open_intents().await.err(),
        store.holds().await.err(),
        store.holds_of(&key).await.err(),
        store.bookings(Time(i64::MIN)).await.err(),
    ];
    results.into_iter().flatten().collect()
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    let store = SqliteStore::open_inline(&path, SqliteSettings::default()).unwrap();
    fill(&store).await;
    let found = errors(&store).await;
    assert!(found.is_empty(), "{found:?}");
    let file = Connection::open(&path).unwrap();
    for (table, name, columns) in TABLES {
        let mut unreadable = 0;
        for column in columns {
            let select = format!("SELECT {column} FROM {table}");
            for value in VALUES {
                let before: Value = file.query_row(&select, [], |row| row.get(0)).unwrap();
                if file.execute(&format!("UPDATE {table} SET {column} = {value}"), []).is_err() {
                    continue;
                }
                for error in errors(&store).await {
                    let is_named = error.to_string().contains(name);
                    assert!(matches!(error, StoreError::Corrupt { .. }) && is_named, "{column}: {error}");
                    unreadable += 1;
                }
                file.execute(&format!("UPDATE {table} SET {column} = ?1"), [before]).unwrap();
            }
        }
        assert!(unreadable > 0, "every value of {table} was read");
    }
    let found = errors(&store).await;
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test]
async fn a_row_of_the_queue_that_cannot_be_read_hides_and_blocks_no_other_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    let store = SqliteStore::open_inline(&path, SqliteSettings::default()).unwrap();
    let key = |n: u64| Key::new("repository", "acme", n);
    store.mark((1..=3).map(|n| Mark::new(key(n), Lane::Event)).collect(), Time(0)).await.unwrap();
    let failed = store.claim_key(&key(3), Time(60_000)).await.unwrap().unwrap().lease;
    store.finish(&failed, Outcome::Retry("502".into()), Time(60_000)).await.unwrap();
    let file = Connection::open(&path).unwrap();
    let damage = "UPDATE work SET wanted = -1, rank = -1, first_dirty = -1, last_error = '403'
                  WHERE key = 'repository:acme:2'";
    file.execute(damage, []).unwrap();
    let list = store.all_rows(10).await.unwrap();
    let listed: BTreeSet<&str> = list.rows.iter().map(|row| row.key.as_str()).collect();
    assert_eq!(listed, BTreeSet::from(["repository:acme:1", "repository:acme:3"]));
    let unreadable: Vec<&str> = list.unreadable_names().collect();
    assert_eq!((unreadable, list.count()), (vec!["the row of repository:acme:2"], 3));
    assert!(store.rows(10).await.is_err(), "a decision must know every row");
    let troubled = store.troubled().await.unwrap();
    assert_eq!((troubled.rows.len(), troubled.unreadable.len()), (1, 1));
}

#[tokio::test]
async fn a_claim_passes_over_a_row_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    let store = SqliteStore::open_inline(&path, SqliteSettings::default()).unwrap();
    let key = |n: u64| Key::new("repository", "acme", n);
    store.mark((1..=3).map(|n| Mark::new(key(n), Lane::Event)).collect(), Time(0)).await.unwrap();
    let file = Connection::open(&path).unwrap();
    // The damaged row comes first in every sort order, and the claim takes only one key.
    let damage = "UPDATE work SET wanted = -1, rank = -1, first_dirty = -1, due = -1
                  WHERE key = 'repository:acme:2'";
    file.execute(damage, []).unwrap();
    let mut claimed = Vec::new();
    for now in [Time(60_000), Time(60_001)] {
        claimed.extend(store.claim(1, now).await.unwrap());
    }
    let keys: BTreeSet<&str> = claimed.iter().map(|claim| claim.lease.key.as_str()).collect();
    assert_eq!(keys, BTreeSet::from(["repository:acme:1", "repository:acme:3"]));
    assert!(store.claim(5, Time(60_002)).await.unwrap().is_empty());
    assert!(store.claim_named(&[key(2)], Time(60_002)).await.unwrap().is_empty());
    for claim in claimed {
        assert!(store.finish(&claim.lease, Outcome::Done, Time(60_003)).await.unwrap());
    }
    assert_eq!(store.next_due().await.unwrap(), None, "a worker does not wake for the damaged row");
    let kept: i64 = file
        .query_row("SELECT wanted FROM work WHERE key = 'repository:acme:2'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(kept, -1, "nothing changes the row");
}

#[tokio::test]
async fn a_mark_skips_a_row_that_cannot_be_read_and_a_sweep_ends_with_it() {
    const LATER: Time = Time(60_000);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    let store = SqliteStore::open_inline(&path, SqliteSettings::default()).unwrap();
    let mark = |n: u64| Mark::new(Key::new("repository", "acme", n), Lane::Sweep);
    store.mark(vec![mark(2)], Time(0)).await.unwrap();
    let file = Connection::open(&path).unwrap();
    // The damaged row comes first in every sort order.
    let damage = "UPDATE work SET wanted = -1, rank = -1, first_dirty = -1, due = -1";
    file.execute(damage, []).unwrap();
    assert!(sweep::begin(&store, "acme", 3, Time(0)).await.unwrap());
    let skipped = store.mark_readable((1..=3).map(mark).collect(), Time(0)).await.unwrap();
    assert!(skipped.len() == 1 && skipped[0].contains("the row of repository:acme:2"), "{skipped:?}");
    assert_eq!(store.accept(delivery(), vec![mark(2), mark(4)]).await.unwrap(), Accepted::Stored);
    let scopes = [KeyScope::new("repository", "acme")];
    for (most, expected) in [(1, 1), (10, 3)] {
        assert_eq!(store.count_waiting(&scopes, LATER, most).await.unwrap(), expected, "{most}");
    }
    assert_eq!(sweep::summarise(&store, "acme", &scopes, LATER).await.unwrap(), None);
    let claims = store.claim(9, LATER).await.unwrap();
    let keys: BTreeSet<&str> = claims.iter().map(|claim| claim.lease.key.as_str()).collect();
    assert_eq!(keys, BTreeSet::from(["repository:acme:1", "repository:acme:3", "repository:acme:4"]));
    for claim in &claims {
        assert!(store.finish(&claim.lease, Outcome::Done, LATER).await.unwrap());
    }
    let summary = sweep::summarise(&store, "acme", &scopes, LATER).await.unwrap();
    assert_eq!(summary.map(|summary| summary.failed), Some(1), "the sweep ends, and names the key as failed");
    let list = store.all_rows(10).await.unwrap();
    assert_eq!(list.unreadable_names().collect::<Vec<_>>(), ["the row of repository:acme:2"]);
    let of_damaged = "SELECT wanted FROM work WHERE key = 'repository:acme:2'";
    let kept: i64 = file.query_row(of_damaged, [], |row| row.get(0)).unwrap();
    assert_eq!(kept, -1, "nothing changes the row");
}

#[tokio::test]
async fn a_delivery_and_an_approval_fail_if_no_row_of_their_keys_can_be_read() {
    const LATER: Time = Time(60_000);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    let store = SqliteStore::open_inline(&path, SqliteSettings::default()).unwrap();
    let mark = || Mark::new(Key::new("repository", "acme", 2), Lane::Event);
    store.mark(vec![mark()], Time(0)).await.unwrap();
    let limits = Limits { removes: 0, ..Limits::default() };
    store.reserve(None, &limits, vec![hold(2)], Time(1)).await.unwrap().unwrap();
    let file = Connection::open(&path).unwrap();
    file.execute("UPDATE work SET wanted = -1", []).unwrap();
    let delivered = store.accept(delivery(), vec![mark(), mark()]).await.unwrap_err();
    let approved = store.approve("d2", "ann", LATER).await.unwrap_err();
    for error in [delivered, approved] {
        let is_named = error.to_string().contains("the row of repository:acme:2");
        assert!(matches!(error, StoreError::Corrupt { .. }) && is_named, "{error}");
    }
    let all = Listing { limit: 10, ..Listing::default() };
    assert!(store.deliveries(all).await.unwrap().is_empty(), "the delivery is not stored");
    assert_eq!(store.holds().await.unwrap()[0].approved_by, None, "the approval is not stored");
    // Somebody corrects the row, and the sender sends the delivery again.
    file.execute("UPDATE work SET wanted = 1", []).unwrap();
    assert_eq!(store.accept(delivery(), vec![mark()]).await.unwrap(), Accepted::Stored);
    let hold = store.approve("d2", "ann", LATER).await.unwrap().unwrap();
    assert_eq!(hold.approved_by.as_deref(), Some("ann"));
}

#[tokio::test]
async fn a_claim_ends_if_it_cannot_read_the_key_of_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    let store = SqliteStore::open_inline(&path, SqliteSettings::default()).unwrap();
    let key = |n: u64| Key::new("repository", "acme", n);
    store.mark((1..=2).map(|n| Mark::new(key(n), Lane::Event)).collect(), Time(0)).await.unwrap();
    let file = Connection::open(&path).unwrap();
    let damage = "UPDATE work SET key = CAST(x'ff' AS TEXT) WHERE key = 'repository:acme:2'";
    file.execute(damage, []).unwrap();
    let claimed = store.claim(5, Time(60_000)).await.unwrap();
    assert_eq!(
        claimed.iter().map(|claim| claim.lease.key.as_str()).collect::<Vec<_>>(),
        ["repository:acme:1"]
    );
    assert!(store.claim(5, Time(60_001)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_hold_that_cannot_be_read_hides_no_other_hold_and_stops_its_own_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    let store = SqliteStore::open_inline(&path, SqliteSettings::default()).unwrap();
    let limits = Limits { removes: 0, ..Limits::default() };
    store.reserve(None, &limits, vec![hold(1), hold(2), hold(3)], Time(1)).await.unwrap().unwrap();
    let file = Connection::open(&path).unwrap();
    file.execute("UPDATE hold SET hold = '{' WHERE digest = 'd2'", []).unwrap();
    let list = store.all_holds().await.unwrap();
    let digests: Vec<&str> = list.holds.iter().map(|hold| hold.digest.as_str()).collect();
    assert_eq!((digests, list.count_waiting()), (vec!["d1", "d3"], 3));
    assert_eq!(list.unreadable.len(), 1);
    assert!(list.unreadable[0].starts_with("the hold d2: "), "{:?}", list.unreadable);
    assert!(store.holds().await.is_err(), "a decision must know every hold");
    for (n, readable, unreadable) in [(1, 1, 0), (2, 0, 1)] {
        let key = hold(n).key;
        let list = store.all_holds_of(&key).await.unwrap();
        assert_eq!((list.holds.len(), list.unreadable.len()), (readable, unreadable), "{key}");
        assert_eq!(store.holds_of(&key).await.is_err(), unreadable > 0, "{key}");
    }
    store.reserve(None, &limits, vec![hold(1)], Time(2)).await.unwrap().unwrap();
    assert!(store.reserve(None, &limits, vec![hold(2)], Time(2)).await.is_err());
}

#[tokio::test]
async fn an_error_quotes_no_stored_value() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    let store = SqliteStore::open_inline(&path, SqliteSettings::default()).unwrap();
    fill(&store).await;
    let file = Connection::open(&path).unwrap();
    for (table, column) in [("hold", "hold"), ("work", "parked")] {
        file.execute(&format!("UPDATE {table} SET {column} = '\"hunter2\"'"), []).unwrap();
    }
    let mut found = errors(&store).await;
    let limits = Limits { removes: 0, ..Limits::default() };
    found.push(store.reserve(None, &limits, vec![hold(2)], Time(2)).await.unwrap_err());
    for name in ["the hold d2", "the row of repository:acme:1"] {
        assert!(found.iter().any(|error| error.to_string().contains(name)), "{name}: {found:?}");
    }
    for error in found {
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    let list = store.all_holds().await.unwrap();
    assert!(list.unreadable[0].contains("hunter2"), "an operator sees the reason: {:?}", list.unreadable);
}
