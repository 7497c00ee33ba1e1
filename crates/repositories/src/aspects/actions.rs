//! Plans and writes the Actions permissions of a repository. These permissions control whether
//! Actions run, which actions are allowed, and what the workflow token can do. More settings are in
//! `actions/separate.rs`.
//!
//! <https://docs.github.com/rest/actions/permissions#get-github-actions-permissions-for-a-repository>

mod separate;

use async_trait::async_trait;
use beadle_engine::{Failure, Field, Risk};
use beadle_github::Method;
use serde_json::{Map, Value, json};

use super::aspect::{
    ADMINISTRATION, Aspect, AspectPlan, AspectPlanner, Context, Stage, Step, WriteTarget, field,
    reads_nothing,
};
use crate::policy::Node;
use crate::policy::shape::{Shape, key};
use crate::policy::shapes::layered;

/// The aspect for a repository's Actions permissions.
pub(crate) const ACTIONS: Aspect = Aspect {
    name: "actions",
    sections: &[key(
        "actions",
        SHAPE,
        "Whether Actions run, which actions are allowed, what workflows may do, and for which forks they run.",
    )],
    repository_keys: &[],
    permissions: &[ADMINISTRATION],
    events: &[],
    reads: reads_nothing,
    stage: Stage::Body,
    is_apart: false,
    planner: &Actions,
};

const PATTERNS: Shape = layered!(Shape::Text);
const SHAPE: Shape = Shape::Map(&[
    key("enabled", Shape::Bool, "Whether Actions run."),
    key(
        "allowed_actions",
        Shape::OneOf(&["all", "local_only", "selected"]),
        "Which actions and reusable workflows are allowed.",
    ),
    key("github_owned_allowed", Shape::Bool, "With `selected`: allows the actions of GitHub."),
    key("verified_allowed", Shape::Bool, "With `selected`: allows the actions of verified creators."),
    key("patterns_allowed", PATTERNS, "With `selected`: allows other actions by pattern, such as `acme/*`."),
    key("sha_pinning_required", Shape::Bool, "Whether actions must be pinned to a commit."),
    key("default_workflow_permissions", Shape::OneOf(&["read", "write"]), "What the workflow token may do."),
    key("can_approve_pull_request_reviews", Shape::Bool, "Whether workflows can approve pull requests."),
    key(
        "access_level",
        Shape::OneOf(&["none", "organization", "enterprise"]),
        "Which other repositories can use the workflows and actions of a private or internal repository.",
    ),
    key(
        "artifact_and_log_retention_days",
        Shape::Int(1, 400),
        "For how many days GitHub keeps artifacts and logs.",
    ),
    key(
        "fork_pr_contributor_approval",
        Shape::OneOf(&[
            "first_time_contributors_new_to_github",
            "first_time_contributors",
            "all_external_contributors",
        ]),
        "In public repositories: whose pull requests from forks need an approval before workflows run.",
    ),
    key(
        "fork_pr_workflows_private_repos",
        FORKS,
        "In private and internal repositories: whether workflows run for pull requests from forks.",
    ),
]);
const FORKS: Shape = Shape::Map(&[
    key(
        "run_workflows_from_fork_pull_requests",
        Shape::Bool,
        "Whether workflows run for pull requests from forks.",
    ),
    key("send_write_tokens_to_workflows", Shape::Bool, "Whether such workflows get a token that can write."),
    key("send_secrets_and_variables", Shape::Bool, "Whether such workflows get secrets and variables."),
    key(
        "require_approval_for_fork_pr_workflows",
        Shape::Bool,
        "Whether such workflows wait for an approval.",
    ),
]);

struct Actions;

/// The keys in the body of each call. GitHub and the policy use the same names.
const PERMISSIONS: &[&str] = &["enabled", "allowed_actions", "sha_pinning_required"];
const SELECTED: &[&str] = &["github_owned_allowed", "verified_allowed", "patterns_allowed"];
const WORKFLOW: &[&str] = &["default_workflow_permissions", "can_approve_pull_request_reviews"];

