//! Makes a random organisation. The test needs the organisation in two forms: as sections of a
//! policy, and as the simulator's state.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::dice::{APPS, BRANCHES, Dice, PROPERTIES, TEAMS, UNREACHABLE, USERS};
use super::entries::{self, BLOCKS, LISTS, Place};
use super::environments;

pub(super) const ORGANISATION: &str = "acme";
const REPOSITORIES: &[&str] = &["shop", "Shop-2", ".dotted", "api_v2"];
/// If the organisation has at least this number of repositories, Beadle reads the teams of the
/// whole organisation together.
const MANY: usize = 21;

/// The live values of a repository, in the form of policy sections.
pub(super) struct Live {
    pub(super) name: String,
    pub(super) sections: Value,
}

/// A random organisation in both forms.
pub(super) struct State {
    pub(super) repositories: Vec<Live>,
    /// The rulesets and configurations of the organisation itself, in the form of a policy.
    pub(super) rulesets: Value,
    /// The whole organisation, in the form of the simulator's state.
    pub(super) doc: Value,
}

pub(super) fn state(dice: &mut Dice) -> State {
    let mut names: Vec<String> = REPOSITORIES.iter().map(|name| (*name).to_owned()).collect();
    if dice.chance(2) {
        names.extend((names.len()..MANY).map(|n| format!("r{n:02}")));
    } else {
        names.truncate(1 + dice.below(3));
    }
    let mut repositories: Vec<Live> = names.into_iter().map(|name| live(dice, name)).collect();
    // GitHub accepts the same deploy key only in one repository.
    let mut known = BTreeSet::new();
    for live in &mut repositories {
        if let Some(keys) = live.sections["deploy_keys"].as_array_mut() {
            keys.retain(|key| known.insert(key["key"].to_string()));
        }
    }
    let mut rulesets = Vec::new();
    if dice.chance(40) {
        let mut ruleset = entries::ruleset(dice, Place::Live, &Value::Null);
        if let Some(rules) = ruleset["rules"].as_array_mut() {
            rules.retain(|rule| {
                !crate::policy::described::OF_REPOSITORIES.iter().any(|kind| rule["type"] == *kind)
            });
        }
        ruleset["conditions"]["repository_name"] = json!({ "include": ["~ALL"], "exclude": [] });
        rulesets.push(ruleset);
    }
    let rulesets = Value::Array(rulesets);
    let configurations = entries::configurations(dice, Place::Live, &Value::Null);
    let mut repos = Map::new();
    for (at, live) in repositories.iter().enumerate() {
        repos.insert(live.name.clone(), repository(dice, 101 + at, &live.sections));
    }
    let teams: Map<String, Value> =
        (500..).zip(TEAMS).map(|(id, slug)| ((*slug).to_owned(), team(id, slug))).collect();
    let users: Map<String, Value> = USERS.iter().map(|login| ((*login).to_owned(), json!({}))).collect();
    let apps: Map<String, Value> =
        APPS.iter().map(|(slug, id)| ((*slug).to_owned(), json!({ "id": id }))).collect();
    let definition = json!({ "value_type": "string" });
    let properties: Map<String, Value> =
        PROPERTIES.iter().map(|name| ((*name).to_owned(), definition.clone())).collect();
    let doc = json!({
        "users": users,
        "apps": apps,
        "orgs": { ORGANISATION: {
            "id": 1, "plan": "enterprise", "members": ["ann", "bob", "Cara-X", "erin"], "owners": [],
            "custom_roles": ["auditor"], "teams": teams, "property_definitions": properties, "repos": repos,
            "rulesets": keyed(&rulesets, "name", |ruleset| stripped(ruleset, "name")),
            "security_configurations": keyed(&configurations, "name", |known| stripped(known, "name")),
        } },
    });
    State { repositories, rulesets, doc }
}

fn team(id: u64, slug: &str) -> Value {
    match slug {
        "child" => json!({ "id": id, "parent": "platform", "members": { "bob": "member" } }),
        _ => json!({ "id": id }),
    }
}

