//! Simulates the code security configurations of an organisation, and their repositories.
//!
//! <https://docs.github.com/rest/code-security/configurations>

use serde_json::{Value, json};

use super::{Call, Reply, has_id, page};
use crate::github::shapes;
use crate::github::world::World;

/// The keys of a configuration that are in the state, but that GitHub does not show.
const OWN: &[&str] = &["default_for_new_repos", "repositories"];

/// The default values for the features that a new configuration does not set. The values come from
/// GitHub's published description. `described.json` leaves out all defaults, so this table is
/// written by hand.
const DEFAULTS: &[(&str, &str)] = &[
    ("advanced_security", "disabled"),
    ("code_scanning_default_setup", "disabled"),
    ("code_scanning_delegated_alert_dismissal", "not_set"),
    ("dependabot_alerts", "disabled"),
    ("dependabot_delegated_alert_dismissal", "disabled"),
    ("dependabot_security_updates", "disabled"),
    ("dependency_graph", "enabled"),
    ("dependency_graph_autosubmit_action", "disabled"),
    ("private_vulnerability_reporting", "disabled"),
    ("secret_scanning", "disabled"),
    ("secret_scanning_delegated_bypass", "disabled"),
    ("secret_scanning_generic_secrets", "disabled"),
    ("secret_scanning_non_provider_patterns", "disabled"),
    ("secret_scanning_push_protection", "disabled"),
    ("secret_scanning_validity_checks", "disabled"),
];

/// The features that a repository shows in `security_and_analysis`. Each entry has the key in a
/// configuration and the key in `security_and_analysis`.
const ANALYSIS: &[(&str, &str)] = &[
    ("secret_scanning", "secret_scanning"),
    ("secret_scanning_push_protection", "secret_scanning_push_protection"),
    ("secret_scanning_non_provider_patterns", "secret_scanning_non_provider_patterns"),
    ("secret_scanning_generic_secrets", "secret_scanning_ai_detection"),
];

/// The features that have their own keys in a repository.
const SWITCHES: &[(&str, &str)] = &[
    ("dependabot_alerts", "vulnerability_alerts"),
    ("dependabot_security_updates", "automated_security_fixes"),
    ("private_vulnerability_reporting", "private_vulnerability_reporting"),
];

/// Returns the kinds of new repositories that a value of `default_for_new_repos` selects.
fn kinds(value: &Value) -> &'static [&'static str] {
    match value.as_str() {
        Some("all") => &["private_and_internal", "public"],
        Some("private_and_internal") => &["private_and_internal"],
        Some("public") => &["public"],
        _ => &[],
    }
}

fn shown(org: &str, name: &str, configuration: &Value) -> Value {
    let id = configuration["id"].as_u64().unwrap_or_default();
    let api = format!("https://api.github.com/orgs/{org}/code-security/configurations/{id}");
    let mut shown = json!({
        "name": name, "target_type": "organization", "description": "", "enforcement": "enforced",
        "url": api, "html_url": format!("https://github.com/organizations/{org}/settings/security_products/configurations/edit/{id}"),
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    });
    for (key, value) in DEFAULTS {
        shown[*key] = json!(value);
    }
    for (key, value) in configuration.as_object().into_iter().flatten() {
        if !OWN.contains(&key.as_str()) {
            shown[key] = value.clone();
        }
    }
    shown
}

/// Answers calls with a path that begins with `/orgs/{org}/code-security/configurations`.
pub(super) fn answer(world: &mut World, call: &Call<'_>, org: &str, rest: &[&str]) -> Reply {
    let known = world.org(org).map(|org| org["security_configurations"].clone()).unwrap_or_default();
    let all = || known.as_object().into_iter().flatten();
    let place = |id: &str| all().find(|(_, configuration)| has_id(configuration, id));
    match (call.method.as_str(), rest) {
        ("GET", []) => {
            Reply::json(200, all().map(|(name, configuration)| shown(org, name, configuration)).collect())
        }
        ("POST", []) => {
            let Some(name) = call.body["name"].as_str() else { return Reply::invalid("name is needed") };
            if known.get(name).is_some() {
                return Reply::invalid("Validation Failed: name already exists");
            }
            let mut new = json!({ "id": world.fresh_id() });
            set(&mut new, call.body);
            keep(world, org, name, Some(new.clone()));
            Reply::json(201, shown(org, name, &new))
        }
        ("GET", ["defaults"]) => {
            let default = |configuration: &Value| {
                configuration["default_for_new_repos"]
                    .as_str()
                    .filter(|value| *value != "none")
                    .map(str::to_owned)
            };
            let rows = all().filter_map(|(name, configuration)| {
                let value = default(configuration)?;
                Some(json!({ "default_for_new_repos": value, "configuration": shown(org, name, configuration) }))
            });
            Reply::json(200, rows.collect())
        }
        (method, [id, rest @ ..]) => match place(id) {
            Some((name, configuration)) => {
                let (name, configuration) = (name.clone(), configuration.clone());
                one(world, call, org, (&name, configuration), method, rest)
            }
            None => Reply::not_found(),
        },
        _ => Reply::not_found(),
    }
}

