//! GitHub Actions: the allowed actions, the permissions of the workflow token, and workflows that a
//! call starts.
//!
//! <https://docs.github.com/rest/actions/permissions>, <https://docs.github.com/rest/actions/workflows>

use serde_json::{Value, json};

use super::{Call, Reply};
use crate::github::shapes;
use crate::github::world::{World, now};

const PERMISSIONS: &[&str] = &["enabled", "allowed_actions", "sha_pinning_required"];
const SELECTED: &[&str] = &["github_owned_allowed", "verified_allowed", "patterns_allowed"];
const WORKFLOW: &[&str] = &["default_workflow_permissions", "can_approve_pull_request_reviews"];

/// Answers calls with a path that begins with `/repos/{owner}/{repo}/actions`.
pub(super) fn answer(world: &mut World, call: &Call<'_>, org: &str, found: &Value, rest: &[&str]) -> Reply {
    let name = found["name"].as_str().unwrap_or_default();
    let actions = &found["actions"];
    let show =
        |keys: &[&str]| keys.iter().map(|key| ((*key).to_owned(), actions[*key].clone())).collect::<Value>();
    let mut put = |keys: &[&str]| {
        world.edit(org, name, call.sender, |found| {
            for key in keys {
                if let Some(value) = call.body.get(*key) {
                    found["actions"][*key] = value.clone();
                }
            }
        });
        Reply::empty(204)
    };
    match (call.method.as_str(), rest) {
        ("GET", ["permissions"]) => {
            let mut shown = show(PERMISSIONS);
            if actions["enabled"] != json!(true) {
                // While Actions are disabled, GitHub does not show which actions are allowed.
                shown = json!({ "enabled": false });
            }
            Reply::json(200, shown)
        }
        ("PUT", ["permissions"]) => {
            if call.body["enabled"].is_boolean() {
                put(PERMISSIONS)
            } else {
                Reply::invalid("enabled is needed")
            }
        }
        (_, ["permissions", "selected-actions"]) if actions["allowed_actions"] != "selected" => {
            Reply::message(409, "Conflict: allowed_actions is not `selected`")
        }
        ("GET", ["permissions", "selected-actions"]) => Reply::json(200, show(SELECTED)),
        ("PUT", ["permissions", "selected-actions"]) => put(SELECTED),
        ("GET", ["permissions", "workflow"]) => Reply::json(200, show(WORKFLOW)),
        ("PUT", ["permissions", "workflow"]) => put(WORKFLOW),
        ("GET" | "PUT", ["permissions", part]) => separate(world, call, org, found, part),
        ("POST", ["workflows", file, "dispatches"]) => dispatch(world, call, org, found, file),
        ("GET", ["workflows", file, "runs"]) => {
            let runs = found["runs"].as_array().into_iter().flatten().rev();
            let runs: Vec<Value> = runs
                .filter(|run| run["workflow"] == json!(file))
                .map(|run| shown(world, org, found, run))
                .collect();
            Reply::json(200, json!({ "total_count": runs.len(), "workflow_runs": runs }))
        }
        _ => Reply::not_found(),
    }
}

