//! Plans and writes the Actions permissions of the organisation. These permissions control which
//! repositories can run Actions, and which actions are allowed. The permissions also control the
//! rights of the workflow token, and the retention of artifacts and logs. Each group of settings
//! has its own API call. Beadle makes this call only if the policy has a key of the group.
//!
//! <https://docs.github.com/rest/actions/permissions>

use async_trait::async_trait;
use beadle_engine::{Failure, Field, Risk};
use beadle_github::{Method, Path};
use serde_json::{Map, Value, json};

use super::aspect::{ADMINISTRATION, Context, OrganisationAspect, OrganisationPlanner, Section};
use super::selected::Selected;
use super::sets::{as_set, is_same_as_missing};
use crate::aspects::{AspectPlan, Step, WriteTarget, field};
use crate::policy::shape::{Shape, key};
use crate::policy::shapes::TEXTS;
use crate::policy::{Node, forms};

/// The aspect for an organisation's Actions permissions.
pub(super) const ACTIONS: OrganisationAspect = OrganisationAspect {
    name: "organization_actions",
    section: "organization.actions",
    sections: &[],
    keys: &[key(
        "actions",
        SHAPE,
        "In which repositories Actions run, which actions are allowed, and what the workflow token may do.",
    )],
    permissions: &[ADMINISTRATION],
    events: &[],
    planner: &Actions,
};

const REPOSITORIES: Shape = Shape::List(&Shape::Form(&forms::REPOSITORY));
const SCOPE: Shape = Shape::OneOf(&["all", "none", "selected"]);
const SHAPE: Shape = Shape::Map(&[
    key("enabled_repositories", SCOPE, "The repositories in which Actions run."),
    key("selected_repositories", REPOSITORIES, "With `enabled_repositories: selected`: their names."),
    key(
        "allowed_actions",
        Shape::OneOf(&["all", "local_only", "selected"]),
        "Which actions and reusable workflows are allowed.",
    ),
    key("sha_pinning_required", Shape::Bool, "Whether actions must be pinned to a commit."),
    key("github_owned_allowed", Shape::Bool, "With `selected`: allows the actions of GitHub."),
    key("verified_allowed", Shape::Bool, "With `selected`: allows the actions of verified creators."),
    key("patterns_allowed", TEXTS, "With `selected`: allows other actions by pattern, such as `acme/*`."),
    key("default_workflow_permissions", Shape::OneOf(&["read", "write"]), "What the workflow token may do."),
    key("can_approve_pull_request_reviews", Shape::Bool, "Whether workflows can approve pull requests."),
    key(
        "artifact_and_log_retention_days",
        Shape::Int(1, 400),
        "Days for which GitHub keeps artifacts and logs.",
    ),
    key(
        "fork_pull_request_approval",
        Shape::OneOf(APPROVALS),
        "Whose pull requests from forks of public repositories need an approval before workflows run.",
    ),
    key(
        "run_workflows_from_fork_pull_requests",
        Shape::Bool,
        "Private repositories: whether workflows run for pull requests from forks.",
    ),
    key(
        "send_write_tokens_to_workflows",
        Shape::Bool,
        "Private repositories: whether such workflows get a token that can write.",
    ),
    key(
        "send_secrets_and_variables",
        Shape::Bool,
        "Private repositories: whether such workflows get secrets and variables.",
    ),
    key(
        "require_approval_for_fork_pr_workflows",
        Shape::Bool,
        "Private repositories: whether such workflows need an approval.",
    ),
    key("self_hosted_runners", SCOPE, "The repositories that can have their own self-hosted runners."),
    key(
        "self_hosted_runner_repositories",
        REPOSITORIES,
        "With `self_hosted_runners: selected`: their names.",
    ),
]);

/// The values of `fork_pull_request_approval`. The first value needs the fewest approvals.
const APPROVALS: &[&str] =
    &["first_time_contributors_new_to_github", "first_time_contributors", "all_external_contributors"];

/// An API call that reads or sets some settings. For each of these settings, `keys` contains the
/// name in the policy and the name in the body.
struct Call {
    /// The name that plans show.
    what: &'static str,
    path: &'static str,
    keys: &'static [(&'static str, &'static str)],
    /// The list of repositories that belongs to the call. A call has such a list only if one of its
    /// settings can have the value `selected`.
    list: Option<List>,
}

/// A list of repositories. The list has an effect only while the value in the field `scope` is
/// `selected`.
struct List {
    /// The key of the list in the policy.
    key: &'static str,
    /// The name of the value in the body.
    scope: &'static str,
    path: &'static str,
}

