//! Checks at run time that the bodies of all calls match GitHub's published description. The
//! description is in a table that `cargo xtask described` generates. The simulator accepts only the
//! writes in the table and in [`BODILESS`]. So the simulator checks each body before a handler gets
//! the body.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::github::rest::Reply;

static TABLE: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("described.json")).unwrap_or_default());

/// The writes that have no body in the description. GitHub ignores the body of these writes.
const BODILESS: &[&str] = &[
    "DELETE /orgs/{org}/actions/runner-groups/{runner_group_id}",
    "DELETE /orgs/{org}/actions/secrets/{secret_name}",
    "DELETE /orgs/{org}/actions/variables/{name}",
    "DELETE /orgs/{org}/blocks/{username}",
    "DELETE /orgs/{org}/code-security/configurations/{configuration_id}",
    "DELETE /orgs/{org}/codespaces/secrets/{secret_name}",
    "DELETE /orgs/{org}/custom-repository-roles/{role_id}",
    "DELETE /orgs/{org}/dependabot/secrets/{secret_name}",
    "DELETE /orgs/{org}/hooks/{hook_id}",
    "DELETE /orgs/{org}/memberships/{username}",
    "DELETE /orgs/{org}/organization-roles/teams/{team_slug}/{role_id}",
    "DELETE /orgs/{org}/organization-roles/users/{username}/{role_id}",
    "DELETE /orgs/{org}/organization-roles/{role_id}",
    "DELETE /orgs/{org}/properties/schema/{custom_property_name}",
    "DELETE /orgs/{org}/rulesets/{ruleset_id}",
    "DELETE /orgs/{org}/teams/{team_slug}",
    "DELETE /orgs/{org}/teams/{team_slug}/external-groups",
    "DELETE /orgs/{org}/teams/{team_slug}/memberships/{username}",
    "DELETE /orgs/{org}/teams/{team_slug}/repos/{owner}/{repo}",
    "DELETE /repos/{owner}/{repo}",
    "DELETE /repos/{owner}/{repo}/actions/secrets/{secret_name}",
    "DELETE /repos/{owner}/{repo}/actions/variables/{name}",
    "DELETE /repos/{owner}/{repo}/autolinks/{autolink_id}",
    "DELETE /repos/{owner}/{repo}/automated-security-fixes",
    "DELETE /repos/{owner}/{repo}/branches/{branch}/protection",
    "DELETE /repos/{owner}/{repo}/codespaces/secrets/{secret_name}",
    "DELETE /repos/{owner}/{repo}/collaborators/{username}",
    "DELETE /repos/{owner}/{repo}/dependabot/secrets/{secret_name}",
    "DELETE /repos/{owner}/{repo}/environments/{environment_name}",
    "DELETE /repos/{owner}/{repo}/environments/{environment_name}/deployment-branch-policies/{branch_policy_id}",
    "DELETE /repos/{owner}/{repo}/environments/{environment_name}/deployment_protection_rules/{protection_rule_id}",
    "DELETE /repos/{owner}/{repo}/environments/{environment_name}/secrets/{secret_name}",
    "DELETE /repos/{owner}/{repo}/environments/{environment_name}/variables/{name}",
    "DELETE /repos/{owner}/{repo}/hooks/{hook_id}",
    "DELETE /repos/{owner}/{repo}/immutable-releases",
    "DELETE /repos/{owner}/{repo}/interaction-limits",
    "DELETE /repos/{owner}/{repo}/invitations/{invitation_id}",
    "DELETE /repos/{owner}/{repo}/keys/{key_id}",
    "DELETE /repos/{owner}/{repo}/labels/{name}",
    "DELETE /repos/{owner}/{repo}/milestones/{milestone_number}",
    "DELETE /repos/{owner}/{repo}/pages",
    "DELETE /repos/{owner}/{repo}/private-vulnerability-reporting",
    "DELETE /repos/{owner}/{repo}/rulesets/{ruleset_id}",
    "DELETE /repos/{owner}/{repo}/vulnerability-alerts",
    "POST /app-manifests/{code}/conversions",
    "POST /app/hook/deliveries/{delivery_id}/attempts",
    "PUT /orgs/{org}/blocks/{username}",
    "PUT /orgs/{org}/organization-roles/teams/{team_slug}/{role_id}",
    "PUT /orgs/{org}/organization-roles/users/{username}/{role_id}",
    "PUT /repos/{owner}/{repo}/automated-security-fixes",
    "PUT /repos/{owner}/{repo}/immutable-releases",
    "PUT /repos/{owner}/{repo}/private-vulnerability-reporting",
    "PUT /repos/{owner}/{repo}/vulnerability-alerts",
];

/// The permissions that are in GitHub's documentation but not in the published description.
///
/// <https://docs.github.com/rest/authentication/permissions-required-for-github-apps>
const UNDESCRIBED: &[&str] = &[
    "actions_variables",
    "codespaces_secrets",
    "organization_actions_variables",
    "organization_codespaces_secrets",
    "organization_dependabot_secrets",
];

