//! Changes the tree of a file. Each value keeps the line that it has in the original file, so that
//! messages can show this line.

use crate::policy::{Kind, Node};

/// Returns a text at the line and the column of another value.
pub(super) fn text(at: &Node, text: &str) -> Node {
    Node { kind: Kind::Text(text.to_owned()), ..at.clone() }
}

/// Returns a list at the line and the column of another value.
pub(super) fn list(at: &Node, items: Vec<Node>) -> Node {
    Node { kind: Kind::List(items), ..at.clone() }
}

/// Returns a block at the line and the column of another value.
pub(super) fn block(at: &Node, entries: Vec<(&str, Node)>) -> Node {
    let entries = entries.into_iter().map(|(key, value)| (text(&value, key), value)).collect();
    Node { kind: Kind::Map(entries), ..at.clone() }
}

/// Returns a copy of a block in which the key has this value.
pub(super) fn put(block: &Node, key: &str, value: Node) -> Node {
    if block.get(key).is_some() {
        return block.with(key, &value);
    }
    let mut entries = block.entries().to_vec();
    entries.push((text(&value, key), value));
    Node { kind: Kind::Map(entries), ..block.clone() }
}

/// Returns a copy without the keys at these places. A place is a line and a column. If a block or a
/// list becomes empty, the function also removes this block or list, because an empty value would
/// have another meaning. For example, an empty `protection` removes the rule of the branch, and an
/// empty list removes all entries.
pub(super) fn without_places(node: &Node, places: &[(u32, u32)]) -> Node {
    let kind = match &node.kind {
        Kind::List(items) => Kind::List(items.iter().filter_map(|item| left(item, places)).collect()),
        Kind::Map(entries) => {
            let kept = entries.iter().filter(|(key, _)| !places.contains(&(key.asked.line, key.column)));
            Kind::Map(kept.filter_map(|(key, value)| Some((key.clone(), left(value, places)?))).collect())
        }
        other => other.clone(),
    };
    Node { kind, ..node.clone() }
}

/// Returns the remaining part of a value, or `None` if no part remains.
fn left(value: &Node, places: &[(u32, u32)]) -> Option<Node> {
    let has_content = |node: &Node| !node.entries().is_empty() || !node.items().is_empty();
    let left = without_places(value, places);
    (!has_content(value) || has_content(&left)).then_some(left)
}