const PERMISSIONS: &Call = &Call {
    what: "actions",
    path: "actions/permissions",
    keys: &[
        ("enabled_repositories", "enabled_repositories"),
        ("allowed_actions", "allowed_actions"),
        ("sha_pinning_required", "sha_pinning_required"),
    ],
    list: Some(List {
        key: "selected_repositories",
        scope: "enabled_repositories",
        path: "actions/permissions/repositories",
    }),
};
const CALLS: &[&Call] = &[
    PERMISSIONS,
    &Call {
        what: "workflow token",
        path: "actions/permissions/workflow",
        keys: &[
            ("default_workflow_permissions", "default_workflow_permissions"),
            ("can_approve_pull_request_reviews", "can_approve_pull_request_reviews"),
        ],
        list: None,
    },
    &Call {
        what: "artifacts and logs",
        path: "actions/permissions/artifact-and-log-retention",
        keys: &[("artifact_and_log_retention_days", "days")],
        list: None,
    },
    &Call {
        what: "approval of forks",
        path: "actions/permissions/fork-pr-contributor-approval",
        keys: &[("fork_pull_request_approval", "approval_policy")],
        list: None,
    },
    &Call {
        what: "forks of private repositories",
        path: "actions/permissions/fork-pr-workflows-private-repos",
        keys: &[
            ("run_workflows_from_fork_pull_requests", "run_workflows_from_fork_pull_requests"),
            ("send_write_tokens_to_workflows", "send_write_tokens_to_workflows"),
            ("send_secrets_and_variables", "send_secrets_and_variables"),
            ("require_approval_for_fork_pr_workflows", "require_approval_for_fork_pr_workflows"),
        ],
        list: None,
    },
    &Call {
        what: "self-hosted runners",
        path: "actions/permissions/self-hosted-runners",
        keys: &[("self_hosted_runners", "enabled_repositories")],
        list: Some(List {
            key: "self_hosted_runner_repositories",
            scope: "enabled_repositories",
            path: "actions/permissions/self-hosted-runners/repositories",
        }),
    },
];

/// The list of allowed actions. This list has an effect only while `allowed_actions` is `selected`.
const SELECTED_ACTIONS: &Call = &Call {
    what: "selected actions",
    path: "actions/permissions/selected-actions",
    keys: &[
        ("github_owned_allowed", "github_owned_allowed"),
        ("verified_allowed", "verified_allowed"),
        ("patterns_allowed", "patterns_allowed"),
    ],
    list: None,
};

const SELECTED: &str = "selected";

struct Actions;

/// Applies one change: sends these PUT requests in this order. GitHub accepts a list of selected
/// repositories or actions only after the value is `selected`.
struct Put(Vec<(&'static str, Value)>);

#[async_trait]
impl Step for Put {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        for (at, (path, body)) in self.0.iter().enumerate() {
            let put = to.send(Method::PUT, *path, Some(body.clone())).await;
            put.map_err(|failure| if at > 0 { failure.after_a_part() } else { failure })?;
        }
        Ok(())
    }
}

/// Returns the risk of changing one value.
fn risk(key: &str, before: &Value, after: &Value) -> Risk {
    let place = |known: &[&str], value: &Value| known.iter().position(|known| value == known);
    let rises = |known: &[&str]| place(known, before) < place(known, after);
    let is_weaker = match key {
        "enabled_repositories" | "self_hosted_runners" => rises(&["none", "selected", "all"]),
        "allowed_actions" => rises(&["local_only", "selected", "all"]),
        "fork_pull_request_approval" => place(APPROVALS, after) < place(APPROVALS, before),
        "patterns_allowed" => {
            let known = before.as_array().cloned().unwrap_or_default();
            after.as_array().into_iter().flatten().any(|pattern| !known.contains(pattern))
        }
        "default_workflow_permissions" => after == "write",
        "sha_pinning_required" | "require_approval_for_fork_pr_workflows" => *after == json!(false),
        // With fewer days, GitHub deletes artifacts and logs earlier.
        "artifact_and_log_retention_days" => {
            return if after.as_i64() < before.as_i64() { Risk::Removes } else { Risk::Changes };
        }
        _ => *after == json!(true),
    };
    if is_weaker { Risk::Weakens } else { Risk::Changes }
}

impl Call {
    /// Returns the declared values. Each value comes with its name in the body.
    fn wants<'a>(&self, section: &'a Node) -> Vec<(&'static str, &'static str, &'a Node)> {
        let wants = self
            .keys
            .iter()
            .filter_map(|(key, name)| Some((*key, *name, section.get(key).filter(|node| !node.is_null())?)));
        wants.collect()
    }

    /// Returns the differences and the whole body. The body contains the declared values, and
    /// GitHub's present values for all other fields.
    fn differences(&self, section: &Node, seen: &Value) -> (Vec<Field>, Value) {
        let (mut fields, mut body) = (Vec::new(), Map::new());
        for (_, name) in self.keys {
            if let Some(value) = seen.get(*name).filter(|value| !value.is_null()) {
                body.insert((*name).to_owned(), value.clone());
            }
        }
        for (key, name, node) in self.wants(section) {
            let (before, after) = (as_set(&seen[name]), as_set(&node.json()));
            // An old GitHub server does not show the values that it does not know yet.
            let is_missing = before.is_null() && !seen.is_null();
            if before != after && !(is_missing && is_same_as_missing(&after)) {
                let risk = risk(key, &before, &after);
                fields.push(field(key, before, after, Some(&node.asked), risk));
            }
            body.insert(name.to_owned(), node.json());
        }
        (fields, Value::Object(body))
    }
}

