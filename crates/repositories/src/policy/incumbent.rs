//! Accepts forms of safe-settings and of the Probot settings app. Without this module, validation
//! of the policy would reject these forms. This module therefore runs before validation. If a form
//! has a safe meaning, Beadle uses this meaning and reports the line.
//!
//! <https://github.com/github/safe-settings> and <https://github.com/repository-settings/app>

mod undescribed;

use self::undescribed::drop_undescribed;
use super::keys::{ALL_SECTIONS, REPOSITORY};
use super::lists::entries;
use super::node::{Kind, Node};
use super::normal::each;
use super::problem::{Problem, Severity};
use super::shape::{Key, Shape, Status};

/// The selectors of a suborg. Beadle accepts a selector without a value only if another selector
/// has a value. If no selector of a suborg has a value, the suborg applies to no repository.
const SELECTORS: &[&str] = &["suborgrepos", "suborgteams", "suborgproperties"];

/// Converts a file to the form that validation of the policy expects.
pub(super) fn accept(root: &Node, problems: &mut Vec<Problem>) -> Node {
    let mut root = root.clone();
    part(&mut root, problems);
    for case in root.child("first_match").into_iter().flat_map(Node::children) {
        part(case, problems);
    }
    root
}

/// Removes `repository.name` from a file that applies to several repositories.
pub(super) fn drop_name(root: &mut Node) {
    if let Some(repository) = root.child("repository") {
        *repository = repository.without(&["name"]);
    }
    for case in root.child("first_match").into_iter().flat_map(Node::children) {
        drop_name(case);
    }
}

fn warning(at: &Node, text: String) -> Problem {
    Problem::error(at.asked.clone(), at.column, text).severity(Severity::Warning)
}

/// Converts the sections of a file, or the sections of one entry of `first_match`.
fn part(root: &mut Node, problems: &mut Vec<Problem>) {
    let selects = SELECTORS.iter().any(|name| root.get(name).is_some_and(|node| !node.is_null()));
    // The function keeps `additive_plugins` and `disable_plugins` even if they have no value.
    // Without one of these keys, Beadle could remove more entries at GitHub.
    let is_section = |name: &str, value: &Node| {
        let carried = |key: &&Key| key.status == Status::Carried && !drops_list(&key.shape, value);
        (selects && SELECTORS.contains(&name))
            || ALL_SECTIONS.iter().filter(carried).any(|key| key.name == name)
    };
    drop_unset(root, "", is_section, problems);
    drop_idle(root);
    if let Some(repository) = root.child("repository") {
        // If a key accepts null, null is a real value, and the key is not missing.
        let is_setting = |name: &str, value: &Node| {
            let known = REPOSITORY.iter().find(|key| key.name == name);
            let has_null = |key: &Key| matches!(key.shape, Shape::OrNull(_)) || drops_list(&key.shape, value);
            known.is_some_and(|key| key.status == Status::Carried && !has_null(key))
        };
        drop_idle(repository);
        drop_unset(repository, "repository.", is_setting, problems);
        stricter_visibility(repository, problems);
        topics(repository, problems);
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
        // YAML reads a colour of six decimal digits as a number. If the number has exactly six
        // digits, Beadle can convert it back to the text in the file. Otherwise, this is not
        // possible.
        let color = label.child("color");
        if let Some(color) = color
            && let Some(text) = color.int().map(|number| number.to_string()).filter(|text| text.len() == 6)
        {
            color.kind = Kind::Text(text);
        }
        renamed(label);
    });
    each(root, "rulesets", |ruleset| {
        named_actors(ruleset);
        drop_undescribed(ruleset, problems);
    });
    each(root, "branches", |branch| {
        let Some(protection) = branch.child("protection") else { return };
        let is_empty = matches!(&protection.kind, Kind::List(items) if items.is_empty());
        if is_empty || protection.bool() == Some(false) {
            let text = "`protection` has the meaning of null here: Beadle removes the rule";
            problems.push(warning(protection, text.to_owned()));
            protection.kind = Kind::Null;
        }
        let reviews = protection.child("required_pull_request_reviews");
        let actors = reviews.and_then(|reviews| reviews.child("dismissal_restrictions"));
        // According to the documentation of GitHub and safe-settings, `{}` turns off the
        // restrictions.
        if let Some(actors) = actors
            && matches!(&actors.kind, Kind::Map(entries) if entries.is_empty())
        {
            let text = "`dismissal_restrictions: {}` has the meaning of null here: everybody with write access can \
                        dismiss reviews";
            problems.push(warning(actors, text.to_owned()));
            actors.kind = Kind::Null;
        }
    });
}

