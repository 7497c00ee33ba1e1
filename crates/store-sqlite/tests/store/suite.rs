//! Runs the tests that every store must pass. Each test runs once with a thread for writes, and
//! once without this thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use beadle_engine::Store;
use beadle_store_sqlite::{SqliteSettings, SqliteStore};

#[tokio::test]
async fn with_the_writers_thread() {
    let folder = tempfile::tempdir().unwrap();
    let n = AtomicU32::new(0);
    beadle_engine::testing::suite(async || {
        let path = folder.path().join(format!("{}.db", n.fetch_add(1, Ordering::Relaxed)));
        Arc::new(SqliteStore::open(&path, SqliteSettings::default()).unwrap()) as Arc<dyn Store>
    })
    .await;
}

#[tokio::test]
async fn inline() {
    let folder = tempfile::tempdir().unwrap();
    let n = AtomicU32::new(0);
    beadle_engine::testing::suite(async || {
        let path = folder.path().join(format!("{}.db", n.fetch_add(1, Ordering::Relaxed)));
        Arc::new(SqliteStore::open_inline(&path, SqliteSettings::default()).unwrap()) as Arc<dyn Store>
    })
    .await;
}
