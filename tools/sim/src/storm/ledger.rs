//! Remembers every value that a state ever had. A run without faults fills the ledger. A run with
//! faults must not set a value that is not in the ledger. A run with faults must also not remove an
//! entry that the run without faults never removed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The fields that the simulator itself sets. The values of these fields differ from run to run.
const VOLATILE: &[&str] = &["updated_at", "created_at", "pushed_at", "node_id"];

/// The lists from which GitHub itself removes an actor that loses its access.
const ACTORS: &[&str] = &["restrictions", "allowances"];

/// The values that each place of a state ever had. `None` means that the place did not exist.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    seen: BTreeMap<String, Vec<Option<Value>>>,
    states: usize,
}

impl Ledger {
    /// Records a state.
    pub fn record(&mut self, state: &Value) {
        let present = leaves(state);
        for (path, value) in &present {
            let is_new = !self.seen.contains_key(path);
            let seen = self.seen.entry(path.clone()).or_default();
            if is_new && self.states > 0 {
                seen.push(None);
            }
            if !seen.iter().any(|known| known.as_ref() == Some(value)) {
                seen.push(Some(value.clone()));
            }
        }
        for (path, seen) in &mut self.seen {
            if !present.contains_key(path) && !seen.contains(&None) {
                seen.push(None);
            }
        }
        self.states += 1;
    }

    /// Returns the new values of a state. A value is new if no recorded state had this value in the
    /// same place.
    pub fn strangers(&self, state: &Value) -> Vec<String> {
        let present = leaves(state);
        let mut found = Vec::new();
        for (path, value) in &present {
            let Some(seen) = self.seen.get(path) else {
                found.push(format!("{path}: {value} is new"));
                continue;
            };
            if !self.is_free(path) && !seen.iter().any(|known| known.as_ref() == Some(value)) {
                found.push(format!("{path}: {value} is not one of {}", shown(seen)));
            }
        }
        for (path, seen) in &self.seen {
            if !present.contains_key(path) && !seen.contains(&None) && !is_of_actors(path) {
                found.push(format!("{path}: {} is gone", shown(seen)));
            }
        }
        found
    }

    /// Compares two final states, and returns the differences. `end` is the state after the run
    /// that filled the ledger.
    pub fn differences(&self, end: &Value, other: &Value) -> Vec<String> {
        let (end, other) = (leaves(end), leaves(other));
        let paths: BTreeSet<&String> = end.keys().chain(other.keys()).collect();
        let differs = |path: &&String| match (end.get(*path), other.get(*path)) {
            (Some(known), Some(value)) => !self.is_free(path) && known != value,
            (Some(_), None) => !is_of_actors(path),
            (one, other) => one != other,
        };
        let shown = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_string);
        let differing = paths.into_iter().filter(differs);
        differing
            .map(|path| format!("{path}: {} in place of {}", shown(other.get(path)), shown(end.get(path))))
            .collect()
    }

    /// Returns whether every value is allowed in a place. This is true for the id of an entry that
    /// a run created, because such an id depends on the order of the writes.
    fn is_free(&self, path: &str) -> bool {
        path.ends_with("/id") && self.seen.get(path).is_some_and(|seen| seen.contains(&None))
    }
}

fn shown(seen: &[Option<Value>]) -> String {
    let each = seen.iter().map(|value| value.as_ref().map_or_else(|| "nothing".into(), Value::to_string));
    each.collect::<Vec<_>>().join(", ")
}

/// Returns whether a place is in a list of actors. A list of actors can become shorter, because
/// GitHub removes actors that have lost their access.
fn is_of_actors(path: &str) -> bool {
    ACTORS.iter().any(|list| path.contains(list))
}

/// Returns the values of a state, each with its path. The path contains the id of a repository and
/// not its name, because somebody can rename the repository. Each entry of a list has its own path.
fn leaves(state: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    walk(state, "", &mut found);
    found
}