/// Returns whether the simulator accepts a call: a read, a write in the table, or a write without a
/// body.
pub(crate) fn is_served(method: &str, path: &[&str]) -> bool {
    ["GET", "HEAD"].contains(&method)
        || schema_of(method, path).is_some()
        || BODILESS.iter().any(|route| fits(route, method, path))
}

/// Returns an error if the simulator does not accept the write, or if the description does not
/// allow the body.
pub(crate) fn refusal(method: &str, path: &[&str], body: &Value) -> Option<Reply> {
    if !is_served(method, path) {
        return Some(Reply::not_found());
    }
    let schema = schema_of(method, path)?;
    // A request without a body is checked as if it had a body without keys.
    let none = json!({});
    let body = if body.is_null() { &none } else { body };
    let why = problem(schema, body, "")?;
    Some(Reply::invalid(&format!("Invalid request.\n\n{why}")))
}

/// Returns the first invalid permission of an App. A permission is invalid if GitHub does not know
/// the permission or its level.
pub(crate) fn unknown_permission(permissions: &Value) -> Option<String> {
    let known = &TABLE["schemas"]["app-permissions"];
    let mut names = permissions.as_object()?.keys();
    let is_unknown = |name: &&String| {
        known["properties"].get(name.as_str()).is_none() && !UNDESCRIBED.contains(&name.as_str())
    };
    let unknown = names.find(is_unknown);
    unknown.cloned().or_else(|| problem(known, permissions, ""))
}

/// Returns the schema of the body for a call. If two routes match, the function uses the route with
/// a fixed segment, not the route with a parameter.
fn schema_of(method: &str, path: &[&str]) -> Option<&'static Value> {
    let routes = TABLE["routes"].as_object()?.iter();
    let fitting = routes.filter(|(route, _)| fits(route, method, path));
    fitting.min_by_key(|(route, _)| route.matches('{').count()).map(|(_, schema)| schema)
}

/// Returns whether a call has the method and matches the path template of a route.
fn fits(route: &str, method: &str, path: &[&str]) -> bool {
    let Some((wanted, template)) = route.split_once(' ') else { return false };
    let segments: Vec<&str> = template.trim_start_matches('/').split('/').collect();
    let mut both = segments.iter().zip(path);
    wanted == method
        && segments.len() == path.len()
        && both.all(|(segment, given)| segment.starts_with('{') || segment == given)
}

/// Returns the first error in a value. `at` is the place of the value in the body.
fn problem(schema: &Value, value: &Value, at: &str) -> Option<String> {
    if let Some(name) = schema["$ref"].as_str() {
        return problem(&TABLE["schemas"][name], value, at);
    }
    if value.is_null() && schema["nullable"] == json!(true) {
        return None;
    }
    let place = if at.is_empty() { "the body".to_owned() } else { format!("'{at}'") };
    if let Some(kind) = schema["type"].as_str()
        && !is_of(kind, value)
    {
        return Some(format!("For {place}, {value} is not of type {kind}."));
    }
    if let Some(known) = schema["enum"].as_array()
        && !known.contains(value)
    {
        return Some(format!("For {place}, {value} is not a member of {}.", schema["enum"]));
    }
    if let Some(bound) = out_of_bounds(schema, value) {
        return Some(format!("For {place}, {value} breaks the bound {bound} of {}.", schema[bound]));
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        if let Some(why) = problem(part, value, at) {
            return Some(why);
        }
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(parts) = schema[choice].as_array()
            && let Some(why) = meant(parts, value).map(|part| problem(part, value, at)).min_by_key(|why| {
                // If no alternative matches, the function reports the error at the deepest place,
                // because this error belongs to the alternative that the caller probably meant.
                why.as_ref().map_or((false, 0), |why| (true, usize::MAX - why.matches('/').count()))
            })
        {
            // `None` is smaller than any error, so the minimum is `None` if at least one
            // alternative matches.
            if why.is_some() {
                return why;
            }
        }
    }
    within(schema, value, at)
}

/// Returns the alternatives that fit the `type` of a value. If no alternative has a type, returns
/// all of them.
fn meant<'a>(parts: &'a [Value], value: &Value) -> impl Iterator<Item = &'a Value> {
    let is_of_type = |part: &&Value| {
        let part = part["$ref"].as_str().map_or(*part, |name| &TABLE["schemas"][name]);
        let types = part["properties"]["type"]["enum"].as_array();
        types.is_some_and(|types| types.contains(&value["type"]))
    };
    let own: Vec<&Value> = parts.iter().filter(is_of_type).collect();
    let all = if own.is_empty() { parts.iter().collect() } else { own };
    all.into_iter()
}

