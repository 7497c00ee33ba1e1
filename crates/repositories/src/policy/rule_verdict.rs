//! Applies the rules of a policy to one repository. If the repository's values break a rule, Beadle
//! does not change the sections that the rule uses.

use std::collections::BTreeSet;

use beadle_github::{Repository, Unsure};

use super::desired::holds;
use super::files::Policy;
use super::layers::without_plugins;
use super::node::{Kind, Node};
use super::rule_check::{is_override, merged, of_layer, of_repository};
use super::spellings::in_both_spellings;
use super::targeting::{MergedLayers, Reached};

impl MergedLayers {
    /// Marks the sections of broken rules as undecided.
    pub(super) fn obey(&mut self, policy: &Policy, repository: &Repository) {
        if policy.rules.is_empty() {
            return;
        }
        // If the policy declares another default branch, the plan gives this branch the entry `default`.
        let declared =
            self.root.as_ref().and_then(|root| root.get("repository")?.get("default_branch")?.text());
        let branches: Vec<&str> = repository.default_branch.as_deref().into_iter().chain(declared).collect();
        let applied = |root: &Node| {
            in_both_spellings(&applied(&without_plugins(root, &policy.disabled), repository), &branches)
        };
        let layers: Vec<(&Reached, Node)> =
            self.layers.iter().map(|layer| (layer, applied(&layer.root))).collect();
        let mut violations = Vec::new();
        for (layer, own) in layers.iter().filter(|(layer, _)| is_override(&policy.layers, &layer.file)) {
            let below = layers.iter().filter(|(other, _)| other.rank < layer.rank).map(|(_, root)| root);
            violations.extend(of_layer(&policy.rules, merged(below).as_ref(), own));
        }
        let whole = merged(layers.iter().map(|(_, root)| root));
        let root = self.root.as_ref().map(applied).map(|root| decided_by(whole.as_ref(), root));
        violations.extend(root.iter().flat_map(|root| of_repository(&policy.rules, root)));
        // The rule of the default branch has two names, so it can break a rule twice.
        let mut reasons = BTreeSet::new();
        for violation in violations {
            let why = format!("{}: {}", violation.asked, violation.why);
            if !reasons.insert(why.clone()) {
                continue;
            }
            let why = Unsure::for_people(why);
            let mut sections = violation.rule.sections.clone();
            if sections.is_empty() {
                let all = root.iter().flat_map(Node::entries);
                sections = all.filter_map(|(key, _)| key.text().map(str::to_owned)).collect();
            }
            self.undecided.extend(sections.into_iter().map(|section| (section, why.clone())));
        }
    }
}

/// Returns the merged values `root`. For a fact with two spellings, the result contains the value of
/// the layer of highest rank. `whole` contains the merged layers, and each layer has
/// both spellings.
fn decided_by(whole: Option<&Node>, mut root: Node) -> Node {
    let Some(whole) = whole else { return root };
    for section in ["repository", "security", "branches"] {
        let (Some(own), Some(decided)) = (root.get(section).cloned(), whole.get(section)) else { continue };
        let keys: &[&str] = match section {
            "repository" => &["private", "visibility", "security"],
            "security" => &["dependabot_alerts", "dependabot_security_updates"],
            _ => {
                root = root.with(section, decided);
                continue;
            }
        };
        let decide = |own: Node, key: &&str| match (own.get(key), decided.get(key)) {
            (Some(_), Some(value)) => own.with(key, value),
            _ => own,
        };
        root = root.with(section, &keys.iter().fold(own, decide));
    }
    root
}

/// Removes list entries that apply only to other repositories.
fn applied(root: &Node, repository: &Repository) -> Node {
    let mut root = root.clone();
    for list in ["teams", "collaborators"] {
        let Some(mut node) = root.get(list).cloned() else { continue };
        match &mut node.kind {
            Kind::List(items) => items.retain(|item| holds(item, repository)),
            Kind::Edit(edit) => {
                if let Some(items) = &mut edit.entries {
                    items.retain(|item| holds(item, repository));
                }
            }
            _ => {}
        }
        root = root.with(list, &node);
    }
    root
}
