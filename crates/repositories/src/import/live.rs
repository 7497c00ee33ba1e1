//! Converts the observed state of a repository to the form of a policy.

use beadle_github::{DeployKey, Known, Repository, Visibility};
use serde_json::{Map, Value, json};

use super::observed::Observed;
use super::units::{features, settings};
use crate::aspects::protection::declared;
use crate::aspects::settings::is_rest_only;
use crate::aspects::teams::above;

/// The labels that GitHub creates in a new repository: name, colour and description.
const LABELS: &[(&str, &str, &str)] = &[
    ("bug", "d73a4a", "Something isn't working"),
    ("documentation", "0075ca", "Improvements or additions to documentation"),
    ("duplicate", "cfd3d7", "This issue or pull request already exists"),
    ("enhancement", "a2eeef", "New feature or request"),
    ("good first issue", "7057ff", "Good for newcomers"),
    ("help wanted", "008672", "Extra attention is needed"),
    ("invalid", "e4e669", "This doesn't seem right"),
    ("question", "d876e3", "Further information is requested"),
    ("wontfix", "ffffff", "This will not be worked on"),
];

/// Returns the values of those parts that Beadle reads for many repositories together.
pub(super) fn observed(seen: &Repository) -> Observed {
    let mut observed = Observed { name: seen.name.clone(), ..Observed::default() };
    for unit in settings().filter(|unit| !is_without_effect(seen, unit.name)) {
        let mut values = Map::new();
        for (key, _) in unit.usual {
            match setting(seen, key) {
                Ok(Some(value)) => {
                    values.insert((*key).to_owned(), value);
                }
                Ok(None) => {}
                Err(why) => {
                    observed.unknown.insert(unit.name, why);
                }
            }
        }
        if !observed.unknown.contains_key(unit.name) && values.len() == unit.usual.len() {
            observed.values.insert(unit.name, values);
        }
    }
    security_features(seen, &mut observed);
    if let Some(topics) = known(&seen.topics, "topics", &mut observed) {
        let topics = topics.iter().map(|topic| json!(topic)).collect();
        observed.lists.insert("topics", topics);
    }
    if let Some(teams) = known(&seen.teams, "teams", &mut observed) {
        // If a team gets its access from its parent team, the policy needs no entry for the team.
        let own = teams.iter().filter(|team| above(teams, team).is_none());
        let own = own.map(|team| json!({ "name": team.slug, "permission": team.permission.as_str() }));
        observed.lists.insert("teams", own.collect());
        let inherited = teams.iter().filter(|team| above(teams, team).is_some());
        observed.inherited_teams = inherited.map(|team| team.slug.clone()).collect();
    }
    collaborators(seen, &mut observed);
    branches(seen, &mut observed);
    labels(seen, &mut observed);
    milestones(seen, &mut observed);
    if let Some(keys) = known(&seen.deploy_keys, "deploy_keys", &mut observed) {
        observed.lists.insert("deploy_keys", keys.iter().map(deploy_key).collect());
    }
    if let Some(properties) = known(&seen.properties, "custom_properties", &mut observed) {
        let properties = properties.iter().filter(|(_, value)| !value.is_null());
        let properties = properties.map(|(name, value)| json!({ "name": name, "value": ordered(value) }));
        observed.lists.insert("custom_properties", properties.collect());
    }
    observed
}

/// Returns a part if Beadle could read it. If the part is unknown, the function records the reason.
fn known<'a, T>(part: &'a Known<T>, name: &'static str, observed: &mut Observed) -> Option<&'a T> {
    let why = match part {
        Known::Known(known) => return Some(known),
        Known::Unknown(unsure) => unsure.why.clone(),
        Known::NotAsked => "Beadle did not read this part".to_owned(),
    };
    observed.unknown.insert(name, why);
    None
}

/// Returns a list with its entries in a fixed order, so that Beadle can compare two repositories.
pub(super) fn ordered(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items = items.clone();
            items.sort_by_key(ToString::to_string);
            Value::Array(items)
        }
        other => other.clone(),
    }
}

/// Returns whether a unit has no effect on the repository. Beadle never changes such a unit.
fn is_without_effect(seen: &Repository, unit: &str) -> bool {
    let is_off = |method: &str| seen.settings.get(method) == Some(&json!(false));
    match unit {
        // GitHub rejects the title and the message of a merge method that is off.
        "squash_merge_commit" => is_off("allow_squash_merge"),
        "merge_commit" => is_off("allow_merge_commit"),
        // Anyone can fork a public repository, so `allow_forking` has no effect in a public
        // repository.
        "allow_forking" => seen.visibility == Visibility::Public,
        _ => false,
    }
}

/// Returns the value of a setting. Returns `None` if the repository has no branch and thus does not
/// have the value yet. If the value is unknown, returns `Err` with a reason. If this GitHub server
/// does not have the setting, the reason is empty.
fn setting(seen: &Repository, key: &str) -> Result<Option<Value>, String> {
    let value = if is_rest_only(key) {
        match &seen.rest_settings {
            Known::Known(settings) => settings.get(key),
            Known::Unknown(unsure) => return Err(unsure.why.clone()),
            Known::NotAsked => return Err("Beadle did not read this part".to_owned()),
        }
    } else {
        seen.settings.get(key)
    };
    match (key, value) {
        ("description" | "homepage", Some(Value::Null)) => Ok(Some(Value::Null)),
        ("description" | "homepage", Some(Value::String(text))) if text.is_empty() => Ok(Some(Value::Null)),
        // In a policy, a text must not end with a space.
        (_, Some(Value::String(text))) if text.trim_end() != text => {
            Err("the text ends with a space".to_owned())
        }
        ("default_branch", Some(Value::Null)) => Ok(None),
        (_, None | Some(Value::Null)) => Err(String::new()),
        (_, Some(value)) => Ok(Some(value.clone())),
    }
}

