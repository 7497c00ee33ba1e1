//! Explains where a repository's values come from. For each value, the explanation shows the line
//! that set the value, the overridden values of other layers, and the effect of each layer. The
//! explanation also shows the values that a layer removed.

use std::collections::BTreeMap;

use beadle_engine::PolicyLocation;
use beadle_github::Repository;
use serde::Serialize;
use serde_json::Value;

use crate::aspects::webhooks::shown;

use super::files::Policy;
use super::leaves::{Leaf, leaves, lists};
use super::merge::{merge, settle};
use super::node::{AT_LEAST, Kind, Node};
use super::targeting::{MergedLayers, Reached};

/// One value of a repository, and its source.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explained {
    /// The path of the value, such as `teams[platform].permission`.
    pub path: String,
    /// The value itself.
    pub value: Value,
    /// The line that sets the value.
    pub set_by: String,
    /// The overridden values. The value from the layer of the highest rank comes first.
    pub overrode: Vec<Overridden>,
    /// The effect of each layer on the value. The layer of the lowest rank comes first. Layers
    /// without an effect on the value are not in the list.
    pub layers: Vec<LayerStep>,
}

/// A value that a layer of higher rank overrides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overridden {
    /// The overridden value.
    pub value: Value,
    /// The line that sets the overridden value.
    pub said_by: String,
}

/// The effect of a layer on a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Did {
    /// No layer of lower rank sets the value, or a layer of lower rank removed it.
    Sets,
    /// The layer sets a value that differs from the value of the layers of lower rank.
    Changes,
    /// The layer does not change the value. There are two reasons: the layer sets the same value as
    /// the layers of lower rank, or the value already meets the minimum that the layer sets.
    Keeps,
    /// The layer removes the value of the layers of lower rank.
    Removes,
}

/// The effect of one layer on one value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerStep {
    /// The file of the layer.
    pub file: String,
    /// The rank of the layer.
    pub rank: i64,
    /// The effect of the layer.
    pub did: Did,
    /// The value after the layer. `None` if the layer removed the value.
    pub value: Option<Value>,
    /// The line in the layer that has this effect.
    pub line: String,
}

/// A value that a layer removed. No layer of higher rank sets this value again.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Removed {
    /// The path of the value.
    pub path: String,
    /// The removed value.
    pub value: Value,
    /// The line that set the value.
    pub set_by: String,
    /// The line that removed the value.
    pub removed_by: String,
    /// The way in which the layer removed the value, such as `without`.
    pub by: &'static str,
}

/// The values of the repository after Beadle has merged one layer and all earlier layers.
struct Step<'a> {
    layer: &'a Reached,
    /// The values of the repository. The map's key is the key of the policy.
    values: BTreeMap<String, Leaf>,
    /// The minimums in the layer. The map's key is the key of the number.
    minimums: BTreeMap<String, PolicyLocation>,
}

/// Returns those values of a repository whose path begins with `key`. Each value comes with an
/// explanation. Also returns the values that a layer removed.
pub fn explain(
    policy: &Policy,
    target: &MergedLayers,
    repository: &Repository,
    key: &str,
) -> (Vec<Explained>, Vec<Removed>) {
    let Some(root) = &policy.declared(target, repository) else { return (Vec::new(), Vec::new()) };
    let steps = steps(policy, target, repository);
    let layers: Vec<_> = target.layers.iter().rev().map(|layer| leaves(&layer.root)).collect();
    let mut found = Vec::new();
    let all = leaves(root);
    let removed = removed(&steps, &all, key);
    for leaf in all.into_iter().filter(|leaf| leaf.path.starts_with(key)) {
        let lower =
            layers.iter().flatten().filter(|other| other.key == leaf.key && other.asked != leaf.asked);
        let overrode = lower
            .map(|other| Overridden {
                value: without_secrets(&leaf.path, other.value.clone()),
                said_by: other.asked.to_string(),
            })
            .collect();
        found.push(Explained {
            layers: history(&steps, &leaf),
            value: without_secrets(&leaf.path, leaf.value),
            path: path_without_secrets(&leaf.path),
            set_by: leaf.asked.to_string(),
            overrode,
        });
    }
    (found, removed)
}

/// Merges the layers one after the other. Returns the values after each layer.
fn steps<'a>(policy: &Policy, target: &'a MergedLayers, repository: &Repository) -> Vec<Step<'a>> {
    let mut steps = Vec::new();
    let mut merged: Option<Node> = None;
    let mut so_far = target.clone();
    for layer in &target.layers {
        let all = match &merged {
            None => layer.root.clone(),
            Some(under) => merge(under, &layer.root),
        };
        let mut settled = all.clone();
        settle(&mut settled);
        merged = Some(all);
        so_far.root = Some(settled);
        let values = policy.declared(&so_far, repository).as_ref().map(leaves).unwrap_or_default();
        let minimums = leaves(&layer.root).into_iter().filter_map(|leaf| {
            let number = leaf.key.strip_suffix(AT_LEAST)?.strip_suffix('.')?;
            Some((number.to_owned(), leaf.asked))
        });
        steps.push(Step {
            layer,
            values: values.into_iter().map(|leaf| (leaf.key.clone(), leaf)).collect(),
            minimums: minimums.collect(),
        });
    }
    steps
}

