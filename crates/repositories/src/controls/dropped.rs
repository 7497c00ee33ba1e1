//! Finds out what the policy of a repository declared between two writes: whether it no longer
//! declared a value, or declared another value.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use beadle_engine::{Change, Key, Store, StoreError, Time};
use serde_json::Value;

use super::part::cut;
use super::state::{ControlLines, ControlState};
use crate::policy::{NO_OTHERS, contains, exempts, parts};
use crate::undo::value_paths;

/// The number of notes that one call reads.
const PAGE: u32 = 100;

/// The parts of a policy. The key is the digest of the part. The value is `None` if the store no
/// longer has the part.
type PolicyParts = HashMap<String, Option<ControlLines>>;

/// The declared values at a path. Each value comes with the remaining part of its path.
type Declared<'a> = BTreeSet<(Vec<&'a str>, &'a str)>;

/// Answers many questions about the record of controls, and reads each note at most once.
pub struct PastPolicies<'a> {
    store: &'a dyn Store,
    states: HashMap<Key, PastStates>,
    /// For each organisation, the parts of its policies.
    parts: HashMap<String, PolicyParts>,
}

/// The states of a repository that [`PastPolicies`] has already read.
struct PastStates {
    /// The newest state comes first.
    states: Vec<ControlState>,
    /// The name of the note that was read last. `None` if all notes were read.
    next: Option<String>,
}

/// A value that two writes wrote.
struct WrittenValue<'a> {
    path: &'a str,
    /// The written value. It is `null` if the writes removed the value.
    after: &'a Value,
    /// The time of the first write.
    first: Time,
}

impl<'a> PastPolicies<'a> {
    /// Creates a reader of the record. The reader has not read any note yet.
    #[must_use]
    pub fn new(store: &'a dyn Store) -> Self {
        Self { store, states: HashMap::new(), parts: HashMap::new() }
    }

    /// Returns whether the policy dropped one of the values of a change. The policy dropped a value
    /// if the policy no longer declared the value, or declared another value. If the change removed
    /// an entry, the policy dropped the removal as soon as the policy declared the entry. The
    /// function looks at the record of the repository between two writes of the same values. If the
    /// record does not show the values, the result is `false`. Only repositories have a record of
    /// controls.
    pub async fn was_dropped(
        &mut self,
        key: &Key,
        change: &Change<()>,
        (first, second): (Time, Time),
    ) -> Result<bool, StoreError> {
        if key.kind() != "repository" || first >= second {
            return Ok(false);
        }
        let past = self.states.entry(key.clone()).or_insert_with(PastStates::unread);
        past.read_until(self.store, key, first).await?;
        let states = past.between(first, second);
        let parts = self.parts.entry(key.instance().to_owned()).or_default();
        for digest in states.iter().flat_map(|state| &state.lines) {
            let Entry::Vacant(place) = parts.entry(digest.clone()) else { continue };
            let found = ControlLines::of_part(key.instance(), digest).first(self.store).await?;
            place.insert(found.map(|(_, lines)| lines));
        }
        let values = value_paths(change);
        Ok(values.iter().any(|(path, after)| WrittenValue { path, after, first }.is_dropped(&states, parts)))
    }
}

impl PastStates {
    fn unread() -> Self {
        Self { states: Vec::new(), next: Some(String::new()) }
    }

    /// Reads the states, from the newest state back to the state that was valid at the time
    /// `first`.
    async fn read_until(&mut self, store: &dyn Store, key: &Key, first: Time) -> Result<(), StoreError> {
        let notes = ControlState::of_repository(key.instance(), key.id());
        while self.states.last().is_none_or(|state| state.at > first) {
            let Some(begin) = self.next.take() else { break };
            let (page, next) = notes.page(store, &begin, PAGE).await?;
            self.states.extend(page.into_iter().map(|(_, state)| state));
            self.next = next;
        }
        Ok(())
    }