fn live(dice: &mut Dice, name: String) -> Live {
    let mut sections = json!({});
    for section in LISTS.iter().map(|list| list.section).chain(BLOCKS.iter().copied()) {
        if dice.chance(70) {
            sections[section] = entries::section(dice, section, Place::Live, &Value::Null);
        }
    }
    let known = [
        ("teams", "name", TEAMS),
        ("collaborators", "username", USERS),
        ("custom_properties", "name", PROPERTIES),
    ];
    for (section, id, pool) in known {
        if let Some(entries) = sections[section].as_array_mut() {
            canonical(entries, id, pool);
        }
    }
    if let Some(labels) = sections["labels"].as_array_mut().filter(|_| dice.chance(8)) {
        labels.push(json!({ "name": UNREACHABLE[0], "color": "cc0000", "description": null }));
    }
    Live { name, sections }
}

/// Replaces each name with GitHub's spelling of the name. Removes an entry if the name is not in
/// `pool`.
fn canonical(entries: &mut Vec<Value>, id: &str, pool: &[&str]) {
    entries.retain_mut(|entry| {
        let name = entry[id].as_str().unwrap_or_default();
        let Some(known) = pool.iter().find(|known| known.eq_ignore_ascii_case(name)) else { return false };
        entry[id] = json!(known);
        true
    });
}

/// Returns the entries of a list. The key is the identity of the entry.
fn keyed(list: &Value, id: &str, value: impl Fn(&Value) -> Value) -> Value {
    let entries = list.as_array().into_iter().flatten();
    let named = entries.map(|entry| (entry[id].as_str().unwrap_or_default().to_owned(), value(entry)));
    Value::Object(named.filter(|(_, value)| !value.is_null()).collect())
}

/// Returns an entry without the key `name` and without null values.
fn stripped(entry: &Value, name: &str) -> Value {
    let mut entry = without_nulls(entry);
    if let Some(entry) = entry.as_object_mut() {
        entry.remove(name);
    }
    entry
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(key, value)| (key.clone(), without_nulls(value))).collect())
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

/// Returns GitHub's defaults. The values of a section override these defaults.
fn over(mut defaults: Value, section: &Value) -> Value {
    for (key, value) in section.as_object().into_iter().flatten() {
        defaults[key] = value.clone();
    }
    defaults
}

