//! Tests the notes about the state of a key: the state, and the list of its unwritten changes.

use std::path::Path;

use beadle_engine::store::prelude::*;
use beadle_engine::{Key, KeyScope, KeyState, Report, Risk, Step, StepResult, Time, testing};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use serde_json::json;

/// The name of the note with the list of unwritten changes.
const LIST: &str = "unwritten:repository:acme:1";
const STATE: &str = "key-state:repository:acme:1";

fn key() -> Key {
    Key::new("repository", "acme", 1)
}

fn store(folder: &Path) -> SqliteStore {
    SqliteStore::open_inline(&folder.join("b.db"), SqliteSettings::default()).unwrap()
}

/// Returns the report of a run with an unwritten change of each of these labels.
fn report(labels: &[&str]) -> Report {
    let step = |what: &&str| Step {
        change: testing::change("labels", what, &[Risk::Adds]),
        outcome: StepResult::Withheld,
    };
    Report {
        subject: "acme/shop".into(),
        steps: labels.iter().map(step).collect(),
        unknowns: Vec::new(),
        skipped: None,
        failure: None,
    }
}

/// Returns the labels of the unwritten changes that the page of the key would show.
async fn listed(store: &SqliteStore) -> Vec<String> {
    let state = KeyState::get(store, &key()).await.unwrap().unwrap();
    let changes = state.unwritten(store, &key()).await.unwrap();
    changes.into_iter().map(|change| change.what).collect()
}

#[tokio::test]
async fn the_unwritten_changes_are_a_note_of_their_own_that_is_written_only_when_they_change() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    KeyState::record(&store, &key(), &report(&["a", "b"]), Time(1)).await.unwrap();
    assert_eq!(listed(&store).await, ["a", "b"]);
    let state = store.get(STATE).await.unwrap().unwrap();
    assert!(!state.contains("label"), "a list of repositories reads only the state: {state}");
    // If a run wrote the list again, the note would have its old text again.
    let list = store.get(LIST).await.unwrap().unwrap();
    store.put(LIST, "[]").await.unwrap();
    KeyState::record(&store, &key(), &report(&["a", "b"]), Time(2)).await.unwrap();
    assert_eq!(store.get(LIST).await.unwrap().as_deref(), Some("[]"));
    store.put(LIST, &list).await.unwrap();
    KeyState::record(&store, &key(), &report(&["a"]), Time(3)).await.unwrap();
    assert_eq!(listed(&store).await, ["a"]);
    KeyState::record(&store, &key(), &report(&[]), Time(4)).await.unwrap();
    assert_eq!((listed(&store).await.len(), store.get(LIST).await.unwrap()), (0, None));
}

#[tokio::test]
async fn the_list_is_deleted_with_its_state() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    KeyState::record(&store, &key(), &report(&["a"]), Time(1)).await.unwrap();
    let other = Key::new("repository", "acme", 2);
    KeyState::record(&store, &other, &report(&["b"]), Time(1)).await.unwrap();
    let scope = KeyScope::new("repository", "acme");
    KeyState::forget_others(&store, &scope, &[other].into()).await.unwrap();
    assert_eq!((store.get(STATE).await.unwrap(), store.get(LIST).await.unwrap()), (None, None));
    assert_eq!(store.notes("unwritten:").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_list_of_another_run_is_not_shown_and_the_next_run_replaces_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    KeyState::record(&store, &key(), &report(&["a"]), Time(1)).await.unwrap();
    let state = store.get(STATE).await.unwrap().unwrap();
    KeyState::record(&store, &key(), &report(&["b"]), Time(2)).await.unwrap();
    // The process of the second run ended before it stored the state.
    store.put(STATE, &state).await.unwrap();
    assert!(listed(&store).await.is_empty());
    KeyState::record(&store, &key(), &report(&["b"]), Time(3)).await.unwrap();
    assert_eq!(listed(&store).await, ["b"]);
}

#[tokio::test]
async fn a_state_of_an_older_version_gets_its_list_with_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let change = json!({
        "aspect": "labels", "what": "a", "values": ["x"], "risk": "adds", "asked": null, "because": "mode",
    });
    let state = json!({
        "subject": "acme/shop", "since": 1, "pending": 1, "withheld": 1, "drift": { "labels": "mode" },
        "changes": [change],
    });
    store.put(STATE, &state.to_string()).await.unwrap();
    assert!(listed(&store).await.is_empty());
    KeyState::record(&store, &key(), &report(&["a"]), Time(9)).await.unwrap();
    assert_eq!(listed(&store).await, ["a"]);
    let state = KeyState::get(&store, &key()).await.unwrap().unwrap();
    assert_eq!((state.since, state.withheld), (Time(1), 1));
    assert!(!store.get(STATE).await.unwrap().unwrap().contains("changes"));
}