/// Answers calls to a setting that has a separate address.
fn separate(world: &mut World, call: &Call<'_>, org: &str, found: &Value, part: &str) -> Reply {
    let name = found["name"].as_str().unwrap_or_default();
    let is_public = found["visibility"] == "public";
    let shown = |key: &str, or: Value| match &found["actions"][key] {
        Value::Null => or,
        value => value.clone(),
    };
    let most = if is_public { 90 } else { 400 };
    // The key in the state, the field of the body, and the value that GitHub shows.
    let (key, field, shown) = match part {
        "access" => {
            if is_public {
                return Reply::invalid("Access policy only applies to internal and private repositories.");
            }
            let level = shown("access_level", json!("none"));
            ("access_level", "access_level", json!({ "access_level": level }))
        }
        "artifact-and-log-retention" => {
            let days = shown("artifact_and_log_retention_days", json!(90));
            ("artifact_and_log_retention_days", "days", json!({ "days": days, "maximum_allowed_days": most }))
        }
        "fork-pr-contributor-approval" if is_public => {
            let policy = shown("fork_pr_contributor_approval", json!("first_time_contributors"));
            ("fork_pr_contributor_approval", "approval_policy", json!({ "approval_policy": policy }))
        }
        "fork-pr-workflows-private-repos" if !is_public => {
            let mut whole = json!({
                "run_workflows_from_fork_pull_requests": false, "send_write_tokens_to_workflows": false,
                "send_secrets_and_variables": false, "require_approval_for_fork_pr_workflows": false,
            });
            let kept = shown("fork_pr_workflows_private_repos", json!({}));
            for (key, value) in kept.as_object().into_iter().flatten() {
                whole[key] = value.clone();
            }
            ("fork_pr_workflows_private_repos", "", whole)
        }
        _ => return Reply::not_found(),
    };
    if call.method.as_str() == "GET" {
        return Reply::json(200, shown);
    }
    // The repositories of an organisation belong to no user.
    if call.body["access_level"] == "user" {
        return Reply::invalid("Access level `user` is only for repositories of users.");
    }
    if call.body["days"].as_i64().is_some_and(|days| !(1..=most).contains(&days)) {
        return Reply::invalid(&format!("The retention period must be between 1 and {most} days."));
    }
    world.edit(org, name, call.sender, |found| {
        if field.is_empty() {
            for (part, value) in call.body.as_object().into_iter().flatten() {
                found["actions"][key][part] = value.clone();
            }
        } else {
            found["actions"][key] = call.body[field].clone();
        }
    });
    Reply::empty(204)
}

fn dispatch(world: &mut World, call: &Call<'_>, org: &str, found: &Value, file: &str) -> Reply {
    let name = found["name"].as_str().unwrap_or_default();
    let Some(workflow) = found["workflows"].get(file) else { return Reply::not_found() };
    let branch = call.body["ref"].as_str().unwrap_or_default().trim_start_matches("refs/heads/");
    if found["branches"].get(branch).is_none() {
        return Reply::invalid(&format!("No ref found for: {branch}"));
    }
    let mut title = workflow["run_name"].as_str().unwrap_or(file).to_owned();
    for (input, value) in call.body["inputs"].as_object().into_iter().flatten() {
        let known = workflow["inputs"].as_array().is_none_or(|inputs| inputs.contains(&json!(input)));
        if !known {
            return Reply::invalid(&format!("Unexpected inputs provided: [\"{input}\"]"));
        }
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        title = title.replace(&format!("${{{{ inputs.{input} }}}}"), &value);
    }
    let id = world.fresh_id();
    let run = json!({
        "id": id, "workflow": file, "display_title": title, "inputs": call.body["inputs"], "ref": branch,
        "created_at": now(),
    });
    world.edit(org, name, call.sender, |found| found["runs"].as_array_mut().map(|runs| runs.push(run)));
    if call.body["return_run_details"] != json!(true) || workflow["returns_details"] == json!(false) {
        return Reply::empty(204);
    }
    let url = format!("https://api.github.com/repos/{org}/{name}/actions/runs/{id}");
    let html = format!("https://github.com/{org}/{name}/actions/runs/{id}");
    Reply::json(200, json!({ "workflow_run_id": id, "run_url": url, "html_url": html }))
}

fn shown(world: &World, org: &str, found: &Value, run: &Value) -> Value {
    let name = found["name"].as_str().unwrap_or_default();
    let url = format!("https://api.github.com/repos/{org}/{name}/actions/runs/{}", run["id"]);
    let repository = shapes::repository(world, org, found, false);
    let mut shown = json!({
        "id": run["id"], "node_id": format!("WFR_{}", run["id"]), "name": run["workflow"], "head_branch": run["ref"],
        "run_number": 1, "display_title": run["display_title"], "event": "workflow_dispatch", "status": "queued",
        "conclusion": null, "head_sha": "1".repeat(40), "workflow_id": 1,
        "path": format!(".github/workflows/{}", run["workflow"].as_str().unwrap_or_default()),
        "created_at": run["created_at"], "updated_at": run["created_at"], "head_commit": null,
        "html_url": format!("https://github.com/{org}/{name}/actions/runs/{}", run["id"]), "pull_requests": [],
        "repository": repository.clone(), "head_repository": repository, "url": url,
    });
    for part in ["jobs", "logs", "check_suite", "cancel", "rerun", "artifacts", "workflow"] {
        shown[format!("{part}_url")] = json!(format!("{url}/{part}"));
    }
    shown
}
