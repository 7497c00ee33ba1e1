//! Merges two layers with the rules of safe-settings. If both layers set a key, the layer of higher
//! rank wins. Entries of lists are merged if they have the same identity (`crate::identity`). The
//! merged list also contains all other entries of both layers. A layer can also edit a list from a
//! layer of lower rank (`list_forms.rs`).

use super::node::{Kind, ListEdit, Node};
use crate::identity::{names, pair_layers};

/// Merges the layer of lower rank `under` with the layer of higher rank `over`. The values of
/// `over` win.
pub(crate) fn merge(under: &Node, over: &Node) -> Node {
    merge_value("", under, over)
}

/// Merges two values. `list` is the key of the list that contains the values. If the values
/// themselves are lists, `list` is the key of these lists.
fn merge_value(list: &str, under: &Node, over: &Node) -> Node {
    if let Some(least) = over.at_least() {
        return raised(under, over, least);
    }
    let kind = match (&under.kind, &over.kind) {
        (Kind::Map(under), Kind::Map(over)) => Kind::Map(merge_maps(list, under, over)),
        (Kind::List(_) | Kind::Edit(_), Kind::List(_) | Kind::Edit(_)) => edited(list, under, over),
        // No layer of lower rank has the list, so there are no entries to remove.
        (_, Kind::Edit(edit)) if !edit.drops && edit.entries.is_none() => return under.clone(),
        _ => return over.clone(),
    };
    Node { kind, ..over.clone() }
}

/// Raises a number from a layer of lower rank to the minimum `least`. `over` sets this minimum. The
/// result is the greater of the number and the minimum. If no layer of lower rank sets a number,
/// the result is the minimum.
fn raised(under: &Node, over: &Node, least: i64) -> Node {
    if under.int().or(under.at_least()).is_some_and(|number| number >= least) {
        return under.clone();
    }
    if under.int().is_some() { Node { kind: Kind::Int(least), ..over.clone() } } else { over.clone() }
}

/// Converts a list to an edit. A plain list is an edit that only adds and overrides entries.
fn as_edit(node: &Node) -> ListEdit {
    match &node.kind {
        Kind::Edit(edit) => ListEdit::clone(edit),
        _ => ListEdit { drops: false, without: Vec::new(), entries: Some(node.items().to_vec()) },
    }
}

/// Returns a single list or edit that has the same effect as `under` and then `over`.
pub(super) fn edited(list: &str, under: &Node, over: &Node) -> Kind {
    let (mut under, over) = (as_edit(under), as_edit(over));
    if over.drops {
        return Kind::Edit(Box::new(over));
    }
    if let Some(entries) = &mut under.entries {
        entries.retain(|entry| !over.without.iter().any(|named| names(list, named, entry)));
    }
    let entries = match (under.entries, over.entries) {
        (Some(under), Some(over)) => Some(merge_lists(list, &under, &over)),
        (under, over) => over.or(under),
    };
    let drops = under.drops;
    let without: Vec<Node> =
        if drops { Vec::new() } else { under.without.into_iter().chain(over.without).collect() };
    match entries {
        Some(entries) if !drops && without.is_empty() => Kind::List(entries),
        entries => Kind::Edit(Box::new(ListEdit { drops, without, entries })),
    }
}

/// Applies the remaining edits in the merged layers. Such an edit remains if no layer of lower rank
/// contains the list. If such a list has no entry in any layer, the function removes the list.
/// Beadle then does not manage this list.
pub(super) fn settle(root: &mut Node) {
    if let Kind::Map(sections) = &mut root.kind {
        // A section with `exclude` but without a list would have the same meaning as an empty list.
        sections.retain(|(_, section)| !section.get("include").is_some_and(is_unmanaged));
    }
    settle_value(root);
}

fn is_unmanaged(node: &Node) -> bool {
    matches!(&node.kind, Kind::Edit(edit) if edit.entries.is_none())
}

