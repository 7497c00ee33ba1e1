//! A policy value by value: each with its path and the line that says it.

use beadle_engine::Asked;
use serde_json::Value;

use super::merge::identity;
use super::node::{Kind, Node};

/// One value of a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// Where it is, such as `teams[platform].permission`.
    pub path: String,
    /// The line that says it.
    pub asked: Asked,
    /// What it is.
    pub value: Value,
}

/// Every value below a node.
pub fn leaves(root: &Node) -> Vec<Leaf> {
    let mut found = Vec::new();
    walk("", root, &mut found);
    found
}

fn walk(path: &str, node: &Node, found: &mut Vec<Leaf>) {
    let leaf = |path: &str, value: Value| Leaf { path: path.to_owned(), asked: node.asked.clone(), value };
    match &node.kind {
        Kind::Map(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                let Some(key) = key.text() else { continue };
                if key == "include" && !path.is_empty() && !path.contains(['.', '[']) {
                    // A section's list, beside what it keeps by pattern.
                    walk(path, value, found);
                    continue;
                }
                walk(&if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }, value, found);
            }
        }
        Kind::List(items) if !items.is_empty() => {
            for (at, item) in items.iter().enumerate() {
                match (&item.kind, item_name(item)) {
                    (Kind::Map(_), Some(name)) => walk(&format!("{path}[{name}]"), item, found),
                    (Kind::Map(_) | Kind::List(_), _) => walk(&format!("{path}[{at}]"), item, found),
                    (_, _) => {
                        let name = item.text().map_or_else(|| item.json().to_string(), str::to_owned);
                        found.push(Leaf {
                            asked: item.asked.clone(),
                            ..leaf(&format!("{path}[{name}]"), Value::Bool(true))
                        });
                    }
                }
            }
        }
        _ => found.push(leaf(path, node.json())),
    }
}

fn item_name(item: &Node) -> Option<String> {
    let name = identity(item)?;
    Some(name.text().map_or_else(|| name.json().to_string(), str::to_owned))
}
