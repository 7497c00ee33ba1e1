//! Reads the section `organization`: the settings and the lists of the organisation itself.

use beadle_engine::{Class, Failure};
use beadle_github::{Path, Reader};
use serde_json::{Map, Value, json};

use super::calls;
use super::observed::Observed;
use crate::organisation::READ_ONLY;
use crate::policy::organization_keys;

/// The setting for the billing email. An import omits this setting, because many policies are
/// public and the billing email is not.
const BILLING: &str = "billing_email";

/// The switches that are on in a new organisation.
const ON: &[&str] = &[
    "has_organization_projects",
    "has_repository_projects",
    "members_can_create_repositories",
    "members_can_create_public_repositories",
    "members_can_create_private_repositories",
    "members_can_create_pages",
    "members_can_create_public_pages",
    "members_can_create_private_pages",
    "deploy_keys_enabled_for_repositories",
];

/// Returns the section `organization`. The section contains only the values that differ from the
/// values of a new organisation. Adds a note for each part that Beadle could not read.
pub(super) async fn section(reader: &Reader, notes: &mut Vec<String>) -> Result<Map<String, Value>, Failure> {
    let mut section = Map::new();
    match settings(reader).await {
        Ok(own) => section.extend(own),
        Err(failure) => note("the settings", failure, notes)?,
    }
    let parts = [
        ("webhooks", webhooks(reader, notes).await),
        ("variables", variables(reader).await),
        ("actions", actions(reader, notes).await),
        ("oidc_subject", oidc_subject(reader).await),
        ("custom_properties", properties(reader).await),
        ("organization_roles", organization_roles(reader).await),
        ("runner_groups", runner_groups(reader).await),
        ("blocked_users", blocked(reader).await),
    ];
    for (name, read) in parts {
        match read {
            Ok(part) => section.extend(part.map(|part| (name.to_owned(), part))),
            Err(failure) => note(&format!("`{name}`"), failure, notes)?,
        }
    }
    Ok(section)
}

/// Adds a note about a part that Beadle could not read. If the failure must end the import, the
/// function returns the failure.
fn note(part: &str, failure: Failure, notes: &mut Vec<String>) -> Result<(), Failure> {
    if matches!(failure.class, Class::RateLimited { .. } | Class::Fatal) {
        return Err(failure);
    }
    notes.push(format!("{part} of the organisation are not imported: {}", failure.text));
    Ok(())
}

/// Returns the webhooks, without their secrets.
async fn webhooks(reader: &Reader, notes: &mut Vec<String>) -> Result<Option<Value>, Failure> {
    let seen = reader.list_anew_of_organisation("hooks?per_page=100", &["id"]).await?;
    let mut observed = Observed::default();
    calls::webhooks(Ok(seen), &mut observed)?;
    let unknown = observed.unknown.iter().map(|(part, why)| format!("{part}: {why}"));
    notes.extend(unknown.chain(observed.notes).map(|note| format!("organization.{note}")));
    let entries = observed.lists.remove("webhooks").filter(|entries| !entries.is_empty());
    let is_additive = observed.additive.contains("webhooks");
    Ok(entries.map(|entries| if is_additive { json!({ "additive": entries }) } else { json!(entries) }))
}

/// The values of the Actions permissions. Each row has four parts: the call, the name in the call's
/// answer, the key of the policy, and the value in a new organisation.
const ACTIONS: &[(&str, &str, &str, &str)] = &[
    ("", "enabled_repositories", "enabled_repositories", "all"),
    ("", "allowed_actions", "allowed_actions", "all"),
    ("", "sha_pinning_required", "sha_pinning_required", "false"),
    ("workflow", "default_workflow_permissions", "default_workflow_permissions", "read"),
    ("workflow", "can_approve_pull_request_reviews", "can_approve_pull_request_reviews", "false"),
    ("artifact-and-log-retention", "days", "artifact_and_log_retention_days", "90"),
    (
        "fork-pr-contributor-approval",
        "approval_policy",
        "fork_pull_request_approval",
        "first_time_contributors",
    ),
    (
        PRIVATE_FORKS,
        "run_workflows_from_fork_pull_requests",
        "run_workflows_from_fork_pull_requests",
        "false",
    ),
    (PRIVATE_FORKS, "send_write_tokens_to_workflows", "send_write_tokens_to_workflows", "false"),
    (PRIVATE_FORKS, "send_secrets_and_variables", "send_secrets_and_variables", "false"),
    (
        PRIVATE_FORKS,
        "require_approval_for_fork_pr_workflows",
        "require_approval_for_fork_pr_workflows",
        "false",
    ),
    ("self-hosted-runners", "enabled_repositories", "self_hosted_runners", "all"),
];
const PRIVATE_FORKS: &str = "fork-pr-workflows-private-repos";