/// Applies the edits in a value. If no part of the value remains, the function returns true. The
/// caller must then remove the value, because an empty block can have its own meaning.
fn settle_value(node: &mut Node) -> bool {
    if let Kind::Edit(edit) = &mut node.kind {
        match edit.entries.take() {
            Some(entries) => node.kind = Kind::List(entries),
            None => return true,
        }
    }
    match &mut node.kind {
        Kind::Map(entries) => {
            let was_empty = entries.is_empty();
            entries.retain_mut(|(_, value)| !settle_value(value));
            entries.is_empty() && !was_empty
        }
        Kind::List(items) => {
            items.retain_mut(|item| !settle_value(item));
            false
        }
        _ => false,
    }
}

fn merge_maps(list: &str, under: &[(Node, Node)], over: &[(Node, Node)]) -> Vec<(Node, Node)> {
    let mut merged = under.to_vec();
    for (key, value) in over {
        match merged.iter_mut().find(|(name, _)| name.kind == key.kind) {
            Some((name, old)) => {
                // The list of a section can be the value of the key `include`.
                let inner = key.text().filter(|key| *key != "include").unwrap_or(list);
                *old = merge_value(inner, old, value);
                *name = key.clone();
            }
            None => merged.push((key.clone(), value.clone())),
        }
    }
    merged
}

fn merge_lists(list: &str, under: &[Node], over: &[Node]) -> Vec<Node> {
    let matched = pair_layers(list, over, under);
    let mut merged = under.to_vec();
    for (new, old) in matched.both {
        merged[old] = merge_value(list, &under[old], &over[new]);
    }
    merged.extend(matched.only_desired.into_iter().map(|new| over[new].clone()));
    merged
}

/// Returns whether a value contains an edit of a list.
pub(super) fn has_edits(node: &Node) -> bool {
    match &node.kind {
        Kind::Edit(_) => true,
        Kind::Map(entries) => entries.iter().any(|(_, value)| has_edits(value)),
        Kind::List(items) => items.iter().any(has_edits),
        _ => false,
    }
}

