//! Simulates the fields of branch protection rules.

use serde_json::{Map, Value, json};

use super::connection::{Edge, page};
use super::resolve::{Object, Resolved};
use crate::github::ids::Node;
use crate::github::protection;
use crate::github::world::World;

pub(super) fn rule(
    world: &World,
    id: u64,
    pattern: &str,
    field: &str,
    arguments: &Map<String, Value>,
) -> Resolved {
    let Some((org, repository)) = world.by_id(id) else { return Resolved::Value(Value::Null) };
    let rule = &repository["protection"][pattern];
    let reviews = &rule["required_pull_request_reviews"];
    let checks = &rule["required_status_checks"];
    if let Some((_, key)) = protection::FLAGS.iter().find(|(name, _)| *name == field) {
        return Resolved::Value(rule[*key].clone());
    }
    if let Some((name, key)) = protection::REVIEWS.iter().find(|(name, _)| *name == field) {
        let absent = if *name == "requiredApprovingReviewCount" { Value::Null } else { json!(false) };
        return Resolved::Value(if reviews.is_object() { reviews[*key].clone() } else { absent });
    }
    let list = |connection, allowance, actors: &Value| {
        let mut edges = Vec::new();
        for (kind, names) in actors.as_object().into_iter().flatten() {
            for name in names.as_array().into_iter().flatten().filter_map(Value::as_str) {
                let actor = match kind.as_str() {
                    "teams" => Object::Team { org: org.to_owned(), slug: name.to_owned() },
                    "apps" => Object::App(name.to_owned()),
                    _ => Object::User(name.to_owned()),
                };
                edges.push(Edge::plain(Object::Allowance(allowance, Box::new(actor))));
            }
        }
        page(connection, edges, arguments)
    };
    match field {
        "id" => Resolved::Value(json!(Node::Rule(rule["id"].as_u64().unwrap_or(0)).encode())),
        "databaseId" => Resolved::Value(rule["id"].clone()),
        "pattern" => Resolved::Value(json!(pattern)),
        "requiresApprovingReviews" => Resolved::Value(json!(reviews.is_object())),
        "restrictsReviewDismissals" => Resolved::Value(json!(reviews["dismissal_restrictions"].is_object())),
        "requiresStatusChecks" => Resolved::Value(json!(checks.is_object())),
        "requiresStrictStatusChecks" => Resolved::Value(json!(checks["strict"].as_bool().unwrap_or(false))),
        "requiredStatusChecks" => {
            let checks = checks["checks"].as_array().cloned().unwrap_or_default();
            Resolved::List(checks.into_iter().map(|check| check_of(world, &check)).collect())
        }
        "restrictsPushes" => Resolved::Value(json!(rule["restrictions"].is_object())),
        "requiresDeployments" => Resolved::Value(json!(rule["required_deployment_environments"].is_array())),
        "requiredDeploymentEnvironments" => {
            let names = &rule["required_deployment_environments"];
            Resolved::Value(if names.is_array() { names.clone() } else { json!([]) })
        }
        "pushAllowances" => list("PushAllowanceConnection", "PushAllowance", &rule["restrictions"]),
        "reviewDismissalAllowances" => list(
            "ReviewDismissalAllowanceConnection",
            "ReviewDismissalAllowance",
            &reviews["dismissal_restrictions"],
        ),
        "bypassPullRequestAllowances" => list(
            "BypassPullRequestAllowanceConnection",
            "BypassPullRequestAllowance",
            &reviews["bypass_pull_request_allowances"],
        ),
        "bypassForcePushAllowances" => list(
            "BypassForcePushAllowanceConnection",
            "BypassForcePushAllowance",
            &rule["force_push_allowances"],
        ),
        _ => Resolved::unknown("BranchProtectionRule", field),
    }
}

fn check_of(world: &World, check: &Value) -> Resolved {
    let apps = world.doc["apps"].as_object().into_iter().flatten();
    let app = check["app_id"]
        .as_u64()
        .and_then(|id| apps.into_iter().find(|(_, app)| app["id"].as_u64() == Some(id)));
    let app = app.map_or(Value::Null, |(slug, app)| {
        json!({ "id": Node::App(app["id"].as_u64().unwrap_or(0)).encode(), "databaseId": app["id"], "slug": slug })
    });
    Resolved::Object(Object::Plain(
        "RequiredStatusCheckDescription",
        json!({ "context": check["context"], "app": app }),
    ))
}
