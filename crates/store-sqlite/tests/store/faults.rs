//! Tests of a store that cannot write. A call fails and stores nothing, and later calls succeed as
//! soon as the store can write again.

use std::sync::Arc;

use beadle_engine::queue::LONGEST_HOLD;
use beadle_engine::store::prelude::*;
use beadle_engine::{
    Accepted, Class, Delivery, Failure, Key, Lane, Listing, Mark, Row, StoreError, StoreRecord, Time,
};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};

fn delivery(id: &str, size: usize) -> Delivery {
    // Random bytes, which compression cannot make smaller.
    let mut seed = 1u32;
    let body = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed.to_be_bytes()[0]
    });
    Delivery {
        source: "github".into(),
        id: id.into(),
        actor: None,
        event: "ping".into(),
        instance: "-".into(),
        received: Time(1),
        body: body.take(size).collect(),
    }
}

fn marks() -> Vec<Mark> {
    vec![Mark::new(Key::new("repository", "acme", 1), Lane::Event)]
}

#[tokio::test]
async fn a_full_disk_keeps_nothing_half_done() {
    let folder = tempfile::tempdir().unwrap();
    let settings = SqliteSettings { max_bytes: Some(512 * 1024), ..SqliteSettings::default() };
    let store = SqliteStore::open(&folder.path().join("b.db"), settings).unwrap();
    let mut stored = 0;
    let error = loop {
        match store.accept(delivery(&format!("d{stored}"), 32 * 1024), Vec::new()).await {
            Ok(accepted) => assert_eq!(accepted, Accepted::Stored),
            Err(error) => break error,
        }
        stored += 1;
        assert!(stored < 1000, "the limit does not hold");
    };
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    let listing = Listing { limit: 1000, ..Listing::default() };
    assert_eq!(store.deliveries(listing.clone()).await.unwrap().len(), stored);
    // A delivery that fits on the disk is stored, although other deliveries of the same commit do
    // not fit.
    let store = Arc::new(store);
    let (large, small) = tokio::join!(
        store.accept(delivery("large", 200 * 1024), marks()),
        store.accept(delivery("small", 10), Vec::new())
    );
    assert!(large.is_err());
    assert_eq!(small, Ok(Accepted::Stored));
    assert_eq!(store.deliveries(listing).await.unwrap().len(), stored + 1);
    assert_eq!(store.next_due().await.unwrap(), None, "a delivery that was not stored marked nothing");
}

#[tokio::test]
async fn two_processes_on_one_file_wait_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    let one = Arc::new(SqliteStore::open(&path, SqliteSettings::default()).unwrap());
    let other = Arc::new(SqliteStore::open(&path, SqliteSettings::default()).unwrap());
    let write = |store: Arc<SqliteStore>, name: &'static str| async move {
        for n in 0..100 {
            store.accept(delivery(&format!("{name}{n}"), 100), marks()).await.unwrap();
        }
    };
    tokio::join!(write(one.clone(), "a"), write(other.clone(), "b"));
    let listing = Listing { limit: 1000, ..Listing::default() };
    assert_eq!(other.deliveries(listing).await.unwrap().len(), 200);
}

