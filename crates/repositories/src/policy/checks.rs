//! What a shape cannot say about a file: entries that are there twice, or lack what they need, and what contradicts.

use super::merge::same_name;
use super::node::Node;
use super::pattern::{Pattern, patterns};
use super::problem::{Problem, nearest};
use super::schema::FileKind;
use crate::aspects::rulesets::KINDS;

/// What entries of lists cannot do without.
const REQUIRED: &[(&str, &[&str])] = &[
    ("teams", &["name", "permission"]),
    ("collaborators", &["username", "permission"]),
    ("branches", &["name", "protection"]),
    ("labels", &["name"]),
    ("autolinks", &["key_prefix", "url_template"]),
    ("rulesets", &["name", "enforcement"]),
    ("webhooks", &["url"]),
    ("code_security_configurations", &["name"]),
];

/// Lists whose entries have names, and what the name's key is.
const NAMED: &[(&str, &str)] = &[
    ("teams", "name"),
    ("collaborators", "username"),
    ("branches", "name"),
    ("labels", "name"),
    ("autolinks", "key_prefix"),
    ("rulesets", "name"),
    ("custom_properties", "name"),
    ("webhooks", "url"),
    ("code_security_configurations", "name"),
];

/// The entries of a section: a list, or a block that says whether it is exclusive.
fn entries<'a>(root: &'a Node, section: &str) -> &'a [Node] {
    let Some(node) = root.get(section) else { return &[] };
    let list = ["exclusive", "additive", "include"].into_iter().find_map(|key| node.get(key));
    list.unwrap_or(node).items()
}

/// Rules of rulesets have parameters by their type.
fn check_rulesets(root: &Node, problems: &mut Vec<Problem>) {
    for ruleset in entries(root, "rulesets") {
        for rule in ruleset.get("rules").map(Node::items).unwrap_or_default() {
            let kind = rule.get("type").and_then(Node::text).unwrap_or_default();
            let Some((_, known)) = KINDS.iter().find(|(name, _)| *name == kind) else { continue };
            for (key, _) in rule.get("parameters").map(Node::entries).unwrap_or_default() {
                let name = key.text().unwrap_or_default();
                if known.contains(&name) {
                    continue;
                }
                let text = format!("a rule of type `{kind}` has no parameter `{name}`");
                let problem = Problem::error(key.asked.clone(), key.column, text);
                problems.push(match nearest(name, known.iter().copied()) {
                    Some(near) => problem.hint(format!("did you mean `{near}`?")),
                    None => problem,
                });
            }
        }
    }
}

/// What a shape cannot say.
pub(super) fn check_layer(kind: FileKind, root: &Node, problems: &mut Vec<Problem>) {
    let single = kind == FileKind::Repo;
    for case in root.get("first_match").map(Node::items).unwrap_or_default() {
        check_layer(kind, case, problems);
    }
    check_rulesets(root, problems);
    for (list, identity) in NAMED {
        let items = entries(root, list);
        for (at, item) in items.iter().enumerate() {
            for key in ["include", "exclude"] {
                item.get(key).map(|node| patterns(node, Pattern::glob, problems));
            }
            let same = |other: &Node| match (other.get(identity), item.get(identity)) {
                (Some(one), Some(two)) => same_name(list, one, two),
                _ => false,
            };
            // Entries for different repositories may name one team twice.
            let everywhere = |node: &Node| node.get("include").is_none() && node.get("exclude").is_none();
            if items[..at].iter().any(|other| same(other) && everywhere(other) && everywhere(item)) {
                let text = format!("`{list}` has this entry twice");
                problems.push(Problem::error(item.asked.clone(), item.column, text));
            }
        }
    }
    for (list, keys) in REQUIRED {
        for item in entries(root, list) {
            for key in *keys {
                if item.get(key).is_none() {
                    let text = format!("an entry of `{list}` needs `{key}`");
                    problems.push(Problem::error(item.asked.clone(), item.column, text));
                }
            }
        }
    }
    let Some(repository) = root.get("repository") else { return };
    for key in ["description", "homepage"] {
        if let Some(value) = repository.get(key)
            && value.text().is_some_and(|text| text.trim_end().chars().any(char::is_control))
        {
            let text = format!("`repository.{key}`: GitHub takes one line, without control characters");
            problems.push(Problem::error(value.asked.clone(), value.column, text));
        }
    }
    let mut refuse = |key: &str, value: &Node, why: &str| {
        problems.push(Problem::error(
            value.asked.clone(),
            value.column,
            format!("`repository.{key}`: {why}"),
        ));
    };
    if let Some(value) = repository.get("archived").filter(|value| !single && value.bool() == Some(false)) {
        refuse(
            "archived",
            value,
            "`false` for a whole layer would unarchive every repository; say it in repos/NAME.yml",
        );
    }
    if let Some(value) = repository.get("name").filter(|_| !single) {
        refuse("name", value, "a whole layer cannot have one name; say it in repos/NAME.yml");
    }
    if let (Some(private), Some(visibility)) = (repository.get("private"), repository.get("visibility")) {
        let says_private = visibility.text() == Some("private");
        if private
            .bool()
            .is_some_and(|private| private != says_private && visibility.text() != Some("internal"))
        {
            refuse("private", private, "it contradicts `visibility`");
        }
    }
}
