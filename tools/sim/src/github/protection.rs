//! Branch protection rules. The state stores a rule in the form of the REST body for `PUT`.

use serde_json::{Map, Value, json};

use crate::github::shapes;
use crate::github::world::World;

/// The GraphQL fields that are simple flags, each with the key in the REST body.
pub(crate) const FLAGS: &[(&str, &str)] = &[
    ("isAdminEnforced", "enforce_admins"),
    ("requiresLinearHistory", "required_linear_history"),
    ("allowsForcePushes", "allow_force_pushes"),
    ("allowsDeletions", "allow_deletions"),
    ("blocksCreations", "block_creations"),
    ("requiresConversationResolution", "required_conversation_resolution"),
    ("requiresCommitSignatures", "required_signatures"),
    ("lockBranch", "lock_branch"),
    ("lockAllowsFetchAndMerge", "allow_fork_syncing"),
];

/// The GraphQL fields about reviews, each with the key in the REST body.
pub(crate) const REVIEWS: &[(&str, &str)] = &[
    ("requiredApprovingReviewCount", "required_approving_review_count"),
    ("dismissesStaleReviews", "dismiss_stale_reviews"),
    ("requiresCodeOwnerReviews", "require_code_owner_reviews"),
    ("requireLastPushApproval", "require_last_push_approval"),
];

fn nobody() -> Value {
    json!({ "users": [], "teams": [], "apps": [] })
}

fn no_reviews() -> Value {
    json!({
        "dismiss_stale_reviews": false,
        "require_code_owner_reviews": false,
        "required_approving_review_count": 0,
        "require_last_push_approval": false,
        "dismissal_restrictions": null,
        "bypass_pull_request_allowances": nobody(),
    })
}

/// Adds default values for the keys that a rule lacks.
pub(crate) fn complete(rule: &mut Value, fresh: &mut dyn FnMut() -> u64) {
    let mut whole = Map::new();
    whole.insert("id".into(), json!(null));
    for key in [
        "required_status_checks",
        "required_pull_request_reviews",
        "restrictions",
        "required_deployment_environments",
    ] {
        whole.insert(key.into(), Value::Null);
    }
    for (_, key) in FLAGS {
        whole.insert((*key).into(), json!(false));
    }
    whole.insert("force_push_allowances".into(), nobody());
    whole.extend(rule.as_object().cloned().unwrap_or_default());
    if whole["id"].is_null() {
        whole.insert("id".into(), json!(fresh()));
    }
    if let Value::Object(reviews) = whole["required_pull_request_reviews"].clone() {
        let Value::Object(mut all) = no_reviews() else { return };
        all.extend(reviews);
        whole.insert("required_pull_request_reviews".into(), Value::Object(all));
    }
    if whole["required_status_checks"].is_object() {
        let checks = &mut whole["required_status_checks"];
        let contexts = checks["contexts"].as_array().cloned().unwrap_or_default();
        let mut list = checks["checks"].as_array().cloned().unwrap_or_default();
        for context in contexts {
            if !list.iter().any(|check| check["context"] == context) {
                list.push(json!({ "context": context, "app_id": null }));
            }
        }
        *checks = json!({ "strict": checks["strict"].as_bool().unwrap_or(false), "checks": list });
    }
    *rule = Value::Object(whole);
}

/// Returns a rule that has only default values.
pub(crate) fn empty(id: u64) -> Value {
    let mut rule = json!({ "id": id });
    complete(&mut rule, &mut || id);
    rule
}

/// Applies the input of a GraphQL mutation to a rule. The error is the message for the caller.
pub(crate) fn apply_input(world: &World, rule: &mut Value, input: &Map<String, Value>) -> Result<(), String> {
    for (graphql, rest) in FLAGS {
        if let Some(value) = input.get(*graphql).filter(|value| !value.is_null()) {
            rule[*rest] = value.clone();
        }
    }
    apply_reviews(world, rule, input)?;
    apply_checks(world, rule, input)?;
    if let Some(restricts) = input.get("restrictsPushes").and_then(Value::as_bool) {
        let old = rule["restrictions"].clone();
        rule["restrictions"] = match (restricts, old.is_object()) {
            (false, _) => Value::Null,
            (true, true) => old,
            (true, false) => nobody(),
        };
    }
    if let Some(ids) = input.get("pushActorIds").filter(|ids| ids.is_array()) {
        let actors = actors(world, ids)?;
        if rule["restrictions"].is_object() {
            rule["restrictions"] = actors;
        }
    }
    if let Some(ids) = input.get("bypassForcePushActorIds").filter(|ids| ids.is_array()) {
        rule["force_push_allowances"] = actors(world, ids)?;
    }
    if let Some(requires) = input.get("requiresDeployments").and_then(Value::as_bool) {
        let old = rule["required_deployment_environments"].clone();
        rule["required_deployment_environments"] = match (requires, old.is_array()) {
            (false, _) => Value::Null,
            (true, true) => old,
            (true, false) => json!([]),
        };
    }
    if let Some(names) = input.get("requiredDeploymentEnvironments").filter(|names| names.is_array())
        && rule["required_deployment_environments"].is_array()
    {
        rule["required_deployment_environments"] = names.clone();
    }
    Ok(())
}

