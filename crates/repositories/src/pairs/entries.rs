//! Makes random sections of a policy. The sections look like the work of people. A section contains
//! live values, changed live values, and new values.

use serde_json::{Map, Value, json};

use super::dice::{APPS, Dice, TEAMS, UNREACHABLE};
use super::environments;
use crate::policy::described::{Key, OF_REPOSITORIES, REPOSITORY, RULES, Rule, SETTINGS, Shape, Status};

/// The description of a list: its section, the field that identifies an entry, and the other keys
/// that an entry must have.
pub(super) struct List {
    pub(super) section: &'static str,
    pub(super) id: &'static str,
    required: &'static [&'static str],
    /// True if upper and lower case make no difference in the names of entries.
    pub(super) is_folded: bool,
}

const fn list(
    section: &'static str,
    id: &'static str,
    required: &'static [&'static str],
    is_folded: bool,
) -> List {
    List { section, id, required, is_folded }
}

pub(super) const LISTS: &[List] = &[
    list("teams", "name", &["permission"], true),
    list("collaborators", "username", &["permission"], true),
    list("branches", "name", &["protection"], false),
    list("labels", "name", &[], true),
    list("autolinks", "key_prefix", &["url_template"], false),
    list("milestones", "title", &[], false),
    list("deploy_keys", "key", &["title"], false),
    list("rulesets", "name", &["enforcement"], false),
    list("custom_properties", "name", &["value"], true),
    list("webhooks", "url", &[], false),
    list("environments", "name", &[], true),
    list("variables", "name", &["value"], true),
    list("secrets", "name", &["secret"], true),
    list("dependabot_secrets", "name", &["secret"], true),
    list("codespaces_secrets", "name", &["secret"], true),
];

/// The list of code security configurations. This list belongs to the organisation.
pub(super) const CONFIGURATIONS: List = list("code_security_configurations", "name", &[], false);

/// The sections that have the form of a block, not of a list.
pub(super) const BLOCKS: &[&str] =
    &["repository", "actions", "oidc_subject", "pages", "interaction_limit", "security"];

/// The keys that have an effect only at the creation of a repository or a branch.
const OF_CREATION: &[&str] = &[
    "force_create",
    "template",
    "fork",
    "include_all_branches",
    "auto_init",
    "gitignore_template",
    "license_template",
    "oldname",
    "default_branch_when_missing",
];

/// The titles of merge commits and squash commits. Each title comes with the messages that GitHub
/// accepts for this title.
const PAIRS: &[(&str, &str, &str)] = &[
    ("squash_merge_commit", "PR_TITLE", "PR_BODY"),
    ("squash_merge_commit", "PR_TITLE", "BLANK"),
    ("squash_merge_commit", "COMMIT_OR_PR_TITLE", "COMMIT_MESSAGES"),
    ("merge_commit", "PR_TITLE", "PR_BODY"),
    ("merge_commit", "PR_TITLE", "BLANK"),
    ("merge_commit", "MERGE_MESSAGE", "PR_TITLE"),
];

fn shape_of(section: &str) -> &'static Shape {
    &SETTINGS.iter().find(|key| key.name == section).unwrap().shape
}

/// Returns the keys of a block, or the keys of a list's entries.
pub(super) fn keys_of(section: &str) -> &'static [Key] {
    if section == "repository" {
        return REPOSITORY;
    }
    let mut shape = shape_of(section);
    loop {
        shape = match shape {
            Shape::Map(keys) => return keys,
            Shape::List(inner)
            | Shape::OrNull(inner)
            | Shape::Either(inner, _)
            | Shape::Layered(inner, _) => *inner,
            other => panic!("`{section}` has no keys: {other:?}"),
        };
    }
}

/// The place of the section that the test makes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A live repository.
    Live,
    /// A policy file for many repositories.
    Layer,
    /// The file `settings.yml`.
    Settings,
    /// A file in repos/ for one repository.
    Repository,
}