fn walk(value: &Value, path: &str, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) => {
            // An entry can have no values, so the object itself also counts as a value.
            found.insert(format!("{path}/"), Value::Null);
            for (key, inner) in map.iter().filter(|(key, _)| !VOLATILE.contains(&key.as_str())) {
                let is_repository = path.ends_with("/repos");
                let id = inner["id"].as_u64().filter(|_| is_repository);
                let name = id.map_or_else(|| key.clone(), |id| id.to_string());
                walk(inner, &format!("{path}/{name}"), found);
            }
        }
        // Each entry is a separate value, because writes to several repositories can come in any
        // order.
        Value::Array(items) => {
            found.insert(format!("{path}[]"), Value::Null);
            for item in items {
                let entry = format!("{path}[{}]", steady(item));
                // If two entries are identical, the second entry gets another path.
                let mut paths = (1..).map(|n| if n == 1 { entry.clone() } else { format!("{entry} {n}") });
                let free = paths.find(|path| !found.contains_key(path)).unwrap_or_default();
                found.insert(free, Value::Null);
            }
        }
        other => {
            found.insert(path.to_owned(), other.clone());
        }
    }
}

/// Returns an entry of a list, but leaves out the fields that differ from run to run.
fn steady(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, _)| *key != "id" && !VOLATILE.contains(&key.as_str()));
            Value::Object(kept.map(|(key, value)| (key.clone(), steady(value))).collect())
        }
        Value::Array(items) => items.iter().map(steady).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn state(labels: &Value) -> Value {
        json!({ "orgs": { "acme": { "repos": { "shop": { "id": 1, "labels": labels, "topics": ["a", "b"] } } } } })
    }

    #[test]
    fn a_value_or_a_gap_that_the_calm_run_never_had_is_a_stranger() {
        let mut ledger = Ledger::default();
        ledger.record(&state(
            &json!({ "bug": { "id": 7, "color": "red" }, "old": { "id": 8, "color": "red" } }),
        ));
        ledger.record(&state(
            &json!({ "bug": { "id": 7, "color": "blue" }, "new": { "id": 9, "color": "red" } }),
        ));
        for (labels, is_strange) in [
            (json!({ "bug": { "id": 7, "color": "blue" } }), false),
            (json!({ "bug": { "id": 7, "color": "red" }, "new": { "id": 55, "color": "red" } }), false),
            (json!({ "bug": { "id": 7, "color": "green" } }), true),
            (json!({ "bug": { "id": 12, "color": "red" } }), true),
            (json!({ "new": { "id": 9, "color": "red" } }), true),
            (json!({ "bug": { "id": 7, "color": "red" }, "odd": { "id": 9, "color": "red" } }), true),
        ] {
            let strangers = ledger.strangers(&state(&labels));
            assert_eq!(!strangers.is_empty(), is_strange, "{labels}: {strangers:?}");
        }
        let end = state(&json!({ "bug": { "id": 7, "color": "blue" }, "new": { "id": 9, "color": "red" } }));
        let same =
            state(&json!({ "bug": { "id": 7, "color": "blue" }, "new": { "id": 21, "color": "red" } }));
        assert_eq!(ledger.differences(&end, &same), Vec::<String>::new());
        let other = state(&json!({ "bug": { "id": 7, "color": "red" }, "new": { "id": 9, "color": "red" } }));
        assert_eq!(ledger.differences(&end, &other).len(), 1);
        let renamed =
            state(&json!({ "bug": { "id": 7, "color": "red" } })).to_string().replace("shop", "store");
        assert_eq!(ledger.strangers(&serde_json::from_str(&renamed).unwrap()), Vec::<String>::new());
        let swapped = state(&json!({ "bug": { "id": 7, "color": "red" } })).to_string();
        let swapped = swapped.replace(r#"["a","b"]"#, r#"["b","a"]"#);
        assert_eq!(ledger.strangers(&serde_json::from_str(&swapped).unwrap()), Vec::<String>::new());
    }
}
