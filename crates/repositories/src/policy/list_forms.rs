//! Reads the forms that edit a list of lower layers: `replace`, `without`, `add` and `null`. The
//! result is a [`ListEdit`]. The merge of layers applies this edit.

use super::keys::ALL_SECTIONS;
use super::lists::{ENTRIES, list_of, removed};
use super::node::{Kind, ListEdit, Node};
use super::problem::{Problem, Severity};
use super::rules;
use super::shape::{Key, Shape};
use crate::identity;

/// The three lists of actors in a branch protection rule. GitHub stores them as one list.
pub(super) const ACTORS: [&str; 3] = ["users", "teams", "apps"];

/// Converts each edit of an inner list to a [`Kind::Edit`]. The argument is a file, or one entry of
/// `first_match`. The function does not convert lists that can be exclusive or additive, because
/// `layers.rs` converts these lists and also reads their modes.
pub(super) fn edits(root: &Node) -> Node {
    let mut root = root.clone();
    blocks(ALL_SECTIONS, &mut root);
    root
}

/// Converts the value of a list to an edit. Returns `None` if the value is the list itself. `item`
/// is the shape of the entries.
pub(super) fn effect(item: &Shape, node: &Node) -> Option<Kind> {
    let edit = |drops, without, entries| Kind::Edit(Box::new(ListEdit { drops, without, entries }));
    match &node.kind {
        Kind::Null => Some(edit(true, Vec::new(), None)),
        Kind::Map(_) => {
            let list = list_of(node);
            let entries = (!std::ptr::eq(list, node)).then(|| list.items().to_vec());
            if node.get("replace").is_some() {
                return Some(edit(true, Vec::new(), entries));
            }
            let without: Vec<Node> = removed(node).iter().map(|named| entry(item, named)).collect();
            match entries {
                Some(entries) if without.is_empty() => Some(Kind::List(entries)),
                entries => Some(edit(false, without, entries)),
            }
        }
        _ => None,
    }
}

/// Converts an entry of `without` to the form of a list's entry. If the author wrote only a name,
/// this name becomes the value of the entry's first key.
fn entry(item: &Shape, named: &Node) -> Node {
    match item {
        Shape::Map([first, ..]) if named.is_scalar() => {
            let key = Node { kind: Kind::Text(first.name.to_owned()), ..named.clone() };
            Node { kind: Kind::Map(vec![(key, named.clone())]), ..named.clone() }
        }
        _ => named.clone(),
    }
}

/// Converts the values of a block.
fn blocks(keys: &[Key], node: &mut Node) {
    let kind = node.get("type").and_then(Node::text).and_then(rules::find);
    for key in keys {
        let Some(value) = node.child(key.name) else { continue };
        match (key.name, kind) {
            ("parameters", Some(rule)) => parameters(rule.parameters, value),
            _ => within(&key.shape, value),
        }
    }
    if node.get("checks").or(node.get("contexts")).is_some() {
        couple(node);
    }
    if keys.iter().any(|key| key.name == "apps") {
        drop_together(node);
    }
}

/// Converts the lists inside a value.
fn within(shape: &Shape, node: &mut Node) {
    match shape {
        Shape::Map(keys) => blocks(keys, node),
        Shape::OrNull(shape) if !node.is_null() => within(shape, node),
        Shape::Either(one, other) => {
            let shape = if one.fits(node) { one } else { other };
            within(shape, node);
        }
        Shape::List(item) => node.children().for_each(|entry| within(item, entry)),
        Shape::Layered(list, _) => {
            let Shape::List(item) = list else { return };
            if let Kind::Map(lists) = &mut node.kind {
                for (key, list) in lists {
                    if !matches!(key.text(), Some("without" | "exclude")) {
                        list.children().for_each(|entry| within(item, entry));
                    }
                }
            } else {
                node.children().for_each(|entry| within(item, entry));
            }
            if !shape.has_list_mode()
                && let Some(kind) = effect(item, node)
            {
                node.kind = kind;
            }
        }
        _ => {}
    }
}

/// Converts the parameters of a rule. GitHub treats a parameter with the value null as not
/// specified. So null removes a list of lower layers.
fn parameters(keys: &[Key], node: &mut Node) {
    for key in keys {
        let Some(value) = node.child(key.name) else { continue };
        match key.shape {
            Shape::OrNull(list) if matches!(list, Shape::Layered(..)) && value.kind == Kind::Null => {
                within(list, value);
            }
            shape => within(&shape, value),
        }
    }
}

