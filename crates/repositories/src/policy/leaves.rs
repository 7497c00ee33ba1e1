//! Splits the blocks and lists of a policy into single values. Each value comes with its path and
//! its line.

use beadle_engine::PolicyLocation;
use serde_json::Value;

use super::node::{Kind, Node};
use crate::identity::{self, Name};

/// A single value of a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// The path of the value, such as `teams[platform].permission`.
    pub path: String,
    /// The path in the form that Beadle compares.
    pub key: String,
    /// The path in the form that Beadle compares, without the optional fields of identities.
    pub open: String,
    /// The line that sets the value.
    pub asked: PolicyLocation,
    /// The value itself.
    pub value: Value,
}

/// One list of a policy, or one edit of a list.
pub struct ListAt<'a> {
    /// The path of the list, such as `branches[main].protection.restrictions.users`.
    pub path: String,
    /// The path in the form that Beadle compares.
    pub key: String,
    /// The key of the list, such as `users`.
    pub name: String,
    /// The list or the edit.
    pub node: &'a Node,
}

/// Returns all single values in a node.
pub fn leaves(root: &Node) -> Vec<Leaf> {
    let mut found = Vec::new();
    walk(&Place::default(), root, &mut found, &mut Vec::new());
    found
}

/// Returns all lists in a node, and all edits of lists.
pub fn lists(root: &Node) -> Vec<ListAt<'_>> {
    let mut found = Vec::new();
    walk(&Place::default(), root, &mut Vec::new(), &mut found);
    found
}

/// The path from the root of the policy to a node.
#[derive(Clone, Default)]
struct Place {
    path: String,
    key: String,
    open: String,
    /// The key of the list that contains the node. If the node itself is a list, this is the key of
    /// the node.
    list: String,
}

impl Place {
    fn below(&self, name: &str) -> Self {
        let join = |path: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        Self { path: join(&self.path), key: join(&self.key), open: join(&self.open), list: name.to_owned() }
    }

    fn item(&self, name: &Name) -> Self {
        Self {
            path: format!("{}[{}]", self.path, name.written),
            key: format!("{}[{}]", self.key, name.key),
            open: format!("{}[{}]", self.open, name.open),
            list: self.list.clone(),
        }
    }

    /// Returns the place of an entry. The name of the entry is a text or an index.
    fn plain(&self, name: &str) -> Self {
        self.item(&Name { written: name.to_owned(), key: name.to_owned(), open: name.to_owned() })
    }

    fn leaf(&self, node: &Node, value: Value) -> Leaf {
        let (path, key, open) = (self.path.clone(), self.key.clone(), self.open.clone());
        Leaf { path, key, open, asked: node.asked.clone(), value }
    }
}

fn walk<'a>(place: &Place, node: &'a Node, found: &mut Vec<Leaf>, lists: &mut Vec<ListAt<'a>>) {
    if matches!(node.kind, Kind::List(_) | Kind::Edit(_)) {
        let (path, key, name) = (place.path.clone(), place.key.clone(), place.list.clone());
        lists.push(ListAt { path, key, name, node });
    }
    match &node.kind {
        Kind::Map(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                let Some(key) = key.text() else { continue };
                if key == "include" && !place.path.is_empty() && !place.path.contains(['.', '[']) {
                    // A list in `include` has the same path as its section.
                    walk(place, value, found, lists);
                    continue;
                }
                walk(&place.below(key), value, found, lists);
            }
        }
        // An edit itself has no value. Only the entries of an edit have values.
        Kind::Edit(edit) if edit.entries.as_ref().is_none_or(Vec::is_empty) => {}
        Kind::List(_) | Kind::Edit(_) if !node.items().is_empty() => {
            for (at, item) in node.items().iter().enumerate() {
                match (&item.kind, identity::name(&place.list, item)) {
                    (Kind::Map(_), Some(name)) => walk(&place.item(&name), item, found, lists),
                    (Kind::Map(_) | Kind::List(_), _) => {
                        walk(&place.plain(&at.to_string()), item, found, lists);
                    }
                    (_, _) => {
                        let name = item.text().map_or_else(|| item.json().to_string(), str::to_owned);
                        found.push(place.plain(&name).leaf(item, Value::Bool(true)));
                    }
                }
            }
        }
        _ => found.push(place.leaf(node, node.json())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_one_name_have_paths_of_their_own() {
        let text = "checks: [{context: ci, app_id: 5}, {context: ci}]\n\
                    bypass_actors: [{actor_type: Team, actor_id: 5}, {actor_type: OrganizationAdmin}]\nteams: [{name: Ops}]";
        let found = leaves(&Node::parse("f.yml", text).unwrap());
        let paths: Vec<&str> = found.iter().map(|leaf| leaf.path.as_str()).collect();
        let expected = [
            "checks[ci 5].context",
            "checks[ci 5].app_id",
            "checks[ci].context",
            "bypass_actors[Team 5].actor_type",
            "bypass_actors[Team 5].actor_id",
            "bypass_actors[OrganizationAdmin].actor_type",
            "teams[Ops].name",
        ];
        assert_eq!(paths, expected);
        assert_eq!(
            (found[0].open.as_str(), found[6].key.as_str()),
            ("checks[ci].context", "teams[ops].name")
        );
    }
}
