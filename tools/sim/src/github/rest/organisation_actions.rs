//! Simulates the Actions permissions of an organisation.
//!
//! <https://docs.github.com/rest/actions/permissions>

use serde_json::{Value, json};

use super::organisation_variables::{repositories, stranger};
use super::{Call, Reply};
use crate::github::world::World;

/// The values of each call. Each value has its name in the body and its name in the state.
const CALLS: &[(&str, &[(&str, &str)])] = &[
    (
        "",
        &[
            ("enabled_repositories", "enabled_repositories"),
            ("allowed_actions", "allowed_actions"),
            ("sha_pinning_required", "sha_pinning_required"),
        ],
    ),
    (
        "selected-actions",
        &[
            ("github_owned_allowed", "github_owned_allowed"),
            ("verified_allowed", "verified_allowed"),
            ("patterns_allowed", "patterns_allowed"),
        ],
    ),
    (
        "workflow",
        &[
            ("default_workflow_permissions", "default_workflow_permissions"),
            ("can_approve_pull_request_reviews", "can_approve_pull_request_reviews"),
        ],
    ),
    ("artifact-and-log-retention", &[("days", "days")]),
    ("fork-pr-contributor-approval", &[("approval_policy", "approval_policy")]),
    (
        "fork-pr-workflows-private-repos",
        &[
            ("run_workflows_from_fork_pull_requests", "run_workflows_from_fork_pull_requests"),
            ("send_write_tokens_to_workflows", "send_write_tokens_to_workflows"),
            ("send_secrets_and_variables", "send_secrets_and_variables"),
            ("require_approval_for_fork_pr_workflows", "require_approval_for_fork_pr_workflows"),
        ],
    ),
    ("self-hosted-runners", &[("enabled_repositories", "self_hosted_runners")]),
];

/// The maximum number of days that GitHub keeps artifacts and logs.
const MOST_DAYS: u64 = 400;

/// Answers calls with a path that begins with `/orgs/{org}/actions/permissions`.
pub(super) fn answer(world: &mut World, call: &Call<'_>, org: &str, rest: &[&str]) -> Reply {
    let actions = world.org(org).map(|org| org["actions"].clone()).unwrap_or_default();
    let method = call.method.as_str();
    match rest {
        ["repositories"] => {
            let list = ("enabled_repositories", "selected_repositories");
            return selected(world, call, org, &actions, list);
        }
        ["self-hosted-runners", "repositories"] => {
            let list = ("self_hosted_runners", "self_hosted_runner_repositories");
            return selected(world, call, org, &actions, list);
        }
        ["selected-actions"] if actions["allowed_actions"] != "selected" => {
            return Reply::message(409, "Conflict: allowed_actions is not `selected`");
        }
        _ => {}
    }
    let path = rest.join("/");
    let Some((_, keys)) = CALLS.iter().find(|(known, _)| *known == path) else { return Reply::not_found() };
    if call.body["days"].as_u64().is_some_and(|days| days == 0 || days > MOST_DAYS) {
        return Reply::invalid(&format!("Validation Failed: days must be from 1 to {MOST_DAYS}"));
    }
    match method {
        "GET" => {
            let mut shown: Value =
                keys.iter().map(|(key, stored)| ((*key).to_owned(), actions[*stored].clone())).collect();
            if path == "artifact-and-log-retention" {
                shown["maximum_allowed_days"] = json!(MOST_DAYS);
            }
            Reply::json(200, shown)
        }
        "PUT" => {
            for (key, stored) in *keys {
                if let (Some(value), Some(org)) = (call.body.get(*key), world.org_mut(org)) {
                    org["actions"][*stored] = value.clone();
                }
            }
            Reply::empty(204)
        }
        _ => Reply::not_found(),
    }
}

/// Answers calls about a list of repositories. The list exists only while the value `scope` is
/// `selected`.
fn selected(
    world: &mut World,
    call: &Call<'_>,
    org: &str,
    actions: &Value,
    (scope, list): (&str, &str),
) -> Reply {
    if actions[scope] != "selected" {
        return Reply::message(409, &format!("Conflict: {scope} is not `selected`"));
    }
    match call.method.as_str() {
        "GET" => repositories(world, call, org, &actions[list]),
        "PUT" => {
            let ids = &call.body["selected_repository_ids"];
            if let Some(refusal) = stranger(world, org, ids) {
                return refusal;
            }
            if let Some(org) = world.org_mut(org) {
                org["actions"][list] = ids.clone();
            }
            Reply::empty(204)
        }
        _ => Reply::not_found(),
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn send(world: &mut World, method: &Method, rest: &[&str], body: &Value) -> Reply {
        let path = ["orgs", "acme", "actions", "permissions"].iter().chain(rest).copied().collect();
        let call = Call { method, path, query: &[], body, sender: "octocat", accept: "" };
        answer(world, &call, "acme", rest)
    }

    #[test]
    fn a_list_exists_only_while_its_value_is_selected() {
        let mut world = World::from(json!({ "orgs": { "acme": { "repos": { "shop": { "id": 7 } } } } }));
        let ids = json!({ "selected_repository_ids": [7] });
        for list in [&["repositories"][..], &["self-hosted-runners", "repositories"], &["selected-actions"]] {
            assert_eq!(send(&mut world, &Method::PUT, list, &ids).status, 409, "{list:?}");
        }
        let selected = json!({ "enabled_repositories": "selected" });
        assert_eq!(send(&mut world, &Method::PUT, &[], &selected).status, 204);
        assert_eq!(send(&mut world, &Method::PUT, &["repositories"], &ids).status, 204);
        let rows = send(&mut world, &Method::GET, &["repositories"], &Value::Null).body.unwrap();
        assert_eq!(rows["repositories"][0]["name"], "shop");
        let strange = json!({ "selected_repository_ids": [8] });
        assert_eq!(send(&mut world, &Method::PUT, &["repositories"], &strange).status, 422);
        let days = json!({ "days": 500 });
        assert_eq!(send(&mut world, &Method::PUT, &["artifact-and-log-retention"], &days).status, 422);
    }
}
