//! Shows rulesets in GraphQL's form. Leaves out rules that only REST has.

use serde_json::{Map, Value, json};

use super::connection::{Edge, page};
use super::resolve::{Object, Resolved};
use crate::github::ids::Node;
use crate::github::world::World;

/// The types of rules, each with the GraphQL type of its parameters. `None` means that a rule of
/// this type has no parameters.
const TYPES: &[(&str, Option<&str>)] = &[
    ("creation", None),
    ("update", Some("UpdateParameters")),
    ("deletion", None),
    ("required_linear_history", None),
    ("merge_queue", Some("MergeQueueParameters")),
    ("required_deployments", Some("RequiredDeploymentsParameters")),
    ("required_signatures", None),
    ("pull_request", Some("PullRequestParameters")),
    ("required_status_checks", Some("RequiredStatusChecksParameters")),
    ("non_fast_forward", None),
    ("commit_message_pattern", Some("CommitMessagePatternParameters")),
    ("commit_author_email_pattern", Some("CommitAuthorEmailPatternParameters")),
    ("committer_email_pattern", Some("CommitterEmailPatternParameters")),
    ("branch_name_pattern", Some("BranchNamePatternParameters")),
    ("tag_name_pattern", Some("TagNamePatternParameters")),
    ("workflows", Some("WorkflowsParameters")),
    ("code_scanning", Some("CodeScanningParameters")),
    ("file_path_restriction", Some("FilePathRestrictionParameters")),
    ("max_file_path_length", Some("MaxFilePathLengthParameters")),
    ("file_extension_restriction", Some("FileExtensionRestrictionParameters")),
    ("max_file_size", Some("MaxFileSizeParameters")),
];

/// Returns the required parameters of a rule type, with their default values.
fn defaults(kind: &str) -> Value {
    match kind {
        "pull_request" => {
            json!({ "allowedMergeMethods": null, "dismissStaleReviewsOnPush": false, "requireCodeOwnerReview": false,
            "requireLastPushApproval": false, "requiredApprovingReviewCount": 0, "requiredReviewThreadResolution": false })
        }
        "required_status_checks" => {
            json!({ "doNotEnforceOnCreate": false, "strictRequiredStatusChecksPolicy": false })
        }
        "workflows" => json!({ "doNotEnforceOnCreate": false }),
        kind if kind.ends_with("_pattern") => json!({ "name": null, "negate": false }),
        _ => json!({}),
    }
}

/// Converts all nested keys from the form `required_status_checks` to the form
/// `requiredStatusChecks`.
fn camel(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(key, value)| (camel_key(key), camel(value))).collect(),
        Value::Array(items) => items.iter().map(camel).collect(),
        other => other.clone(),
    }
}

fn camel_key(key: &str) -> String {
    let mut parts = key.split('_');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        text.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        text.push_str(letters.as_str());
    }
    text
}

fn of<'a>(world: &'a World, repository: u64, name: &str) -> Option<&'a Value> {
    world.by_id(repository)?.1["rulesets"].get(name)
}

/// Returns the fields of a ruleset.
pub(super) fn ruleset(
    world: &World,
    repository: u64,
    name: &str,
    field: &str,
    arguments: &Map<String, Value>,
) -> Resolved {
    let ruleset = of(world, repository, name).unwrap_or(&Value::Null);
    let upper = |key: &str, or: &str| json!(ruleset[key].as_str().unwrap_or(or).to_uppercase());
    match field {
        "databaseId" => Resolved::Value(ruleset["id"].clone()),
        "id" => Resolved::Value(json!(Node::Ruleset(ruleset["id"].as_u64().unwrap_or(0)).encode())),
        "name" => Resolved::Value(json!(name)),
        "target" => Resolved::Value(upper("target", "branch")),
        "enforcement" => Resolved::Value(upper("enforcement", "active")),
        "updatedAt" => {
            Resolved::Value(json!(ruleset["updated_at"].as_str().unwrap_or("2026-01-01T00:00:00Z")))
        }
        "conditions" => {
            let shown = match &ruleset["conditions"]["ref_name"] {
                Value::Null => Value::Null,
                names => {
                    let list = |key: &str| if names[key].is_array() { names[key].clone() } else { json!([]) };
                    json!({ "include": list("include"), "exclude": list("exclude") })
                }
            };
            Resolved::Object(Object::Plain("RepositoryRuleConditions", json!({ "refName": shown })))
        }
        "rules" => {
            let rules = ruleset["rules"].as_array().into_iter().flatten();
            page("RepositoryRuleConnection", rules.filter_map(rule).collect(), arguments)
        }
        "bypassActors" => {
            let actors = ruleset["bypass_actors"].as_array().into_iter().flatten();
            let actors = actors.map(|actor| {
                Edge::plain(Object::Plain("RepositoryRulesetBypassActor", bypass(world, repository, actor)))
            });
            page("RepositoryRulesetBypassActorConnection", actors.collect(), arguments)
        }
        _ => Resolved::unknown("RepositoryRuleset", field),
    }
}

fn rule(rule: &Value) -> Option<Edge> {
    let kind = rule["type"].as_str()?;
    let (_, parameters) = TYPES.iter().find(|(name, _)| *name == kind)?;
    let parameters = parameters.map_or(Value::Null, |name| {
        let mut shown = defaults(kind);
        for (key, value) in camel(&rule["parameters"]).as_object().into_iter().flatten() {
            shown[key] = value.clone();
        }
        if kind == "required_status_checks" {
            for check in shown["requiredStatusChecks"].as_array_mut().into_iter().flatten() {
                check["integrationId"] = check["integrationId"].clone();
            }
        }
        for file in shown["workflows"].as_array_mut().into_iter().flatten() {
            for key in ["ref", "sha"] {
                file[key] = file[key].clone();
            }
        }
        shown["__typename"] = json!(name);
        shown
    });
    let shown = json!({ "type": kind.to_uppercase(), "parameters": parameters });
    Some(Edge::plain(Object::Plain("RepositoryRule", shown)))
}

fn bypass(world: &World, repository: u64, actor: &Value) -> Value {
    let org = world.by_id(repository).map(|(org, _)| org.to_owned()).unwrap_or_default();
    let kind = actor["actor_type"].as_str().unwrap_or_default();
    let id = actor["actor_id"].as_u64();
    let who = match (kind, id) {
        ("Team", Some(id)) => {
            let teams = world.org(&org).and_then(|org| org["teams"].as_object()).into_iter().flatten();
            let mut teams = teams.filter(|(_, team)| team["id"].as_u64() == Some(id));
            teams.next().map_or(Value::Null, |_| json!({ "__typename": "Team", "databaseId": id }))
        }
        ("Integration", Some(id)) => json!({ "__typename": "App", "databaseId": id }),
        _ => Value::Null,
    };
    json!({
        "actor": who,
        "bypassMode": match actor["bypass_mode"].as_str() { Some("pull_request") => "PULL_REQUEST", _ => "ALWAYS" },
        "deployKey": kind == "DeployKey",
        "enterpriseOwner": kind == "EnterpriseOwner",
        "organizationAdmin": kind == "OrganizationAdmin",
        "repositoryRoleDatabaseId": if kind == "RepositoryRole" { json!(id) } else { Value::Null },
    })
}
