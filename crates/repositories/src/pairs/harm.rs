//! Checks the changes of an apply. An apply must change only values that a file sets. An apply must
//! not remove anything from an unknown list. This module uses only the files and the state of the
//! simulator. It does not use the planner's code, because the tests must find errors of the
//! planner.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::entries::{CONFIGURATIONS, LISTS, List};
use super::files::Files;
use super::state::ORGANISATION;

/// The lists of a repository in the simulator's state. Each list comes with the name of its section
/// in a policy.
const KEPT: &[(&str, &str)] = &[
    ("teams", "teams"),
    ("collaborators", "collaborators"),
    ("invitations", "collaborators"),
    ("protection", "branches"),
    ("labels", "labels"),
    ("autolinks", "autolinks"),
    ("milestones", "milestones"),
    ("deploy_keys", "deploy_keys"),
    ("rulesets", "rulesets"),
    ("properties", "custom_properties"),
    ("hooks", "webhooks"),
    ("environments", "environments"),
    ("variables", "variables"),
    ("secrets", "secrets"),
    ("dependabot_secrets", "dependabot_secrets"),
    ("codespaces_secrets", "codespaces_secrets"),
];

/// The fields that the simulator sets by itself, such as ids and dates.
const VOLATILE: &[&str] = &["id", "updated_at"];

/// The lists of actors. A write to a list of actors replaces the whole list at GitHub.
const ACTORS: &[&str] = &[
    ".restrictions",
    ".dismissal_restrictions",
    ".bypass_pull_request_allowances",
    ".force_push_allowances",
];

/// Returns the repositories in a state of the simulator. The key is the repository's id.
pub(super) fn repositories(doc: &Value) -> BTreeMap<u64, &Value> {
    let all = doc["orgs"][ORGANISATION]["repos"].as_object().into_iter().flatten();
    all.map(|(_, repository)| (repository["id"].as_u64().unwrap_or_default(), repository)).collect()
}

/// Returns whether an apply changed a value that can occur in the selector of a layer.
pub(super) fn selects_otherwise(before: &Value, after: &Value) -> bool {
    let (before, after) = (repositories(before), repositories(after));
    let facts = ["teams", "properties", "topics", "visibility"];
    before
        .iter()
        .any(|(id, old)| after.get(id).is_some_and(|new| facts.iter().any(|fact| old[*fact] != new[*fact])))
}

/// Returns the changes to values that no file sets.
pub(super) fn strays(files: &Files, before: &Value, after: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let (mut doc, mut doc_after) = (before.clone(), after.clone());
    let asked = AskedSections::of_organisation(files);
    let lists = [("rulesets", "rulesets"), ("security_configurations", CONFIGURATIONS.section)];
    for (key, section) in lists {
        let take = |doc: &mut Value| doc["orgs"][ORGANISATION][key].take();
        let (old, new) = (take(&mut doc), take(&mut doc_after));
        list(&format!("organisation: {key}"), section, (&old, &new), &asked, &mut found);
    }
    // This comparison omits the repositories, because the code below compares them one by one.
    for doc in [&mut doc, &mut doc_after] {
        doc["orgs"][ORGANISATION]["repos"].take();
    }
    compare("organisation", &doc, &doc_after, &[], &mut found);
    let (before, after) = (repositories(before), repositories(after));
    if before.keys().ne(after.keys()) {
        found.push("a repository came or went".into());
    }
    for (id, old) in &before {
        if let Some(new) = after.get(id) {
            repository(files, old, new, &mut found);
        }
    }
    found
}

/// Returns the entries that an apply removed from an aspect's list. The caller knows that the list
/// was unknown, so every removal is an error.
pub(super) fn lost(aspect: &str, before: &Value, after: &Value) -> Vec<String> {
    let key = match aspect {
        "teams" | "collaborators" | "labels" | "milestones" | "autolinks" | "deploy_keys" | "rulesets"
        | "topics" | "environments" | "variables" | "secrets" | "dependabot_secrets"
        | "codespaces_secrets" => aspect,
        "custom_properties" => "properties",
        "webhooks" => "hooks",
        // From all other lists, Beadle removes only entries that a file contains.
        _ => return Vec::new(),
    };
    let names = |repository: &Value| -> BTreeSet<String> {
        match &repository[key] {
            Value::Object(map) => map.keys().map(|name| name.to_lowercase()).collect(),
            Value::Array(items) => items.iter().map(Value::to_string).collect(),
            _ => BTreeSet::new(),
        }
    };
    names(before).difference(&names(after)).cloned().collect()
}

/// The values that the files set for one repository or for the organisation.
struct AskedSections<'a> {
    settings: &'a Value,
    /// The contents of all files, except `settings.yml`, that might apply to the repository.
    bodies: Vec<&'a Value>,
    is_of_organisation: bool,
}

