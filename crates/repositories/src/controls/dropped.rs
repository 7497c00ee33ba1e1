//! Finds out whether the policy of a repository stopped declaring a value between two writes.

use std::collections::{BTreeSet, HashMap};

use beadle_engine::{Change, Key, Store, StoreError, Time};

use super::state::{ControlLines, ControlState};
use crate::policy::{contains, exempts};
use crate::undo::value_paths;

/// The number of notes that one call reads.
const PAGE: u32 = 100;

/// Returns whether a run found a policy that did not declare one of the values of a change, although
/// an earlier policy had declared this value. The function looks at the record of the repository
/// between two writes of the same values. If the record does not show the values, the result is
/// `false`. Only repositories have such a record.
pub async fn was_dropped(
    store: &dyn Store,
    key: &Key,
    change: &Change<()>,
    (first, second): (Time, Time),
) -> Result<bool, StoreError> {
    if key.kind() != "repository" || first >= second {
        return Ok(false);
    }
    let states = states(store, key, (first, second)).await?;
    let digests: BTreeSet<&String> = states.iter().flat_map(|state| &state.lines).collect();
    let mut parts: HashMap<&str, ControlLines> = HashMap::new();
    for digest in digests {
        if let Some((_, lines)) = ControlLines::of_part(key.instance(), digest).first(store).await? {
            parts.insert(digest, lines);
        }
    }
    Ok(value_paths(change).iter().any(|path| stops(&states, &parts, path)))
}

/// Returns the recorded states of a repository between two times, from the oldest to the newest. The
/// first state can be older, because it is valid until the next one. Leaves out the states without a
/// policy: the run failed, or the policy did not apply to the repository.
async fn states(
    store: &dyn Store,
    key: &Key,
    (first, second): (Time, Time),
) -> Result<Vec<ControlState>, StoreError> {
    let notes = ControlState::of_repository(key.instance(), key.id());
    let mut after = Some(ControlState::note(key.instance(), key.id(), second).name().to_owned());
    let mut found = Vec::new();
    // The newest state comes first.
    'pages: while let Some(begin) = after {
        let (page, next) = notes.page(store, &begin, PAGE).await?;
        for (_, state) in page {
            let is_first = state.at <= first;
            if state.failed.is_none() && state.outside.is_none() {
                found.push(state);
            }
            if is_first {
                break 'pages;
            }
        }
        after = next;
    }
    found.reverse();
    Ok(found)
}

/// Returns whether a state does not declare a path that an earlier state declared.
fn stops(states: &[ControlState], parts: &HashMap<&str, ControlLines>, path: &str) -> bool {
    let mut is_declared = false;
    for state in states {
        match declares(state, parts, path) {
            Some(true) => is_declared = true,
            Some(false) if is_declared => return true,
            Some(false) | None => {}
        }
    }
    false
}

