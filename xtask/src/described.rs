//! Generates a table. The simulated GitHub uses this table to check the bodies of writes. For each
//! route, the table has the types, enums, limits and required keys of the body. The table comes
//! from GitHub's published description, and leaves out the explanations.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::run::root;
use crate::tools;

/// The routes of the simulated GitHub for requests that write something and have a body.
const ROUTES: &[&str] = &[
    "PATCH /orgs/{org}",
    "PATCH /orgs/{org}/actions/runner-groups/{runner_group_id}",
    "PATCH /orgs/{org}/actions/variables/{name}",
    "PATCH /orgs/{org}/code-security/configurations/{configuration_id}",
    "PATCH /orgs/{org}/custom-repository-roles/{role_id}",
    "PATCH /orgs/{org}/hooks/{hook_id}",
    "PATCH /orgs/{org}/hooks/{hook_id}/config",
    "PATCH /orgs/{org}/organization-roles/{role_id}",
    "PATCH /orgs/{org}/teams/{team_slug}",
    "PATCH /orgs/{org}/teams/{team_slug}/external-groups",
    "PATCH /repos/{owner}/{repo}",
    "PATCH /repos/{owner}/{repo}/actions/variables/{name}",
    "PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}",
    "PATCH /repos/{owner}/{repo}/code-scanning/default-setup",
    "PATCH /repos/{owner}/{repo}/environments/{environment_name}/variables/{name}",
    "PATCH /repos/{owner}/{repo}/hooks/{hook_id}",
    "PATCH /repos/{owner}/{repo}/hooks/{hook_id}/config",
    "PATCH /repos/{owner}/{repo}/invitations/{invitation_id}",
    "PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}",
    "PATCH /repos/{owner}/{repo}/issues/{issue_number}",
    "PATCH /repos/{owner}/{repo}/labels/{name}",
    "PATCH /repos/{owner}/{repo}/milestones/{milestone_number}",
    "PATCH /repos/{owner}/{repo}/properties/values",
    "POST /app/installations/{installation_id}/access_tokens",
    "POST /orgs/{org}/actions/runner-groups",
    "POST /orgs/{org}/actions/variables",
    "POST /orgs/{org}/code-security/configurations",
    "POST /orgs/{org}/code-security/configurations/{configuration_id}/attach",
    "POST /orgs/{org}/custom-repository-roles",
    "POST /orgs/{org}/hooks",
    "POST /orgs/{org}/organization-roles",
    "POST /orgs/{org}/repos",
    "POST /orgs/{org}/rulesets",
    "POST /orgs/{org}/teams",
    "POST /repos/{owner}/{repo}/actions/variables",
    "POST /repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches",
    "POST /repos/{owner}/{repo}/autolinks",
    "POST /repos/{owner}/{repo}/branches/{branch}/rename",
    "POST /repos/{owner}/{repo}/check-runs",
    "POST /repos/{owner}/{repo}/forks",
    "POST /repos/{owner}/{repo}/git/refs",
    "POST /repos/{owner}/{repo}/environments/{environment_name}/deployment-branch-policies",
    "POST /repos/{owner}/{repo}/environments/{environment_name}/deployment_protection_rules",
    "POST /repos/{owner}/{repo}/environments/{environment_name}/variables",
    "POST /repos/{owner}/{repo}/hooks",
    "POST /repos/{owner}/{repo}/issues",
    "POST /repos/{owner}/{repo}/issues/{issue_number}/comments",
    "POST /repos/{owner}/{repo}/keys",
    "POST /repos/{owner}/{repo}/labels",
    "POST /repos/{owner}/{repo}/milestones",
    "POST /repos/{owner}/{repo}/pages",
    "POST /repos/{owner}/{repo}/rulesets",
    "POST /repos/{template_owner}/{template_repo}/generate",
    "PUT /orgs/{org}/actions/oidc/customization/sub",
    "PUT /orgs/{org}/actions/permissions",
    "PUT /orgs/{org}/actions/permissions/artifact-and-log-retention",
    "PUT /orgs/{org}/actions/permissions/fork-pr-contributor-approval",
    "PUT /orgs/{org}/actions/permissions/fork-pr-workflows-private-repos",
    "PUT /orgs/{org}/actions/permissions/repositories",
    "PUT /orgs/{org}/actions/permissions/selected-actions",
    "PUT /orgs/{org}/actions/permissions/self-hosted-runners",
    "PUT /orgs/{org}/actions/permissions/self-hosted-runners/repositories",
    "PUT /orgs/{org}/actions/permissions/workflow",
    "PUT /orgs/{org}/actions/runner-groups/{runner_group_id}/repositories",
    "PUT /orgs/{org}/actions/secrets/{secret_name}",
    "PUT /orgs/{org}/code-security/configurations/{configuration_id}/defaults",
    "PUT /orgs/{org}/codespaces/secrets/{secret_name}",
    "PUT /orgs/{org}/dependabot/secrets/{secret_name}",
    "PUT /orgs/{org}/memberships/{username}",
    "PUT /orgs/{org}/properties/schema/{custom_property_name}",
    "PUT /orgs/{org}/rulesets/{ruleset_id}",
    "PUT /orgs/{org}/teams/{team_slug}/memberships/{username}",
    "PUT /orgs/{org}/teams/{team_slug}/repos/{owner}/{repo}",
    "PUT /repos/{owner}/{repo}/actions/oidc/customization/sub",
    "PUT /repos/{owner}/{repo}/actions/permissions",
    "PUT /repos/{owner}/{repo}/actions/permissions/access",
    "PUT /repos/{owner}/{repo}/actions/permissions/artifact-and-log-retention",
    "PUT /repos/{owner}/{repo}/actions/permissions/fork-pr-contributor-approval",
    "PUT /repos/{owner}/{repo}/actions/permissions/fork-pr-workflows-private-repos",
    "PUT /repos/{owner}/{repo}/actions/permissions/selected-actions",
    "PUT /repos/{owner}/{repo}/actions/permissions/workflow",
    "PUT /repos/{owner}/{repo}/actions/secrets/{secret_name}",
    "PUT /repos/{owner}/{repo}/branches/{branch}/protection",
    "PUT /repos/{owner}/{repo}/codespaces/secrets/{secret_name}",
    "PUT /repos/{owner}/{repo}/collaborators/{username}",
    "PUT /repos/{owner}/{repo}/dependabot/secrets/{secret_name}",
    "PUT /repos/{owner}/{repo}/environments/{environment_name}",
    "PUT /repos/{owner}/{repo}/environments/{environment_name}/secrets/{secret_name}",
    "PUT /repos/{owner}/{repo}/interaction-limits",
    "PUT /repos/{owner}/{repo}/pages",
    "PUT /repos/{owner}/{repo}/rulesets/{ruleset_id}",
    "PUT /repos/{owner}/{repo}/topics",
];

