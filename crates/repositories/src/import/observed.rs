//! One repository, with all values that a policy can declare for it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::units::{LISTS, UNITS};

/// The values of a repository, in the form of a policy.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Observed {
    /// The name of the repository.
    pub(crate) name: String,
    /// The values of each unit. The key is the unit's name. If a unit is neither in this map nor in
    /// `unknown`, a policy cannot change the unit.
    pub(crate) values: BTreeMap<&'static str, Map<String, Value>>,
    /// The complete lists. The key is the list's name.
    pub(crate) lists: BTreeMap<&'static str, Vec<Value>>,
    /// The units and lists that must not be in any file. Each unit or list comes with its reason.
    pub(crate) unknown: BTreeMap<&'static str, String>,
    /// The lists that the policy can declare only in part. A policy file must not remove the
    /// undeclared entries of these lists.
    pub(crate) additive: BTreeSet<&'static str>,
    /// Notes for people about missing parts of the policy.
    pub(crate) notes: Vec<String>,
    /// The addresses of those listed webhooks that have a secret.
    pub(crate) sealed_webhooks: BTreeSet<String>,
    /// The teams that have access only through their parent team. A selector with such a team
    /// matches the repository, but the policy needs no entry for the team.
    pub(crate) inherited_teams: Vec<String>,
}

impl Observed {
    /// Returns the notes about missing parts of the policy, and the reasons why parts are unknown.
    pub(crate) fn all_notes(&self) -> Vec<String> {
        let unknown = self.unknown.iter().filter(|(_, why)| !why.is_empty());
        let unknown = unknown.map(|(part, why)| format!("{part} could not be imported: {why}"));
        unknown.chain(self.notes.iter().cloned()).collect()
    }

    /// Replaces the path of this repository in the reasons, so that repositories with the same
    /// problem have the same reason. `path` is the path of the repository at GitHub.
    pub(crate) fn forget_path(&mut self, path: &str, placeholder: &str) {
        for why in self.unknown.values_mut() {
            *why = why.replace(path, placeholder);
        }
    }
}

/// Returns the notes that all repositories share. If there is only one repository, the function
/// returns no notes, because all notes belong to this repository.
pub(crate) fn shared_notes(all: &[Observed]) -> BTreeSet<String> {
    let mut lists = all.iter().map(|one| one.all_notes().into_iter().collect::<BTreeSet<_>>());
    match (all.len(), lists.next()) {
        (2.., Some(first)) => lists.fold(first, |shared, own| &shared & &own),
        _ => BTreeSet::new(),
    }
}

/// The values that one file declares.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Content {
    /// The keys and values of each unit. The map's key is the unit's name.
    pub(crate) values: BTreeMap<&'static str, Map<String, Value>>,
    /// The entries of each list. The map's key is the list's name.
    pub(crate) lists: BTreeMap<&'static str, Vec<Value>>,
    /// The additive lists. Beadle does not remove entries that are not in such a list.
    pub(crate) additive: BTreeSet<&'static str>,
}

impl Content {
    /// Returns one file that contains everything a policy can declare about the repository.
    pub(crate) fn of(observed: &Observed) -> Self {
        Self {
            values: observed.values.clone(),
            lists: observed.lists.clone(),
            additive: observed.additive.clone(),
        }
    }

    /// Returns whether the file declares nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty() && self.lists.is_empty()
    }

    /// Returns the sections of the file.
    pub(crate) fn sections(&self) -> Map<String, Value> {
        let mut root = json!({});
        for unit in UNITS {
            for (key, value) in self.values.get(unit.name).into_iter().flatten() {
                put(&mut root, unit.block, key, value.clone());
            }
        }
        for list in LISTS {
            let Some(entries) = self.lists.get(list.name) else { continue };
            let is_additive = self.additive.contains(list.name);
            if entries.is_empty() && !is_additive {
                continue;
            }
            let mut entries = entries.clone();
            entries.sort_by_key(|entry| (list.id_of(entry), entry.to_string()));
            let entries = Value::Array(entries);
            let value = if is_additive { json!({ "additive": entries }) } else { entries };
            put(&mut root, list.block, list.name, value);
        }
        match root {
            Value::Object(root) => root,
            _ => Map::new(),
        }
    }
}

/// Sets a key in the block at this path. If the block does not exist, the function creates it.
fn put(root: &mut Value, block: &[&str], key: &str, value: Value) {
    let mut at = root;
    for name in block {
        at = &mut at[*name];
    }
    at[key] = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_with_the_same_problem_share_a_note() {
        let one = |name: &str| {
            let why = format!("GET /repos/acme/{name}/hooks: 403 Forbidden");
            let mut one = Observed { name: name.to_owned(), ..Observed::default() };
            one.unknown = BTreeMap::from([("webhooks", why), ("has_wiki", String::new())]);
            one.forget_path(&format!("/repos/acme/{name}/"), "/repos/acme/REPO/");
            one
        };
        let (shop, mut web) = (one("shop"), one("web"));
        web.notes.push("odd".to_owned());
        let note = "webhooks could not be imported: GET /repos/acme/REPO/hooks: 403 Forbidden".to_owned();
        assert_eq!(web.all_notes(), [note.clone(), "odd".to_owned()]);
        assert_eq!(shared_notes(&[shop.clone(), web]), BTreeSet::from([note]));
        assert_eq!(shared_notes(&[shop]), BTreeSet::new());
        assert_eq!(shared_notes(&[]), BTreeSet::new());
    }

    #[test]
    fn keys_are_in_their_blocks_and_lists_say_whether_they_are_complete() {
        let value = |key: &str, value: Value| Map::from_iter([(key.to_owned(), value)]);
        let content = Content {
            values: BTreeMap::from([
                ("has_wiki", value("has_wiki", json!(false))),
                ("secret_scanning", value("secret_scanning", json!({ "status": "enabled" }))),
            ]),
            lists: BTreeMap::from([
                ("topics", vec![json!("b"), json!("a")]),
                ("teams", vec![]),
                ("labels", vec![json!({ "name": "bug" })]),
            ]),
            additive: BTreeSet::from(["labels"]),
        };
        let expected = json!({
            "repository": {
                "has_wiki": false, "topics": ["a", "b"],
                "security_and_analysis": { "secret_scanning": { "status": "enabled" } },
            },
            "labels": { "additive": [{ "name": "bug" }] },
        });
        assert_eq!(Value::Object(content.sections()), expected);
    }
}