/// The PUT requests of a step, each with a path and a body. Beadle sends the requests in this
/// order. The order matters: GitHub accepts the list of selected actions only after
/// `allowed_actions` is `selected`.
struct Put(Vec<(&'static str, Value)>);

#[async_trait]
impl Step for Put {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        for (at, (path, body)) in self.0.iter().enumerate() {
            let put = to.named()?.send(Method::PUT, *path, Some(body.clone())).await;
            put.map_err(|failure| if at > 0 { failure.after_a_part() } else { failure })?;
        }
        Ok(())
    }
}

fn wants<'a>(node: &'a Node, keys: &[&str]) -> Vec<(&'a str, &'a Node)> {
    let entries = node.entries().iter().filter_map(|(key, value)| Some((key.text()?, value)));
    entries.filter(|(key, _)| keys.contains(key)).collect()
}

/// Reads a path if the policy sets a value that belongs to this path.
async fn read_if(
    is_asked: bool,
    context: &Context<'_>,
    path: &'static str,
) -> Result<Option<Value>, Failure> {
    if !is_asked {
        return Ok(None);
    }
    Ok(Some(context.reader.below(context.repository, path).await?.unwrap_or(Value::Null)))
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items = items.clone();
            items.sort_by_key(ToString::to_string);
            Value::Array(items)
        }
        other => other.clone(),
    }
}

/// The values of `allowed_actions`, ordered from the fewest allowed actions to the most.
const ALLOWED: &[&str] = &["local_only", "selected", "all"];

fn risk(key: &str, before: &Value, after: &Value) -> Risk {
    let place = |value: &Value| ALLOWED.iter().position(|known| value == known);
    let wider = match key {
        "allowed_actions" => place(before) < place(after),
        "patterns_allowed" => {
            let known = before.as_array().cloned().unwrap_or_default();
            after.as_array().into_iter().flatten().any(|pattern| !known.contains(pattern))
        }
        "default_workflow_permissions" => after == "write",
        "sha_pinning_required" => after == false,
        _ => after == true,
    };
    if wider { Risk::Weakens } else { Risk::Changes }
}

fn differences(wanted: &[(&str, &Node)], seen: &Value) -> Vec<Field> {
    let differ = wanted.iter().filter_map(|(key, node)| {
        let (before, after) = (sorted(&seen[*key]), sorted(&node.json()));
        let risk = risk(key, &before, &after);
        // An old GitHub server does not show the values that it does not know yet. A value that the
        // server does not show counts as off.
        let same = before == after || (before.is_null() && after == false);
        (!same).then(|| field(key, before, after, Some(&node.asked), risk))
    });
    differ.collect()
}

/// Returns the complete body of a PUT request. The body contains the wanted values. For fields that
/// the policy does not set, the body contains the observed values.
fn body(keys: &[&str], wanted: &[(&str, &Node)], seen: &Value) -> Value {
    let mut body = Map::new();
    for key in keys {
        let want = wanted.iter().find(|(name, _)| name == key).map(|(_, node)| node.json());
        if let Some(value) = want.or_else(|| seen.get(*key).cloned()) {
            body.insert((*key).to_owned(), value);
        }
    }
    Value::Object(body)
}

/// Returns the differences in the list of selected actions. `list` is null if GitHub does not use a
/// list yet. GitHub then has its own defaults, so Beadle writes each declared value.
fn selected_differences(wanted: &[(&str, &Node)], seen: &Value, list: &Value) -> Vec<Field> {
    if !list.is_null() {
        return differences(wanted, list);
    }
    let fields = wanted.iter().map(|(key, node)| {
        let after = sorted(&node.json());
        // If all actions were allowed before, a list allows fewer actions.
        let risk = if seen["allowed_actions"] == "all" { Risk::Changes } else { risk(key, list, &after) };
        field(key, Value::Null, after, Some(&node.asked), risk)
    });
    fields.collect()
}

/// Returns the wanted values without these keys.
fn wanted_without<'a>(wanted: &[(&'a str, &'a Node)], without: &[String]) -> Vec<(&'a str, &'a Node)> {
    wanted.iter().filter(|(key, _)| !without.iter().any(|other| other == key)).copied().collect()
}