fn apply_reviews(world: &World, rule: &mut Value, input: &Map<String, Value>) -> Result<(), String> {
    let reviews = &mut rule["required_pull_request_reviews"];
    match input.get("requiresApprovingReviews").and_then(Value::as_bool) {
        Some(false) => *reviews = Value::Null,
        Some(true) if reviews.is_null() => {
            *reviews = no_reviews();
            reviews["required_approving_review_count"] = json!(1);
        }
        _ => {}
    }
    if !reviews.is_object() {
        return Ok(());
    }
    for (graphql, rest) in REVIEWS {
        if let Some(value) = input.get(*graphql).filter(|value| !value.is_null()) {
            if value.as_i64().is_some_and(|count| !(0..=6).contains(&count)) {
                return Err("The required approving review count must be between 0 and 6".into());
            }
            reviews[*rest] = value.clone();
        }
    }
    match input.get("restrictsReviewDismissals").and_then(Value::as_bool) {
        Some(false) => reviews["dismissal_restrictions"] = Value::Null,
        Some(true) if reviews["dismissal_restrictions"].is_null() => {
            reviews["dismissal_restrictions"] = nobody();
        }
        _ => {}
    }
    if let Some(ids) = input.get("reviewDismissalActorIds").filter(|ids| ids.is_array()) {
        let actors = actors(world, ids)?;
        if reviews["dismissal_restrictions"].is_object() {
            reviews["dismissal_restrictions"] = actors;
        }
    }
    if let Some(ids) = input.get("bypassPullRequestActorIds").filter(|ids| ids.is_array()) {
        reviews["bypass_pull_request_allowances"] = actors(world, ids)?;
    }
    Ok(())
}

fn apply_checks(world: &World, rule: &mut Value, input: &Map<String, Value>) -> Result<(), String> {
    let checks = &mut rule["required_status_checks"];
    match input.get("requiresStatusChecks").and_then(Value::as_bool) {
        Some(false) => *checks = Value::Null,
        Some(true) if checks.is_null() => *checks = json!({ "strict": false, "checks": [] }),
        _ => {}
    }
    if !checks.is_object() {
        return Ok(());
    }
    if let Some(strict) = input.get("requiresStrictStatusChecks").filter(|strict| strict.is_boolean()) {
        checks["strict"] = strict.clone();
    }
    if let Some(list) = input.get("requiredStatusChecks").and_then(Value::as_array) {
        let mut all = Vec::with_capacity(list.len());
        for check in list {
            let app = match check["appId"].as_str() {
                None | Some("any") => Value::Null,
                Some(node) => match crate::github::ids::Node::decode(node) {
                    Some(crate::github::ids::Node::App(id)) if known_app(world, id) => json!(id),
                    _ => return Err(format!("Could not resolve to an App with the id of '{node}'")),
                },
            };
            all.push(json!({ "context": check["context"], "app_id": app }));
        }
        checks["checks"] = Value::Array(all);
    }
    Ok(())
}

fn known_app(world: &World, id: u64) -> bool {
    world.doc["apps"].as_object().is_some_and(|apps| apps.values().any(|app| app["id"].as_u64() == Some(id)))
}

fn actors(world: &World, ids: &Value) -> Result<Value, String> {
    let mut actors = nobody();
    for id in ids.as_array().into_iter().flatten().filter_map(Value::as_str) {
        let (list, name) = world
            .actor(id)
            .ok_or_else(|| format!("Could not resolve to a node with the global id of '{id}'"))?;
        if let Some(list) = actors[list].as_array_mut() {
            list.push(json!(name));
        }
    }
    Ok(actors)
}