#[tokio::test]
async fn a_file_of_a_later_version_or_of_another_kind_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    drop(SqliteStore::open(&path, SqliteSettings::default()).unwrap());
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 999).unwrap();
    drop(connection);
    let error = SqliteStore::open(&path, SqliteSettings::default()).err().unwrap();
    assert!(matches!(error, StoreError::Corrupt { .. }) && error.to_string().contains("999"), "{error}");
    let path = folder.path().join("text.db");
    std::fs::write(&path, "this is no database, whatever its name says").unwrap();
    let error = SqliteStore::open(&path, SqliteSettings::default()).err().unwrap();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    drop(SqliteStore::open(&path, SqliteSettings::default()).unwrap());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_hold_of_years_comes_back_although_nothing_else_is_due() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("b.db"), SqliteSettings::default()).unwrap();
    let key = Key::new("repository", "acme", 1);
    let mut row = Row::new(key.clone());
    row.mark(&Mark::new(key.clone(), Lane::Sweep), Time(1), store.timing());
    row.not_before = Time(315_360_000_000);
    store.take(StoreRecord::Row(row)).await.unwrap();
    let now = Time(1000);
    assert!(store.claim(1, now).await.unwrap().is_empty());
    let due = store.row(&key).await.unwrap().unwrap().due_at();
    assert_eq!(due, Some(now + LONGEST_HOLD));
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_is_deleted_or_replaced_takes_nothing_more_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let (path, aside) = (folder.path().join("b.db"), folder.path().join("aside.db"));
    let store = SqliteStore::open(&path, SqliteSettings::default()).unwrap();
    assert_eq!(store.accept(delivery("one", 10), marks()).await, Ok(Accepted::Stored));
    std::fs::rename(&path, &aside).unwrap();
    for replaced in [false, true] {
        if replaced {
            std::fs::write(&path, "").unwrap();
        }
        let error = store.accept(delivery("two", 10), marks()).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains("deleted or replaced"), "{error}");
        assert!(store.ready().await.is_err());
    }
    std::fs::rename(&aside, &path).unwrap();
    assert_eq!(store.ready().await, Ok(()));
    assert_eq!(store.accept(delivery("two", 10), marks()).await, Ok(Accepted::Stored));
}

#[cfg(unix)]
#[tokio::test]
async fn a_deleted_write_ahead_log_stops_the_store_until_the_log_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join("b.db"), folder.path().join("link.db"));
    drop(SqliteStore::open(&path, SqliteSettings::default()).unwrap());
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let store = SqliteStore::open(&link, SqliteSettings::default()).unwrap();
    assert_eq!(store.accept(delivery("one", 10), marks()).await, Ok(Accepted::Stored));
    for beside in ["b.db-wal", "b.db-shm"] {
        let (beside, aside) = (folder.path().join(beside), folder.path().join("aside"));
        std::fs::rename(&beside, &aside).unwrap();
        let error = store.accept(delivery("two", 10), marks()).await.unwrap_err();
        assert!(error.to_string().contains("deleted or replaced"), "{error}");
        assert!(store.ready().await.is_err());
        std::fs::rename(&aside, &beside).unwrap();
        assert_eq!(store.ready().await, Ok(()));
    }
    assert_eq!(store.accept(delivery("three", 10), marks()).await, Ok(Accepted::Stored));
}

#[tokio::test]
async fn after_a_flush_the_file_alone_has_everything() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("b.db"), folder.path().join("copy.db"));
    let store = SqliteStore::open(&path, SqliteSettings::default()).unwrap();
    assert_eq!(store.accept(delivery("one", 10), marks()).await, Ok(Accepted::Stored));
    store.flush().await.unwrap();
    std::fs::copy(&path, &copy).unwrap();
    let copied = SqliteStore::open(&copy, SqliteSettings::default()).unwrap();
    let listing = Listing { limit: 10, ..Listing::default() };
    assert_eq!(copied.deliveries(listing).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_damaged_file_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    let store = SqliteStore::open(&path, SqliteSettings::default()).unwrap();
    store.accept(delivery("one", 10), marks()).await.unwrap();
    store.flush().await.unwrap();
    drop(store);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096..].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let error = match SqliteStore::open(&path, SqliteSettings::default()) {
        Err(error) => error,
        Ok(store) => {
            let error = store.rows(10).await.unwrap_err();
            let ready = store.ready().await;
            assert!(matches!(ready, Err(StoreError::Corrupt { .. })), "{ready:?}");
            error
        }
    };
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("b.db") && error.to_string().contains("backup"), "{error}");
    assert_eq!(Failure::from(error).class, Class::Fatal);
}