/// Compares a declared list of repositories with GitHub's list, and adds the difference to the
/// fields and requests of a change.
async fn repositories(
    context: &Context<'_>,
    list: &List,
    section: &Node,
    (seen, body): (&Value, &Value),
    (fields, puts): (&mut Vec<Field>, &mut Vec<(&'static str, Value)>),
    plan: &mut AspectPlan,
) -> Result<(), Failure> {
    let Some(node) = section.get(list.key).filter(|node| !node.is_null()) else { return Ok(()) };
    if body[list.scope] != SELECTED {
        let why = format!("the list of repositories has an effect only with `selected` ({})", node.asked);
        plan.cannot_resolve_part(list.key, why);
        return Ok(());
    }
    let Some(wanted) = Selected::wanted(context, node, list.key, plan).await? else { return Ok(()) };
    let was = if seen[list.scope] == SELECTED {
        Selected::seen(context, Path::at(list.path)).await?
    } else {
        Selected::default()
    };
    if !wanted.is_same(&was) {
        // If the earlier value was not `selected`, Actions were enabled for no repository or for
        // every repository.
        let is_wider = wanted.has_more_than(&was) && seen[list.scope] != "all";
        let risk = if is_wider { Risk::Weakens } else { Risk::Changes };
        fields.push(field(list.key, was.names(), wanted.names(), Some(&node.asked), risk));
        puts.push((list.path, json!({ "selected_repository_ids": wanted.ids() })));
    }
    Ok(())
}

/// Compares the declared list of allowed actions with GitHub's list, and adds the difference to the
/// fields and requests of a change.
async fn selected_actions(
    context: &Context<'_>,
    section: &Node,
    (seen, body): (&Value, &Value),
    (fields, puts): (&mut Vec<Field>, &mut Vec<(&'static str, Value)>),
    plan: &mut AspectPlan,
) -> Result<(), Failure> {
    let wants = SELECTED_ACTIONS.wants(section);
    let Some((_, _, first)) = wants.first() else { return Ok(()) };
    if body["allowed_actions"] != SELECTED {
        let why = format!(
            "the list of selected actions has an effect only with `allowed_actions: selected` ({})",
            first.asked
        );
        plan.cannot_resolve_part(SELECTED, why);
        return Ok(());
    }
    let list = if seen["allowed_actions"] == SELECTED {
        context.reader.of_organisation(SELECTED_ACTIONS.path).await?
    } else {
        Value::Null
    };
    let (mut more, body) = SELECTED_ACTIONS.differences(section, &list);
    if list.is_null() && seen["allowed_actions"] == "all" {
        // Before this change, all actions were allowed. A list of selected actions allows fewer
        // actions than before.
        for field in &mut more {
            field.risk = Risk::Changes;
        }
    }
    if !more.is_empty() {
        fields.extend(more);
        puts.push((SELECTED_ACTIONS.path, body));
    }
    Ok(())
}

#[async_trait]
impl OrganisationPlanner for Actions {
    async fn plan(
        &self,
        context: &Context<'_>,
        section: &Section<'_>,
        plan: &mut AspectPlan,
    ) -> Result<(), Failure> {
        for call in CALLS {
            let is_permissions = call.path == PERMISSIONS.path;
            let has_list = call.list.as_ref().is_some_and(|list| section.node.get(list.key).is_some());
            let has_actions = is_permissions && !SELECTED_ACTIONS.wants(section.node).is_empty();
            if call.wants(section.node).is_empty() && !has_list && !has_actions {
                continue;
            }
            let seen = context.reader.of_organisation(call.path).await?;
            let (mut fields, body) = call.differences(section.node, &seen);
            let is_off = is_permissions && body["enabled_repositories"] == "none";
            if is_off {
                // While Actions run in no repository, GitHub does not show the allowed actions.
                fields.retain(|field| !field.before.is_null());
            }
            let mut puts = Vec::new();
            if !fields.is_empty() {
                puts.push((call.path, body.clone()));
            }
            if let Some(list) = &call.list {
                let found = (&mut fields, &mut puts);
                repositories(context, list, section.node, (&seen, &body), found, plan).await?;
            }
            if is_permissions && !is_off {
                let found = (&mut fields, &mut puts);
                selected_actions(context, section.node, (&seen, &body), found, plan).await?;
            }
            if !fields.is_empty() {
                let from = plan.changes.len();
                plan.change(call.what, fields, Put(puts));
                context.reach(plan, from, None).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_allows_more_is_weaker() {
        for (key, before, after, expected) in [
            ("enabled_repositories", json!("selected"), json!("all"), Risk::Weakens),
            ("enabled_repositories", json!("all"), json!("none"), Risk::Changes),
            ("allowed_actions", json!("local_only"), json!("selected"), Risk::Weakens),
            ("patterns_allowed", json!(["a/*"]), json!(["a/*", "b/*"]), Risk::Weakens),
            ("patterns_allowed", json!(["a/*", "b/*"]), json!(["a/*"]), Risk::Changes),
            ("sha_pinning_required", json!(true), json!(false), Risk::Weakens),
            ("default_workflow_permissions", json!("read"), json!("write"), Risk::Weakens),
            ("artifact_and_log_retention_days", json!(90), json!(30), Risk::Removes),
            ("artifact_and_log_retention_days", json!(30), json!(90), Risk::Changes),
            ("send_secrets_and_variables", json!(false), json!(true), Risk::Weakens),
            ("require_approval_for_fork_pr_workflows", json!(true), json!(false), Risk::Weakens),
            ("fork_pull_request_approval", json!(APPROVALS[2]), json!(APPROVALS[0]), Risk::Weakens),
            ("fork_pull_request_approval", json!(APPROVALS[0]), json!(APPROVALS[1]), Risk::Changes),
        ] {
            assert_eq!(risk(key, &before, &after), expected, "{key}: {before} to {after}");
        }
    }

    #[test]
    fn a_value_that_an_older_server_does_not_show_is_off() {
        let fields = |text: &str| {
            let section = Node::parse("settings.yml", text).unwrap();
            let seen = json!({ "enabled_repositories": "all", "allowed_actions": "all" });
            PERMISSIONS.differences(&section, &seen).0.len()
        };
        assert_eq!(fields("sha_pinning_required: false"), 0);
        assert_eq!(fields("sha_pinning_required: true"), 1);
        assert_eq!(fields("allowed_actions: local_only"), 1);
    }

    #[test]
    fn a_pattern_that_the_policy_repeats_is_no_difference() {
        let section = Node::parse("settings.yml", "patterns_allowed: [b/*, a/*, b/*]").unwrap();
        let seen = json!({ "patterns_allowed": ["a/*", "b/*"] });
        assert!(SELECTED_ACTIONS.differences(&section, &seen).0.is_empty());
        // Before this change, the value was not `selected`. GitHub therefore has no list.
        assert_eq!(SELECTED_ACTIONS.differences(&section, &Value::Null).0.len(), 1);
    }

    #[test]
    fn every_key_belongs_to_one_call() {
        let Shape::Map(keys) = SHAPE else { panic!("not a block") };
        let lists = CALLS.iter().filter_map(|call| call.list.as_ref().map(|list| list.key));
        let values = CALLS.iter().chain([&SELECTED_ACTIONS]).flat_map(|call| call.keys);
        let mut named: Vec<&str> = values.map(|(key, _)| *key).chain(lists).collect();
        let mut all: Vec<&str> = keys.iter().map(|key| key.name).collect();
        named.sort_unstable();
        all.sort_unstable();
        assert_eq!(named, all);
    }
}