/// Converts the body of `PUT /repos/{owner}/{repo}/branches/{branch}/protection` to a rule of the
/// state.
pub(crate) fn from_rest(id: u64, body: &Value) -> Result<Value, String> {
    for key in ["required_status_checks", "enforce_admins", "required_pull_request_reviews", "restrictions"] {
        if body.get(key).is_none() {
            return Err(format!("\"{key}\" wasn't supplied."));
        }
    }
    let mut rule = body.clone();
    rule["id"] = json!(id);
    for (_, key) in FLAGS {
        if rule[*key].is_null() {
            rule[*key] = json!(false);
        }
    }
    complete(&mut rule, &mut || id);
    Ok(rule)
}

/// Returns the people, teams and Apps of a rule, in REST's form.
fn shown_actors(world: &World, org: &str, actors: &Value, url: &str) -> Value {
    let names = |kind: &str| {
        let names = actors[kind].as_array().cloned().unwrap_or_default();
        names.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    let users: Vec<Value> = names("users").iter().map(|login| shapes::user(world, login)).collect();
    let slugs = names("teams");
    let teams = slugs.iter().filter_map(|slug| world.team(org, slug));
    let teams: Vec<Value> = teams.map(|team| shapes::team(world, org, team, None)).collect();
    let slugs = names("apps");
    let apps = slugs.iter().filter_map(|slug| world.app(slug));
    let apps: Vec<Value> = apps.map(|app| shapes::app(world, app)).collect();
    json!({
        "url": url, "users_url": format!("{url}/users"), "teams_url": format!("{url}/teams"),
        "apps_url": format!("{url}/apps"), "users": users, "teams": teams, "apps": apps,
    })
}

/// Returns a rule in the form that `GET .../protection` shows.
pub(crate) fn to_rest(world: &World, org: &str, rule: &Value, url: &str) -> Value {
    let enabled = |key: &str| json!({ "enabled": rule[key] });
    let mut shown = json!({
        "url": url,
        "enforce_admins": { "url": format!("{url}/enforce_admins"), "enabled": rule["enforce_admins"] },
        "required_signatures": { "url": format!("{url}/required_signatures"), "enabled": rule["required_signatures"] },
    });
    for key in [
        "required_linear_history",
        "allow_force_pushes",
        "allow_deletions",
        "block_creations",
        "required_conversation_resolution",
        "lock_branch",
        "allow_fork_syncing",
    ] {
        shown[key] = enabled(key);
    }
    if let Some(reviews) = rule["required_pull_request_reviews"].as_object() {
        let mut shown_reviews = json!({ "url": format!("{url}/required_pull_request_reviews") });
        for (_, key) in REVIEWS {
            shown_reviews[*key] = reviews[*key].clone();
        }
        if reviews["dismissal_restrictions"].is_object() {
            let url = format!("{url}/dismissal_restrictions");
            shown_reviews["dismissal_restrictions"] =
                shown_actors(world, org, &reviews["dismissal_restrictions"], &url);
        }
        let bypass = shown_actors(world, org, &reviews["bypass_pull_request_allowances"], "");
        // The people, teams and Apps that can bypass a rule have no addresses, and the answer shows
        // them only if the rule has any.
        let lists = ["users", "teams", "apps"].map(|kind| (kind.to_owned(), bypass[kind].clone()));
        if lists.iter().any(|(_, list)| list.as_array().is_some_and(|list| !list.is_empty())) {
            shown_reviews["bypass_pull_request_allowances"] = lists.into_iter().collect();
        }
        shown["required_pull_request_reviews"] = shown_reviews;
    }
    if rule["restrictions"].is_object() {
        let url = format!("{url}/restrictions");
        shown["restrictions"] = shown_actors(world, org, &rule["restrictions"], &url);
    }
    if let Some(checks) = rule["required_status_checks"].as_object() {
        let contexts: Vec<&Value> =
            checks["checks"].as_array().into_iter().flatten().map(|check| &check["context"]).collect();
        shown["required_status_checks"] = json!({
            "url": format!("{url}/required_status_checks"),
            "strict": checks["strict"],
            "contexts": contexts,
            "contexts_url": format!("{url}/required_status_checks/contexts"),
            "checks": checks["checks"],
        });
    }
    shown
}
