//! Tests that the engine finds the writes that the policies of a person asked for.

use beadle_engine::store::prelude::*;
use beadle_engine::{AuthoredPolicies, Entry, EntryKind, History, Time};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use serde_json::{Value, json};

fn entry(kind: EntryKind, key: &str, detail: Value) -> Entry {
    Entry {
        seq: 0,
        at: Time(1000),
        kind,
        key: key.to_owned(),
        subject: "acme".to_owned(),
        intent: None,
        trace: None,
        detail: detail.into(),
    }
}

/// Returns the entry of a policy that came into force.
fn policy(generation: &str, author: &str, base: Option<&str>) -> Entry {
    let mut detail = json!({
        "in_force": generation, "repository": "acme/admin", "commit": generation, "author": author,
        "subject": "Drop a team",
    });
    if let Some(base) = base {
        detail["base"] =
            json!({ "repository": "acme/base", "commit": "b", "author": base, "subject": "Add a team" });
    }
    entry(EntryKind::Policy, "-", detail)
}

fn write(key: &str, generation: &str, first: Option<&str>) -> Entry {
    let mut detail = json!({
        "aspect": "teams", "what": "team ops", "mode": "enforce", "after": [], "write": null,
        "generation": generation,
        "fields": [{ "name": "permission", "before": "push", "after": null, "asked": null, "risk": "removes" }],
    });
    if let Some(first) = first {
        detail["first_asked"] = json!(first);
    }
    entry(EntryKind::Intent, key, detail)
}

async fn store(folder: &tempfile::TempDir, entries: Vec<Entry>) -> SqliteStore {
    let store = SqliteStore::open(&folder.path().join("beadle.db"), SqliteSettings::default()).unwrap();
    store.journal(None, entries, Time(1000)).await.unwrap();
    store
}

#[tokio::test]
async fn the_writes_of_an_authors_policies_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let of_acme = "repository:acme:1";
    let store = store(
        &folder,
        vec![
            policy("g1", "ada", None),
            policy("g2", "zoe", None),
            policy("g3", "zoe", Some("ada")),
            write(of_acme, "g1", None),
            write(of_acme, "g2", None),
            write("organisation:acme:1", "g2", Some("g1")),
            write(of_acme, "g3", None),
            write("repository:labs:1", "g1", None),
            write(of_acme, "undo of 4", None),
            write(of_acme, "g4", None),
        ],
    )
    .await;
    let is_ada = |author: &str| author == "ada";
    let mut authored = AuthoredPolicies::default();
    authored.read_newer(&store, &is_ada).await.unwrap();
    let newest = History { limit: 20, ..History::default() };
    let entries = store.newest_entries(newest).await.unwrap();
    let found = |authored: &AuthoredPolicies| {
        let asked = entries.iter().filter(|entry| authored.asked_for(entry));
        asked.map(|entry| entry.seq).collect::<Vec<_>>()
    };
    assert_eq!(found(&authored), [7, 6, 4]);
    assert!(!authored.has_unread());
    // A policy came into force after the first search.
    store.journal(None, vec![policy("g4", "ada", None)], Time(1000)).await.unwrap();
    authored.read_newer(&store, &is_ada).await.unwrap();
    assert_eq!(found(&authored), [10, 7, 6, 4]);
}

#[tokio::test]
async fn a_search_for_an_authors_policies_stops_at_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let mut entries = vec![policy("old", "ada", None)];
    entries.extend((0..AuthoredPolicies::LIMIT).map(|n| policy(&format!("g{n}"), "zoe", None)));
    let store = store(&folder, entries).await;
    let mut authored = AuthoredPolicies::default();
    authored.read_newer(&store, &|author: &str| author == "ada").await.unwrap();
    assert!(authored.has_unread());
    let note = AuthoredPolicies::unread_note("this author");
    assert!(
        note.contains("the newest 5000 journal entries about policies for policies of this author"),
        "{note}"
    );
    assert!(!authored.asked_for(&write("repository:acme:1", "old", None)));
}