/// Returns those Actions permissions that differ from the permissions of a new organisation. Adds a
/// note for each call that failed.
async fn actions(reader: &Reader, notes: &mut Vec<String>) -> Result<Option<Value>, Failure> {
    let at = || Path::at("actions/permissions");
    let mut section = Map::new();
    let mut seen = (None, Value::Null);
    for (call, name, key, usual) in ACTIONS {
        if seen.0 != Some(*call) {
            let path = if call.is_empty() { at() } else { at().then(*call) };
            let shown = match reader.of_organisation(path).await {
                Ok(shown) => shown,
                Err(failure) => {
                    note(&format!("the settings at `actions/permissions/{call}`"), failure, notes)?;
                    Value::Null
                }
            };
            seen = (Some(*call), shown);
        }
        let value = &seen.1[*name];
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if !value.is_null() && text != *usual {
            section.insert((*key).to_owned(), value.clone());
        }
    }
    let is_selected = |key: &str| section.get(key).is_some_and(|value| value == "selected");
    let (enabled, allowed) = (is_selected("enabled_repositories"), is_selected("allowed_actions"));
    let has_runners = is_selected("self_hosted_runners");
    if enabled {
        let names = names(reader, at().then("repositories")).await?;
        section.insert("selected_repositories".to_owned(), names);
    }
    if has_runners {
        let names = names(reader, at().then("self-hosted-runners/repositories")).await?;
        section.insert("self_hosted_runner_repositories".to_owned(), names);
    }
    if allowed {
        let seen = reader.of_organisation(at().then("selected-actions")).await?;
        for key in ["github_owned_allowed", "verified_allowed", "patterns_allowed"] {
            if !seen[key].is_null() {
                section.insert(key.to_owned(), seen[key].clone());
            }
        }
    }
    Ok((!section.is_empty()).then_some(Value::Object(section)))
}

/// Returns those settings of the OpenID Connect subject that differ from the settings of a new
/// organisation.
async fn oidc_subject(reader: &Reader) -> Result<Option<Value>, Failure> {
    let seen = reader.of_organisation(Path::at("actions/oidc/customization/sub")).await?;
    let usual = [("include_claim_keys", json!(["repo", "context"])), ("use_immutable_subject", json!(false))];
    let mut section = Map::new();
    for (key, usual) in usual {
        let value = &seen[key];
        // A policy must not contain an empty list of claims.
        if !value.is_null() && *value != usual && *value != json!([]) {
            section.insert(key.to_owned(), value.clone());
        }
    }
    Ok((!section.is_empty()).then_some(Value::Object(section)))
}

/// Returns the custom properties that the organisation itself defines.
async fn properties(reader: &Reader) -> Result<Option<Value>, Failure> {
    let rows = reader.list_of_organisation("properties/schema", &["property_name", "value_type"]).await?;
    let own = rows.iter().filter(|row| row["source_type"] != "enterprise");
    let entries: Vec<Value> = own
        .map(|row| {
            let mut entry = json!({ "name": row["property_name"], "value_type": row["value_type"] });
            for key in ["description", "default_value", "allowed_values", "values_editable_by"] {
                let value = &row[key];
                let is_empty = value.is_null() || *value == json!("") || *value == json!([]);
                if !is_empty {
                    entry[key] = value.clone();
                }
            }
            for key in ["required", "require_explicit_values"] {
                if row[key] == json!(true) {
                    entry[key] = json!(true);
                }
            }
            entry
        })
        .collect();
    Ok((!entries.is_empty()).then(|| json!(entries)))
}

/// Returns the fields of a role that differ from an empty role.
fn role(row: &Value) -> Value {
    let mut entry = json!({ "name": row["name"], "permissions": row["permissions"] });
    for key in ["base_role", "description"] {
        if row[key].as_str().is_some_and(|text| !text.is_empty()) {
            entry[key] = row[key].clone();
        }
    }
    entry
}

/// Returns the custom repository roles. These roles have their own section.
pub(super) async fn repository_roles(reader: &Reader) -> Result<Vec<Value>, Failure> {
    let rows =
        reader.rows_of_organisation("custom-repository-roles", "custom_roles", &["id", "name"]).await?;
    Ok(rows.iter().map(role).collect())
}

