//! Omits live values that validation of a policy would reject. An example is a label whose name
//! cannot be part of a path. Such values might be older than GitHub's present rules.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::observed::{Content, Observed};
use super::units::{LISTS, UNITS};
use super::yaml::yaml;
use crate::policy::{Policy, PolicyError, Severity};

/// Omits the values that validation rejects. Beadle treats a rejected value as unknown. If the
/// function omits an entry of a list, the list becomes additive.
pub(super) fn leave_out_refused(observed: &mut Observed) {
    if refusal(observed).is_none() {
        return;
    }
    let mut kept = Observed {
        name: observed.name.clone(),
        inherited_teams: observed.inherited_teams.clone(),
        ..Observed::default()
    };
    kept.additive.clone_from(&observed.additive);
    for unit in UNITS {
        let Some(value) = observed.values.remove(unit.name) else { continue };
        kept.values.insert(unit.name, value);
        if let Some(why) = refusal(&kept) {
            kept.values.remove(unit.name);
            observed.unknown.insert(unit.name, why);
        }
    }
    for list in LISTS {
        let Some(entries) = observed.lists.remove(list.name) else { continue };
        kept.lists.insert(list.name, Vec::new());
        for entry in entries {
            put(&mut kept, list.name, entry.clone());
            let Some(why) = refusal(&kept) else { continue };
            if let Some(entries) = kept.lists.get_mut(list.name) {
                entries.pop();
            }
            if list.is_exclusive {
                kept.additive.insert(list.name);
            }
            observed.notes.push(format!("{}: `{}` is not listed: {why}", list.name, list.id_of(&entry)));
        }
    }
    observed.values = kept.values;
    observed.lists = kept.lists;
    observed.additive = kept.additive;
}

fn put(observed: &mut Observed, list: &'static str, entry: Value) {
    observed.lists.entry(list).or_default().push(entry);
}

/// Builds a policy with all values of a repository. Returns the first reason why validation rejects
/// this policy, or `None` if the policy is valid.
fn refusal(observed: &Observed) -> Option<String> {
    let sections = Content::of(observed).sections();
    if sections.is_empty() {
        return None;
    }
    load(BTreeMap::from([("repos/repository.yml".to_owned(), yaml(&sections))]), "").err()
}

/// Loads a policy from the texts of its files. Returns the first error if the policy is invalid.
pub(super) fn load(files: BTreeMap<String, String>, home: &str) -> Result<Policy, String> {
    Policy::from_sources(files, home, Path::new("policy")).map_err(|error| match error {
        PolicyError::Invalid { problems, .. } => {
            let mut errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
            errors.next().map(|problem| problem.message.clone()).unwrap_or_default()
        }
        other => other.to_string(),
    })
}

/// Returns the sections of `settings.yml` that validation accepts. Also returns a note for each
/// section that validation rejects.
pub(super) fn without_refused(sections: Map<String, Value>) -> (Map<String, Value>, Vec<String>) {
    let (mut kept, mut notes) = (Map::new(), Vec::new());
    for (name, value) in sections {
        let alone = Map::from_iter([(name.clone(), value.clone())]);
        match load(BTreeMap::from([("settings.yml".to_owned(), yaml(&alone))]), "") {
            Ok(_) => {
                kept.insert(name, value);
            }
            Err(why) => notes.push(format!("{name} of the organisation are not imported: {why}")),
        }
    }
    (kept, notes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_refused_is_left_out_and_the_rest_of_its_list_removes_nothing() {
        let mut observed = Observed::default();
        let description = Map::from_iter([("description".to_owned(), json!("two\nlines"))]);
        observed.values.insert("description", description);
        observed.values.insert("has_wiki", Map::from_iter([("has_wiki".to_owned(), json!(false))]));
        observed.lists.insert("labels", vec![json!({ "name": ".." }), json!({ "name": "bug" })]);
        observed.lists.insert("topics", vec![json!("rust")]);
        leave_out_refused(&mut observed);
        assert_eq!(observed.values.keys().copied().collect::<Vec<_>>(), ["has_wiki"]);
        assert!(observed.unknown["description"].contains("one line"), "{:?}", observed.unknown);
        assert_eq!(observed.lists["labels"], [json!({ "name": "bug" })]);
        assert_eq!(observed.lists["topics"], [json!("rust")]);
        assert_eq!(observed.additive.iter().copied().collect::<Vec<_>>(), ["labels"]);
        assert!(observed.notes[0].starts_with("labels: `..` is not listed: "), "{:?}", observed.notes);
    }
}
