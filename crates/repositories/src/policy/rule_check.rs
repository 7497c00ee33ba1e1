//! Checks whether the values of a policy follow the rules of the policy (`rule_file.rs`).

use beadle_engine::PolicyLocation;
use serde_json::{Map, Value, json};

use super::keys::lists;
use super::layers::{Layer, LayerKind, without_plugins};
use super::lists::entries;
use super::meeting::{Part, parts};
use super::merge::{merge, settle};
use super::node::{Node, at_least};
use super::problem::Problem;
use super::rule_file::PolicyRule;
use super::spellings::in_both_spellings;
use crate::identity::pair_layers;
use crate::organisation;

/// A value that breaks a rule.
pub(super) struct Violation<'a> {
    pub(super) rule: &'a PolicyRule,
    /// The line of the value.
    pub(super) asked: PolicyLocation,
    column: u32,
    /// The message of the rule, together with the rule's name and line.
    pub(super) why: String,
}

/// Finds the layers that break a rule. The files alone do not show all layers of a repository. The
/// function therefore compares each layer only with the layers that certainly apply to the same
/// repositories. `layers` must be sorted by rank. `disabled` contains the sections that Beadle does
/// not apply.
pub(super) fn broken(layers: &[Layer], rules: &[PolicyRule], disabled: &[String]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = Vec::new();
    if !rules.iter().any(|rule| rule.is_about_layers) {
        return problems;
    }
    let highest = layers.iter().map(|layer| layer.rank).max().unwrap_or_default();
    let parts = parts(layers);
    let lower: Vec<(&Part<'_>, Node)> = parts
        .iter()
        .filter(|part| part.layer.is_some_and(|layer| layer.rank < highest))
        .filter_map(|part| Some((part, values_of(part, disabled)?)))
        .collect();
    let is_named = |root: &Node| rules.iter().any(|rule| rule.is_about_layers && is_about(rule, root));
    for part in &parts {
        let (Some(layer), Some(root)) = (part.layer, part.root) else { continue };
        if !is_override(layers, &layer.file) || !(is_named(&layer.root) || is_named(root)) {
            continue;
        }
        let Some(own) = values_of(part, disabled) else { continue };
        let is_below =
            |wide: &Part<'_>| wide.layer.is_some_and(|wide| wide.rank < layer.rank) && wide.covers(part);
        let below: Vec<&(&Part<'_>, Node)> = lower.iter().filter(|(wide, _)| is_below(wide)).collect();
        let above = below.iter().filter_map(|(wide, _)| wide.layer).flat_map(|wide| &wide.disabled_above);
        let own = without_plugins(&own, &above.cloned().collect::<Vec<String>>());
        let base = merged(below.iter().map(|(_, root)| root));
        for violation in of_layer(rules, base.as_ref(), &own) {
            let problem = Problem::error(violation.asked, violation.column, violation.why);
            // An entry of `first_match` also contains the values of its file. So the same problem
            // can occur twice.
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    problems
}

/// Returns whether a layer overrides other layers. Every layer overrides other layers, except the
/// lowest `settings.yml`. This is the `settings.yml` of the base. If there is no such file, it is
/// the `settings.yml` of the policy itself. `layers` must be sorted by rank.
pub(super) fn is_override(layers: &[Layer], file: &str) -> bool {
    let lowest = layers.iter().find(|layer| matches!(layer.kind, LayerKind::Organisation));
    lowest.is_none_or(|lowest| lowest.file != file)
}

/// Returns the repository values that a part of a policy sets.
fn values_of(part: &Part<'_>, disabled: &[String]) -> Option<Node> {
    let (layer, root) = (part.layer?, part.root?);
    let own = match layer.kind {
        LayerKind::Organisation => layer.root.without(&organisation::SECTIONS),
        _ => layer.root.clone(),
    };
    let is_case = !std::ptr::eq(root, &raw const layer.root);
    let values = without_plugins(&if is_case { merge(&own, root) } else { own }, disabled);
    Some(in_both_spellings(&values, &[]))
}

/// Merges the values of layers, and applies the edits of lists in these layers. The layers must be
/// sorted by rank.
pub(super) fn merged<'a>(roots: impl Iterator<Item = &'a Node>) -> Option<Node> {
    let root = roots.fold(None, |under: Option<Node>, over| {
        Some(match under {
            Some(under) => merge(&under, over),
            None => over.clone(),
        })
    });
    root.map(|mut root| {
        settle(&mut root);
        root
    })
}

/// Returns whether a block sets a section that the rule uses.
fn is_about(rule: &PolicyRule, root: &Node) -> bool {
    rule.sections.is_empty() || rule.sections.iter().any(|section| root.get(section).is_some())
}

/// Checks whether a layer follows the rules for layers. `base` contains the merged values of the
/// layers of lower rank. A rule applies only if the layer sets a section that the rule uses.
pub(super) fn of_layer<'a>(rules: &'a [PolicyRule], base: Option<&Node>, own: &Node) -> Vec<Violation<'a>> {
    let mut found = Vec::new();
    let mut resolved = None;
    for rule in rules.iter().filter(|rule| rule.is_about_layers && is_about(rule, own)) {
        let resolved: &Node = resolved
            .get_or_insert_with(|| merged(base.into_iter().chain([own])).unwrap_or_else(|| own.clone()));
        if let Some(list) = &rule.each {
            of_entries(rule, list, (base, own, resolved), &mut found);
        } else {
            let base = base.map_or_else(|| json!({}), |base| plain(rule, base));
            let values =
                json!({ "base": base, "override": plain(rule, own), "resolved": plain(rule, resolved) });
            found.extend(judged(rule, &values, own));
        }
    }
    found
}

/// Checks the entries of a list one by one. `values` contains three things: the values of the
/// layers of lower rank, the values of the layer itself, and the merge of both.
fn of_entries<'a>(
    rule: &'a PolicyRule,
    list: &str,
    values: (Option<&Node>, &Node, &Node),
    found: &mut Vec<Violation<'a>>,
) {
    let (base, own, resolved) = values;
    let items = entries(own, list);
    let below = base.map(|base| entries(base, list)).unwrap_or_default();
    let above = entries(resolved, list);
    let (lower, merged) = (pair_layers(list, items, below), pair_layers(list, items, above));
    for (at, item) in items.iter().enumerate() {
        let mut values = Map::new();
        values.insert("override".to_owned(), seen(item));
        for (name, pairs, all) in [("base", &lower, below), ("resolved", &merged, above)] {
            if let Some(other) = pairs.observed_of(at).and_then(|place| all.get(place)) {
                values.insert(name.to_owned(), seen(other));
            }
        }
        found.extend(judged(rule, &Value::Object(values), item));
    }
    // The layer can also remove the entries of lower layers.
    for place in pair_layers(list, above, below).only_observed {
        let Some(item) = below.get(place) else { continue };
        let at = own.get(list).unwrap_or(own);
        found.extend(judged(rule, &json!({ "base": seen(item) }), at));
    }
}