/// Returns whether a state declares a path, a part of it, or a block that contains it. Returns `None`
/// if a waiver can hide the path, or if the store no longer has the declared values.
fn declares(state: &ControlState, parts: &HashMap<&str, ControlLines>, path: &str) -> Option<bool> {
    if state.waived.iter().any(|waived| exempts(&waived.key, path)) {
        return None;
    }
    for digest in &state.lines {
        let controls = &parts.get(digest.as_str())?.controls;
        if controls.keys().any(|control| contains(control, path) || contains(path, control)) {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use beadle_engine::Waived;
    use beadle_store_sqlite::{SqliteSettings, SqliteStore};
    use serde_json::json;

    use super::super::state::ControlLine;
    use super::*;

    /// Returns a change of a value.
    fn change(aspect: &str, what: &str, name: &str) -> Change<()> {
        let field = json!({ "name": name, "before": 1, "after": 2, "asked": null, "risk": "changes" });
        let change = json!({
            "aspect": aspect, "what": what, "fields": [field], "mode": "enforce", "after": [], "write": null,
        });
        serde_json::from_value(change).unwrap()
    }

    fn key() -> Key {
        Key::new("repository", "acme", 1)
    }

    /// Stores a part of a policy that declares these paths.
    async fn declare(store: &SqliteStore, digest: &str, paths: &[&str]) {
        let line = || ControlLine { value: "1".into(), line: 1 };
        let controls = paths.iter().map(|path| ((*path).to_owned(), line())).collect();
        let lines = ControlLines { at: Time(1), file: "settings.yml".into(), commit: "c".into(), controls };
        ControlLines::note("acme", digest, Time(1)).put(store, &lines).await.unwrap();
    }

    /// Stores a state with these parts of the policy.
    async fn record(store: &SqliteStore, at: i64, lines: &[&str], other: ControlState) {
        let lines = lines.iter().map(|digest| (*digest).to_owned()).collect();
        let state = ControlState { at: Time(at), lines, ..other };
        ControlState::note("acme", "1", state.at).put(store, &state).await.unwrap();
    }

    fn temporary() -> (tempfile::TempDir, SqliteStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("beadle.db"), SqliteSettings::default()).unwrap();
        (folder, store)
    }

    #[tokio::test]
    async fn only_a_value_that_a_policy_declared_before_can_be_dropped() {
        let (_folder, store) = temporary();
        declare(&store, "all", &["teams[core].permission", "branches[default].protection.enforce_admins"])
            .await;
        declare(&store, "less", &["teams[web].permission"]).await;
        for (at, lines) in [(10, "all"), (20, "less"), (30, "all")] {
            record(&store, at, &[lines], ControlState::default()).await;
        }
        let was_dropped = async |change: &Change<()>, first: i64, second: i64| {
            was_dropped(&store, &key(), change, (Time(first), Time(second))).await.unwrap()
        };
        let core = change("teams", "team core", "permission");
        for (first, second, expected) in [
            (5, 40, true),
            (10, 25, true),
            (15, 40, true),
            (10, 20, false),
            (20, 40, false),
            (30, 40, false),
            (40, 40, false),
        ] {
            assert_eq!(was_dropped(&core, first, second).await, expected, "{first} {second}");
        }
        let branch = change("protection", "rule main", "enforce_admins");
        assert!(was_dropped(&branch, 10, 40).await, "a plan names the default branch");
        for (aspect, what, name) in [
            ("teams", "team web", "permission"),
            ("settings", "", "has_wiki"),
            ("deploy_keys", "deploy key CI", "read_only"),
        ] {
            assert!(!was_dropped(&change(aspect, what, name), 10, 25).await, "{aspect} {what}");
        }
    }

    #[tokio::test]
    async fn a_run_without_the_policy_drops_no_value() {
        let waived = Waived {
            key: "teams[core]".into(),
            until: "2030-01-01T00:00:00Z".into(),
            reason: "release".into(),
            owner: "mona".into(),
            asked: None,
        };
        let waived = ControlState { waived: vec![waived], ..ControlState::default() };
        let failed = ControlState { failed: Some("502".into()), ..ControlState::default() };
        let outside = ControlState { outside: Some("archived".into()), ..ControlState::default() };
        for (between, lines, expected) in [
            (ControlState::default(), "less", true),
            (waived, "less", false),
            (failed, "less", false),
            (outside, "less", false),
            (ControlState::default(), "deleted", false),
        ] {
            let (_folder, store) = temporary();
            declare(&store, "all", &["teams[core].permission"]).await;
            declare(&store, "less", &["teams[web].permission"]).await;
            record(&store, 10, &["all"], ControlState::default()).await;
            record(&store, 20, &[lines], between.clone()).await;
            let core = change("teams", "team core", "permission");
            let found = was_dropped(&store, &key(), &core, (Time(10), Time(30))).await.unwrap();
            assert_eq!(found, expected, "{between:?} {lines}");
        }
    }
}
