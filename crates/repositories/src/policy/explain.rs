//! Why a repository is asked for what: every value, the line that set it, and what it overrode.

use beadle_github::Repository;
use serde::Serialize;
use serde_json::Value;

use super::files::Policy;
use super::leaves::leaves;
use super::targeting::Target;

/// One value and where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explained {
    /// Where it is, such as `teams[platform].permission`.
    pub path: String,
    /// What it is.
    pub value: Value,
    /// The line that set it.
    pub set_by: String,
    /// What lower layers said, the nearest first.
    pub overrode: Vec<Overridden>,
}

/// A value that another layer's took the place of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overridden {
    /// What it was.
    pub value: Value,
    /// The line that said it.
    pub said_by: String,
}

/// Every value of a target whose path begins with `key`.
pub fn explain(policy: &Policy, target: &Target, repository: &Repository, key: &str) -> Vec<Explained> {
    let Some(root) = &policy.asked(target, repository) else { return Vec::new() };
    let layers: Vec<_> = target.layers.iter().rev().map(|layer| leaves(&layer.root)).collect();
    let mut found = Vec::new();
    for leaf in leaves(root).into_iter().filter(|leaf| leaf.path.starts_with(key)) {
        let said = layers.iter().flatten().filter(|other| other.key == leaf.key && other.asked != leaf.asked);
        let overrode = said
            .map(|other| Overridden { value: other.value.clone(), said_by: other.asked.to_string() })
            .collect();
        found.push(Explained {
            path: leaf.path,
            value: leaf.value,
            set_by: leaf.asked.to_string(),
            overrode,
        });
    }
    found
}
