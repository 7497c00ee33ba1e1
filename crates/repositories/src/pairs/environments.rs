//! Makes random environments and variables.

use serde_json::{Map, Value, json};

use super::dice::{APPS, Dice, TEAMS, USERS};

/// Changes the values of an environment so that GitHub accepts all of them together. In a live
/// environment, all reviewers are teams, because the simulator's state has no ids of people. GitHub
/// allows at most six reviewers, so all layers together have at most six reviewers.
pub(super) fn fit_together(dice: &mut Dice, entry: &mut Map<String, Value>, is_live: bool) {
    let mut reviewers: Vec<Value> =
        dice.some(&TEAMS[..4], 30).iter().map(|slug| json!({ "type": "Team", "slug": slug })).collect();
    if !is_live && dice.chance(30) {
        reviewers.push(json!({ "type": "User", "login": dice.one(&USERS[..2]) }));
    }
    let apps = APPS.iter().map(|(slug, id)| {
        if is_live || dice.chance(50) { json!({ "app_id": id }) } else { json!({ "app": slug }) }
    });
    let apps: Vec<Value> = apps.collect();
    let patterns = dice.some(&["main", "release/*"], 60);
    let branches = [
        Value::Null,
        json!({ "protected_branches": true, "custom_branch_policies": false }),
        json!({ "protected_branches": false, "custom_branch_policies": patterns }),
    ];
    if reviewers.is_empty() || !entry.contains_key("reviewers") {
        entry.remove("prevent_self_review");
    }
    let values = [
        ("reviewers", json!(reviewers)),
        ("deployment_branch_policy", dice.one(&branches)),
        ("deployment_protection_rules", json!(dice.some(&apps, 30))),
        ("secrets", json!(dice.some(&[json!({ "name": "KEY", "secret": "hook" })], 50))),
        ("variables", json!(dice.some(&[json!({ "name": "REGION", "value": "eu" })], 50))),
    ];
    for (key, value) in values {
        if let Some(old) = entry.get_mut(key) {
            *old = value;
        }
    }
}

/// Returns the value of a variable. This value is always a text.
fn written(value: &Value) -> Value {
    if value.is_string() { value.clone() } else { json!(value.to_string()) }
}

/// Returns variables in the form of the simulator's state.
pub(super) fn variables(list: &Value) -> Value {
    let variables = list.as_array().into_iter().flatten().filter_map(|variable| {
        Some((variable["name"].as_str()?.to_ascii_uppercase(), written(&variable["value"])))
    });
    Value::Object(variables.collect())
}

/// Returns secrets in the form of the simulator's state. The values of the secrets are unknown.
pub(super) fn secrets(list: &Value) -> Value {
    let names = list.as_array().into_iter().flatten().filter_map(|secret| secret["name"].as_str());
    Value::Object(names.map(|name| (name.to_ascii_uppercase(), json!({ "value": "unknown" }))).collect())
}

/// Returns an environment in the form of the simulator's state.
pub(super) fn live(environment: &Value) -> Value {
    let items = |key: &str| environment[key].as_array().cloned().unwrap_or_default();
    let reviewers: Vec<Value> = items("reviewers")
        .iter()
        .filter_map(|reviewer| TEAMS.iter().position(|slug| reviewer["slug"] == *slug))
        .map(|place| json!({ "type": "Team", "id": 500 + place }))
        .collect();
    let policy = &environment["deployment_branch_policy"];
    let patterns = policy["custom_branch_policies"].as_array();
    let custom = patterns.is_some();
    let shown = json!({ "protected_branches": !custom, "custom_branch_policies": custom });
    let patterns = patterns.into_iter().flatten();
    let patterns: Vec<Value> = patterns.map(|name| json!({ "name": name, "type": "branch" })).collect();
    json!({
        "wait_timer": environment["wait_timer"],
        "prevent_self_review": !reviewers.is_empty() && environment["prevent_self_review"] == json!(true),
        "reviewers": reviewers,
        "deployment_branch_policy": if policy.is_object() { shown } else { Value::Null },
        "branch_policies": patterns,
        "gates": items("deployment_protection_rules"),
        "variables": variables(&environment["variables"]),
        "secrets": secrets(&environment["secrets"]),
    })
}