/// Converts a label with `new_name`. In the new form, `name` is the new name.
fn renamed(label: &mut Node) {
    let Some(new) = label.get("new_name").filter(|new| new.text().is_some()).cloned() else { return };
    let Some(old) = label.get("name").filter(|_| label.get("oldname").is_none()).cloned() else { return };
    *label = label.without(&["new_name"]).with("name", &new);
    if let Kind::Map(entries) = &mut label.kind {
        entries.push((Node { kind: Kind::Text("oldname".to_owned()), ..old.clone() }, old));
    }
}

/// Returns whether a list has the value `null`. The word `null` removes the list of lower layers. A
/// list without a value counts as not specified, because somebody might have deleted its entries.
fn drops_list(shape: &Shape, value: &Node) -> bool {
    matches!(shape, Shape::Layered(..)) && value.kind == Kind::Null
}

/// Removes keys without a value, and reports each of them.
fn drop_unset(
    block: &mut Node,
    prefix: &str,
    is_known: impl Fn(&str, &Node) -> bool,
    problems: &mut Vec<Problem>,
) {
    let Kind::Map(entries) = &mut block.kind else { return };
    entries.retain(|(key, value)| {
        let name = key.text().unwrap_or_default();
        let is_unset = value.is_null() && is_known(name, value);
        if is_unset {
            let text = format!("`{prefix}{name}` has no value: Beadle reads the key as not specified");
            problems.push(warning(key, text));
        }
        !is_unset
    });
}

/// Removes keys whose values have no effect. A report about such a key would not help the author.
fn drop_idle(block: &mut Node) {
    let Kind::Map(entries) = &mut block.kind else { return };
    entries.retain(|(key, value)| match key.text() {
        Some("gitignore_template" | "license_template") => !value.is_null(),
        _ => true,
    });
}

/// Handles a ruleset that lists a bypass actor by name, but without an id. Beadle must not change
/// the bypass actors of this ruleset at GitHub, because a list without the named actor would remove
/// this actor. The function therefore keeps only the entry that has the name. In the merged layers,
/// this entry marks the ruleset (`normal::leaves_actors`).
fn named_actors(ruleset: &mut Node) {
    let actors = entries(ruleset, "bypass_actors");
    let Some(named) = actors.iter().find(|actor| actor.get("name").is_some()).cloned() else { return };
    if let Some(list) = ruleset.child("bypass_actors") {
        list.kind = Kind::List(vec![named]);
    }
}

/// Removes one of the keys `private` and `visibility` if they contradict each other. The function
/// keeps the key with the stricter value, because the other value would expose the repository.
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

/// Converts a text such as `topics: a, b` to a list. Removes the key if the text is empty. An empty
/// text might be a mistake, and an empty list would remove the topics of all repositories.
fn topics(repository: &mut Node, problems: &mut Vec<Problem>) {
    let Some(topics) = repository.child("topics") else { return };
    let Some(text) = topics.text() else { return };
    if text.trim().is_empty() {
        let text = "`repository.topics` is an empty text: Beadle reads the key as not specified";
        let problem = warning(topics, text.to_owned());
        problems.push(problem.hint("for a repository without topics, write `topics: []`"));
        *repository = repository.without(&["topics"]);
        return;
    }
    let names: Vec<&str> = text.split(',').map(str::trim).collect();
    if names.iter().any(|name| name.is_empty()) {
        return;
    }
    let item = |name: &str| Node { kind: Kind::Text(name.to_owned()), ..topics.clone() };
    let items = names.into_iter().map(item).collect();
    topics.kind = Kind::List(items);
}

/// Replaces the display name of a team with the team's slug. If the slug is not certain, the
/// function keeps the display name. Validation of the policy then rejects this name.
fn slug(name: &mut Node, problems: &mut Vec<Problem>) {
    let Some(text) = name.text() else { return };
    let is_letter = |c: char| c.is_ascii_alphanumeric();
    let is_word = |word: &str| {
        word.starts_with(is_letter)
            && word.ends_with(is_letter)
            && word.chars().all(|c| is_letter(c) || c == '-' || c == '_')
            // GitHub replaces a sequence of hyphens with one hyphen, so the slug is not certain.
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