/// Returns the effect of each layer on a value. The layer of the lowest rank comes first.
fn history(steps: &[Step<'_>], leaf: &Leaf) -> Vec<LayerStep> {
    let mut history = Vec::new();
    let mut before: Option<&Leaf> = None;
    for step in steps {
        let now = step.values.get(&leaf.key);
        let line = now.map(|now| now.asked.to_string()).unwrap_or_default();
        let did = match (before, now) {
            (None, Some(_)) => Some((Did::Sets, line)),
            (Some(old), None) => Some((Did::Removes, removal(step, old).0)),
            (Some(old), Some(new)) if old.value != new.value => Some((Did::Changes, line)),
            (Some(old), Some(new)) if old.asked != new.asked => Some((Did::Keeps, line)),
            _ => step.minimums.get(&leaf.key).map(|asked| (Did::Keeps, asked.to_string())),
        };
        history.extend(did.map(|(did, line)| LayerStep {
            file: step.layer.file.clone(),
            rank: step.layer.rank,
            did,
            value: now.map(|now| without_secrets(&leaf.path, now.value.clone())),
            line,
        }));
        before = now;
    }
    history
}

/// Returns the values that a layer removed. The function omits a value that is in the final result.
/// `left` contains the values of the final result.
fn removed(steps: &[Step<'_>], left: &[Leaf], key: &str) -> Vec<Removed> {
    let mut removed = BTreeMap::new();
    for (step, next) in steps.iter().zip(steps.iter().skip(1)) {
        let gone = step.values.values().filter(|leaf| !next.values.contains_key(&leaf.key));
        for leaf in gone.filter(|leaf| leaf.path.starts_with(key)) {
            if left.iter().any(|other| other.key == leaf.key) {
                continue;
            }
            let (removed_by, by) = removal(next, leaf);
            let path = path_without_secrets(&leaf.path);
            let value = without_secrets(&leaf.path, leaf.value.clone());
            let one = Removed { path, value, set_by: leaf.asked.to_string(), removed_by, by };
            removed.insert(leaf.key.clone(), one);
        }
    }
    removed.into_values().collect()
}

/// Returns the line of a layer that removed a value. Also returns how the layer removed the value.
fn removal(step: &Step<'_>, leaf: &Leaf) -> (String, &'static str) {
    let contains = |outer: &str| {
        let inner = leaf.key.strip_prefix(outer);
        inner.is_some_and(|inner| inner.is_empty() || inner.starts_with(['.', '[']))
    };
    let edits = lists(&step.layer.root).into_iter().filter_map(|list| match &list.node.kind {
        Kind::Edit(edit) if contains(&list.key) => Some((list.key, &list.node.asked, edit)),
        _ => None,
    });
    if let Some((_, asked, edit)) = edits.max_by_key(|(key, ..)| key.len()) {
        let word = match (edit.drops, &edit.entries) {
            (true, Some(_)) => "replace",
            (true, None) => "null",
            (false, _) => "without",
        };
        return (asked.to_string(), word);
    }
    let mut leaves = leaves(&step.layer.root).into_iter();
    match leaves.find(|leaf| leaf.value.is_null() && contains(&leaf.key)) {
        Some(null) => (null.asked.to_string(), "null"),
        None => (step.layer.file.clone(), "another value"),
    }
}

/// Removes the parts of a webhook's address that might be secret: the user, the password and the
/// query.
pub(super) fn without_secrets(path: &str, value: Value) -> Value {
    match value {
        Value::String(text) if path.starts_with("webhooks") && text.contains("://") => shown(&text).into(),
        Value::Array(items) => items.into_iter().map(|item| without_secrets(path, item)).collect(),
        Value::Object(map) => {
            map.into_iter().map(|(key, value)| (key, without_secrets(path, value))).collect()
        }
        other => other,
    }
}

/// Changes the path of a webhook's value, because this path contains the webhook's address. The
/// function removes the parts of the address that might be secret.
pub(super) fn path_without_secrets(path: &str) -> String {
    let Some(rest) = path.strip_prefix("webhooks[") else { return path.to_owned() };
    match rest.find("].").or_else(|| rest.rfind(']')) {
        Some(end) => format!("webhooks[{}{}", shown(&rest[..end]), &rest[end..]),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_webhooks_password_is_not_explained() {
        let url = "https://me:hunter2@ci.example.com/hook?token=hunter2";
        let value = without_secrets("webhooks[x]", json!([{ "config": { "url": url } }]));
        let path = path_without_secrets(&format!("webhooks[{url}].events"));
        assert!(
            path.starts_with("webhooks[https://ci.example.com/hook (") && path.ends_with("].events"),
            "{path}"
        );
        assert!(!format!("{path} {value}").contains("hunter2"), "{path} {value}");
        assert_eq!(path_without_secrets("webhooks[https://a/b]"), "webhooks[https://a/b]");
        assert_eq!(without_secrets("repository.homepage", json!("https://a/?b")), json!("https://a/?b"));
    }
}