/// Returns the first error inside a value. The type of the value is already checked.
fn within(schema: &Value, value: &Value, at: &str) -> Option<String> {
    let below = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}/{key}") };
    match value {
        Value::Array(items) => {
            let mut items = items.iter().enumerate();
            items.find_map(|(index, item)| problem(&schema["items"], item, &below(&index.to_string())))
        }
        Value::Object(map) => {
            let mut required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            if let Some(missing) = required.find(|key| !map.contains_key(*key)) {
                return Some(format!("\"{}\" wasn't supplied.", below(missing)));
            }
            map.iter().find_map(|(key, value)| {
                match (&schema["properties"][key], &schema["additionalProperties"]) {
                    (Value::Null, Value::Bool(false)) => {
                        Some(format!("\"{}\" is not a permitted key.", below(key)))
                    }
                    (Value::Null, more) => problem(more, value, &below(key)),
                    (property, _) => problem(property, value, &below(key)),
                }
            })
        }
        _ => None,
    }
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    }
}

/// Returns the name of the bound that a value violates, such as `minItems`. Returns `None` if the
/// value is within its bounds.
fn out_of_bounds(schema: &Value, value: &Value) -> Option<&'static str> {
    #[expect(clippy::cast_precision_loss, reason = "no bound is near what a float cannot tell apart")]
    let (size, bounds) = match value {
        Value::Number(number) => (number.as_f64()?, ["minimum", "maximum"]),
        Value::String(text) => (text.chars().count() as f64, ["minLength", "maxLength"]),
        Value::Array(items) => (items.len() as f64, ["minItems", "maxItems"]),
        Value::Object(map) => (map.len() as f64, ["minProperties", "maxProperties"]),
        _ => return None,
    };
    let [least, most] = bounds;
    if schema[least].as_f64().is_some_and(|bound| size < bound) {
        return Some(least);
    }
    schema[most].as_f64().is_some_and(|bound| size > bound).then_some(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: &str, path: &str, body: &Value) -> Option<String> {
        let segments: Vec<&str> = path.split('/').collect();
        refusal(method, &segments, body)?.body?["message"].as_str().map(str::to_owned)
    }

    #[test]
    fn the_table_has_every_schema_to_which_it_refers() {
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(map) => {
                    found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    map.values().for_each(|value| references(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        references(&TABLE, &mut found);
        assert!(!found.is_empty());
        for name in found {
            assert!(TABLE["schemas"].get(&name).is_some(), "{name}");
        }
        assert_eq!(TABLE["package"], "@octokit/openapi");
    }

    #[test]
    fn a_body_that_the_description_does_not_allow_is_refused() {
        let cases = [
            ("PATCH", "repos/acme/svc", json!({ "has_issues": "yes" }), "has_issues"),
            (
                "PATCH",
                "repos/acme/svc",
                json!({ "squash_merge_commit_title": "pr_title" }),
                "squash_merge_commit_title",
            ),
            ("PUT", "repos/acme/svc/topics", json!({}), "names"),
            ("PUT", "repos/acme/svc/topics", Value::Null, "names"),
            ("PUT", "repos/acme/svc/topics", json!({ "names": [5] }), "names/0"),
            ("POST", "repos/acme/svc/hooks", json!({ "url": "https://x" }), "url"),
            ("POST", "orgs/acme/rulesets", json!({ "name": "x", "enforcement": "on" }), "enforcement"),
            (
                "POST",
                "repos/acme/svc/rulesets",
                json!({ "name": "x", "enforcement": "active", "rules": [{ "type": "max_file_size", "parameters": { "max_file_size": 500 } }] }),
                "max_file_size",
            ),
        ];
        for (method, path, body, about) in cases {
            let why = refused(method, path, &body);
            assert!(why.as_ref().is_some_and(|why| why.contains(about)), "{method} {path} {body}: {why:?}");
        }
    }

    #[test]
    fn a_body_that_the_description_allows_and_a_route_without_one_pass() {
        let cases = [
            (
                "PATCH",
                "repos/acme/svc",
                json!({ "has_issues": true, "visibility": "internal", "unheard_of": 1 }),
            ),
            ("PATCH", "repos/acme/svc", json!({ "security_and_analysis": null })),
            ("PUT", "repos/acme/svc/topics", json!({ "names": ["a"] })),
            (
                "POST",
                "repos/acme/svc/rulesets",
                json!({ "name": "x", "enforcement": "active", "rules": [{ "type": "creation" }] }),
            ),
            ("PUT", "repos/acme/svc/vulnerability-alerts", json!({ "x": 1 })),
            ("GET", "repos/acme/svc/merges", Value::Null),
        ];
        for (method, path, body) in cases {
            assert_eq!(refused(method, path, &body), None, "{method} {path} {body}");
        }
    }

    #[test]
    fn a_write_with_an_unchecked_body_is_not_served() {
        for (method, path) in [
            ("POST", "repos/acme/svc/merges"),
            ("PATCH", "repos/acme/svc/labels"),
            ("DELETE", "repos/acme/svc/topics"),
            ("POST", "no/such/route"),
        ] {
            let segments: Vec<&str> = path.split('/').collect();
            let status = refusal(method, &segments, &json!({})).map(|reply| reply.status);
            assert_eq!(status, Some(404), "{method} {path}");
        }
    }

    #[test]
    fn the_table_has_no_route_without_a_body() {
        for route in BODILESS {
            assert!(TABLE["routes"].get(route).is_none(), "{route}");
        }
    }
}