    /// Returns the states between two times, from the oldest to the newest. The first state can be
    /// older than this period, because a state is valid until the next state. The result omits
    /// states without a policy. These are the states of failed runs, and of runs without a policy
    /// for the repository.
    fn between(&self, first: Time, second: Time) -> Vec<&ControlState> {
        let mut found = Vec::new();
        for state in self.states.iter().filter(|state| state.at < second) {
            if state.failed.is_none() && state.outside.is_none() {
                found.push(state);
            }
            if state.at <= first {
                break;
            }
        }
        found.reverse();
        found
    }
}

impl WrittenValue<'_> {
    /// Returns whether the policy dropped the value: an earlier state declares a value, and a later
    /// state declares no value or another value.
    fn is_dropped(&self, states: &[&ControlState], parts: &PolicyParts) -> bool {
        let mut is_declared = false;
        let mut base: Option<Declared<'_>> = None;
        for state in states {
            let Some(mut declared) = self.declared(state, parts) else { continue };
            // A state from before the first write can show an older policy than the policy that
            // caused this write.
            if state.at <= self.first && !self.is_written(&declared) {
                is_declared = !self.after.is_null() && !declared.is_empty();
                continue;
            }
            if declared.is_empty() {
                if is_declared {
                    return true;
                }
                continue;
            }
            is_declared = true;
            if !self.is_comparable() {
                continue;
            }
            if self.is_whole_entry() && !self.after.is_null() {
                declared.retain(|(rest, _)| rest.is_empty());
            }
            match &base {
                Some(base) if *base != declared => return true,
                Some(_) => {}
                None => base = Some(declared),
            }
        }
        false
    }

    /// Returns what a state declares for the path, for a path below it, or for a block that
    /// contains the path. Returns `None` if a waiver can hide the path, or if the store no longer
    /// has the declared values.
    fn declared<'a>(&self, state: &'a ControlState, policy: &'a PolicyParts) -> Option<Declared<'a>> {
        if state.waived.iter().any(|waived| exempts(&waived.key, self.path)) {
            return None;
        }
        let depth = self.depth();
        let mut found = Declared::new();
        for digest in &state.lines {
            let lines = policy.get(digest)?.as_ref()?;
            for (control, line) in &lines.controls {
                if !contains(control, self.path) && !contains(self.path, control) {
                    continue;
                }
                let names = parts(control).unwrap_or_default();
                if names.len() < depth && line.is_list() {
                    // A list that forbids undeclared entries declares only that an entry is absent.
                    // It does not declare the values of an entry.
                    if self.after.is_null() {
                        found.insert((Vec::new(), NO_OTHERS));
                    }
                    continue;
                }
                found.insert((names.into_iter().skip(depth).collect(), line.value.as_str()));
            }
        }
        Some(found)
    }

    /// Returns whether the declared values are the written value.
    fn is_written(&self, declared: &Declared<'_>) -> bool {
        if self.after.is_null() {
            return declared.iter().all(|(_, value)| [NO_OTHERS, "null"].contains(value));
        }
        let after = cut(self.after.to_string());
        declared.iter().any(|(_, value)| **value == *after)
    }

    fn depth(&self) -> usize {
        parts(self.path).map_or(0, |names| names.len())
    }

    /// Returns whether the declared values at the path can show that two policies differ. The path
    /// of a section cannot show this. Some values have no separate path, and several of them share
    /// the path of their section.
    fn is_comparable(&self) -> bool {
        self.depth() > 1
    }

    /// Returns whether the path means an entry with several values. A custom property has one value.
    fn is_whole_entry(&self) -> bool {
        self.depth() == 2 && self.path.ends_with(']') && !self.path.starts_with("custom_properties")
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::Waived;
    use beadle_store_sqlite::{SqliteSettings, SqliteStore};
    use serde_json::json;

    use super::super::state::ControlLine;
    use super::*;

    /// The control that belongs to the whole list of teams. It forbids teams that are not in the
    /// list.
    const LIST: &str = "teams = \"no other entries\"";

    /// Returns a change of a value.
    fn change(aspect: &str, what: &str, name: &str) -> Change<()> {
        change_to(aspect, what, name, &json!(2))
    }

    fn change_to(aspect: &str, what: &str, name: &str, after: &Value) -> Change<()> {
        let field = json!({ "name": name, "before": 1, "after": after, "asked": null, "risk": "changes" });
        let change = json!({
            "aspect": aspect, "what": what, "fields": [field], "mode": "enforce", "after": [], "write": null,
        });
        serde_json::from_value(change).unwrap()
    }

    fn key() -> Key {
        Key::new("repository", "acme", 1)
    }

    /// Returns a control. The text is `PATH` or `PATH = VALUE`.
    fn control(text: &str) -> (String, ControlLine) {
        let (path, value) = text.split_once(" = ").unwrap_or((text, "2"));
        (path.to_owned(), ControlLine { value: value.to_owned(), line: 1 })
    }

    /// Stores a part of a policy that declares these paths.
    async fn declare(store: &SqliteStore, digest: &str, paths: &[&str]) {
        let controls = paths.iter().map(|path| control(path)).collect();
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
        let admins = "branches[default].protection.enforce_admins";
        declare(&store, "all", &[LIST, "teams[core].permission", admins]).await;
        declare(&store, "less", &[LIST, "teams[web].permission"]).await;
        for (at, lines) in [(10, "all"), (20, "less"), (30, "all")] {
            record(&store, at, &[lines], ControlState::default()).await;
        }
        let was_dropped = async |change: &Change<()>, first: i64, second: i64| {
            PastPolicies::new(&store).was_dropped(&key(), change, (Time(first), Time(second))).await.unwrap()
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
            let mut past = PastPolicies::new(&store);
            let found = past.was_dropped(&key(), &core, (Time(10), Time(30))).await.unwrap();
            assert_eq!(found, expected, "{between:?} {lines}");
        }
    }

    #[tokio::test]
    async fn a_policy_in_between_with_another_value_counts_but_not_the_policy_before() {
        let (push, admin) = ("teams[core].permission = \"push\"", "teams[core].permission = \"admin\"");
        let (name, none) = ("teams[core].name = \"core\"", "teams[web].permission = \"push\"");
        let null = Value::Null;
        for (after, states, expected) in [
            (&null, [Some(push), Some(none), None], false),
            (&null, [Some(none), None, None], false),
            (&null, [Some(push), Some(none), Some(push)], true),
            (&null, [Some(none), Some(push), None], true),
            (&null, [Some(none), Some(name), None], true),
            (&json!("admin"), [Some(push), Some(admin), None], false),
            (&json!("admin"), [Some(admin), Some(push), None], true),
            (&json!("admin"), [None, Some(admin), Some(push)], true),
            (&json!("admin"), [Some(admin), Some(none), None], true),
            (&json!("admin"), [Some(none), Some(admin), None], false),
        ] {
            let (_folder, store) = temporary();
            for (at, declared) in [5, 15, 20].into_iter().zip(states) {
                let Some(declared) = declared else { continue };
                let digest = format!("digest-{at}");
                declare(&store, &digest, &[LIST, declared]).await;
                record(&store, at, &[digest.as_str()], ControlState::default()).await;
            }
            let core = change_to("teams", "team core", "permission", after);
            let mut past = PastPolicies::new(&store);
            for _ in 0..2 {
                let found = past.was_dropped(&key(), &core, (Time(10), Time(30))).await.unwrap();
                assert_eq!(found, expected, "{after} {states:?}");
            }
            assert!(!past.was_dropped(&key(), &core, (Time(25), Time(30))).await.unwrap(), "{states:?}");
        }
    }
}
