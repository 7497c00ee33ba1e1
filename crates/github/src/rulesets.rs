//! Rulesets as GraphQL shows them, in the shape of REST, which policies are written in.
//!
//! GraphQL does not show everything: some types of rules and of bypass actors are REST's alone. Where something is there
//! that it cannot say, the ruleset is marked, and has to be read by REST before anything is concluded.

use serde_json::{Map, Value, json};

/// A ruleset of a repository.
#[derive(Clone, Debug, PartialEq)]
pub struct Ruleset {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// When it was changed last, as GitHub says.
    pub updated_at: String,
    /// What it says, in the shape of the REST body.
    pub body: Value,
    /// There is something in it that GraphQL does not say.
    pub is_veiled: bool,
}

/// `requiredStatusChecks` → `required_status_checks`, all the way down; what is null is left out, as REST does.
fn snake(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(key, value)| *key != "__typename" && !value.is_null())
            .map(|(key, value)| (snake_key(key), snake(value)))
            .collect(),
        Value::Array(items) => items.iter().map(snake).collect(),
        other => other.clone(),
    }
}

fn snake_key(key: &str) -> String {
    key.chars().fold(String::new(), |mut text, letter| {
        if letter.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
        text
    })
}

fn lower(value: &Value) -> Value {
    json!(value.as_str().unwrap_or_default().to_lowercase())
}

/// A rule; `None` for one that GraphQL names and does not describe.
fn rule(row: &Value) -> Option<Value> {
    let kind = row["type"].as_str()?.to_lowercase();
    let mut rule = json!({ "type": kind });
    let mut parameters = snake(&row["parameters"]);
    if let Some(methods) = parameters.get_mut("allowed_merge_methods").and_then(Value::as_array_mut) {
        for method in methods {
            *method = lower(method);
        }
    }
    if parameters.as_object().is_some_and(|parameters| !parameters.is_empty()) {
        rule["parameters"] = parameters;
    }
    Some(rule)
}

/// A bypass actor; `None` for one that GraphQL does not describe.
fn bypass_actor(row: &Value) -> Option<Value> {
    let mode = lower(&row["bypassMode"]);
    let on = |key: &str| row[key] == json!(true);
    let (kind, id) = match row["actor"]["__typename"].as_str() {
        Some("App") => ("Integration", row["actor"]["databaseId"].clone()),
        Some("Team") => ("Team", row["actor"]["databaseId"].clone()),
        _ if on("organizationAdmin") => ("OrganizationAdmin", json!(1)),
        _ if on("deployKey") => ("DeployKey", Value::Null),
        _ if on("enterpriseOwner") => ("EnterpriseOwner", Value::Null),
        _ if row["repositoryRoleDatabaseId"].is_number() => {
            ("RepositoryRole", row["repositoryRoleDatabaseId"].clone())
        }
        _ => return None,
    };
    Some(json!({ "actor_type": kind, "actor_id": id, "bypass_mode": mode }))
}

/// From a node whose lists were read to their ends. `None` where it has no id.
pub(crate) fn ruleset(node: &Value, rules: &[Value], actors: &[Value]) -> Option<Ruleset> {
    let shown: Vec<Value> = rules.iter().filter_map(rule).collect();
    let bypass: Vec<Value> = actors.iter().filter_map(bypass_actor).collect();
    let names = &node["conditions"]["refName"];
    let mut conditions = Map::new();
    if names.is_object() {
        conditions
            .insert("ref_name".into(), json!({ "include": names["include"], "exclude": names["exclude"] }));
    }
    let name = node["name"].as_str()?.to_owned();
    Some(Ruleset {
        id: node["databaseId"].as_u64()?,
        updated_at: node["updatedAt"].as_str().unwrap_or_default().to_owned(),
        is_veiled: shown.len() < rules.len() || bypass.len() < actors.len(),
        body: json!({
            "name": name, "target": lower(&node["target"]), "enforcement": lower(&node["enforcement"]),
            "bypass_actors": bypass, "conditions": conditions, "rules": shown,
        }),
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_rest() {
        let row = json!({ "type": "REQUIRED_STATUS_CHECKS", "parameters": {
            "__typename": "RequiredStatusChecksParameters", "strictRequiredStatusChecksPolicy": true,
            "requiredStatusChecks": [{ "context": "build", "integrationId": null }],
        } });
        let expected = json!({ "type": "required_status_checks", "parameters": {
            "strict_required_status_checks_policy": true, "required_status_checks": [{ "context": "build" }],
        } });
        assert_eq!(rule(&row), Some(expected));
    }

    #[test]
    fn an_actor_that_is_not_described_veils_the_ruleset() {
        let node = json!({ "databaseId": 1, "name": "main", "target": "BRANCH", "enforcement": "ACTIVE", "conditions": {} });
        let nobody = json!({ "actor": null, "bypassMode": "ALWAYS", "organizationAdmin": false });
        assert!(ruleset(&node, &[], &[nobody]).unwrap().is_veiled);
        assert!(!ruleset(&node, &[json!({ "type": "DELETION" })], &[]).unwrap().is_veiled);
    }
}
