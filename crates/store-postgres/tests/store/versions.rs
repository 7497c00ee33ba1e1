//! Tests of the schema's versions.

use beadle_engine::store::prelude::*;
use beadle_engine::{Lane, Mark, StoreError, Time};
use beadle_store_postgres::{PostgresSettings, PostgresStore, SchemaVersion};

use crate::cluster::{new_schema, open, run};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_may_lose_what_it_confirmed_is_refused() {
    let url = format!("{}&options=-c%20synchronous_commit=off", new_schema().await);
    let refused = PostgresStore::open(&url, PostgresSettings::default()).await.err().unwrap();
    assert!(refused.to_string().contains("synchronous_commit"), "{refused}");
}