/// Returns a random section. Approximately half of the values come from `live`.
pub(super) fn section(dice: &mut Dice, name: &str, place: Place, live: &Value) -> Value {
    let known = LISTS.iter().find(|list| list.section == name);
    match known {
        Some(list) => {
            let entries = entries(dice, list, place, live);
            if place == Place::Live { Value::Array(entries) } else { worded(dice, list, entries) }
        }
        None => Value::Object(block(dice, name, place, live)),
    }
}

fn block(dice: &mut Dice, name: &str, place: Place, live: &Value) -> Map<String, Value> {
    let mut block = dice.block(keys_of(name), if name == "repository" { 18 } else { 45 }, live);
    match name {
        "repository" => repository(dice, &mut block, place),
        "security" => security(&mut block, "dependabot_security_updates", "dependabot_alerts"),
        _ => {}
    }
    if block.is_empty() {
        block.insert("has_wiki".into(), json!(dice.chance(50)));
    }
    block
}

/// If the section turns on the security fixes, the function also turns on the alerts. At GitHub,
/// the fixes need the alerts.
fn security(block: &mut Map<String, Value>, fixes: &str, alerts: &str) {
    if block.get(fixes) == Some(&json!(true)) {
        block.insert(alerts.to_owned(), json!(true));
    }
}

/// Removes values of the section `repository` that contradict each other.
fn repository(dice: &mut Dice, block: &mut Map<String, Value>, place: Place) {
    // In these tests, Beadle creates no repository and no branch.
    for key in OF_CREATION {
        block.remove(*key);
    }
    if block.contains_key("visibility") {
        block.remove("private");
    }
    for (stem, ..) in PAIRS {
        let (title, message) = (format!("{stem}_title"), format!("{stem}_message"));
        if block.contains_key(&message) || (place == Place::Live && block.contains_key(&title)) {
            let fitting: Vec<_> = PAIRS.iter().filter(|(other, ..)| other == stem).collect();
            let (_, titled, said) = dice.one(&fitting);
            block.insert(title, json!(titled));
            block.insert(message, json!(said));
        }
    }
    let methods = ["allow_squash_merge", "allow_merge_commit", "allow_rebase_merge"];
    if methods.iter().all(|method| block.get(*method) == Some(&json!(false))) {
        block.insert("allow_merge_commit".into(), json!(true));
    }
    if let Some(Value::Object(features)) = block.get_mut("security") {
        security(features, "enableAutomatedSecurityFixes", "enableVulnerabilityAlerts");
    }
    if let Some(features) = block.get_mut("security_and_analysis").and_then(Value::as_object_mut) {
        features.retain(|_, feature| feature.get("status").is_some());
    }
    match place {
        Place::Live => {
            for key in ["name", "private", "topics", "security"] {
                block.remove(key);
            }
            block.insert("default_branch".into(), json!(if dice.chance(85) { "main" } else { "develop" }));
            block.insert("topics".into(), json!(dice.some(super::dice::TOPICS, 30)));
            if !dice.chance(6) {
                block.remove("archived");
            }
        }
        Place::Layer | Place::Settings => {
            block.remove("name");
            // With this value, validation would reject the whole policy. The pair would then test
            // nothing else.
            block.remove("archived");
        }
        Place::Repository => {
            if dice.chance(80) {
                block.remove("name");
            } else if block.contains_key("name") {
                block.insert("name".into(), json!(dice.one(&["renamed", "Shop", "renamed.2"])));
            }
        }
    }
    if place != Place::Live
        && let Some(topics) = block.get("topics").cloned()
    {
        let topics = ["exclusive", "additive"]
            .into_iter()
            .find_map(|word| topics.get(word).cloned())
            .unwrap_or(topics);
        let word = dice.one(&["exclusive", "additive", "replace", ""]);
        let topics = if word.is_empty() { topics } else { json!({ word: topics }) };
        block.insert("topics".into(), topics);
    }
}

