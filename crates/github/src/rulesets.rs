//! Converts rulesets from GraphQL to the form of the REST API, which policies use.
//!
//! GraphQL does not show everything, because some types of rules and of bypass actors exist only in
//! REST. If a ruleset has a rule or an actor that exists only in REST, Beadle reads the ruleset by
//! REST before the comparison.

use serde_json::{Map, Value, json};

use crate::documents::rulesets::{BypassNode, RulesetNode, RulesetRule};
use crate::shape::shape;

/// A ruleset of a repository.
#[derive(Clone, Debug, PartialEq)]
pub struct Ruleset {
    /// The id of the ruleset.
    pub id: u64,
    /// The name of the ruleset.
    pub name: String,
    /// When the ruleset was last changed, in GitHub's format.
    pub updated_at: String,
    /// The content of the ruleset, in the same form as in a REST request.
    pub body: Value,
    /// True if the ruleset has a part that GraphQL does not show.
    pub is_veiled: bool,
}

/// Converts the names of fields at every depth from GraphQL's form to REST's form, such as
/// `requiredStatusChecks` to `required_status_checks`. Omits null values, as REST does.
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

fn lower(text: Option<&str>) -> Value {
    json!(text.unwrap_or_default().to_lowercase())
}

/// Converts a rule to REST's form. Returns `None` if GraphQL does not show the content of the rule.
fn rule(row: &Value) -> Option<Value> {
    let RulesetRule { kind, parameters } = shape(row)?;
    let mut rule = json!({ "type": kind.to_lowercase() });
    let mut parameters = snake(&parameters);
    if let Some(methods) = parameters.get_mut("allowed_merge_methods").and_then(Value::as_array_mut) {
        for method in methods {
            *method = lower(method.as_str());
        }
    }
    if parameters.as_object().is_some_and(|parameters| !parameters.is_empty()) {
        rule["parameters"] = parameters;
    }
    Some(rule)
}

/// Converts a bypass actor to REST's form. Returns `None` for an actor that GraphQL does not show.
fn bypass_actor(row: &Value) -> Option<Value> {
    let node: BypassNode = shape(row)?;
    let mode = lower(node.bypass_mode.as_deref());
    let (typename, database_id) = node.actor.map(|actor| (actor.typename, actor.database_id)).unzip();
    let id = database_id.unwrap_or_default();
    let (kind, id) = match (typename.as_deref(), node.repository_role_database_id) {
        (Some("App"), _) => ("Integration", id),
        (Some("Team"), _) => ("Team", id),
        _ if node.organization_admin == Some(true) => ("OrganizationAdmin", json!(1)),
        _ if node.deploy_key == Some(true) => ("DeployKey", Value::Null),
        _ if node.enterprise_owner == Some(true) => ("EnterpriseOwner", Value::Null),
        (_, Some(role)) => ("RepositoryRole", Value::Number(role)),
        _ => return None,
    };
    Some(json!({ "actor_type": kind, "actor_id": id, "bypass_mode": mode }))
}

/// Returns the ruleset of a GraphQL node. `rules` and `actors` are the complete lists.
pub(crate) fn ruleset(node: RulesetNode, rules: &[Value], actors: &[Value]) -> Ruleset {
    let shown: Vec<Value> = rules.iter().filter_map(rule).collect();
    let bypass: Vec<Value> = actors.iter().filter_map(bypass_actor).collect();
    let mut conditions = Map::new();
    if let Some(names) = node.conditions.and_then(|conditions| conditions.ref_name) {
        conditions.insert("ref_name".into(), json!({ "include": names.include, "exclude": names.exclude }));
    }
    let (target, enforcement) = (lower(node.target.as_deref()), lower(node.enforcement.as_deref()));
    Ruleset {
        id: node.database_id,
        updated_at: node.updated_at.unwrap_or_default(),
        is_veiled: shown.len() < rules.len() || bypass.len() < actors.len(),
        body: json!({
            "name": node.name, "target": target, "enforcement": enforcement,
            "bypass_actors": bypass, "conditions": conditions, "rules": shown,
        }),
        name: node.name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_has_the_names_of_rest() {
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
        let read = |rules: &[Value], actors: &[Value]| ruleset(shape(&node).unwrap(), rules, actors);
        assert!(read(&[], &[nobody]).is_veiled);
        assert!(!read(&[json!({ "type": "DELETION" })], &[]).is_veiled);
    }

    #[test]
    fn a_bypass_actor_is_read_from_whichever_field_shows_it() {
        let shown = |row: Value| {
            bypass_actor(&row).map(|actor| (actor["actor_type"].clone(), actor["actor_id"].clone()))
        };
        let is = |kind: &str, id: Value| Some((json!(kind), id));
        let of = |kind: &str, id: Value| json!({ "actor": { "__typename": kind, "databaseId": id } });
        assert_eq!(shown(of("App", json!(7))), is("Integration", json!(7)));
        assert_eq!(shown(of("Team", Value::Null)), is("Team", Value::Null));
        assert_eq!(shown(json!({ "organizationAdmin": true })), is("OrganizationAdmin", json!(1)));
        assert_eq!(shown(json!({ "deployKey": true })), is("DeployKey", Value::Null));
        assert_eq!(shown(json!({ "repositoryRoleDatabaseId": 5 })), is("RepositoryRole", json!(5)));
        for row in [
            of("User", json!(7)),
            json!({}),
            json!({ "deployKey": "true" }),
            json!({ "repositoryRoleDatabaseId": "5" }),
            Value::Null,
        ] {
            assert_eq!(shown(row.clone()), None, "{row}");
        }
    }

    #[test]
    fn a_ruleset_without_an_id_or_a_name_is_unreadable_and_one_without_conditions_is_not() {
        for node in [
            json!({ "databaseId": null, "name": "main" }),
            json!({ "databaseId": 1, "name": null }),
            json!({ "databaseId": "1", "name": "main" }),
            Value::Null,
        ] {
            assert!(shape::<RulesetNode>(&node).is_none(), "{node}");
        }
        let body = |node: Value| ruleset(shape(&node).unwrap(), &[], &[]).body;
        for conditions in [Value::Null, json!({}), json!({ "refName": null }), json!({ "refName": [] })] {
            let node = json!({ "databaseId": 1, "name": "main", "conditions": conditions });
            assert_eq!(body(node)["conditions"], json!({}), "{conditions}");
        }
        let names = json!({ "refName": { "include": ["~ALL"], "exclude": [] } });
        let node = json!({ "databaseId": 1, "name": "main", "conditions": names });
        assert_eq!(body(node)["conditions"], json!({ "ref_name": { "include": ["~ALL"], "exclude": [] } }));
    }
}