/// Returns the custom roles of the organisation. Also returns GitHub's predefined roles that at
/// least one person or team has.
async fn organization_roles(reader: &Reader) -> Result<Option<Value>, Failure> {
    let at = || Path::at("organization-roles");
    let rows = reader.rows_of_organisation(at(), "roles", &["id", "name"]).await?;
    let mut entries = Vec::new();
    for row in &rows {
        let Some(id) = row["id"].as_u64() else { continue };
        let is_custom = row["source"] == "Organization";
        let mut entry = if is_custom { role(row) } else { json!({ "name": row["name"] }) };
        let mut has_holders = false;
        for (list, identity) in [("teams", "slug"), ("users", "login")] {
            let path = at().id(id).then(list).query("per_page", 100);
            let holders = reader.list_of_organisation(path, &["id", identity]).await?;
            let direct = holders.iter().filter(|row| row["assignment"] != "indirect");
            let names: Vec<&Value> = direct.map(|row| &row[identity]).collect();
            if !names.is_empty() {
                entry[list] = json!(names);
                has_holders = true;
            }
        }
        if is_custom || has_holders {
            entries.push(entry);
        }
    }
    Ok((!entries.is_empty()).then(|| json!(entries)))
}

/// Returns the runner groups of the organisation. The function omits the default group if it is the
/// same as in a new organisation.
async fn runner_groups(reader: &Reader) -> Result<Option<Value>, Failure> {
    let at = || Path::at("actions/runner-groups");
    let path = at().query("per_page", 100);
    let rows = reader.rows_of_organisation(path, "runner_groups", &["id", "name"]).await?;
    let mut entries = Vec::new();
    for row in rows.iter().filter(|row| row["inherited"] != json!(true)) {
        let Some(id) = row["id"].as_u64() else { continue };
        let mut entry = json!({ "name": row["name"], "visibility": row["visibility"] });
        for key in ["allows_public_repositories", "restricted_to_workflows"] {
            if row[key] == json!(true) {
                entry[key] = json!(true);
            }
        }
        if row["selected_workflows"].as_array().is_some_and(|workflows| !workflows.is_empty()) {
            entry["selected_workflows"] = row["selected_workflows"].clone();
        }
        if row["visibility"] == "selected" {
            entry["selected_repositories"] = names(reader, at().id(id).then("repositories")).await?;
        }
        let is_usual =
            row["default"] == json!(true) && entry == json!({ "name": row["name"], "visibility": "all" });
        if !is_usual {
            entries.push(entry);
        }
    }
    Ok((!entries.is_empty()).then(|| json!(entries)))
}

/// Returns the logins of the blocked accounts.
async fn blocked(reader: &Reader) -> Result<Option<Value>, Failure> {
    let rows = reader.list_of_organisation("blocks?per_page=100", &["id", "login"]).await?;
    let logins: Vec<&Value> = rows.iter().map(|row| &row["login"]).collect();
    Ok((!logins.is_empty()).then(|| json!(logins)))
}

/// Returns the variables, with the names of their repositories.
async fn variables(reader: &Reader) -> Result<Option<Value>, Failure> {
    let path = Path::at("actions/variables").query("per_page", 30);
    let rows = reader.rows_of_organisation(path, "variables", &["name", "value", "visibility"]).await?;
    let mut entries = Vec::new();
    for row in &rows {
        let mut entry =
            json!({ "name": row["name"], "value": row["value"], "visibility": row["visibility"] });
        if let Some(name) = row["name"].as_str().filter(|_| row["visibility"] == "selected") {
            let path = Path::at("actions/variables").value(name).then("repositories");
            entry["selected_repositories"] = names(reader, path).await?;
        }
        entries.push(entry);
    }
    Ok((!entries.is_empty()).then(|| json!(entries)))
}

/// Returns the names of the repositories in a list. `path` is the path of this list, relative to
/// the organisation's path.
async fn names(reader: &Reader, path: Path) -> Result<Value, Failure> {
    let path = path.query("per_page", 100);
    let rows = reader.rows_of_organisation(path, "repositories", &["name"]).await?;
    let mut names: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    names.sort_unstable();
    Ok(json!(names))
}

/// Returns the settings that differ from the settings of a new organisation.
async fn settings(reader: &Reader) -> Result<Map<String, Value>, Failure> {
    let seen = reader.of_organisation(Path::at("")).await?;
    let keys = organization_keys().filter(|key| *key != BILLING && !READ_ONLY.contains(key));
    let values = keys.filter_map(|key| {
        let value = seen.get(key)?;
        let is_usual = match value {
            Value::Bool(on) => *on == ON.contains(&key),
            Value::String(text) => {
                text.is_empty() || (key == "default_repository_permission" && text == "read")
            }
            _ => true,
        };
        (!is_usual).then(|| (key.to_owned(), value.clone()))
    });
    Ok(values.collect())
}
