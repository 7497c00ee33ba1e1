//! Finds values that differ between two layers of equal rank. Layers of equal rank have no order,
//! so the result must not depend on their order.

use beadle_engine::PolicyLocation;
use serde_json::Value;

use super::leaves::leaves;
use super::merge::edited;
use super::node::{AT_LEAST, Kind, Node};
use crate::identity::{pair_layers, same};

/// A path, and the two lines that set different values for it.
type Conflict = (String, PolicyLocation, PolicyLocation);

/// Finds the paths at which two blocks disagree. Returns each path with the two disagreeing lines.
pub(super) fn conflicts(one: &Node, other: &Node) -> Vec<Conflict> {
    let mut found = values(one, other);
    walk("", "", one, other, &mut found);
    // The address of a webhook can contain a secret.
    for (path, ..) in found.iter_mut().filter(|(path, ..)| path.starts_with("webhooks[")) {
        "webhooks".clone_into(path);
    }
    found
}

/// Finds the paths with different values in two blocks.
fn values(one: &Node, other: &Node) -> Vec<Conflict> {
    let (one, other) = (leaves(one), leaves(other));
    let mut found = Vec::new();
    for leaf in &one {
        for against in &other {
            // If both values are minimums, the greater minimum always applies.
            let is_minimum = leaf.key.rsplit('.').next() == Some(AT_LEAST);
            let same = leaf.key == against.key && leaf.value != against.value && !is_minimum;
            // A null in one layer removes a whole block. The null therefore conflicts with every
            // value that the other layer sets in this block.
            let removes = |null: &Value, path: &str, inner: &str| {
                let below = inner.strip_prefix(path).filter(|_| null.is_null());
                below.is_some_and(|below| below.starts_with(['.', '[']))
            };
            let gone = removes(&leaf.value, &leaf.key, &against.key)
                || removes(&against.value, &against.key, &leaf.key);
            if same || gone {
                found.push((leaf.path.clone(), leaf.asked.clone(), against.asked.clone()));
            }
        }
    }
    found
}

/// Finds the lists and numbers whose result depends on the order of two layers. `path` is the path
/// of the two values. `list` is the key of the list that contains the two values.
fn walk(path: &str, list: &str, one: &Node, other: &Node, found: &mut Vec<Conflict>) {
    let disagree = || (path.to_owned(), one.asked.clone(), other.asked.clone());
    match (&one.kind, &other.kind) {
        (Kind::Map(_), Kind::Int(number)) | (Kind::Int(number), Kind::Map(_))
            if one.at_least().or(other.at_least()).is_some_and(|least| least > *number) =>
        {
            found.push(disagree());
        }
        (Kind::Map(entries), Kind::Map(_)) => {
            for (key, value) in entries {
                let Some(key) = key.text() else { continue };
                let Some(against) = other.get(key) else { continue };
                let is_section = key == "include" && !path.is_empty() && !path.contains(['.', '[']);
                // A list in `include` has the same path as its section.
                let inner = match path {
                    "" => key.to_owned(),
                    path if is_section => path.to_owned(),
                    path => format!("{path}.{key}"),
                };
                walk(&inner, if is_section { list } else { key }, value, against, found);
            }
        }
        (Kind::List(_) | Kind::Edit(_), Kind::List(_) | Kind::Edit(_)) => {
            let has_edit = [one, other].iter().any(|node| matches!(node.kind, Kind::Edit(_)));
            if has_edit && !is_same(list, &edited(list, one, other), &edited(list, other, one)) {
                found.push(disagree());
                return;
            }
            let (items, against) = (one.items(), other.items());
            for (at, place) in pair_layers(list, items, against).both {
                if let (Some(item), Some(against)) = (items.get(at), against.get(place)) {
                    walk(&format!("{path}[{at}]"), "", item, against, found);
                }
            }
        }
        _ => {}
    }
}

/// Returns whether two lists, or two edits of a list, have entries with the same identities. The
/// function ignores the order of the entries.
fn is_same(list: &str, one: &Kind, other: &Kind) -> bool {
    let within =
        |few: &[Node], many: &[Node]| few.iter().all(|item| many.iter().any(|other| same(list, item, other)));
    let equal = |one: &[Node], other: &[Node]| within(one, other) && within(other, one);
    match (one, other) {
        (Kind::List(one), Kind::List(other)) => equal(one, other),
        (Kind::Edit(one), Kind::Edit(other)) => {
            one.drops == other.drops
                && one.entries.is_some() == other.entries.is_some()
                && equal(&one.without, &other.without)
                && equal(
                    one.entries.as_deref().unwrap_or_default(),
                    other.entries.as_deref().unwrap_or_default(),
                )
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_about_a_webhook_does_not_show_its_address() {
        let layer = |active: bool| {
            let text =
                format!("webhooks: [{{ url: 'https://ci.example.com/?token=hunter2', active: {active} }}]");
            Node::parse("a.yml", &text).unwrap()
        };
        let found = conflicts(&layer(true), &layer(false));
        let paths: Vec<&str> = found.iter().map(|(path, ..)| path.as_str()).collect();
        assert_eq!(paths, ["webhooks"]);
    }
}