/// The keywords of a schema that the simulator can check. Keywords that contain further schemas are
/// handled separately.
const KEPT: &[&str] = &[
    "type",
    "enum",
    "nullable",
    "required",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
];
/// The keywords of a schema that do not limit a body. The table leaves them out. The only `pattern`
/// in the description belongs to sealed values. The simulator opens these values, so it does not
/// need the pattern.
const PROSE: &[&str] =
    &["title", "description", "default", "deprecated", "example", "examples", "format", "pattern"];

fn path() -> PathBuf {
    root().join("tools/sim/src/github/described.json")
}

/// Generates the table and writes it to its file.
pub(crate) fn write() -> anyhow::Result<()> {
    let table = from_description()?;
    std::fs::write(path(), text(&table)).with_context(|| format!("cannot write {}", path().display()))
}

/// Returns an error if the table in the file does not match the description.
pub(crate) fn check() -> anyhow::Result<()> {
    let kept =
        std::fs::read_to_string(path()).with_context(|| format!("cannot read {}", path().display()))?;
    let kept: Value =
        serde_json::from_str(&kept).with_context(|| format!("{} is not valid JSON", path().display()))?;
    if kept != from_description()? {
        bail!("{} does not match the description: run `cargo xtask described`", path().display());
    }
    Ok(())
}

fn from_description() -> anyhow::Result<Value> {
    let (source, version) = tools::openapi()?;
    let text =
        std::fs::read_to_string(&source).with_context(|| format!("cannot read {}", source.display()))?;
    let document: Value =
        serde_json::from_str(&text).with_context(|| format!("{} is not valid JSON", source.display()))?;
    table(&document, ROUTES, version)
}

/// Returns the text of the table. Each route and each schema is on one line, so that a new version
/// of the description causes a short diff.
fn text(table: &Value) -> String {
    let lines = |part: &str| {
        let entries = table[part].as_object().into_iter().flatten();
        entries.map(|(key, value)| format!("{}: {value}", json!(key))).collect::<Vec<_>>().join(",\n")
    };
    format!(
        "{{\n\"package\": {},\n\"version\": {},\n\"routes\": {{\n{}\n}},\n\"schemas\": {{\n{}\n}}\n}}\n",
        table["package"],
        table["version"],
        lines("routes"),
        lines("schemas")
    )
}