fn repository(dice: &mut Dice, id: usize, sections: &Value) -> Value {
    let mut made = json!({ "id": id, "created_at": format!("2026-01-01T00:{:02}:00Z", id % 60) });
    for (key, value) in sections["repository"].as_object().into_iter().flatten() {
        if key != "security_and_analysis" {
            made[key] = value.clone();
        }
    }
    let off = json!({ "status": "disabled" });
    let features = json!({
        "advanced_security": off, "code_security": off, "secret_scanning": off, "secret_scanning_push_protection": off,
        "secret_scanning_non_provider_patterns": off, "secret_scanning_ai_detection": off,
        "secret_scanning_validity_checks": off, "secret_scanning_delegated_alert_dismissal": off,
        "secret_scanning_delegated_bypass": off,
    });
    made["security_and_analysis"] = over(features, &sections["repository"]["security_and_analysis"]);
    made["branches"] = BRANCHES.iter().map(|branch| ((*branch).to_owned(), json!({}))).collect();
    made["teams"] = keyed(&sections["teams"], "name", |team| team["permission"].clone());
    made["collaborators"] =
        keyed(&sections["collaborators"], "username", |person| person["permission"].clone());
    if made["collaborators"].get("dan_acme").is_none() && dice.chance(15) {
        let invitation = json!({
            "id": 900 + id, "login": "dan_acme", "permissions": "write", "created_at": "2026-11-20T00:00:00Z",
        });
        made["invitations"] = json!([invitation]);
    }
    made["labels"] = keyed(&sections["labels"], "name", |label| {
        let color = label["color"].as_str().unwrap_or("ededed").trim_start_matches('#').to_owned();
        json!({ "color": color, "description": label["description"] })
    });
    made["autolinks"] = keyed(&sections["autolinks"], "key_prefix", |link| stripped(link, "key_prefix"));
    made["milestones"] = keyed(&sections["milestones"], "title", |milestone| stripped(milestone, "title"));
    made["deploy_keys"] = keyed(&sections["deploy_keys"], "key", |key| stripped(key, "key"));
    made["rulesets"] = keyed(&sections["rulesets"], "name", |ruleset| stripped(ruleset, "name"));
    made["hooks"] = keyed(&sections["webhooks"], "url", |hook| {
        let insecure = if hook["insecure_ssl"] == json!(true) { "1" } else { "0" };
        let config =
            json!({ "url": hook["url"], "content_type": hook["content_type"], "insecure_ssl": insecure });
        json!({ "active": hook["active"], "events": hook["events"], "config": config })
    });
    made["environments"] = keyed(&sections["environments"], "name", environments::live);
    made["variables"] = environments::variables(&sections["variables"]);
    for list in crate::aspects::secrets::SECTIONS {
        made[*list] = environments::secrets(&sections[*list]);
    }
    made["properties"] = keyed(&sections["custom_properties"], "name", |property| text(&property["value"]));
    made["protection"] = keyed(&sections["branches"], "name", |branch| protection(&branch["protection"]));
    let actions = json!({
        "enabled": true, "allowed_actions": "all", "sha_pinning_required": false,
        "github_owned_allowed": true, "verified_allowed": false, "patterns_allowed": [],
        "default_workflow_permissions": "read", "can_approve_pull_request_reviews": false,
        "access_level": "none", "artifact_and_log_retention_days": 90,
        "fork_pr_contributor_approval": "first_time_contributors",
    });
    made["actions"] = over(actions, &sections["actions"]);
    let forks = json!({
        "run_workflows_from_fork_pull_requests": false, "send_write_tokens_to_workflows": false,
        "send_secrets_and_variables": false, "require_approval_for_fork_pr_workflows": false,
    });
    made["actions"]["fork_pr_workflows_private_repos"] =
        over(forks, &sections["actions"]["fork_pr_workflows_private_repos"]);
    let subject = json!({ "use_default": true, "include_claim_keys": [], "use_immutable_subject": false });
    made["oidc_subject"] = over(subject, &sections["oidc_subject"]);
    if made["oidc_subject"]["include_claim_keys"] == json!([]) {
        // GitHub refuses a subject without claims, unless the subject has the default form.
        made["oidc_subject"]["use_default"] = json!(true);
    }
    let site = &sections["pages"];
    if site["enabled"] == json!(true) {
        let source = over(json!({ "branch": "main", "path": "/" }), &site["source"]);
        let site = over(json!({ "build_type": "legacy", "https_enforced": true, "public": true }), site);
        made["pages"] = over(site, &json!({ "source": source }));
    }
    let security = &sections["security"];
    for (own, key) in [
        ("dependabot_alerts", "vulnerability_alerts"),
        ("dependabot_security_updates", "automated_security_fixes"),
    ] {
        made[key] = json!(security[own] == json!(true));
    }
    let is_public = made["visibility"] == "public";
    let limit = &sections["interaction_limit"]["limit"];
    if is_public && *limit != "none" {
        made["interaction_limit"] = limit.clone();
    }
    made["private_vulnerability_reporting"] =
        json!(is_public && security["private_vulnerability_reporting"] == json!(true));
    let setup = &security["code_scanning_default_setup"];
    let state = if setup.is_object() { "configured" } else { "not-configured" };
    made["code_scanning"] = over(json!({ "state": state, "languages": [], "query_suite": "default" }), setup);
    made
}

/// Returns the value of a property in the form of GitHub's answer.
fn text(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(text).collect(),
        Value::Null | Value::String(_) => value.clone(),
        other => json!(other.to_string()),
    }
}

/// Returns a branch protection rule in the form of a REST request body (`PUT`).
fn protection(rule: &Value) -> Value {
    let mut rule = without_nulls(rule);
    for list in [
        "/restrictions",
        "/force_push_allowances",
        "/required_pull_request_reviews/dismissal_restrictions",
        "/required_pull_request_reviews/bypass_pull_request_allowances",
    ] {
        let Some(actors) = rule.pointer_mut(list) else { continue };
        let known = |kind: &str, pool: &[&str]| {
            let named = actors[kind].as_array().into_iter().flatten().filter_map(Value::as_str);
            let known = |name: &str| pool.iter().find(|known| known.eq_ignore_ascii_case(name)).copied();
            let mut known: Vec<&str> = named.filter_map(known).collect();
            known.dedup();
            json!(known)
        };
        let slugs: Vec<&str> = APPS.iter().map(|(slug, _)| *slug).collect();
        let (users, teams, apps) = (known("users", USERS), known("teams", TEAMS), known("apps", &slugs));
        *actors = json!({ "users": users, "teams": teams, "apps": apps });
    }
    let checks = rule.pointer_mut("/required_status_checks/checks").and_then(Value::as_array_mut);
    for check in checks.into_iter().flatten() {
        if check["app_id"] == json!(-1) {
            check["app_id"] = Value::Null;
        }
    }
    rule
}