/// Returns the entries of a list. The list contains live entries, changed live entries, and new
/// entries.
fn entries(dice: &mut Dice, list: &List, place: Place, live: &Value) -> Vec<Value> {
    let known = live.as_array().cloned().unwrap_or_default();
    let mut all: Vec<Value> = Vec::new();
    let mut add = |entry: Value| {
        // Each name appears only once. Upper and lower case make no difference. Validation rejects
        // duplicate names, and GitHub cannot store them.
        let id = |entry: &Value| entry[list.id].as_str().unwrap_or_default().to_lowercase();
        if !all.iter().any(|other| id(other) == id(&entry)) {
            all.push(entry);
        }
    };
    for entry in &known {
        let is_reachable = !UNREACHABLE.contains(&entry[list.id].as_str().unwrap_or_default());
        if is_reachable && dice.chance(60) {
            add(self::entry(dice, list, place, entry));
        }
    }
    for _ in 0..dice.below(4) {
        add(self::entry(dice, list, place, &Value::Null));
    }
    all
}

fn entry(dice: &mut Dice, list: &List, place: Place, live: &Value) -> Value {
    if list.section == "rulesets" {
        return ruleset(dice, place, live);
    }
    let mut entry = Map::new();
    for key in keys_of(list.section).iter().filter(|key| key.status == Status::Carried) {
        let is_needed = key.name == list.id || list.required.contains(&key.name);
        let odds = match key.name {
            _ if is_needed => 100,
            "property_name" => 0,
            "oldname" | "include" | "exclude" | "secret" if place == Place::Live => 0,
            "oldname" | "include" | "exclude" => 7,
            "secret" => 10,
            _ if place == Place::Live => 100,
            _ => 50,
        };
        if !dice.chance(odds) {
            continue;
        }
        let value = match (key.name, live.get(key.name)) {
            (name, Some(live)) if name == list.id => {
                let name = live.as_str().unwrap_or_default();
                json!(if list.is_folded { dice.cased(name) } else { name.to_owned() })
            }
            ("secret", _) => json!("hook"),
            (name, live) => dice.value(name, &key.shape, live.unwrap_or(&Value::Null)),
        };
        entry.insert(key.name.to_owned(), value);
    }
    if list.section == "branches" {
        protection(dice, &mut entry, place);
    }
    if list.section == "environments" {
        environments::fit_together(dice, &mut entry, place == Place::Live);
    }
    Value::Object(entry)
}

/// Changes a branch entry so that it fits its place. A live entry always has a rule. An entry of a
/// policy sometimes has the protection `null`, or a minimum in place of a number. If the entry has
/// both `checks` and `contexts`, the function removes `contexts`.
fn protection(dice: &mut Dice, entry: &mut Map<String, Value>, place: Place) {
    if place == Place::Live {
        if entry["name"] == "default" {
            entry.insert("name".into(), json!("main"));
        }
        if !entry["protection"].is_object() {
            entry.insert("protection".into(), json!({ "enforce_admins": true }));
        }
    } else if dice.chance(6) {
        entry.insert("protection".into(), Value::Null);
    }
    let count = entry.get_mut("protection").and_then(|node| node.get_mut("required_pull_request_reviews"));
    let count = count.and_then(|node| node.get_mut("required_approving_review_count"));
    if let Some(count) = count.filter(|count| place != Place::Live && count.is_number())
        && dice.chance(15)
    {
        let least = count.take();
        *count = json!({ "at_least": least });
    }
    let checks = entry.get_mut("protection").and_then(|node| node.get_mut("required_status_checks"));
    if let Some(Value::Object(checks)) = checks
        && checks.contains_key("checks")
    {
        checks.remove("contexts");
    }
    if let Some(checks) = entry["protection"]["required_status_checks"]["checks"].as_array().cloned() {
        let named: Vec<Value> = checks.into_iter().filter(|check| check.get("context").is_some()).collect();
        entry["protection"]["required_status_checks"]["checks"] = Value::Array(named);
    }
}

