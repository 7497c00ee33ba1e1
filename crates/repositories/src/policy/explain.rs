//! Explains where the values of a repository come from. For each value, it shows the line that set
//! the value, and the values of other layers that were overridden.

use beadle_github::Repository;
use serde::Serialize;
use serde_json::Value;

use crate::aspects::webhooks::shown;

use super::files::Policy;
use super::leaves::leaves;
use super::targeting::MergedLayers;

/// One value of a repository, and where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explained {
    /// The path of the value, such as `teams[platform].permission`.
    pub path: String,
    /// The value itself.
    pub value: Value,
    /// The line that sets the value.
    pub set_by: String,
    /// The values that were overridden, from the layer of the highest rank to the lowest.
    pub overrode: Vec<Overridden>,
}

/// A value that a layer of higher rank overrides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overridden {
    /// The overridden value.
    pub value: Value,
    /// The line that sets the overridden value.
    pub said_by: String,
}

/// Returns the values of a repository whose paths begin with `key`, each with its explanation.
pub fn explain(policy: &Policy, target: &MergedLayers, repository: &Repository, key: &str) -> Vec<Explained> {
    let Some(root) = &policy.declared(target, repository) else { return Vec::new() };
    let layers: Vec<_> = target.layers.iter().rev().map(|layer| leaves(&layer.root)).collect();
    let mut found = Vec::new();
    for leaf in leaves(root).into_iter().filter(|leaf| leaf.path.starts_with(key)) {
        let lower =
            layers.iter().flatten().filter(|other| other.key == leaf.key && other.asked != leaf.asked);
        let overrode = lower
            .map(|other| Overridden {
                value: without_secrets(&leaf.path, other.value.clone()),
                said_by: other.asked.to_string(),
            })
            .collect();
        found.push(Explained {
            value: without_secrets(&leaf.path, leaf.value),
            path: path_without_secrets(&leaf.path),
            set_by: leaf.asked.to_string(),
            overrode,
        });
    }
    found
}

/// Removes the parts of a webhook's address that may be secret: the user, the password and the
/// query.
fn without_secrets(path: &str, value: Value) -> Value {
    match value {
        Value::String(text) if path.starts_with("webhooks") && text.contains("://") => shown(&text).into(),
        Value::Array(items) => items.into_iter().map(|item| without_secrets(path, item)).collect(),
        Value::Object(map) => {
            map.into_iter().map(|(key, value)| (key, without_secrets(path, value))).collect()
        }
        other => other,
    }
}

/// Removes these secret parts from a path. The path of a webhook contains the webhook's address.
fn path_without_secrets(path: &str) -> String {
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