/// Creates the table from a description, for these routes.
fn table(document: &Value, routes: &[&str], version: &str) -> anyhow::Result<Value> {
    let mut wanted = Vec::new();
    let mut bodies = BTreeMap::new();
    for route in routes {
        let (method, template) =
            route.split_once(' ').with_context(|| format!("`{route}` is not a route"))?;
        let operation = &document["paths"][template][method.to_lowercase()];
        let body = deref(document, &operation["requestBody"]);
        let schema = &body["content"]["application/json"]["schema"];
        if schema.is_null() {
            bail!("the description has no body for `{route}`");
        }
        bodies.insert((*route).to_owned(), slim(schema, &mut wanted)?);
    }
    let mut schemas = BTreeMap::new();
    while let Some(name) = wanted.pop() {
        let schema = &document["components"]["schemas"][&name];
        if schema.is_null() {
            bail!("the description has no schema `{name}`");
        }
        if let Entry::Vacant(place) = schemas.entry(name) {
            place.insert(slim(schema, &mut wanted)?);
        }
    }
    Ok(json!({ "package": "@octokit/openapi", "version": version, "routes": bodies, "schemas": schemas }))
}

fn deref<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
        Some(pointer) => document.pointer(pointer).unwrap_or(&Value::Null),
        None => value,
    }
}

/// Returns a schema without its explanations. Also adds to `wanted` the names of all schemas that
/// the returned schema refers to.
fn slim(schema: &Value, wanted: &mut Vec<String>) -> anyhow::Result<Value> {
    let Some(map) = schema.as_object() else { return Ok(schema.clone()) };
    if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
        let name = reference.rsplit('/').next().unwrap_or(reference).to_owned();
        wanted.push(name.clone());
        return Ok(json!({ "$ref": name }));
    }
    let mut slimmed = BTreeMap::new();
    for (key, value) in map {
        let kept = match key.as_str() {
            "properties" => {
                let mut properties = BTreeMap::new();
                for (name, schema) in value.as_object().into_iter().flatten() {
                    properties.insert(name.clone(), slim(schema, wanted)?);
                }
                json!(properties)
            }
            "additionalProperties" if *value == json!(true) => continue,
            "items" | "additionalProperties" => slim(value, wanted)?,
            "allOf" | "oneOf" | "anyOf" => {
                let all = value.as_array().into_iter().flatten();
                all.map(|schema| slim(schema, wanted)).collect::<anyhow::Result<Value>>()?
            }
            key if KEPT.contains(&key) => value.clone(),
            key if PROSE.contains(&key) || key.starts_with("x-") => continue,
            key => {
                bail!(
                    "the simulator cannot check the keyword `{key}`: add it to tools/sim/src/github/described.rs"
                )
            }
        };
        slimmed.insert(key.clone(), kept);
    }
    Ok(json!(slimmed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(property: &Value) -> Value {
        json!({
            "paths": { "/things/{id}": { "put": { "requestBody": { "$ref": "#/components/requestBodies/thing" } } } },
            "components": {
                "requestBodies": { "thing": { "content": { "application/json": { "schema": {
                    "type": "object", "title": "A thing", "required": ["name"], "additionalProperties": false,
                    "properties": {
                        "name": { "type": "string", "maxLength": 5, "description": "What it is called." },
                        "description": property,
                        "parts": { "type": "array", "items": { "$ref": "#/components/schemas/part" } },
                    },
                } } } } },
                "schemas": {
                    "part": { "oneOf": [{ "type": "string", "example": "x" }, { "$ref": "#/components/schemas/whole" }] },
                    "whole": { "type": "object", "additionalProperties": true },
                    "other": { "type": "string" },
                },
            },
        })
    }

    #[test]
    fn a_table_has_the_limits_of_bodies_and_no_prose() {
        let document = description(&json!({ "type": "string", "nullable": true, "default": "" }));
        let made = table(&document, &["PUT /things/{id}"], "1.2.3").unwrap();
        assert_eq!(
            made,
            json!({
                "package": "@octokit/openapi", "version": "1.2.3",
                "routes": { "PUT /things/{id}": {
                    "type": "object", "required": ["name"], "additionalProperties": false,
                    "properties": {
                        "name": { "type": "string", "maxLength": 5 },
                        "description": { "type": "string", "nullable": true },
                        "parts": { "type": "array", "items": { "$ref": "part" } },
                    },
                } },
                "schemas": {
                    "part": { "oneOf": [{ "type": "string" }, { "$ref": "whole" }] },
                    "whole": { "type": "object" },
                },
            })
        );
        assert_eq!(serde_json::from_str::<Value>(&text(&made)).unwrap(), made);
    }

    #[test]
    fn a_keyword_that_the_simulator_cannot_check_is_an_error() {
        let document = description(&json!({ "type": "number", "multipleOf": 2 }));
        let refused = table(&document, &["PUT /things/{id}"], "1").unwrap_err();
        assert!(refused.to_string().contains("`multipleOf`"), "{refused}");
        let document = description(&json!({ "type": "string" }));
        assert!(table(&document, &["POST /things/{id}"], "1").is_err());
    }
}