/// Copies an edit of the list `checks` to the list `contexts`, and an edit of `contexts` to
/// `checks`. At GitHub, these two lists are one list.
fn couple(block: &mut Node) {
    let (checks, contexts) = (block.get("checks").cloned(), block.get("contexts").cloned());
    for (from, name, own) in [(&checks, "contexts", &contexts), (&contexts, "checks", &checks)] {
        let Some(Node { kind: Kind::Edit(edit), .. }) = from else { continue };
        let (own_drops, entries, mut without) = match own.as_ref().map(|node| &node.kind) {
            Some(Kind::Edit(own)) => (own.drops, own.entries.clone(), own.without.clone()),
            Some(Kind::List(entries)) => (false, Some(entries.clone()), Vec::new()),
            _ => (false, None, Vec::new()),
        };
        let drops = edit.drops || own_drops;
        without.extend(edit.without.iter().filter_map(other_form));
        if drops {
            without.clear();
        } else if without.is_empty() {
            continue;
        }
        let Some(at) = own.as_ref().or(from.as_ref()) else { continue };
        let kind = Kind::Edit(Box::new(ListEdit { drops, without, entries }));
        let node = Node { kind, ..at.clone() };
        put(block, name, node);
    }
}

/// If a layer sets one actor list to null, the layer removes all actor lists of lower layers. At
/// GitHub, these lists are one list. So a list `teams` alone, without a list `users`, would remove
/// every user.
fn drop_together(block: &mut Node) {
    let is_null =
        |node: &&Node| matches!(&node.kind, Kind::Edit(edit) if edit.drops && edit.entries.is_none());
    let null = ACTORS.iter().find_map(|name| block.get(name).filter(is_null));
    let Some(null) = null.cloned() else { return };
    for name in ACTORS {
        let own = block.get(name);
        let entries = match own.map(|node| &node.kind) {
            Some(Kind::List(entries)) => Some(entries.clone()),
            Some(Kind::Edit(edit)) => edit.entries.clone(),
            _ => None,
        };
        let kind = Kind::Edit(Box::new(ListEdit { drops: true, without: Vec::new(), entries }));
        let node = Node { kind, ..own.unwrap_or(&null).clone() };
        put(block, name, node);
    }
}

/// Sets the value of a key in a block.
fn put(block: &mut Node, name: &str, node: Node) {
    if let Some(value) = block.child(name) {
        *value = node;
    } else if let Kind::Map(entries) = &mut block.kind {
        let key = Node { kind: Kind::Text(name.to_owned()), ..node.clone() };
        entries.push((key, node));
    }
}

/// Converts an entry of `without` from the form of the list `checks` to the form of the list
/// `contexts`, or in the opposite direction. The list `contexts` cannot restrict a check to a
/// certain App.
fn other_form(named: &Node) -> Option<Node> {
    if named.text().is_some() {
        let key = Node { kind: Kind::Text("context".to_owned()), ..named.clone() };
        return Some(Node { kind: Kind::Map(vec![(key, named.clone())]), ..named.clone() });
    }
    if named.get("app_id").is_some() { None } else { named.get("context").cloned() }
}

/// Checks the entries of each `without` list.
pub(super) fn check(root: &Node, problems: &mut Vec<Problem>) {
    check_names("", root, problems);
}

/// Creates the warning about an edit of a list that no file of lower rank contains.
pub(super) fn nothing_below(path: &str, node: &Node) -> Problem {
    let path = if path.starts_with("webhooks[") { "webhooks" } else { path };
    let text = format!("`{path}`: this has no effect, because no file of a lower rank lists entries there");
    let problem = Problem::error(node.asked.clone(), node.column, text).severity(Severity::Warning);
    problem.hint("for a list of this file alone, write the list itself")
}

/// Checks that each entry of a `without` contains the keys that identify an entry of the list.
fn check_names(list: &str, node: &Node, problems: &mut Vec<Problem>) {
    for named in removed(node) {
        if matches!(named.kind, Kind::Map(_)) && identity::name(list, named).is_none() {
            let text = format!("this entry of `without` does not say which entry of `{list}` it means");
            problems.push(Problem::error(named.asked.clone(), named.column, text));
        }
    }
    for (key, value) in node.entries() {
        let key = key.text().unwrap_or_default();
        if key != "without" {
            let is_list = ENTRIES.contains(&key);
            check_names(if is_list { list } else { key }, value, problems);
        }
    }
    node.items().iter().for_each(|item| check_names("", item, problems));
}

#[cfg(test)]
mod tests;
