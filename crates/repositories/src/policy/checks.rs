//! Checks what the shape of a file cannot express: entries that are there twice or lack a key, and
//! values that contradict each other.

use super::contradictions;
use super::keys::ALL_SECTIONS;
use super::lists::entries;
use super::node::{Kind, Node};
use super::pattern::{Pattern, patterns};
use super::problem::Problem;
use super::schema::FileKind;
use crate::identity;

/// Returns the sections whose entries have an identity (`crate::identity`).
fn named() -> impl Iterator<Item = &'static str> {
    ALL_SECTIONS.iter().map(|section| section.name).filter(|name| identity::kind(name).is_some())
}

/// A list that is a block says one thing of itself, and has what it says it of.
fn check_words(root: &Node, problems: &mut Vec<Problem>) {
    let topics = root.get("repository").and_then(|repository| repository.get("topics"));
    let lists = named().filter_map(|list| root.get(list)).chain(topics);
    for node in lists.filter(|node| matches!(node.kind, Kind::Map(_))) {
        let said =
            ["exclusive", "additive", "include"].into_iter().filter(|key| node.get(key).is_some()).count();
        if said != 1 {
            let text = "a list that is a block has one of `exclusive`, `additive` and `include`";
            problems.push(Problem::error(node.asked.clone(), node.column, text));
        }
    }
}

/// A selector that selects by nothing would select everything.
fn check_choice(root: &Node, problems: &mut Vec<Problem>) {
    for node in ["select", "except"].into_iter().filter_map(|key| root.get(key)) {
        let empty = |node: &Node| matches!(&node.kind, Kind::List(items) if items.is_empty());
        let values = node.entries().iter().flat_map(|(_, value)| {
            std::iter::once(value).chain(value.entries().iter().map(|(_, value)| value))
        });
        if node.entries().is_empty() || values.into_iter().any(empty) {
            let problem =
                Problem::error(node.asked.clone(), node.column, "an empty selector would select everything");
            problems.push(problem.hint("leave it out, if it is for every repository"));
        }
    }
}

fn check_autolinks(root: &Node, problems: &mut Vec<Problem>) {
    for link in entries(root, "autolinks") {
        if let Some(template) = link.get("url_template")
            && template.text().is_some_and(|text| !text.contains("<num>"))
        {
            let text = "`url_template` must contain `<num>`, where the rest of the reference goes";
            problems.push(Problem::error(template.asked.clone(), template.column, text));
        }
    }
}

/// A repository has one configuration: two that claim it would take it from each other.
fn check_configurations(root: &Node, problems: &mut Vec<Problem>) {
    let claims =
        entries(root, "code_security_configurations").iter().filter_map(|item| item.get("attach_to"));
    let mut before: Vec<&str> = Vec::new();
    for claim in claims {
        let Some(scope) = claim.text() else { continue };
        if before.iter().any(|other| *other == scope || *other == "all" || scope == "all") {
            let text = "another configuration is attached to (some of) these repositories already";
            problems.push(Problem::error(claim.asked.clone(), claim.column, text));
        }
        before.push(scope);
    }
}

/// Checks a file, or one of its cases, beyond its shape.
pub(super) fn check_layer(kind: FileKind, root: &Node, problems: &mut Vec<Problem>) {
    let single = kind == FileKind::Repo;
    for case in root.get("first_match").map(Node::items).unwrap_or_default() {
        check_layer(kind, case, problems);
    }
    contradictions::check(kind, root, problems);
    check_words(root, problems);
    check_choice(root, problems);
    check_autolinks(root, problems);
    check_configurations(root, problems);
    for property in entries(root, "custom_properties") {
        if property.get("name").is_none() && property.get("property_name").is_none() {
            let text = "an entry of `custom_properties` needs `name`";
            problems.push(Problem::error(property.asked.clone(), property.column, text));
        }
    }
    // Each case was checked by itself.
    let own = root.without(&["first_match"]);
    let mut contradictions = Vec::new();
    identity::contradictions("", &own, &mut contradictions);
    for (list, item) in contradictions {
        let text = format!("`{list}` has this entry twice, with different values");
        problems.push(Problem::error(item.asked.clone(), item.column, text));
    }
    for list in named() {
        let items = entries(root, list);
        for (at, item) in items.iter().enumerate() {
            for key in ["include", "exclude"] {
                item.get(key).map(|node| patterns(node, Pattern::glob, problems));
            }
            let same = |other: &Node| identity::same(list, other, item);
            // Entries for different repositories may name one team twice.
            let everywhere = |node: &Node| node.get("include").is_none() && node.get("exclude").is_none();
            if items[..at].iter().any(|other| same(other) && everywhere(other) && everywhere(item)) {
                let text = format!("`{list}` has this entry twice");
                problems.push(Problem::error(item.asked.clone(), item.column, text));
            }
        }
    }
    for section in ALL_SECTIONS {
        for key in section.shape.entry_keys().iter().filter(|key| key.is_required) {
            for item in entries(root, section.name).iter().filter(|item| item.get(key.name).is_none()) {
                let text = format!("an entry of `{}` needs `{}`", section.name, key.name);
                problems.push(Problem::error(item.asked.clone(), item.column, text));
            }
        }
    }
    let Some(repository) = root.get("repository") else { return };
    for key in ["description", "homepage"] {
        if let Some(value) = repository.get(key)
            && value.text().is_some_and(|text| text.trim_end().chars().any(char::is_control))
        {
            let text = format!("`repository.{key}` must be one line without control characters");
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
