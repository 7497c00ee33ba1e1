//! A policy value by value: each with its path and the line that says it.

use beadle_engine::Asked;
use serde_json::Value;

use super::node::{Kind, Node};
use crate::identity;

/// One value of a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// Where it is, such as `teams[platform].permission`.
    pub path: String,
    /// The same, in the form in which paths are compared.
    pub key: String,
    /// The line that says it.
    pub asked: Asked,
    /// What it is.
    pub value: Value,
}

/// Every value below a node.
pub fn leaves(root: &Node) -> Vec<Leaf> {
    let mut found = Vec::new();
    walk(&Place::default(), root, &mut found);
    found
}

/// Where a walk is.
#[derive(Clone, Default)]
struct Place {
    path: String,
    key: String,
    /// The key of the list that it is in, or is.
    list: String,
}

impl Place {
    fn below(&self, name: &str) -> Self {
        let join = |path: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        Self { path: join(&self.path), key: join(&self.key), list: name.to_owned() }
    }

    fn item(&self, name: &str, key: &str) -> Self {
        Self {
            path: format!("{}[{name}]", self.path),
            key: format!("{}[{key}]", self.key),
            list: self.list.clone(),
        }
    }

    fn leaf(&self, node: &Node, value: Value) -> Leaf {
        Leaf { path: self.path.clone(), key: self.key.clone(), asked: node.asked.clone(), value }
    }
}

fn walk(place: &Place, node: &Node, found: &mut Vec<Leaf>) {
    match &node.kind {
        Kind::Map(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                let Some(key) = key.text() else { continue };
                if key == "include" && !place.path.is_empty() && !place.path.contains(['.', '[']) {
                    // A section's list, beside what it keeps by pattern.
                    walk(place, value, found);
                    continue;
                }
                walk(&place.below(key), value, found);
            }
        }
        Kind::List(items) if !items.is_empty() => {
            for (at, item) in items.iter().enumerate() {
                match (&item.kind, identity::name(&place.list, item)) {
                    (Kind::Map(_), Some((name, key))) => walk(&place.item(&name, &key), item, found),
                    (Kind::Map(_) | Kind::List(_), _) => {
                        let at = at.to_string();
                        walk(&place.item(&at, &at), item, found);
                    }
                    (_, _) => {
                        let name = item.text().map_or_else(|| item.json().to_string(), str::to_owned);
                        found.push(place.item(&name, &name).leaf(item, Value::Bool(true)));
                    }
                }
            }
        }
        _ => found.push(place.leaf(node, node.json())),
    }
}