/// Returns a list in a random form: a plain list or a block. A block sets whether the list is
/// exclusive or additive, or how the list changes the lists of lower layers.
fn worded(dice: &mut Dice, list: &List, mut entries: Vec<Value>) -> Value {
    let section = list.section;
    let word = match dice.below(11) {
        8 => return json!({ "replace": entries }),
        9 => {
            let kept = entries.split_off(entries.len() / 2);
            let without: Vec<Value> = entries.iter().map(|entry| entry[list.id].clone()).collect();
            let word =
                if section == "branches" { "add" } else { dice.one(&["add", "additive", "exclusive"]) };
            return json!({ "without": without, word: kept });
        }
        10 => {
            let without: Vec<Value> = entries.iter().map(|entry| entry[list.id].clone()).collect();
            return if dice.chance(20) { Value::Null } else { json!({ "without": without }) };
        }
        word => word,
    };
    match word {
        _ if section == "branches" => Value::Array(entries),
        0 | 1 => json!({ "exclusive": entries }),
        2 | 3 => json!({ "additive": entries }),
        4 if section == "labels" => {
            let kept = dice.one(&["^a", "x$", "[0-9]"]);
            json!({ "include": entries, "exclude": [kept] })
        }
        _ => Value::Array(entries),
    }
}

fn rule(dice: &mut Dice, rule: &Rule, place: Place, live: &Value) -> Value {
    let mut parameters = Map::new();
    for key in rule.parameters {
        // The test does not use random values for these parameters.
        let is_free = ["dismissal_restriction", "required_reviewers"].contains(&key.name);
        // For a live rule, GitHub shows every parameter.
        let is_demanded = place == Place::Live || rule.demanded.contains(&key.name);
        if !is_free && (is_demanded || dice.chance(50)) {
            let mut value = dice.value(key.name, &key.shape, &live[key.name]);
            if is_demanded && value.is_null() {
                value = dice.value(key.name, inner(&key.shape), &Value::Null);
            }
            whole(key.name, &mut value, place);
            parameters.insert(key.name.to_owned(), value);
        }
    }
    let mut made = json!({ "type": rule.kind });
    if !parameters.is_empty() {
        made["parameters"] = Value::Object(parameters);
    }
    made
}

fn inner(shape: &Shape) -> &Shape {
    if let Shape::OrNull(inner) = shape { inner } else { shape }
}

/// Completes the entries of a rule's list: adds the keys that GitHub requires. If a list of merge
/// methods or checks is empty, the function adds an entry. GitHub refuses such an empty list, so no
/// live ruleset has one.
fn whole(name: &str, value: &mut Value, place: Place) {
    let Some(items) = value.as_array_mut() else { return };
    if name == "required_status_checks" && items.is_empty() && place == Place::Live {
        items.push(json!({}));
    }
    if name == "allowed_merge_methods" && items.is_empty() {
        items.push(json!("squash"));
    }
    let needed = match name {
        "required_status_checks" => json!({ "context": "ci" }),
        "workflows" => json!({ "path": ".github/workflows/ci.yml", "repository_id": 101, "ref": "main" }),
        "code_scanning_tools" => {
            json!({ "tool": "CodeQL", "alerts_threshold": "errors", "security_alerts_threshold": "all" })
        }
        _ => return,
    };
    for item in items.iter_mut().filter_map(Value::as_object_mut) {
        item.retain(|_, value| !value.is_null());
        for (key, or) in needed.as_object().into_iter().flatten() {
            item.entry(key.clone()).or_insert_with(|| or.clone());
        }
    }
}

