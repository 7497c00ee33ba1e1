//! Merges the declared ruleset into the live ruleset. Also converts values to a form that Beadle
//! can compare.

use serde_json::{Map, Value, json};

use crate::identity::{Kind, kind, pair_entries};
use crate::policy::at_least;

/// The marker for checks that somebody manages outside of the policy. Policies of safe-settings
/// contain this marker. If a list has the marker, Beadle keeps the live checks.
pub(super) const EXTERNALLY_DEFINED: &str = "{{EXTERNALLY_DEFINED}}";

/// Returns the entries of a list. A value that is not a list has no entries.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Returns whether a value, such as null or an empty list, means the same as a missing value.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// Returns a value in a form that Beadle can compare. In this form, lists are sorted and have no
/// repeated entries. A value that means the same as a missing value is omitted.
fn normal(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> =
                map.iter().map(|(key, value)| (key.clone(), normal(value))).collect();
            entries.retain(|(_, value)| !is_nothing(value));
            entries.sort_by(|(one, _), (other, _)| one.cmp(other));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(normal).collect();
            items.sort_by_key(ToString::to_string);
            items.dedup();
            Value::Array(items)
        }
        other => other.clone(),
    }
}

/// Returns whether two values of a parameter have different meanings.
pub(super) fn differ(key: &str, one: &Value, other: &Value) -> bool {
    let form = |value: &Value| match normal(value) {
        // A rule that lists no merge methods allows all merge methods.
        value if key == "allowed_merge_methods" && is_nothing(&value) => json!(["merge", "rebase", "squash"]),
        value if is_nothing(&value) => Value::Null,
        value => value,
    };
    form(one) != form(other)
}

/// Returns a value without its null fields. GitHub always accepts that a field is missing, but does
/// not always accept null.
pub(super) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            // GitHub accepts a rule only with all of its parameters, or without the field
            // `parameters`.
            .filter(|(key, value)| key != "parameters" || *value != json!({}))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// Merges the declared value of `key` into the live value `seen`. The result keeps the live fields
/// that are missing in the declared value. For a list, the result has exactly the entries that the
/// policy declares.
pub(super) fn overlay(key: &str, wanted: &Value, seen: &Value) -> Value {
    if let Some(least) = at_least(wanted) {
        // The policy declares only a minimum, so Beadle keeps the number at GitHub if this number
        // is greater.
        return json!(seen.as_i64().map_or(least, |seen| seen.max(least)));
    }
    match (wanted, seen) {
        (Value::Object(wanted), Value::Object(seen)) => Value::Object(overlay_block(wanted, seen)),
        (Value::Object(wanted), Value::Null) => Value::Object(overlay_block(wanted, &Map::new())),
        (Value::Array(wanted), seen) => Value::Array(overlay_list(key, wanted, list(seen))),
        _ => wanted.clone(),
    }
}

fn overlay_block(wanted: &Map<String, Value>, seen: &Map<String, Value>) -> Map<String, Value> {
    let mut merged = seen.clone();
    for (key, value) in wanted {
        let under = seen.get(key).unwrap_or(&Value::Null);
        merged.insert(key.clone(), overlay(key, value, under));
    }
    merged
}

/// Merges two lists. Each declared entry matches at most one live entry, and each live entry
/// matches at most one declared entry.
fn overlay_list(key: &str, wanted: &[Value], seen: &[Value]) -> Vec<Value> {
    let kind = kind(key);
    let is_external = wanted.iter().any(|item| item["context"] == EXTERNALLY_DEFINED);
    let mut distinct: Vec<Value> = Vec::new();
    for item in wanted.iter().filter(|item| item["context"] != EXTERNALLY_DEFINED) {
        if !distinct.iter().any(|other| !differ("", other, item)) {
            distinct.push(item.clone());
        }
    }
    let matched = pair_entries(kind, &distinct, seen);
    if is_external {
        // The live checks stay in the list, and the declared checks are added to them.
        let missing = matched.only_desired.iter().map(|at| distinct[*at].clone());
        return seen.iter().cloned().chain(missing).collect();
    }
    let entry = |(at, want): (usize, &Value)| match matched.observed_of(at) {
        Some(place) => overlay_entry(kind, want, &seen[place]),
        None => want.clone(),
    };
    distinct.iter().enumerate().map(entry).collect()
}

/// Merges a declared entry into the live entry. If the policy omits a field for which GitHub has a
/// default, the field gets this default. Fields that Beadle does not know stay unchanged.
fn overlay_entry(kind: Option<&Kind>, wanted: &Value, seen: &Value) -> Value {
    let (Value::Object(wanted), Value::Object(seen)) = (wanted, seen) else { return wanted.clone() };
    let mut merged = overlay_block(wanted, seen);
    for key in kind.map(|kind| kind.unset).unwrap_or_default() {
        if wanted.get(*key).is_none_or(Value::is_null) {
            merged.remove(*key);
        }
    }
    Value::Object(merged)
}
