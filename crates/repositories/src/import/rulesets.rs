//! Converts a live ruleset to the form of a policy.

use serde_json::{Map, Value, json};

use crate::policy::known_rule;

/// Converts a ruleset from the form of REST's answer to the form of a policy. The function omits
/// two things: values that mean the same as a missing value, and rules of an unknown type.
pub(super) fn ruleset(whole: &Value) -> Value {
    let mut made = json!({
        "name": whole["name"], "target": whole["target"], "enforcement": whole["enforcement"],
    });
    let list = |key: &str| whole[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let actors: Vec<Value> = list("bypass_actors").iter().map(actor).collect();
    if !actors.is_empty() {
        made["bypass_actors"] = sorted(actors);
    }
    let conditions = whole["conditions"].as_object().into_iter().flatten();
    let conditions: Map<String, Value> = conditions
        .filter(|(_, value)| !is_nothing(value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if !conditions.is_empty() {
        made["conditions"] = Value::Object(conditions);
    }
    made["rules"] = sorted(list("rules").iter().filter_map(rule).collect());
    made
}

fn sorted(mut items: Vec<Value>) -> Value {
    items.sort_by_key(|item| ["type", "actor_type", "actor_id"].map(|key| item[key].to_string()));
    Value::Array(items)
}

fn actor(actor: &Value) -> Value {
    let mut made = json!({ "actor_type": actor["actor_type"] });
    let is_single = ["OrganizationAdmin", "DeployKey", "EnterpriseOwner"]
        .iter()
        .any(|kind| actor["actor_type"] == **kind);
    if !is_single {
        made["actor_id"] = actor["actor_id"].clone();
    }
    if actor["bypass_mode"].is_string() {
        made["bypass_mode"] = actor["bypass_mode"].clone();
    }
    made
}

/// Returns a rule with the parameters that a policy can set. Returns `None` if Beadle does not know
/// the type of the rule.
fn rule(rule: &Value) -> Option<Value> {
    let known = known_rule(rule["type"].as_str()?)?;
    let parameters = known.parameters.iter().map(|key| (key.name, &rule["parameters"][key.name]));
    let parameters = parameters.filter(|(name, value)| {
        // The policy must contain each parameter that GitHub requires, even if the parameter's
        // value is empty.
        !value.is_null() && (known.demanded.contains(name) || !is_nothing(value))
    });
    let parameters: Map<String, Value> =
        parameters.map(|(name, value)| (name.to_owned(), without_nulls(value))).collect();
    let mut made = json!({ "type": rule["type"] });
    if !parameters.is_empty() {
        made["parameters"] = Value::Object(parameters);
    }
    Some(made)
}

/// Returns whether a value means the same as a missing value.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ruleset_has_only_what_a_policy_says() {
        let live = json!({
            "id": 7, "source": "acme/shop", "name": "main", "target": "branch", "enforcement": "active",
            "bypass_actors": [
                { "actor_id": 1, "actor_type": "OrganizationAdmin", "bypass_mode": "always" },
                { "actor_id": 5, "actor_type": "Team", "bypass_mode": "pull_request" },
            ],
            "conditions": { "ref_name": { "include": ["~DEFAULT_BRANCH"], "exclude": [] } },
            "rules": [
                { "type": "of_tomorrow" }, { "type": "deletion" },
                { "type": "pull_request", "parameters": {
                    "required_approving_review_count": 1, "dismiss_stale_reviews_on_push": false,
                    "require_code_owner_review": true, "parameter_of_tomorrow": 3,
                } },
            ],
        });
        let expected = json!({
            "name": "main", "target": "branch", "enforcement": "active",
            "bypass_actors": [
                { "actor_type": "OrganizationAdmin", "bypass_mode": "always" },
                { "actor_id": 5, "actor_type": "Team", "bypass_mode": "pull_request" },
            ],
            "conditions": { "ref_name": { "include": ["~DEFAULT_BRANCH"], "exclude": [] } },
            "rules": [
                { "type": "deletion" },
                { "type": "pull_request", "parameters": {
                    "required_approving_review_count": 1, "require_code_owner_review": true,
                } },
            ],
        });
        let made = ruleset(&live);
        assert_eq!(made["rules"], expected["rules"]);
        assert_eq!(made["conditions"], expected["conditions"]);
        assert_eq!(made["bypass_actors"].as_array().map(Vec::len), Some(2));
        assert_eq!((&made["name"], &made["source"]), (&json!("main"), &Value::Null));
    }
}