impl<'a> AskedSections<'a> {
    fn of_organisation(files: &'a Files) -> Self {
        let settings = files.get("settings.yml").unwrap_or(&Value::Null);
        Self { settings, bodies: Vec::new(), is_of_organisation: true }
    }

    fn of_repository(files: &'a Files, repository: &str) -> Self {
        let mut asked = Self { is_of_organisation: false, ..Self::of_organisation(files) };
        for (file, body) in files {
            let is_its = match file.split_once('/') {
                None => false,
                Some(("repos", name)) => {
                    let names = [name.strip_suffix(".yml"), body["repository"]["name"].as_str()];
                    names.into_iter().flatten().any(|name| name.eq_ignore_ascii_case(repository))
                }
                // The test does not evaluate selectors. The test assumes that every layer can apply
                // to every repository.
                Some(_) => true,
            };
            if is_its {
                asked.bodies.push(body);
                asked.bodies.extend(body["first_match"].as_array().into_iter().flatten());
            }
        }
        asked
    }

    fn plugins(&self, key: &str, section: &str) -> bool {
        let mut bodies = self.bodies.iter().copied().chain([self.settings]);
        bodies.any(|body| body[key].as_array().is_some_and(|names| names.contains(&json!(section))))
    }

    fn section(&self, section: &str) -> Vec<&'a Value> {
        let disabled = self.settings["disable_plugins"].as_array();
        if disabled.is_some_and(|names| names.contains(&json!(section))) {
            return Vec::new();
        }
        // In `settings.yml`, the section `rulesets` belongs to the organisation.
        let settings = Some(self.settings).filter(|_| self.is_of_organisation || section != "rulesets");
        let bodies = settings.into_iter().chain(self.bodies.iter().copied());
        bodies.filter_map(|body| body.get(section)).collect()
    }

    /// Returns every value that the files set for a key of a section.
    fn key(&self, section: &str, key: &str) -> Vec<&'a Value> {
        self.section(section).into_iter().filter_map(|body| body.get(key)).collect()
    }

    /// Returns whether Beadle is allowed to remove entries that are not in any file.
    fn is_exclusive(&self, section: &str, said: &[&Value]) -> bool {
        let is_additive = self.plugins("additive_plugins", section);
        said.iter().any(|list| {
            let has_no_mode = ["include", "add", "replace"].into_iter().any(|word| list.get(word).is_some());
            if list.is_array() || has_no_mode {
                let kept = ["branches", CONFIGURATIONS.section];
                let is_kept = kept.contains(&section) || section.ends_with("secrets");
                !is_additive && !is_kept
            } else {
                list.get("exclusive").is_some()
            }
        })
    }
}

/// Returns the entries of a list. The list can be a plain list or a block.
fn entries(list: &Value) -> &[Value] {
    let words = ["exclusive", "additive", "include", "add", "replace"];
    let inner = words.into_iter().find_map(|word| list.get(word));
    inner.unwrap_or(list).as_array().map(Vec::as_slice).unwrap_or_default()
}

fn repository(files: &Files, before: &Value, after: &Value, found: &mut Vec<String>) {
    let name = before["name"].as_str().unwrap_or_default();
    let asked = AskedSections::of_repository(files, name);
    for key in keys(before, after) {
        let (old, new) = (&before[&key], &after[&key]);
        if is_same(old, new) {
            continue;
        }
        let place = format!("{name}: {key}");
        if let Some((_, section)) = KEPT.iter().find(|(kept, _)| *kept == key) {
            list(&place, section, (old, new), &asked, found);
            continue;
        }
        let said = match key.as_str() {
            "topics" => {
                topics(&place, (old, new), &asked, found);
                continue;
            }
            "actions" => asked.section("actions"),
            // If a file sets a claim, Beadle turns off the default form. If a file sets a key of
            // `pages`, Beadle publishes a site.
            "oidc_subject" | "pages" | "interaction_limit" => {
                if asked.section(&key).is_empty() {
                    found.push(place);
                }
                continue;
            }
            "vulnerability_alerts" => alerts(&asked, "enableVulnerabilityAlerts", "dependabot_alerts"),
            "automated_security_fixes" => {
                // If Beadle turns off the alerts, GitHub also turns off the security fixes.
                let mut said = alerts(&asked, "enableVulnerabilityAlerts", "dependabot_alerts");
                said.extend(alerts(&asked, "enableAutomatedSecurityFixes", "dependabot_security_updates"));
                said
            }
            "private_vulnerability_reporting" => asked.key("security", "private_vulnerability_reporting"),
            "code_scanning" => {
                // If a file sets a key of this block, Beadle turns on the default setup.
                if asked.key("security", "code_scanning_default_setup").is_empty() {
                    found.push(place);
                }
                continue;
            }
            "visibility" | "private" => {
                let mut said = asked.key("repository", "visibility");
                said.extend(asked.key("repository", "private"));
                said
            }
            _ => asked.key("repository", &key),
        };
        compare(&place, old, new, &said, found);
    }
}

