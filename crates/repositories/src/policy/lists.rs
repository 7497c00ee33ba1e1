//! Finds the entries of a list in a policy.

use super::node::Node;

/// Returns the entries of a section. The section is either the list itself, or a block that has the
/// list in `exclusive`, `additive` or `include`.
pub(super) fn entries<'a>(root: &'a Node, section: &str) -> &'a [Node] {
    let Some(node) = root.get(section) else { return &[] };
    let list = ["exclusive", "additive", "include"].into_iter().find_map(|key| node.get(key));
    list.unwrap_or(node).items()
}
