//! Converts the contents of an import to the texts of policy files.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::factor::Factored;
use super::observed::{Content, Observed, shared_notes};
use super::yaml::{comment, yaml};

/// Returns the text of each file. The key is the file's path in the policy's folder. `own` contains
/// the sections of the organisation itself. If `own` is missing, the result has no settings.yml.
pub(super) fn files(
    organisation: &str,
    all: &[Observed],
    factored: &Factored,
    own: Option<&Map<String, Value>>,
) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut shared = BTreeSet::new();
    if let Some(own) = own {
        shared = shared_notes(all);
        files.insert("settings.yml".to_owned(), settings(organisation, factored, own, &shared));
    }
    let mut taken = BTreeSet::new();
    for (label, content) in &factored.layers {
        let name = free_name(&label.file_name(), &mut taken);
        let mut root = label.selector();
        root.extend(content.sections());
        let header = format!("# What {} share.\n", comment(&label.described()));
        files.insert(format!("layers/{name}.yml"), header + &yaml(&root));
    }
    for (one, content) in all.iter().zip(&factored.repositories) {
        let mut notes = one.all_notes();
        notes.retain(|note| !shared.contains(note));
        // A policy needs at least one file. Without settings.yml, the import therefore writes the
        // repository's file even if this file declares nothing.
        if content.is_empty() && notes.is_empty() && own.is_some() {
            continue;
        }
        let what = if own.is_some() { "only " } else { "" };
        let mut text = format!("# What {what}{} has.\n", comment(&one.name));
        for note in notes {
            text.push_str("# ");
            text.push_str(&comment(&note));
            text.push('\n');
        }
        files.insert(format!("repos/{}.yml", one.name), text + &body(content));
    }
    files
}

fn settings(
    organisation: &str,
    factored: &Factored,
    own: &Map<String, Value>,
    notes: &BTreeSet<String>,
) -> String {
    let mut text = format!(
        "# What the repositories of {} share. `beadle import` left out the values that GitHub has by default.\n",
        comment(organisation)
    );
    if let Some(visibility) = &factored.unsaid {
        text.push_str(&comment(&format!(
            "# Most repositories are {visibility}. This file does not say so, so that it exposes no new repository."
        )));
        text.push('\n');
    }
    for note in notes {
        text.push_str(&comment(&format!("# All repositories: {note}")));
        text.push('\n');
    }
    let mut root = factored.settings.sections();
    root.extend(own.clone());
    text + &with_a_value(&root)
}

fn body(content: &Content) -> String {
    with_a_value(&content.sections())
}

/// Returns the text of a file. If the file declares nothing, the text contains an empty section.
/// Without this section, the file would contain only comments, and Beadle would report the file as
/// a mistake.
fn with_a_value(root: &Map<String, Value>) -> String {
    if root.is_empty() { yaml(&Map::from_iter([("repository".to_owned(), json!({}))])) } else { yaml(root) }
}

/// Returns a name for a file. No other file has this name.
fn free_name(name: &str, taken: &mut BTreeSet<String>) -> String {
    let mut free = name.to_owned();
    let mut number = 2;
    while !taken.insert(free.clone()) {
        free = format!("{name}-{number}");
        number += 1;
    }
    free
}