fn alerts<'a>(asked: &AskedSections<'a>, incumbent: &str, own: &str) -> Vec<&'a Value> {
    let mut said = asked.key("security", own);
    said.extend(asked.key("repository", "security").into_iter().filter_map(|body| body.get(incumbent)));
    said
}

fn topics(
    place: &str,
    (before, after): (&Value, &Value),
    asked: &AskedSections<'_>,
    found: &mut Vec<String>,
) {
    let said = asked.key("repository", "topics");
    let is_disabled = asked.plugins("disable_plugins", "topics");
    let set = |value: &Value| -> BTreeSet<String> {
        value.as_array().into_iter().flatten().map(|topic| topic.to_string().to_lowercase()).collect()
    };
    let named: BTreeSet<String> =
        said.iter().flat_map(|list| entries(list)).map(|topic| topic.to_string().to_lowercase()).collect();
    let is_exclusive = asked.is_exclusive("topics", &said);
    let (old, new) = (set(before), set(after));
    let is_fine = !is_disabled
        && new.difference(&old).all(|topic| named.contains(topic))
        && (is_exclusive || old.is_subset(&new));
    if !is_fine {
        found.push(format!("{place}: {before} became {after}"));
    }
}

/// Returns the entries of a list. The key is the identity of the entry.
fn named(list: &Value, of: &List) -> BTreeMap<String, Value> {
    // GitHub ignores the case only of ASCII letters.
    let fold = |name: &str| if of.is_folded { name.to_ascii_lowercase() } else { name.to_owned() };
    let invitations = list.as_array().into_iter().flatten();
    let invitations =
        invitations.filter_map(|entry| Some((fold(entry["login"].as_str()?), entry["permissions"].clone())));
    let map = list.as_object().into_iter().flatten();
    map.map(|(name, value)| (fold(name), value.clone())).chain(invitations).collect()
}

fn list(
    place: &str,
    section: &str,
    (before, after): (&Value, &Value),
    asked: &AskedSections<'_>,
    found: &mut Vec<String>,
) {
    let Some(of) = LISTS.iter().chain([&CONFIGURATIONS]).find(|list| list.section == section) else { return };
    let said = asked.section(section);
    let is_exclusive = asked.is_exclusive(section, &said);
    let (mut old, mut new) = (named(before, of), named(after, of));
    let mut all = said.iter().flat_map(|list| entries(list));
    if all.any(|entry| entry.get("attach_to").is_some()) {
        // A repository has at most one configuration. If Beadle attaches a configuration, GitHub
        // detaches the earlier one.
        for entry in old.values_mut().chain(new.values_mut()).filter_map(Value::as_object_mut) {
            entry.remove("repositories");
        }
    }
    let all: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for id in all {
        let (was, is) = (old.get(id).unwrap_or(&Value::Null), new.get(id).unwrap_or(&Value::Null));
        let is_gone = !new.contains_key(id);
        if old.contains_key(id) != is_gone && is_same(was, is) {
            continue;
        }
        let is_named = |entry: &&Value| {
            let names = [entry[of.id].as_str(), entry["oldname"].as_str()];
            names.into_iter().flatten().any(|name| {
                // The entry `default` can mean any branch, because any branch can be the default
                // branch.
                (section == "branches" && name == "default")
                    || if of.is_folded { name.to_lowercase() == id.to_lowercase() } else { name == id }
            })
        };
        let speaking: Vec<&Value> = said.iter().flat_map(|list| entries(list)).filter(is_named).collect();
        let place = format!("{place}[{id}]");
        match section {
            _ if speaking.is_empty() && is_exclusive && is_gone => {}
            _ if speaking.is_empty() => found.push(format!("{place}: {was} became {is}")),
            "branches" => {
                let rules: Vec<&Value> = speaking.iter().map(|entry| &entry["protection"]).collect();
                compare(&place, was, is, &rules, found);
            }
            "labels" | "rulesets" | "code_security_configurations" => {
                compare(&place, was, is, &speaking, found);
            }
            _ => {}
        }
    }
}