/// Returns the list `root` without the entries of the list `removed`.
pub(super) fn without_entries(list: &str, root: &Node, removed: &Node) -> Node {
    let kept = pair_layers(list, removed.items(), root.items()).only_observed;
    Node {
        kind: Kind::List(kept.into_iter().map(|place| root.items()[place].clone()).collect()),
        ..root.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::btree_set;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    fn texts(names: &BTreeSet<String>) -> Vec<Node> {
        names.iter().map(|name| Node::parse("f.yml", name).unwrap()).collect()
    }

    fn edits() -> impl Strategy<Value = Node> {
        let names = || btree_set("[abcd]", 0..3);
        let parts = (any::<bool>(), names(), option::of(names()));
        parts.prop_map(|(drops, without, entries)| {
            let without = if drops { Vec::new() } else { texts(&without) };
            let edit = ListEdit { drops, without, entries: entries.as_ref().map(texts) };
            Node { kind: Kind::Edit(Box::new(edit)), ..Node::parse("f.yml", "x").unwrap() }
        })
    }

    /// Returns an edit in a form that omits lines and the order of entries.
    fn plain(kind: &Kind) -> (bool, BTreeSet<String>, Option<BTreeSet<String>>) {
        let node = Node { kind: kind.clone(), ..Node::parse("f.yml", "x").unwrap() };
        let edit = as_edit(&node);
        let names = |list: &[Node]| list.iter().filter_map(|item| item.text().map(str::to_owned)).collect();
        (edit.drops, names(&edit.without), edit.entries.as_deref().map(names))
    }

    proptest! {
        #[test]
        fn two_edits_together_do_what_they_do_one_after_the_other(
            one in edits(), two in edits(), three in edits(),
        ) {
            let both = |under: &Node, over: &Node| {
                Node { kind: edited("events", under, over), ..over.clone() }
            };
            let first = edited("events", &both(&one, &two), &three);
            let last = edited("events", &one, &both(&two, &three));
            prop_assert_eq!(plain(&first), plain(&last));
        }
    }

    fn merged(under: &str, over: &str) -> serde_json::Value {
        merge(&Node::parse("a.yml", under).unwrap(), &Node::parse("b.yml", over).unwrap()).json()
    }

    #[test]
    fn the_narrower_layer_wins_key_by_key() {
        let merged =
            merged("repository: {has_wiki: true, has_issues: true}", "repository: {has_wiki: false}");
        assert_eq!(merged, serde_json::json!({"repository": {"has_wiki": false, "has_issues": true}}));
    }

    #[test]
    fn items_match_on_their_name_and_are_appended_otherwise() {
        let merged = merged(
            "teams: [{name: a, permission: pull}, {name: b, permission: pull}]",
            "teams: [{name: b, permission: admin}, {name: c, permission: push}]",
        );
        let expected = serde_json::json!({"teams": [
            {"name": "a", "permission": "pull"}, {"name": "b", "permission": "admin"}, {"name": "c", "permission": "push"},
        ]});
        assert_eq!(merged, expected);
    }

    #[test]
    fn bypass_actors_of_two_layers_are_told_apart_by_type_and_id() {
        let layer = |actors: &str| format!("rulesets: [{{name: main, bypass_actors: [{actors}]}}]");
        let merged = merged(
            &layer("{actor_type: RepositoryRole, actor_id: 5}, {actor_type: OrganizationAdmin}"),
            &layer("{actor_type: Team, actor_id: 5}, {actor_type: OrganizationAdmin, actor_id: 1}"),
        );
        let expected = serde_json::json!([
            {"actor_type": "RepositoryRole", "actor_id": 5}, {"actor_type": "OrganizationAdmin", "actor_id": 1},
            {"actor_type": "Team", "actor_id": 5},
        ]);
        assert_eq!(merged["rulesets"][0]["bypass_actors"], expected);
    }

    #[test]
    fn checks_and_workflows_of_two_layers_are_told_apart_by_their_whole_identity() {
        let merged = merged(
            "rules: [{type: workflows, parameters: {workflows: [{path: ci.yml, repository_id: 4}]}}]\n\
             checks: [{context: ci, app_id: 15368}, {context: lint}]",
            "rules: [{type: workflows, parameters: {workflows: [{path: ci.yml, repository_id: 6}]}}]\n\
             checks: [{context: ci, app_id: 666}, {context: lint, app_id: 7}]",
        );
        let workflows = &merged["rules"][0]["parameters"]["workflows"];
        assert_eq!(workflows.as_array().map(Vec::len), Some(2), "{workflows}");
        let expected = serde_json::json!([
            {"context": "ci", "app_id": 15368}, {"context": "lint", "app_id": 7}, {"context": "ci", "app_id": 666},
        ]);
        assert_eq!(merged["checks"], expected);
    }

    #[test]
    fn names_of_two_layers_match_as_github_compares_them() {
        let names = |list: &str, key: &str, one: &str, other: &str| {
            let layer = |name: &str| format!("{list}: [{{{key}: {name}}}]");
            merged(&layer(one), &layer(other))[list].as_array().unwrap().len()
        };
        assert_eq!(names("labels", "name", "Bug", "bug"), 1);
        assert_eq!(names("teams", "name", "Platform", "platform"), 1);
        for (list, key) in [("rulesets", "name"), ("branches", "name"), ("webhooks", "url")] {
            assert_eq!(names(list, key, "https://ci/Main", "https://ci/main"), 2, "{list}");
        }
    }

    #[test]
    fn null_takes_a_block_away() {
        assert_eq!(
            merged(
                "branches: [{name: x, protection: {enforce_admins: true}}]",
                "branches: [{name: x, protection: null}]"
            ),
            serde_json::json!({"branches": [{"name": "x", "protection": null}]})
        );
    }
}
