//! The controls of a repository: every single value that the policy declares for it, and the rule
//! that a list has no other entries.

use beadle_engine::PolicyLocation;
use beadle_github::Repository;
use serde_json::Value;

use super::explain::{path_without_secrets, without_secrets};
use super::files::Policy;
use super::keys::lists;
use super::leaves::leaves;
use super::targeting::MergedLayers;
use crate::aspects;

/// The value of a control that allows no other entry in a list.
pub(crate) const NO_OTHERS: &str = "no other entries";

/// One value that the policy declares for a repository.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DeclaredControl {
    /// The path of the value, such as `branches[main].protection.enforce_admins`.
    pub(crate) path: String,
    /// The value. For a list without other entries, a text that says so.
    pub(crate) value: Value,
    /// The line that sets the value.
    pub(crate) asked: PolicyLocation,
}

impl Policy {
    /// Returns what the policy declares for a repository. Keys that a waiver exempts are not in the
    /// result, because the merged layers do not have them.
    pub(crate) fn controls(&self, target: &MergedLayers, repository: &Repository) -> Vec<DeclaredControl> {
        let Some(root) = self.declared(target, repository) else { return Vec::new() };
        let values = leaves(&root).into_iter().map(|leaf| DeclaredControl {
            value: without_secrets(&leaf.path, leaf.value),
            path: path_without_secrets(&leaf.path),
            asked: leaf.asked,
        });
        let mut controls: Vec<DeclaredControl> = values.collect();
        let topics = root.get("repository").and_then(|node| node.get("topics"));
        let topics = topics.map(|node| ("topics", "repository.topics".to_owned(), node));
        let sections = lists().into_iter();
        let sections = sections.filter_map(|name| Some((name, name.to_owned(), root.get(name)?)));
        for (name, path, node) in sections.chain(topics) {
            // An empty list is already a value of its own.
            if node.is_null() || !is_exclusive(target, name) || controls.iter().any(|one| one.path == path) {
                continue;
            }
            controls.push(DeclaredControl { path, value: NO_OTHERS.into(), asked: node.asked.clone() });
        }
        controls
    }
}

/// Returns whether Beadle removes the entries of a list that the policy does not declare.
fn is_exclusive(target: &MergedLayers, list: &str) -> bool {
    let mode = target.list_modes.get(list).map(|mode| mode.exclusive);
    mode.unwrap_or(!aspects::secrets::SECTIONS.contains(&list))
}