/// Compares two blocks. If a file sets only some keys of a block, the function compares the block
/// key by key. If a value differs and no file sets this value, the function adds the difference to
/// `found`.
fn compare(place: &str, before: &Value, after: &Value, said: &[&Value], found: &mut Vec<String>) {
    if is_same(before, after) {
        return;
    }
    if said.is_empty() {
        // When Beadle changes any part of a rule, GitHub removes the actors without write access
        // from the rule's restriction.
        let drops = place.ends_with(".restrictions") && is_part(after, before);
        if !drops {
            found.push(format!("{place}: {before} became {after}"));
        }
        return;
    }
    // If a file sets some actors of a list, the file sets the whole list.
    if ACTORS.iter().any(|list| place.ends_with(list)) {
        return;
    }
    // If a file sets a whole value, every part of this value is allowed to change. The same is true
    // if the value is new, or if Beadle removed the value.
    if !said.iter().all(|said| said.is_object()) || !before.is_object() || !after.is_object() {
        return;
    }
    for key in keys(before, after).into_iter().filter(|key| !VOLATILE.contains(&key.as_str())) {
        let mut inner: Vec<&Value> = said.iter().filter_map(|said| said.get(&key)).collect();
        if key == "checks" {
            inner.extend(said.iter().filter_map(|said| said.get("contexts")));
        }
        compare(&format!("{place}.{key}"), &before[&key], &after[&key], &inner, found);
    }
}

/// Compares each list in `part` with the same list in `whole`. Returns whether the lists in `whole`
/// contain all entries of the lists in `part`.
fn is_part(part: &Value, whole: &Value) -> bool {
    let mut lists = part.as_object().into_iter().flatten();
    lists.all(|(key, list)| {
        let known = whole[key].as_array().cloned().unwrap_or_default();
        list.as_array().into_iter().flatten().all(|item| known.contains(item))
    })
}

fn keys(one: &Value, other: &Value) -> BTreeSet<String> {
    let both = [one, other].into_iter().filter_map(Value::as_object).flatten();
    both.map(|(key, _)| key.clone()).collect()
}

/// Returns whether two values are the same. The function ignores the fields that the simulator
/// sets. The function treats a missing value as an empty value, because GitHub shows both in the
/// same way.
fn is_same(one: &Value, other: &Value) -> bool {
    let is_nothing = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    if one == other || (is_nothing(one) && is_nothing(other)) {
        return true;
    }
    match (one, other) {
        (Value::Object(_), Value::Object(_)) => keys(one, other)
            .iter()
            .filter(|key| !VOLATILE.contains(&key.as_str()))
            .all(|key| is_same(&one[key], &other[key])),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doc(repository: &Value) -> Value {
        json!({ "orgs": { ORGANISATION: { "repos": { "shop": repository } } } })
    }

    fn found(file: (&str, Value), before: &Value, after: &Value) -> Vec<String> {
        let files = Files::from([(file.0.to_owned(), file.1)]);
        strays(&files, &doc(before), &doc(after))
    }

    #[test]
    fn what_no_file_names_is_a_stray_and_what_one_names_is_none() {
        let before = json!({ "id": 1, "name": "shop", "has_wiki": true, "labels": { "a": { "color": "1" }, "b": {} } });
        let mut after = before.clone();
        after["has_wiki"] = json!(false);
        after["labels"] = json!({ "a": { "color": "2" }, "c": {} });
        let labels = |word: &str| json!({ word: [{ "name": "A", "color": "2" }, { "name": "c" }] });
        let said = json!({ "repository": { "has_wiki": false }, "labels": labels("exclusive") });
        assert_eq!(found(("settings.yml", said.clone()), &before, &after), Vec::<String>::new());
        assert_eq!(found(("repos/Shop.yml", said.clone()), &before, &after), Vec::<String>::new());
        assert_eq!(found(("repos/other.yml", said), &before, &after).len(), 4);
        let said = json!({ "repository": { "has_issues": false }, "labels": labels("additive") });
        let strays = found(("settings.yml", said), &before, &after);
        assert_eq!(strays.len(), 2, "{strays:?}");
        assert!(strays.iter().any(|stray| stray.starts_with("shop: labels[b]")), "{strays:?}");
    }

    #[test]
    fn a_key_of_a_rule_that_no_file_names_is_a_stray() {
        let rule = |count: u64, stale: bool| {
            json!({ "required_pull_request_reviews": {
                "required_approving_review_count": count, "dismiss_stale_reviews": stale } })
        };
        let repository = |rule: Value| json!({ "id": 1, "name": "shop", "protection": { "main": rule } });
        let reviews = json!({ "required_pull_request_reviews": { "required_approving_review_count": 2 } });
        let said = json!({ "branches": [{ "name": "default", "protection": reviews }] });
        let strays = |after: Value| {
            found(("settings.yml", said.clone()), &repository(rule(1, true)), &repository(after))
        };
        assert_eq!(strays(rule(2, true)), Vec::<String>::new());
        assert_eq!(strays(rule(2, false)).len(), 1);
    }

    #[test]
    fn an_entry_that_is_gone_is_lost() {
        let (before, after) = (json!({ "hooks": { "a": {}, "b": {} } }), json!({ "hooks": { "b": {} } }));
        assert_eq!(lost("webhooks", &before, &after), ["a"]);
        assert!(lost("webhooks", &before, &before).is_empty());
    }
}
