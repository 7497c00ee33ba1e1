//! Applies the rules of a policy to one repository. If the repository's values break a rule, Beadle
//! does not change the sections that the rule uses.

use beadle_github::{Repository, Unsure};

use super::desired::holds;
use super::files::Policy;
use super::layers::without_plugins;
use super::node::{Kind, Node};
use super::rule_check::{is_override, merged, of_layer, of_repository};
use super::targeting::{MergedLayers, Reached};

impl MergedLayers {
    /// Marks the sections of broken rules as undecided.
    pub(super) fn obey(&mut self, policy: &Policy, repository: &Repository) {
        if policy.rules.is_empty() {
            return;
        }
        let applied = |root: &Node| applied(&without_plugins(root, &policy.disabled), repository);
        let layers: Vec<(&Reached, Node)> =
            self.layers.iter().map(|layer| (layer, applied(&layer.root))).collect();
        let mut violations = Vec::new();
        for (layer, own) in layers.iter().filter(|(layer, _)| is_override(&policy.layers, &layer.file)) {
            let below = layers.iter().filter(|(other, _)| other.rank < layer.rank).map(|(_, root)| root);
            violations.extend(of_layer(&policy.rules, merged(below).as_ref(), own));
        }
        let root = self.root.as_ref().map(applied);
        violations.extend(root.iter().flat_map(|root| of_repository(&policy.rules, root)));
        for violation in violations {
            let why = Unsure::for_people(format!("{}: {}", violation.asked, violation.why));
            let mut sections = violation.rule.sections.clone();
            if sections.is_empty() {
                let all = root.iter().flat_map(Node::entries);
                sections = all.filter_map(|(key, _)| key.text().map(str::to_owned)).collect();
            }
            self.undecided.extend(sections.into_iter().map(|section| (section, why.clone())));
        }
    }
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