/// Returns random code security configurations. At most one of these configurations is attached to
/// repositories.
pub(super) fn configurations(dice: &mut Dice, place: Place, live: &Value) -> Value {
    let mut all = Vec::new();
    for (at, name) in ["Standard", "standard", "Für alle"].into_iter().enumerate() {
        if !dice.chance(45) {
            continue;
        }
        let known = live.as_array().into_iter().flatten().find(|known| known["name"] == name);
        let keys = keys_of(CONFIGURATIONS.section);
        let mut made = dice.block(keys, 30, known.unwrap_or(&Value::Null));
        made.insert("name".into(), json!(name));
        if made.get("dependabot_security_updates") == Some(&json!("enabled")) {
            made.insert("dependabot_alerts".into(), json!("enabled"));
        }
        if at > 0 || place == Place::Live {
            made.remove("attach_to");
            made.remove("default_for_new_repos");
        }
        all.push(Value::Object(made));
    }
    Value::Array(all)
}

/// The names of the rulesets. Each name comes with its target. The tests do not change the target
/// of a ruleset.
const RULESETS: &[(&str, &str)] =
    &[("main", "branch"), ("Main", "push"), ("tags / v*", "tag"), ("späte Regel", "branch")];

/// Returns a random ruleset. For `settings.yml`, the function returns a ruleset of the
/// organisation. Such a ruleset also selects the repositories to which it applies.
pub(super) fn ruleset(dice: &mut Dice, place: Place, live: &Value) -> Value {
    let named = live["name"].as_str();
    let known = named.and_then(|name| RULESETS.iter().find(|(known, _)| *known == name).copied());
    let (name, target) = known.unwrap_or_else(|| dice.one(RULESETS));
    let enforcement = dice.one(&["active", "disabled", "evaluate"]);
    let mut made = json!({ "name": name, "target": target, "enforcement": enforcement });
    let is_push = target == "push";
    let mut rules = Vec::new();
    let is_its = |rule: &&Rule| {
        rule.is_push == is_push && !(place == Place::Settings && OF_REPOSITORIES.contains(&rule.kind))
    };
    for known in RULES.iter().filter(is_its) {
        let before = live["rules"].as_array().into_iter().flatten().find(|rule| rule["type"] == known.kind);
        let odds = if before.is_some() { 70 } else { 14 };
        if dice.chance(odds) {
            rules.push(match before {
                Some(before) if dice.chance(50) => before.clone(),
                Some(before) => rule(dice, known, place, &before["parameters"]),
                None => rule(dice, known, place, &Value::Null),
            });
        }
    }
    if place == Place::Live || dice.chance(80) {
        made["rules"] = Value::Array(rules);
    }
    if place == Place::Live || dice.chance(60) {
        made["bypass_actors"] = Value::Array(bypass(dice, target == "branch"));
    }
    if place == Place::Settings || place == Place::Live || dice.chance(60) {
        let refs: &[&str] = if target == "tag" {
            &["refs/tags/v*", "~ALL"]
        } else {
            &["~DEFAULT_BRANCH", "refs/heads/main", "refs/heads/release/*", "refs/heads/früh"]
        };
        let mut conditions = json!({});
        if !is_push {
            conditions["ref_name"] = json!({ "include": dice.some(refs, 50), "exclude": [] });
        }
        if place == Place::Settings {
            let include = dice.one(&[["~ALL"], ["shop"]]);
            conditions["repository_name"] = json!({ "include": include, "exclude": [] });
        }
        if conditions != json!({}) {
            made["conditions"] = conditions;
        }
    }
    made
}

fn bypass(dice: &mut Dice, by_request: bool) -> Vec<Value> {
    let mut actors = Vec::new();
    for place in 0..TEAMS.len() {
        if dice.chance(15) {
            actors.push(json!({ "actor_id": 500 + place, "actor_type": "Team", "bypass_mode": "always" }));
        }
    }
    for (_, id) in APPS {
        if dice.chance(15) {
            actors.push(json!({ "actor_id": id, "actor_type": "Integration", "bypass_mode": "always" }));
        }
    }
    if dice.chance(15) {
        actors.push(json!({ "actor_id": 1, "actor_type": "OrganizationAdmin", "bypass_mode": "always" }));
    }
    if dice.chance(15) {
        let mode = if by_request && dice.chance(40) { "pull_request" } else { "always" };
        actors.push(json!({ "actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": mode }));
    }
    actors
}