/// Checks whether the merged values of a repository follow the rules for repositories.
pub(super) fn of_repository<'a>(rules: &'a [PolicyRule], root: &Node) -> Vec<Violation<'a>> {
    let mut found = Vec::new();
    for rule in rules.iter().filter(|rule| !rule.is_about_layers) {
        match &rule.each {
            Some(list) => found.extend(
                entries(root, list)
                    .iter()
                    .filter_map(|item| judged(rule, &json!({ "resolved": seen(item) }), item)),
            ),
            None => found.extend(judged(rule, &json!({ "resolved": plain(rule, root) }), root)),
        }
    }
    found
}

/// Evaluates a rule. `at` is the block that contains the values.
fn judged<'a>(rule: &'a PolicyRule, values: &Value, at: &Node) -> Option<Violation<'a>> {
    let why = rule.broken_by(values)?;
    let place = place(rule, at);
    Some(Violation { rule, asked: place.asked.clone(), column: place.column, why })
}

/// Returns the value of a block that the rule uses. If the block has no such value, the function
/// returns the block.
fn place<'a>(rule: &PolicyRule, at: &'a Node) -> &'a Node {
    let mut found = rule.paths.iter().rev().filter_map(|path| {
        let mut names = path.split('.');
        let mut last = at.get(names.next()?)?;
        // The final part of the path is allowed to have no value.
        while let Some(next) = names.next().and_then(|name| last.get(name)) {
            last = next;
        }
        Some(last)
    });
    found.next().unwrap_or(at)
}

/// Returns a value in the form for rules. A minimum becomes a plain number, because a live number
/// that is equal to the minimum matches the policy. If the minimum stayed a block, a rule would
/// treat it as greater than every number.
fn seen(node: &Node) -> Value {
    let mut value = node.json();
    minimums(&mut value);
    value
}

fn minimums(value: &mut Value) {
    if let Some(least) = at_least(value) {
        *value = json!(least);
        return;
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(minimums),
        Value::Object(entries) => entries.values_mut().for_each(minimums),
        _ => {}
    }
}

/// Returns the sections of a block that the rule uses. The result is JSON, and every list in it has
/// its plain form.
fn plain(rule: &PolicyRule, root: &Node) -> Value {
    let lists = lists();
    let is_named =
        |name: &&str| rule.sections.is_empty() || rule.sections.iter().any(|section| section == name);
    let sections = root.entries().iter().filter_map(|(key, value)| {
        let name = key.text().filter(is_named)?;
        let list = value.get("include").filter(|_| lists.contains(&name));
        Some((name.to_owned(), seen(list.unwrap_or(value))))
    });
    Value::Object(sections.collect())
}

#[cfg(test)]
mod tests;
