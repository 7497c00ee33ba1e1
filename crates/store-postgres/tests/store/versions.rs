//! Tests of the schema's versions.

use beadle_engine::store::prelude::*;
use beadle_engine::{Entry, EntryKind, Lane, Listing, Mark, Retention, StoreError, Time};
use beadle_store_postgres::{PostgresSettings, PostgresStore, SchemaVersion};

use crate::cluster::{check, connect, new_schema, open, run, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_together_migrate_once() {
    let url = new_schema().await;
    let (a, b, c, d) = tokio::join!(open(&url), open(&url), open(&url), open(&url));
    for (n, store) in [a, b, c, d].iter().enumerate() {
        let key = beadle_engine::Key::new("repository", "acme", n);
        store.mark(vec![Mark::new(key, Lane::Event)], Time(0)).await.unwrap();
    }
    assert_eq!(open(&url).await.rows(10).await.unwrap().len(), 4, "a second start keeps the data");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_version_is_read_and_the_schema_stays_as_it_is() {
    let url = new_schema().await;
    assert_eq!(PostgresStore::version(&url).await.unwrap(), None);
    assert!(!PostgresStore::exists(&url).await.unwrap(), "nothing was created");
    open(&url).await;
    let version = PostgresStore::version(&url).await.unwrap().unwrap();
    assert_eq!(version.stored, version.supported);
    // An older version has created the schema.
    run(&url, "UPDATE schema_version SET version = version - 1").await;
    for _ in 0..2 {
        let older = SchemaVersion { stored: version.stored - 1, ..version };
        assert_eq!(PostgresStore::version(&url).await.unwrap(), Some(older));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_release_works_beside_a_newer_one_and_an_older_one_refuses() {
    let url = new_schema().await;
    open(&url).await.put("a", "1").await.unwrap();
    run(
        &url,
        "ALTER TABLE note ADD COLUMN more text NOT NULL DEFAULT ''; UPDATE schema_version SET version = 99",
    )
    .await;
    let store = open(&url).await;
    store.put("b", "2").await.unwrap();
    assert_eq!(store.notes("").await.unwrap().len(), 2);
    run(&url, "UPDATE schema_version SET oldest = 99").await;
    let refused = PostgresStore::open(&url, PostgresSettings::default()).await.err().unwrap();
    assert!(matches!(&refused, StoreError::Corrupt { why, .. } if why.contains("99")), "{refused}");
}

fn entry(at: i64) -> Entry {
    Entry {
        seq: 0,
        at: Time(at),
        kind: EntryKind::Run,
        key: "repository:acme:1".into(),
        subject: "acme/widgets".into(),
        intent: None,
        trace: None,
        detail: serde_json::json!({}).into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_partitions_of_the_journal_go_at_once() {
    let url = new_schema().await;
    let store = open(&url).await;
    let prune = async |before: i64| {
        let (bodies_before, ids_before) = (Time(0), Time(0));
        let retention = Retention { bodies_before, ids_before, journal_before: Time(before), batch: 1000 };
        store.prune(retention).await.unwrap()
    };
    assert_eq!(prune(0).await, 0);
    check(&url, "to_regclass('journal_1') IS NOT NULL").await;
    // The next numbers are the last numbers of the first partition, and the first numbers of the
    // second partition.
    run(&url, "UPDATE journal_counter SET last = 999990").await;
    let entries = (0..20).map(|n| entry(100 + n)).collect();
    let numbers = store.journal(None, entries, Time(0)).await.unwrap().unwrap();
    assert_eq!((numbers[0], numbers[19]), (999_991, 1_000_010));
    check(&url, "(SELECT count(*) FROM journal_0) = 9 AND (SELECT count(*) FROM journal_1) = 11").await;
    check(&url, "NOT EXISTS (SELECT 1 FROM journal_rest)").await;
    let listing = Listing { after: 999_995, limit: 10, ..Listing::default() };
    let read = store.entries(listing).await.unwrap();
    let read: Vec<u64> = read.into_iter().map(|entry| entry.seq).collect();
    assert_eq!(read, (999_996..=1_000_005).collect::<Vec<u64>>(), "a page has entries of both");
    // One entry of the first partition is too new, so the partition stays.
    assert_eq!(prune(108).await, 8);
    check(&url, "to_regclass('journal_0') IS NOT NULL AND to_regclass('journal_2') IS NOT NULL").await;
    assert_eq!(prune(109).await, 0);
    check(&url, "to_regclass('journal_0') IS NULL").await;
    // The current partition loses its old entries one by one.
    assert_eq!(prune(200).await, 11);
    check(&url, "to_regclass('journal_1') IS NOT NULL").await;
    assert_eq!(store.journal(None, vec![entry(300)], Time(0)).await.unwrap(), Some(vec![1_000_011]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_entries_of_an_old_partition_in_use_are_not_deleted_one_by_one() {
    let url = new_schema().await;
    let store = open(&url).await;
    let retention =
        Retention { bodies_before: Time(0), ids_before: Time(0), journal_before: Time(200), batch: 1000 };
    store.journal(None, vec![entry(1), entry(2)], Time(0)).await.unwrap().unwrap();
    run(&url, "UPDATE journal_counter SET last = 1000005").await;
    let reader = connect(&url).await;
    reader.batch_execute("BEGIN; LOCK TABLE journal_0 IN ACCESS SHARE MODE").await.unwrap();
    assert_eq!(store.prune(retention).await.unwrap(), 0);
    check(&url, "(SELECT count(*) FROM journal_0) = 2").await;
    check(&url, "to_regclass('journal_2') IS NOT NULL").await;
    reader.batch_execute("COMMIT").await.unwrap();
    assert_eq!(store.prune(retention).await.unwrap(), 0);
    check(&url, "to_regclass('journal_0') IS NULL").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_missing_is_built_beside_the_data() {
    let url = new_schema().await;
    let store = open(&url).await;
    store.journal(None, vec![entry(1), entry(2)], Time(0)).await.unwrap().unwrap();
    // The second index is in the state of an interrupted build: only the index of the whole table
    // exists.
    let statements = "DROP INDEX guard_booking_age; DROP INDEX journal_kind;
                      CREATE INDEX journal_kind ON ONLY journal (kind, seq)";
    run(&url, statements).await;
    let is_valid = |index: &str, expected: bool| {
        format!(
            "(SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('{index}') AND indisvalid) = {}",
            i32::from(expected)
        )
    };
    check(&url, &is_valid("journal_kind", false)).await;
    // A transaction that began earlier, such as a backup, delays a build. The store opens anyway.
    let backup = connect(&url).await;
    backup
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM journal")
        .await
        .unwrap();
    let store = open(&url).await;
    store.journal(None, vec![entry(3)], Time(0)).await.unwrap().unwrap();
    check(&url, &is_valid("journal_kind", false)).await;
    backup.batch_execute("COMMIT").await.unwrap();
    for index in ["journal_kind", "guard_booking_age", "work_failed"] {
        wait_for(&url, &is_valid(index, true)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_completed_after_the_last_partition_without_it_is_gone() {
    let url = new_schema().await;
    open(&url).await;
    // A build attached the indexes of two partitions and was interrupted. Then pruning dropped the
    // third partition.
    let statements = "DROP INDEX journal_kind;
                      CREATE TABLE journal_9 PARTITION OF journal FOR VALUES FROM (9000000) TO (10000000);
                      CREATE INDEX journal_kind ON ONLY journal (kind, seq);
                      CREATE INDEX kind_0 ON journal_0 (kind, seq);
                      ALTER INDEX journal_kind ATTACH PARTITION kind_0;
                      CREATE INDEX kind_rest ON journal_rest (kind, seq);
                      ALTER INDEX journal_kind ATTACH PARTITION kind_rest;
                      DROP TABLE journal_9";
    run(&url, statements).await;
    let is_valid = "(SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('journal_kind'))";
    check(&url, &format!("NOT {is_valid}")).await;
    let _store = open(&url).await;
    wait_for(&url, is_valid).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_without_a_partition_are_not_lost() {
    let url = new_schema().await;
    let store = open(&url).await;
    // No process has created the partitions up to this number.
    run(&url, "UPDATE journal_counter SET last = 5000000").await;
    store.journal(None, vec![entry(1)], Time(0)).await.unwrap().unwrap();
    check(&url, "(SELECT count(*) FROM journal_rest) = 1").await;
    let retention =
        Retention { bodies_before: Time(0), ids_before: Time(0), journal_before: Time(0), batch: 10 };
    store.prune(retention).await.unwrap();
    check(&url, "to_regclass('journal_6') IS NOT NULL AND to_regclass('journal_0') IS NULL").await;
    assert_eq!(store.entries(Listing { limit: 10, ..Listing::default() }).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_may_lose_what_it_confirmed_is_refused() {
    let url = format!("{}&options=-c%20synchronous_commit=off", new_schema().await);
    let refused = PostgresStore::open(&url, PostgresSettings::default()).await.err().unwrap();
    assert!(refused.to_string().contains("synchronous_commit"), "{refused}");
}
