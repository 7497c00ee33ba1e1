//! Converts fields to one normal form when Beadle reads a file. All other code then needs to handle
//! only one form of each field.
//!
//! - `null` in the conditions or parameters of a ruleset becomes a missing value.
//! - `null` as the description of a label becomes an empty text. GitHub also shows a label without
//!   a description in this form.
//! - The permission of a team or a collaborator gets lower-case letters. `Admin` becomes `admin`. The
//!   name of a custom role does not change.
//! - A file in repos/ that sets `repository.oldname` also gets `repository.name`. The value is the
//!   name of the file.
//! - `archived: false` in a file for several repositories becomes null.
//! - `{ property_name: Team, values: [a] }` in `suborgproperties` becomes `{ Team: [a] }`.

use beadle_github::Permission;

use super::node::{Kind, Node};

/// Returns the normal form of a file, or of one entry of `first_match`.
pub(super) fn normal(root: &Node) -> Node {
    let mut root = root.clone();
    each(&mut root, "labels", |label| {
        let description = label.child("description").filter(|node| node.is_null());
        if let Some(description) = description {
            description.kind = Kind::Text(String::new());
        }
    });
    for list in ["teams", "collaborators"] {
        each(&mut root, list, |entry| {
            let Some(permission) = entry.child("permission") else { return };
            if let Some(text) = permission.text()
                && Permission::from(text.to_owned()).rank().is_some()
            {
                permission.kind = Kind::Text(text.to_ascii_lowercase());
            }
        });
    }
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

/// Calls `change` for each entry of a section's list. The list can also be inside a block, in
/// `include`, `exclusive` or `additive`.
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
            Kind::Edit(edit) => Box::new(edit.entries.iter_mut().flatten()),
            _ => Box::new(std::iter::empty()),
        }
    }
}

/// Replaces `archived: false` with null in a layer for several repositories. The null still
/// overrides `archived: true` of a lower layer. But with null, Beadle does not unarchive a
/// repository.
pub(super) fn unarchives_nothing(root: &mut Node) {
    let archived = root.child("repository").and_then(|repository| repository.child("archived"));
    if let Some(archived) = archived.filter(|archived| archived.bool() == Some(false)) {
        archived.kind = Kind::Null;
    }
}

/// If a file has `oldname` but no `name`, the function adds `repository.name`. The value is the
/// name of the file. Beadle then renames the repository with the former name to the file's name.
pub(super) fn takes_name_of_file(root: &mut Node, stem: &str) {
    let Some(repository) = root.child("repository") else { return };
    let Some(old) = repository.get("oldname").filter(|_| repository.get("name").is_none()).cloned() else {
        return;
    };
    if let Kind::Map(entries) = &mut repository.kind {
        let text = |text: &str| Node { kind: Kind::Text(text.to_owned()), ..old.clone() };
        entries.push((text("name"), text(stem)));
    }
}

/// Returns whether the declared ruleset lists a bypass actor without an id. Beadle must then not
/// change the bypass actors of the ruleset at GitHub.
pub(crate) fn leaves_actors(ruleset: &Node) -> bool {
    let actors = ruleset.get("bypass_actors").map(Node::items).unwrap_or_default();
    actors.iter().any(|actor| actor.get("name").is_some())
}

/// Converts the entries of `suborgproperties` to the form of safe-settings. In this form, the name
/// of the property is the key.
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
    fn a_permission_has_lower_case_letters() {
        let text = "teams: [{ name: a, permission: WRITE }]\ncollaborators: { additive: [{ username: b, permission: Admin }, \
                    { username: c, permission: Auditor }] }\n";
        let expected = json!({
            "teams": [{ "name": "a", "permission": "write" }],
            "collaborators": { "additive": [
                { "username": "b", "permission": "admin" }, { "username": "c", "permission": "Auditor" },
            ] },
        });
        assert_eq!(normal(&read(text)).json(), expected);
    }

    #[test]
    fn a_property_by_name_and_values_is_the_incumbents_form() {
        let list = read("- { property_name: Team, values: [x] }\n- { tier: gold }\n");
        assert_eq!(suborg_properties(&list).json(), json!([{ "Team": ["x"] }, { "tier": "gold" }]));
    }
}