fn security_features(seen: &Repository, observed: &mut Observed) {
    let shown = match &seen.rest_settings {
        Known::Known(settings) => {
            // If Beadle is not allowed to see the features, GitHub sends null.
            let shown = settings.get("security_and_analysis");
            shown.filter(|shown| shown.is_object()).ok_or_else(String::new)
        }
        Known::Unknown(unsure) => Err(unsure.why.clone()),
        Known::NotAsked => Err("Beadle did not read this part".to_owned()),
    };
    for unit in features() {
        let shown = match &shown {
            Ok(shown) => &shown[unit.name]["status"],
            Err(why) => {
                observed.unknown.insert(unit.name, why.clone());
                continue;
            }
        };
        // A public repository always has advanced security, and GitHub does not show its state.
        if shown.is_null() && unit.name == "advanced_security" && seen.visibility == Visibility::Public {
            continue;
        }
        // GitHub does not show a feature that the repository cannot have.
        let status = if shown.is_null() { json!("disabled") } else { shown.clone() };
        let value = Map::from_iter([(unit.name.to_owned(), json!({ "status": status }))]);
        observed.values.insert(unit.name, value);
    }
}

fn collaborators(seen: &Repository, observed: &mut Observed) {
    let Some(people) = known(&seen.collaborators, "collaborators", observed) else { return };
    let Some(invitations) = known(&seen.invitations, "collaborators", observed) else { return };
    let entry = |login: &str, permission: &str| json!({ "username": login, "permission": permission });
    let mut entries: Vec<Value> =
        people.iter().map(|person| entry(&person.login, person.permission.as_str())).collect();
    let mut expired = Vec::new();
    for invitation in invitations {
        let Some(login) = invitation.login.as_ref().filter(|_| invitation.account.is_some()) else {
            continue;
        };
        if invitation.expired {
            expired.push(login.as_str());
        } else if !people.iter().any(|person| person.login.eq_ignore_ascii_case(login)) {
            entries.push(entry(login, invitation.permission.as_str()));
        }
    }
    observed.lists.insert("collaborators", entries);
    if !expired.is_empty() {
        // If the policy listed an expired invitation, Beadle would send the invitation again. If an
        // exclusive list omitted the invitation, Beadle would withdraw it.
        observed.additive.insert("collaborators");
        let note = format!(
            "collaborators: the invitations of {} have expired, so they are not listed",
            expired.join(", ")
        );
        observed.notes.push(note);
    }
}

fn branches(seen: &Repository, observed: &mut Observed) {
    let Some(rules) = known(&seen.protection, "branches", observed) else { return };
    let mut entries = Vec::new();
    for rule in rules {
        if rule.pattern == "default" {
            let note = "branches: in a policy, `default` means the default branch, so the rule for a branch of this \
                        name is not listed";
            observed.notes.push(note.to_owned());
            continue;
        }
        let is_default = seen.default_branch.as_ref() == Some(&rule.pattern);
        let name = if is_default { "default" } else { rule.pattern.as_str() };
        let (protection, hidden) = declared(rule);
        entries.push(json!({ "name": name, "protection": protection }));
        for list in hidden {
            let note = format!(
                "branches: GitHub does not show everybody in `{list}` of the rule `{}`, so the list is missing",
                rule.pattern
            );
            observed.notes.push(note);
        }
    }
    observed.lists.insert("branches", entries);
}

fn labels(seen: &Repository, observed: &mut Observed) {
    let Some(labels) = known(&seen.labels, "labels", observed) else { return };
    let is_usual = |name: &str, color: &str, description: &str| {
        labels.iter().any(|label| {
            label.name == name
                && label.color.eq_ignore_ascii_case(color)
                && label.description.as_deref() == Some(description)
        })
    };
    let are_usual = labels.len() == LABELS.len()
        && LABELS.iter().all(|(name, color, description)| is_usual(name, color, description));
    let mut entries = Vec::new();
    for label in labels.iter().filter(|_| !are_usual) {
        let mut entry = json!({ "name": label.name, "color": label.color.to_lowercase() });
        let description =
            label.description.as_deref().filter(|text| !text.is_empty() && text.trim_end() == *text);
        if let Some(description) = description {
            entry["description"] = json!(description);
        }
        entries.push(entry);
    }
    observed.lists.insert("labels", entries);
}

fn milestones(seen: &Repository, observed: &mut Observed) {
    let Some(milestones) = known(&seen.milestones, "milestones", observed) else { return };
    let entries = milestones.iter().map(|milestone| {
        let mut entry = json!({ "title": milestone.title, "state": milestone.state });
        if let Some(description) = milestone.description.as_deref().filter(|text| !text.is_empty()) {
            entry["description"] = json!(description);
        }
        if let Some(day) = milestone.due_on.as_deref().and_then(|due| due.get(..10)) {
            entry["due_on"] = json!(day);
        }
        entry
    });
    observed.lists.insert("milestones", entries.collect());
}

fn deploy_key(key: &DeployKey) -> Value {
    let mut entry = json!({ "key": key.key, "title": key.title });
    if !key.read_only {
        entry["read_only"] = json!(false);
    }
    entry
}
