//! Converts fields to one normal form when a file is read, so that all other code needs to know one
//! spelling only.
//!
//! - `null` in the conditions or the parameters of a ruleset: not specified.
//! - `null` for the description of a label: the empty text, which GitHub shows for no description.
//! - `archived: false` in a file for several repositories: null.
//! - `{ property_name: Team, values: [a] }` in `suborgproperties`: the same as `{ Team: [a] }`.

use super::node::{Kind, Node};

/// Returns a file, or one entry of `first_match`, in normal form.
pub(super) fn normal(root: &Node) -> Node {
    let mut root = root.clone();
    each(&mut root, "labels", |label| {
        let description = label.child("description").filter(|node| node.is_null());
        if let Some(description) = description {
            description.kind = Kind::Text(String::new());
        }
    });
    each(&mut root, "rulesets", |ruleset| {
        if let Some(conditions) = ruleset.child("conditions") {
            conditions.children().for_each(drop_nulls);
        }
        let rules = ruleset.child("rules").into_iter().flat_map(Node::children);
        for rule in rules {
            if let Some(parameters) = rule.child("parameters") {
                drop_nulls(parameters);
            }
            drop_nulls(rule);
        }
    });
    root
}

/// Changes every entry of a section's list, also if the list is a block with `include`, `exclusive`
/// or `additive`.
pub(super) fn each(root: &mut Node, section: &str, mut change: impl FnMut(&mut Node)) {
    let Some(node) = root.child(section) else { return };
    if let Kind::Map(lists) = &mut node.kind {
        for (key, list) in lists {
            if key.text() != Some("exclude") {
                list.children().for_each(&mut change);
            }
        }
    } else {
        node.children().for_each(change);
    }
}

fn drop_nulls(node: &mut Node) {
    if let Kind::Map(entries) = &mut node.kind {
        entries.retain(|(_, value)| !value.is_null());
    }
}

impl Node {
    /// Returns a mutable reference to the value of a key.
    pub(super) fn child(&mut self, key: &str) -> Option<&mut Node> {
        let Kind::Map(entries) = &mut self.kind else { return None };
        entries.iter_mut().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
    }

    /// Returns mutable references to the items of a list or the values of a block.
    pub(super) fn children(&mut self) -> Box<dyn Iterator<Item = &mut Node> + '_> {
        match &mut self.kind {
            Kind::List(items) => Box::new(items.iter_mut()),
            Kind::Map(entries) => Box::new(entries.iter_mut().map(|(_, value)| value)),
            _ => Box::new(std::iter::empty()),
        }
    }
}

/// Turns `archived: false` of a layer into null. It overrides `archived: true` of a lower layer, and
/// unarchives no repository.
pub(super) fn unarchives_nothing(root: &mut Node) {
    let archived = root.child("repository").and_then(|repository| repository.child("archived"));
    if let Some(archived) = archived.filter(|archived| archived.bool() == Some(false)) {
        archived.kind = Kind::Null;
    }
}

/// Returns whether Beadle leaves the bypass actors of a ruleset alone, because the policy has the
/// name of an actor and not the id.
pub(crate) fn leaves_actors(ruleset: &Node) -> bool {
    let actors = ruleset.get("bypass_actors").map(Node::items).unwrap_or_default();
    actors.iter().any(|actor| actor.get("name").is_some())
}

/// Returns the entries of `suborgproperties` in the form of safe-settings: the name of the property
/// is the key.
pub(super) fn suborg_properties(list: &Node) -> Node {
    let entry = |item: &Node| {
        let name = ["property_name", "name"].into_iter().find_map(|key| item.get(key));
        let value = ["values", "value"].into_iter().find_map(|key| item.get(key));
        match (name, value) {
            (Some(name), Some(value)) if name.text().is_some() => {
                Node { kind: Kind::Map(vec![(name.clone(), value.clone())]), ..item.clone() }
            }
            _ => item.clone(),
        }
    };
    Node { kind: Kind::List(list.items().iter().map(entry).collect()), ..list.clone() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Node {
        Node::parse("settings.yml", text).unwrap()
    }

    #[test]
    fn null_has_one_meaning_per_field() {
        let labels = normal(&read("labels: { additive: [{ name: a, description: null }, { name: b }] }"));
        let expected =
            json!({ "labels": { "additive": [{ "name": "a", "description": "" }, { "name": "b" }] } });
        assert_eq!(labels.json(), expected);
        let text = "rulesets:\n- name: main\n  conditions: { ref_name: { include: [x], exclude: null } }\n  rules:\n  \
            - { type: update, parameters: { update_allows_fetch_and_merge: null } }\n  - { type: deletion, parameters: null }";
        let expected = json!({ "rulesets": [{ "name": "main", "conditions": { "ref_name": { "include": ["x"] } },
            "rules": [{ "type": "update", "parameters": {} }, { "type": "deletion" }] }] });
        assert_eq!(normal(&read(text)).json(), expected);
    }

    #[test]
    fn a_property_by_name_and_values_is_the_incumbents_form() {
        let list = read("- { property_name: Team, values: [x] }\n- { tier: gold }\n");
        assert_eq!(suborg_properties(&list).json(), json!([{ "Team": ["x"] }, { "tier": "gold" }]));
    }
}
