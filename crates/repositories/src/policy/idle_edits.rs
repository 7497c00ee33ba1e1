//! Finds list edits that have no effect. Such an edit has no effect because no file of a lower rank
//! contains the list or the entry. All findings are warnings, because such an edit does no harm.

use std::collections::{BTreeMap, BTreeSet};

use super::layers::{Layer, LayerKind};
use super::leaves::{ListAt, lists};
use super::list_forms::{ACTORS, nothing_below};
use super::node::{Kind, ListEdit, Node};
use super::problem::{Problem, Severity, nearest};
use crate::identity;
use crate::organisation;

/// A list of a layer, or an edit of a list.
struct Placed<'a> {
    layer: &'a Layer,
    /// The index of the block that contains the list. Index 0 is the block of the file. The other
    /// indexes are the entries of `first_match`.
    block: usize,
    list: ListAt<'a>,
}

impl Placed<'_> {
    /// Returns whether the edit `edit` can change this list.
    fn is_below(&self, edit: &Self) -> bool {
        if self.layer.file == edit.layer.file {
            // The entries of `first_match` also edit the lists of their file.
            return self.block == 0 && edit.block > 0;
        }
        // Files of equal rank also count, because Beadle also merges their lists. Two files in
        // repos/ never apply to the same repository.
        self.layer.rank <= edit.layer.rank && !matches!(self.layer.kind, LayerKind::Repository(_))
    }

    /// Returns whether the list belongs to the organisation. Layers for repositories cannot edit
    /// such a list.
    fn is_of_organisation(&self) -> bool {
        let section = self.list.key.split(['.', '[']).next().unwrap_or_default();
        matches!(self.layer.kind, LayerKind::Organisation) && organisation::SECTIONS.contains(&section)
    }
}

/// Finds, in all layers, the edits that have no effect.
pub(super) fn idle_edits(layers: &[Layer]) -> Vec<Problem> {
    let blocks = layers.iter().flat_map(|layer| layer.roots().enumerate().map(move |root| (layer, root)));
    let all: Vec<Placed<'_>> = blocks
        .flat_map(|(layer, (block, root))| {
            lists(root).into_iter().map(move |list| Placed { layer, block, list })
        })
        .filter(|placed| !placed.is_of_organisation())
        .collect();
    let mut by_key: BTreeMap<String, Vec<&Placed<'_>>> = BTreeMap::new();
    for placed in all.iter().filter(|placed| !placed.list.node.items().is_empty()) {
        by_key.entry(one_list(&placed.list.key)).or_default().push(placed);
    }
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for edit in &all {
        let Kind::Edit(change) = &edit.list.node.kind else { continue };
        let keys = keys_of(&edit.list.key, change);
        let known = keys.iter().filter_map(|key| by_key.get(key)).flatten();
        let below: Vec<&Node> = known
            .filter(|placed| placed.is_below(edit))
            .flat_map(|placed| placed.list.node.items())
            .collect();
        // An edit of one list can also edit another list (`list_forms.rs`).
        let found = idle(&edit.list, change, &below).into_iter();
        problems.extend(found.filter(|problem| {
            let place = &problem.asked;
            seen.insert((place.file.to_string(), place.line, problem.column))
        }));
    }
    problems
}

/// Returns the keys of the lists that an edit can change.
fn keys_of(key: &str, edit: &ListEdit) -> Vec<String> {
    let is_null = edit.drops && edit.entries.is_none();
    match key.rsplit_once('.') {
        Some((block, list)) if is_null && ACTORS.contains(&list) => {
            ACTORS.iter().map(|list| format!("{block}.{list}")).collect()
        }
        _ => vec![one_list(key)],
    }
}

/// Returns the findings about one edit. `below` contains the entries that the edit can change.
fn idle(list: &ListAt<'_>, edit: &ListEdit, below: &[&Node]) -> Vec<Problem> {
    if below.is_empty() {
        let is_idle = !edit.without.is_empty() || (edit.drops && edit.entries.is_none());
        return if is_idle { vec![nothing_below(&list.path, list.node)] } else { Vec::new() };
    }
    let is_missing = |named: &&Node| !below.iter().any(|entry| is_named(&list.name, named, entry));
    edit.without.iter().filter(is_missing).map(|named| not_listed(list, named, below)).collect()
}

/// Returns a key in the form that Beadle compares. `checks` and `contexts` have the same form,
/// because they are one list at GitHub.
fn one_list(key: &str) -> String {
    match key.strip_suffix(".contexts") {
        Some(block) => format!("{block}.checks"),
        None => key.to_owned(),
    }
}

/// Returns whether an entry of `without` matches an entry of a lower rank's list.
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
    let path: &str = if edit.path.starts_with("webhooks[") { "webhooks" } else { &edit.path };
    let text = format!("`{path}`: `without` names {what}, which no file of a lower rank lists");
    let problem = Problem::error(named.asked.clone(), named.column, text).severity(Severity::Warning);
    let known: Vec<String> = below.iter().copied().filter_map(name).collect();
    match name(named).and_then(|name| nearest(&name, known.iter().map(String::as_str)).map(str::to_owned)) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem,
    }
}
