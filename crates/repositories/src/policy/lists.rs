//! Finds the entries of a list in a policy.

use super::node::Node;

/// The keys that can contain the entries of a list in block form. A block has at most one of these
/// keys.
pub(super) const ENTRIES: [&str; 5] = ["exclusive", "additive", "include", "add", "replace"];

/// Returns the entries of a list. The value of the key `section` is either the list itself or a
/// block. In a block, the list is the value of one of these keys: `exclusive`, `additive`,
/// `include`, `add` and `replace`.
pub(super) fn entries<'a>(root: &'a Node, section: &str) -> &'a [Node] {
    let Some(node) = root.get(section) else { return &[] };
    list_of(node).items()
}

/// Returns the list in a block. If the node is not such a block, the function returns the node
/// itself.
pub(super) fn list_of(node: &Node) -> &Node {
    ENTRIES.into_iter().find_map(|key| node.get(key)).unwrap_or(node)
}

/// Returns the names and entries that a block removes from the list of lower layers.
pub(super) fn removed(node: &Node) -> &[Node] {
    node.get("without").map(Node::items).unwrap_or_default()
}