/// The fields that one write changes.
struct Part {
    fields: Vec<Field>,
    /// The keys that a later write changes.
    without: Vec<String>,
}

/// Divides the fields into the write of the tightenings and the write of the weakenings. So a
/// tightening does not wait for the approval of a weakening.
fn parts(fields: Vec<Field>) -> Vec<Part> {
    let is_guarded = |field: &Field| field.risk.is_guarded();
    // While Actions are off, GitHub rejects all other values. It uses the list of selected actions
    // only with the value `selected`. So all values wait for these two values.
    let leads =
        |field: &Field| is_guarded(field) && ["enabled", "allowed_actions"].contains(&field.name.as_str());
    if fields.iter().any(leads) {
        return vec![Part { fields, without: Vec::new() }];
    }
    let (guarded, plain): (Vec<Field>, Vec<Field>) = fields.into_iter().partition(is_guarded);
    let without = guarded.iter().map(|field| field.name.clone()).collect();
    let parts = [Part { fields: plain, without }, Part { fields: guarded, without: Vec::new() }];
    parts.into_iter().filter(|part| !part.fields.is_empty()).collect()
}

#[async_trait]
impl AspectPlanner for Actions {
    async fn plan(&self, context: &Context<'_>, plan: &mut AspectPlan) -> Result<(), Failure> {
        let Some(section) = context.desired.sections.get("actions") else { return Ok(()) };
        let (permissions, selected) = (wants(&section.node, PERMISSIONS), wants(&section.node, SELECTED));
        let workflow = wants(&section.node, WORKFLOW);
        let asks_permissions = !permissions.is_empty() || !selected.is_empty();
        let (seen, token) = futures::join!(
            read_if(asks_permissions, context, "actions/permissions"),
            read_if(!workflow.is_empty(), context, "actions/permissions/workflow"),
        );
        if let Some(seen) = seen? {
            let after = |key: &str| {
                let want = permissions.iter().find(|(name, _)| *name == key).map(|(_, node)| node.json());
                want.unwrap_or_else(|| seen[key].clone())
            };
            if after("enabled") == json!(false) {
                // While Actions are off, GitHub rejects all fields except `enabled`.
                let off: Vec<_> = permissions.iter().filter(|(key, _)| *key == "enabled").copied().collect();
                let fields = differences(&off, &seen);
                if !fields.is_empty() {
                    plan.change("", fields, Put(vec![("actions/permissions", json!({ "enabled": false }))]));
                }
            } else {
                let listed = seen["enabled"] == json!(true) && seen["allowed_actions"] == "selected";
                let is_asked = listed && !selected.is_empty();
                let list = read_if(is_asked, context, "actions/permissions/selected-actions").await?;
                let list = list.unwrap_or(Value::Null);
                let mut fields = differences(&permissions, &seen);
                if after("allowed_actions") == "selected" {
                    fields.extend(selected_differences(&selected, &seen, &list));
                } else if let Some((_, node)) = selected.first() {
                    plan.cannot_resolve_part(
                        "selected",
                        format!(
                            "the list of selected actions has an effect only with `allowed_actions: selected` ({})",
                            node.asked
                        ),
                    );
                }
                for Part { fields, without } in parts(fields) {
                    let has = |keys: &[&str]| fields.iter().any(|field| keys.contains(&field.name.as_str()));
                    let mut puts = Vec::new();
                    if has(PERMISSIONS) {
                        puts.push((
                            "actions/permissions",
                            body(PERMISSIONS, &wanted_without(&permissions, &without), &seen),
                        ));
                    }
                    if has(SELECTED) {
                        puts.push((
                            "actions/permissions/selected-actions",
                            body(SELECTED, &wanted_without(&selected, &without), &list),
                        ));
                    }
                    plan.change("", fields, Put(puts));
                }
            }
        }
        if let Some(seen) = token? {
            let fields = differences(&workflow, &seen);
            if !fields.is_empty() {
                let put = ("actions/permissions/workflow", body(WORKFLOW, &workflow, &seen));
                plan.change("workflow token", fields, Put(vec![put]));
            }
        }
        separate::plan(context, &section.node, plan).await
    }
}
