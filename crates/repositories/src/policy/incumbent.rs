//! Accepts the forms of safe-settings and of the Probot settings app that this version reads
//! differently, before the check. If a form has a safe meaning, Beadle uses it and reports the line.
//!
//! <https://github.com/github/safe-settings> and <https://github.com/repository-settings/app>

use super::keys::{ALL_SECTIONS, REPOSITORY};
use super::node::{Kind, Node};
use super::normal::each;
use super::problem::{Problem, Severity};
use super::shape::{Key, Shape, Status};

/// The selectors of a suborg. One of them can have no value if another one has a value: a suborg
/// whose only selector is lost would reach no repository.
const SELECTORS: &[&str] = &["suborgrepos", "suborgteams", "suborgproperties"];

/// Returns a file in the form that the check knows.
pub(super) fn accept(root: &Node, problems: &mut Vec<Problem>) -> Node {
    let mut root = root.clone();
    part(&mut root, problems);
    for case in root.child("first_match").into_iter().flat_map(Node::children) {
        part(case, problems);
    }
    root
}

fn warning(at: &Node, text: String) -> Problem {
    Problem::error(at.asked.clone(), at.column, text).severity(Severity::Warning)
}

/// Accepts the forms in a file, or in one entry of `first_match`.
fn part(root: &mut Node, problems: &mut Vec<Problem>) {
    let selects = SELECTORS.iter().any(|name| root.get(name).is_some_and(|node| !node.is_null()));
    // `additive_plugins` and `disable_plugins` are no sections: without their values, Beadle would
    // remove more.
    let is_section = |name: &str| {
        let carried = |key: &&Key| key.status == Status::Carried;
        (selects && SELECTORS.contains(&name))
            || ALL_SECTIONS.iter().filter(carried).any(|key| key.name == name)
    };
    drop_unset(root, "", is_section, problems);
    if let Some(repository) = root.child("repository") {
        // A key that can be null has a meaning for null.
        let is_setting = |name: &str| {
            let known = REPOSITORY.iter().find(|key| key.name == name);
            known.is_some_and(|key| key.status == Status::Carried && !matches!(key.shape, Shape::OrNull(_)))
        };
        drop_unset(repository, "repository.", is_setting, problems);
        stricter_visibility(repository, problems);
        if let Some(topics) = repository.child("topics") {
            split(topics);
        }
    }
    each(root, "teams", |team| {
        if let Some(name) = team.child("name") {
            slug(name, problems);
        }
    });
    for name in root.child("suborgteams").into_iter().flat_map(Node::children) {
        slug(name, problems);
    }
    each(root, "labels", |label| {
        // A number of six digits in its usual spelling is the same text.
        let color = label.child("color");
        if let Some(color) = color
            && let Some(text) = color.int().map(|number| number.to_string()).filter(|text| text.len() == 6)
        {
            color.kind = Kind::Text(text);
        }
    });
    each(root, "rulesets", named_actors);
    each(root, "branches", |branch| {
        let Some(protection) = branch.child("protection") else { return };
        let is_empty = matches!(&protection.kind, Kind::List(items) if items.is_empty());
        if is_empty || protection.bool() == Some(false) {
            let text = "`protection` has the meaning of null here: Beadle removes the rule";
            problems.push(warning(protection, text.to_owned()));
            protection.kind = Kind::Null;
        }
    });
}

/// Removes keys that have no value, and reports them.
fn drop_unset(block: &mut Node, prefix: &str, is_known: impl Fn(&str) -> bool, problems: &mut Vec<Problem>) {
    let Kind::Map(entries) = &mut block.kind else { return };
    entries.retain(|(key, value)| {
        let name = key.text().unwrap_or_default();
        let is_unset = value.is_null() && is_known(name);
        if is_unset {
            let text = format!("`{prefix}{name}` has no value: Beadle reads the key as not specified");
            problems.push(warning(key, text));
        }
        !is_unset
    });
}

/// Keeps only one bypass actor of a ruleset if an entry has the name of its actor and not the id.
/// The entry stays in the merged layers, so that no layer replaces the actors of the ruleset
/// (`normal::leaves_actors`): a list without the named actor would remove the actor.
fn named_actors(ruleset: &mut Node) {
    let Some(Kind::List(actors)) = ruleset.child("bypass_actors").map(|list| &mut list.kind) else { return };
    if let Some(at) = actors.iter().position(|actor| actor.get("name").is_some()) {
        *actors = vec![actors.swap_remove(at)];
    }
}

/// Removes one of `private` and `visibility` if they contradict each other. The private value
/// stays, because the other one would expose the repository.
fn stricter_visibility(repository: &mut Node, problems: &mut Vec<Problem>) {
    let private = repository.get("private").and_then(Node::bool);
    let visibility = repository.get("visibility").and_then(Node::text);
    let (ignored, kept) = match (private, visibility) {
        (Some(true), Some("public")) => ("visibility", "private: true"),
        (Some(false), Some("private")) => ("private", "visibility: private"),
        _ => return,
    };
    if let Some(value) = repository.get(ignored) {
        let text =
            format!("`repository.{ignored}` contradicts `{kept}`: Beadle keeps the repository private");
        problems.push(warning(value, text));
    }
    *repository = repository.without(&[ignored]);
}

/// Turns `topics: a, b` into a list.
fn split(topics: &mut Node) {
    let Some(text) = topics.text() else { return };
    let names: Vec<&str> = text.split(',').map(str::trim).collect();
    if names.iter().any(|name| name.is_empty()) {
        return;
    }
    let item = |name: &str| Node { kind: Kind::Text(name.to_owned()), ..topics.clone() };
    let items = names.into_iter().map(item).collect();
    topics.kind = Kind::List(items);
}

/// Replaces the display name of a team with its slug. A name whose slug is not certain stays, and
/// the check refuses it.
fn slug(name: &mut Node, problems: &mut Vec<Problem>) {
    let Some(text) = name.text() else { return };
    let is_letter = |c: char| c.is_ascii_alphanumeric();
    let is_word = |word: &str| {
        word.starts_with(is_letter)
            && word.ends_with(is_letter)
            && word.chars().all(|c| is_letter(c) || c == '-' || c == '_')
            // GitHub writes one hyphen for several.
            && !word.contains("--")
    };
    if !text.contains(' ') || !text.split(' ').all(is_word) {
        return;
    }
    let slug = text.replace(' ', "-").to_ascii_lowercase();
    let text = format!("`{text}` is the display name of a team: Beadle uses the slug `{slug}`");
    problems.push(warning(name, text));
    name.kind = Kind::Text(slug);
}

#[cfg(test)]
mod tests;
