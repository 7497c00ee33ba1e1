//! Tests of the end of a sweep and of its summary.

use std::time::Duration;

use beadle_engine::store::prelude::*;
use beadle_engine::{Entry, EntryKind, Key, KeyScope, Lane, Mark, Outcome, Time, sweep};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use serde_json::{Value, json};

fn run(key: &Key, at: Time, detail: Value) -> Entry {
    let (key, subject, detail) = (key.to_string(), "acme/widgets".to_owned(), detail.into());
    Entry { seq: 0, at, kind: EntryKind::Run, key, subject, intent: None, trace: None, detail }
}

/// The writes of a run cause webhooks, so the key of the run gets a new mark during the run.
#[tokio::test]
async fn a_sweep_ends_when_its_last_run_does_and_counts_what_any_run_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let store =
        SqliteStore::open_inline(&folder.path().join("beadle.db"), SqliteSettings::default()).unwrap();
    let at = |seconds: u64| Time(1_700_000_000_000) + Duration::from_secs(seconds);
    let scopes = [KeyScope::new("repository", "acme")];
    let keys = [1, 2].map(|id| Key::new("repository", "acme", id));
    assert_eq!(sweep::begun_at(&store, "acme").await.unwrap(), None);
    assert!(sweep::begin(&store, "acme", 2, at(0)).await.unwrap());
    assert_eq!(sweep::begun_at(&store, "acme").await.unwrap(), Some(at(0)));
    let marks = keys.iter().map(|key| Mark::new(key.clone(), Lane::Sweep)).collect();
    store.mark(marks, at(0)).await.unwrap();
    let claims = store.claim(2, at(1)).await.unwrap();
    assert_eq!(claims.len(), 2);
    for claim in &claims {
        store.mark(vec![Mark::new(claim.lease.key.clone(), Lane::Event)], at(2)).await.unwrap();
    }
    assert_eq!(sweep::summarise(&store, "acme", &scopes, at(3)).await.unwrap(), None, "both are worked on");
    let wrote = json!({ "changes": 25, "written": 25, "held": 0, "failed": 0, "unknown": [] });
    for claim in &claims {
        store.journal(None, vec![run(&claim.lease.key, at(4), wrote.clone())], at(4)).await.unwrap();
    }
    store.finish(&claims[0].lease, Outcome::Done, at(5)).await.unwrap();
    assert_eq!(sweep::summarise(&store, "acme", &scopes, at(6)).await.unwrap(), None, "one is worked on");
    store.finish(&claims[1].lease, Outcome::Done, at(7)).await.unwrap();
    // The runs for the webhooks begin now. The sweep does not wait for their end.
    let again = store.claim(2, at(8)).await.unwrap();
    assert_eq!(again.len(), 2);
    let failed = json!({ "changes": 1, "written": 0, "held": 0, "failed": 1, "unknown": [] });
    store.journal(None, vec![run(&keys[1], at(8), failed)], at(8)).await.unwrap();
    let summary = sweep::summarise(&store, "acme", &scopes, at(9)).await.unwrap().unwrap();
    assert_eq!((summary.checked, summary.drifted, summary.repaired, summary.failed), (2, 2, 2, 1));
    assert_eq!(sweep::summarise(&store, "acme", &scopes, at(10)).await.unwrap(), None, "once");
    assert_eq!(sweep::begun_at(&store, "acme").await.unwrap(), None);
}

/// Somebody ran an undo during a sweep. The undo of the sweep leaves these writes out.
#[tokio::test]
async fn the_writes_of_an_undo_are_no_repairs_of_a_sweep() {
    let at = Time(1_700_000_000_000);
    let key = |id: u64| Key::new("repository", "acme", id);
    let wrote = |id: u64, is_undo: bool| {
        let mut counts = json!({ "changes": 1, "written": 1, "held": 0, "failed": 0, "unknown": [] });
        if is_undo {
            counts["is_undo"] = json!(true);
        }
        run(&key(id), at, counts)
    };
    for (entries, repaired) in [
        (vec![wrote(1, true)], 0),
        (vec![wrote(1, true), wrote(1, false)], 1),
        (vec![wrote(2, false), wrote(1, true)], 1),
    ] {
        let shown = format!("{entries:?}");
        let folder = tempfile::tempdir().unwrap();
        let store =
            SqliteStore::open_inline(&folder.path().join("beadle.db"), SqliteSettings::default()).unwrap();
        sweep::begin(&store, "acme", 2, at).await.unwrap();
        store.journal(None, entries, at).await.unwrap();
        let scopes = [KeyScope::new("repository", "acme")];
        let summary = sweep::summarise(&store, "acme", &scopes, at).await.unwrap().unwrap();
        assert_eq!(summary.repaired, repaired, "{shown}");
    }
}