fn one(
    world: &mut World,
    call: &Call<'_>,
    org: &str,
    (name, mut configuration): (&str, Value),
    method: &str,
    rest: &[&str],
) -> Reply {
    match (method, rest) {
        ("GET", []) => Reply::json(200, shown(org, name, &configuration)),
        ("PATCH", []) => {
            set(&mut configuration, call.body);
            let new = call.body["name"].as_str().unwrap_or(name).to_owned();
            keep(world, org, name, None);
            keep(world, org, &new, Some(configuration.clone()));
            let shown = shown(org, &new, &configuration);
            let attached = configuration["repositories"].as_array().cloned().unwrap_or_default();
            carry_out(world, call, &shown, &attached);
            Reply::json(200, shown)
        }
        ("DELETE", []) => {
            keep(world, org, name, None);
            Reply::empty(204)
        }
        ("PUT", ["defaults"]) => {
            let value = call.body["default_for_new_repos"].clone();
            take_default(world, org, name, kinds(&value));
            configuration["default_for_new_repos"] = value.clone();
            let shown = shown(org, name, &configuration);
            keep(world, org, name, Some(configuration));
            Reply::json(200, json!({ "default_for_new_repos": value, "configuration": shown }))
        }
        ("GET", ["repositories"]) => {
            let ids = configuration["repositories"].as_array().cloned().unwrap_or_default();
            let found = ids.iter().filter_map(|id| world.by_id(id.as_u64()?));
            let rows = found.map(|(org, found)| {
                json!({ "status": "enforced", "repository": shapes::simple_repository(world, org, found) })
            });
            page(call, rows.collect())
        }
        ("POST", ["attach"]) => {
            let ids = attached(world, call, org);
            let others: Vec<String> = world
                .org(org)
                .and_then(|org| org["security_configurations"].as_object())
                .into_iter()
                .flatten()
                .map(|(name, _)| name.clone())
                .collect();
            if let Some(all) = world.org_mut(org).map(|org| &mut org["security_configurations"]) {
                for other in others {
                    let list = all[&other]["repositories"].as_array().cloned().unwrap_or_default();
                    let mut list: Vec<Value> = list.into_iter().filter(|id| !ids.contains(id)).collect();
                    if other == name {
                        list.extend(ids.iter().cloned());
                    }
                    all[&other]["repositories"] = json!(list);
                }
            }
            carry_out(world, call, &shown(org, name, &configuration), &ids);
            Reply::json(202, json!({}))
        }
        _ => Reply::not_found(),
    }
}

/// Ensures that no other configuration is the default for these kinds of new repositories. GitHub
/// allows only one default for each kind.
fn take_default(world: &mut World, org: &str, name: &str, taken: &[&str]) {
    let all = world.org_mut(org).and_then(|org| org["security_configurations"].as_object_mut());
    for (_, other) in all.into_iter().flatten().filter(|(other, _)| other.as_str() != name) {
        let before = kinds(&other["default_for_new_repos"]);
        let left: Vec<&str> = before.iter().copied().filter(|kind| !taken.contains(kind)).collect();
        if left.len() < before.len() {
            other["default_for_new_repos"] = json!(left.first().unwrap_or(&"none"));
        }
    }
}

/// Turns the features of repositories on and off according to their configuration. If a feature is
/// not set, it does not change.
fn carry_out(world: &mut World, call: &Call<'_>, configuration: &Value, ids: &[Value]) {
    let value = |key: &str| configuration[key].as_str().filter(|value| *value != "not_set");
    for id in ids.iter().filter_map(Value::as_u64) {
        let found = world.by_id(id).and_then(|(org, found)| Some((org, found["name"].as_str()?)));
        let Some((org, name)) = found.map(|(org, name)| (org.to_owned(), name.to_owned())) else { continue };
        world.edit(&org, &name, call.sender, |found| {
            for (key, own) in ANALYSIS {
                if let Some(value) = value(key) {
                    found["security_and_analysis"][*own] = json!({ "status": value });
                }
            }
            if let Some(value) = value("advanced_security") {
                let whole = if value == "enabled" { "enabled" } else { "disabled" };
                let half = if ["enabled", "code_security"].contains(&value) { "enabled" } else { "disabled" };
                found["security_and_analysis"]["advanced_security"] = json!({ "status": whole });
                found["security_and_analysis"]["code_security"] = json!({ "status": half });
            }
            for (key, own) in SWITCHES {
                // GitHub offers private vulnerability reporting only for public repositories.
                let is_offered = *own != "private_vulnerability_reporting" || found["visibility"] == "public";
                if let (Some(value), true) = (value(key), is_offered) {
                    found[*own] = json!(value == "enabled");
                }
            }
            if let Some(value) = value("code_scanning_default_setup") {
                let state = if value == "enabled" { "configured" } else { "not-configured" };
                found["code_scanning"]["state"] = json!(state);
            }
        });
    }
}

/// Returns the repositories that the `scope` in a call selects.
fn attached(world: &World, call: &Call<'_>, org: &str) -> Vec<Value> {
    let scope = call.body["scope"].as_str().unwrap_or_default();
    if scope == "selected" {
        return call.body["selected_repository_ids"].as_array().cloned().unwrap_or_default();
    }
    let all = world.repositories(org).into_iter().filter(|found| match scope {
        "public" => found["visibility"] == "public",
        "private_or_internal" => found["visibility"] != "public",
        _ => true,
    });
    all.map(|found| found["id"].clone()).collect()
}

fn set(configuration: &mut Value, body: &Value) {
    for (key, value) in body.as_object().into_iter().flatten().filter(|(key, _)| *key != "name") {
        configuration[key] = value.clone();
    }
}

fn keep(world: &mut World, org: &str, name: &str, configuration: Option<Value>) {
    let Some(all) = world.org_mut(org).and_then(|org| org["security_configurations"].as_object_mut()) else {
        return;
    };
    match configuration {
        Some(configuration) => all.insert(name.to_owned(), configuration),
        None => all.remove(name),
    };
}
