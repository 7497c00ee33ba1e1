//! Finds edits of lists that have no effect, because no file of a lower rank has the list or the
//! entry. All findings are warnings, because such an edit does no harm.

use std::collections::BTreeSet;

use super::layers::{Layer, LayerKind};
use super::leaves::{ListAt, lists};
use super::list_forms::{ACTORS, nothing_below};
use super::node::{Kind, ListEdit, Node};
use super::problem::{Problem, Severity, nearest};
use crate::identity;
use crate::organisation;

/// Finds the edits without an effect in all layers. `layers` must be sorted by rank.
pub(super) fn idle_edits(layers: &[Layer]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for layer in layers {
        // The files of an equal rank count too, because their lists are merged as well.
        let others = layers.iter().filter(|other| other.rank <= layer.rank && other.file != layer.file);
        let below: Vec<&Node> = others.flat_map(Layer::roots).collect();
        for (at, root) in layer.roots().enumerate() {
            let edits: Vec<ListAt<'_>> = lists(root).into_iter().filter(is_edit).collect();
            if edits.is_empty() {
                continue;
            }
            // The entries of `first_match` edit the lists of their file too.
            let own = (at > 0).then_some(&layer.root);
            let known: Vec<ListAt<'_>> = below
                .iter()
                .copied()
                .chain(own)
                .flat_map(lists)
                .filter(|list| !is_of_organisation(layers, list) && !list.node.items().is_empty())
                .collect();
            for edit in &edits {
                let found = idle(edit, &known).into_iter();
                problems.extend(found.filter(|problem| {
                    let place = &problem.asked;
                    seen.insert((place.file.to_string(), place.line, problem.column))
                }));
            }
        }
    }
    problems
}

fn is_edit(list: &ListAt<'_>) -> bool {
    matches!(list.node.kind, Kind::Edit(_))
}

/// Returns whether a list belongs to the organisation. Layers of repositories do not edit it.
fn is_of_organisation(layers: &[Layer], list: &ListAt<'_>) -> bool {
    let section = list.key.split(['.', '[']).next().unwrap_or_default();
    let file = &list.node.asked.file;
    organisation::SECTIONS.contains(&section)
        && layers
            .iter()
            .any(|layer| matches!(layer.kind, LayerKind::Organisation) && layer.file.as_str() == &**file)
}

/// Returns the findings about one edit. `known` are the lists that it can edit.
fn idle(edit: &ListAt<'_>, known: &[ListAt<'_>]) -> Vec<Problem> {
    let Kind::Edit(change) = &edit.node.kind else { return Vec::new() };
    let ListEdit { drops, without, entries } = &**change;
    let is_null = *drops && entries.is_none();
    let same = known.iter().filter(|list| {
        one_list(&list.key) == one_list(&edit.key) || (is_null && are_actors(&list.key, &edit.key))
    });
    let below: Vec<&Node> = same.flat_map(|list| list.node.items()).collect();
    if below.is_empty() {
        let is_idle = !without.is_empty() || is_null;
        return if is_idle { vec![nothing_below(&edit.path, edit.node)] } else { Vec::new() };
    }
    let missing =
        without.iter().filter(|named| !below.iter().any(|entry| is_named(&edit.name, named, entry)));
    missing.map(|named| not_listed(edit, named, &below)).collect()
}

/// Returns whether two keys belong to lists of actors in the same block.
fn are_actors(one: &str, other: &str) -> bool {
    match (one.rsplit_once('.'), other.rsplit_once('.')) {
        (Some((block, list)), Some((same, another))) => {
            block == same && ACTORS.contains(&list) && ACTORS.contains(&another)
        }
        _ => false,
    }
}

/// Returns a key in a form that is equal for `checks` and `contexts`, because they are one list at
/// GitHub.
fn one_list(key: &str) -> String {
    match key.strip_suffix(".contexts") {
        Some(block) => format!("{block}.checks"),
        None => key.to_owned(),
    }
}

/// Returns whether an entry of `without` names an entry of a list of a lower rank.
fn is_named(list: &str, named: &Node, entry: &Node) -> bool {
    let context = |node: &Node| node.text().or_else(|| node.get("context")?.text()).map(str::to_owned);
    let is_check = ["checks", "contexts"].contains(&list);
    identity::names(list, named, entry) || (is_check && context(named) == context(entry))
}

fn not_listed(edit: &ListAt<'_>, named: &Node, below: &[&Node]) -> Problem {
    let name = |node: &Node| match identity::name(&edit.name, node) {
        // The address of a webhook can contain a secret.
        _ if edit.name == "webhooks" => None,
        Some(name) => Some(name.written),
        None => node.text().map(str::to_owned),
    };
    let what = name(named).map_or_else(|| "an entry".to_owned(), |name| format!("`{name}`"));
    let path = if edit.path.starts_with("webhooks[") { "webhooks" } else { &edit.path };
    let text = format!("`{path}`: `without` names {what}, which no file of a lower rank lists");
    let problem = Problem::error(named.asked.clone(), named.column, text).severity(Severity::Warning);
    let known: Vec<String> = below.iter().copied().filter_map(name).collect();
    match name(named).and_then(|name| nearest(&name, known.iter().map(String::as_str)).map(str::to_owned)) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem,
    }
}
