//! Generates all single changes of a repository from its state document.

use serde_json::{Value, json};

/// The parts that no aspect covers. Each part has a reason.
const NOT_COVERED: &[(&str, &str)] = &[
    ("/id", "identity"),
    ("/name", "a rename is no drift: the policy does not name it"),
    ("/private", "it follows visibility, which is in the table"),
    ("/fork", "a fact"),
    ("/disabled", "GitHub's own"),
    ("/created_at", "a fact"),
    ("/archived", "an archived repository is left alone, which has its own test"),
    ("/branches", "git's"),
    ("/contents", "git's; a pull request keeps files: planner/tests/files.rs"),
    ("/protection/main/id", "identity"),
    ("/invitations/0/id", "identity"),
    ("/invitations/0/created_at", "a fact"),
    ("/labels/*/id", "identity"),
    ("/milestones/*/id", "identity"),
    ("/autolinks/*/id", "identity"),
    ("/deploy_keys", "each key can be in one repository only; planner/tests/deploy_keys.rs"),
    ("/rulesets/*/id", "identity"),
    ("/rulesets/*/updated_at", "a fact"),
    ("/rulesets/*/rules/*/type", "a rule of another type is one less and one more, which are in the table"),
    ("/rulesets/*/bypass_actors/*/actor_type", "another actor is one less and one more"),
    ("/rulesets/main/bypass_actors/2/actor_id", "an organisation's administrators have no id"),
    ("/hooks/*/id", "identity"),
    ("/hooks/*/config/url", "identity"),
    ("/actions/fork_pr_contributor_approval", "for public repositories only; planner/tests/actions.rs"),
    ("/interaction_limit", "for public repositories only; planner/tests/interaction_limit.rs"),
    ("/private_vulnerability_reporting", "for public repositories only; it has a test of its own"),
    ("/environments/*/id", "identity"),
    ("/environments/*/branch_policies/*/id", "identity"),
    ("/environments/*/gates/*/id", "identity"),
    ("/environments/*/gates/*/app_id", "another App is one less and one more"),
    ("/environments/*/reviewers/*/type", "another reviewer is one less and one more"),
    ("/environments/*/reviewers/*/id", "another reviewer is one less and one more"),
    (
        "/environments/*/deployment_branch_policy/*",
        "GitHub refuses two equal values; it has a test of its own",
    ),
    ("/environments/*/secrets", "a secret is written again when it changes, which has its own tests"),
    ("/workflows", "git's"),
    ("/runs", "facts"),
];

fn is_covered(path: &str) -> bool {
    let fits = |pattern: &str| {
        let (wanted, got): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
        wanted.len() == got.len()
            && wanted.iter().zip(&got).all(|(wanted, got)| *wanted == "*" || wanted == got)
    };
    !NOT_COVERED.iter().any(|(pattern, _)| fits(pattern))
}

/// Returns a value that differs from a text. If the text has a fixed set of values, the result is
/// in this set.
fn other_text(path: &str, text: &str) -> String {
    let sets: &[&[&str]] = &[
        &["private", "internal", "public"],
        &["all", "collaborators_only"],
        &["PR_BODY", "COMMIT_MESSAGES", "BLANK"],
        &["PR_TITLE", "COMMIT_OR_PR_TITLE"],
        &["enabled", "disabled"],
        &["pull", "triage", "push", "maintain", "admin"],
        &["local_only", "selected"],
        &["organization", "none"],
        &["configured", "not-configured"],
        &["default", "extended"],
        &["json", "form"],
        &["0", "1"],
        &["active", "evaluate", "disabled"],
        &["branch", "tag"],
        &["push", "tag"],
        &["always", "pull_request"],
        &["squash", "merge", "rebase"],
        &["regex", "contains"],
        &["ALLGREEN", "HEADGREEN"],
        &["SQUASH", "MERGE"],
        &["errors", "all"],
        &["open", "closed"],
        &["TEAM", "ROLE"],
        &["ALWAYS", "EXEMPT"],
        &["legacy", "workflow"],
        &["high_or_higher", "all"],
    ];
    match path {
        "/default_branch" => return "develop".into(),
        "/merge_commit_title" => return "MERGE_MESSAGE".into(),
        "/merge_commit_message" => return "BLANK".into(),
        "/teams/security" => return "pull".into(),
        "/invitations/0/login" => return "eve".into(),
        "/invitations/0/permissions" | "/actions/default_workflow_permissions" => return "write".into(),
        path if path.starts_with("/labels/") && path.ends_with("/color") => return "ffffff".into(),
        path if path.starts_with("/code_scanning/languages/") => return "ruby".into(),
        path if path.starts_with("/hooks/") && path.contains("/events/") => return "issues".into(),
        path if path.ends_with("/due_on") => return "2028-01-01T08:00:00Z".into(),
        path if path.ends_with("/enforcement") => return "disabled".into(),
        path if path.ends_with("/target") => return "tag".into(),
        path if path.contains("/users/") => return "eve".into(),
        path if path.contains("/protection") && path.contains("/teams/") => return "contractors".into(),
        path if path.contains("/apps/") => return "beadle-app".into(),
        _ => {}
    }
    let set = sets.iter().find(|set| set.contains(&text));
    let other = set.and_then(|set| set.iter().find(|other| **other != text));
    other.map_or_else(|| format!("{text}-changed"), ToString::to_string)
}

/// Returns all single changes below `value`: the path, and the changed document.
pub(super) fn mutations(document: &Value, path: &str, value: &Value, found: &mut Vec<(String, Value)>) {
    if !is_covered(path) {
        return;
    }
    let mut with = |suffix: &str, new: Value| {
        let mut changed = document.clone();
        *changed.pointer_mut(path).unwrap() = new;
        found.push((format!("{path}{suffix}"), changed));
    };
    match value {
        Value::Bool(on) => with("", json!(!on)),
        Value::Number(number) => with("", json!(number.as_i64().unwrap() + 1)),
        // GitHub shows only whether a secret exists.
        Value::String(_) if path.ends_with("/config/secret") => with(" gone", Value::Null),
        Value::String(text) => with("", json!(other_text(path, text))),
        Value::Null if path.ends_with("/actor_id") => {}
        Value::Null if path.ends_with("/app_id") => with(" set", json!(777)),
        Value::Null => with(" set", json!("somebody's")),
        Value::Array(items) => {
            if !items.is_empty() {
                with(" emptied", json!([]));
            }
            let mut more = items.clone();
            more.push(match items.first() {
                Some(Value::String(_)) if path.ends_with("/users") => json!("dan"),
                Some(Value::String(_)) if path.ends_with("/teams") => json!("contractors"),
                Some(Value::String(_)) if path.ends_with("/apps") => json!("beadle-app"),
                Some(check) if path.ends_with("/checks") => {
                    json!({ "context": "more", "app_id": check["app_id"] })
                }
                Some(_) if path.ends_with("/rules") => json!({ "type": "creation" }),
                Some(_) if path.ends_with("/required_status_checks") => json!({ "context": "more" }),
                Some(_) if path.ends_with("/code_scanning_tools") => {
                    json!({ "tool": "other", "alerts_threshold": "all", "security_alerts_threshold": "all" })
                }
                Some(_) if path.ends_with("/workflows") => json!({ "path": "other.yml", "repository_id": 43 }),
                Some(_) if path.ends_with("_bypass_options/reviewers") => {
                    json!({ "reviewer_id": 9, "reviewer_type": "TEAM", "mode": "ALWAYS" })
                }
                Some(_) if path.ends_with("/languages") => json!("swift"),
                Some(_) if path.ends_with("/branch_policies") => json!({ "name": "more", "type": "branch" }),
                Some(_) if path.ends_with("/gates") => json!({ "app_id": 15368 }),
                // The team `contractors` has this id.
                Some(_) if path.ends_with("/reviewers") => json!({ "type": "Team", "id": 504 }),
                Some(_) if path.ends_with("/allowed_merge_methods") => json!("rebase"),
                _ if path.ends_with("/bypass_actors") => {
                    json!({ "actor_type": "DeployKey", "actor_id": null, "bypass_mode": "always" })
                }
                Some(_) if path == "/invitations" => {
                    json!({ "id": 9_999_999, "login": "eve", "permissions": "admin", "created_at": "2026-01-01T00:00:00Z" })
                }
                _ => json!("more"),
            });
            with(" and one more", json!(more));
        }
        Value::Object(map) => {
            // Some parts can be missing as a whole.
            let part = path.starts_with("/protection/main/required") && !path.contains("/checks");
            if part || path.ends_with("restrictions") || path == "/protection" {
                with(" gone", if path == "/protection" { json!({}) } else { Value::Null });
            }
            let more_of = match path {
                "/teams" => Some(("contractors", json!("admin"))),
                "/collaborators" => Some(("cyd", json!("admin"))),
                "/labels" => Some(("more", json!({ "color": "ededed", "description": null }))),
                "/milestones" => {
                    Some(("more", json!({ "state": "open", "description": null, "due_on": null })))
                }
                "/autolinks" => {
                    Some(("MORE-", json!({ "url_template": "https://x/<num>", "is_alphanumeric": true })))
                }
                "/rulesets" => {
                    Some(("more", json!({ "enforcement": "active", "rules": [{ "type": "creation" }] })))
                }
                "/hooks" => Some((
                    "https://evil.example.com/",
                    json!({ "active": true, "events": ["push"], "config": { "url": "https://evil.example.com/", "content_type": "json", "insecure_ssl": "0" } }),
                )),
                "/properties" => Some(("more", json!("value"))),
                "/environments" => Some(("more", json!({}))),
                "/variables" | "/environments/production/variables" => Some(("MORE", json!("value"))),
                _ => None,
            };
            if let Some((name, value)) = more_of {
                let mut more = map.clone();
                more.insert(name.into(), value);
                with(" and one more", json!(more));
                for name in map.keys() {
                    let mut fewer = map.clone();
                    fewer.remove(name);
                    with(&format!(" without {name}"), json!(fewer));
                }
            }
        }
    }
    let children: Vec<(String, Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        Value::Array(items) => {
            items.iter().enumerate().map(|(at, value)| (at.to_string(), value.clone())).collect()
        }
        _ => Vec::new(),
    };
    for (key, child) in children {
        let escaped = key.replace('~', "~0").replace('/', "~1");
        mutations(document, &format!("{path}/{escaped}"), &child, found);
    }
}

/// Returns the parts that must be equal in two documents. Removes the ids and times of new objects,
/// and sorts the lists of actors.
pub(super) fn comparable(document: &Value) -> Value {
    fn clean(path: &str, value: &mut Value) {
        match value {
            Value::Object(map) => {
                let made = [
                    "/protection",
                    "/invitations",
                    "/labels",
                    "/milestones",
                    "/autolinks",
                    "/rulesets",
                    "/hooks",
                    "/environments",
                ];
                if made.iter().any(|part| path.starts_with(part)) && !path.ends_with("/reviewers") {
                    map.remove("id");
                    map.remove("created_at");
                    map.remove("updated_at");
                    map.retain(|key, value| !(key == "conditions" && *value == json!({})));
                    map.retain(|key, value| !(key == "expired" && *value == Value::Bool(false)));
                }
                map.iter_mut().for_each(|(key, value)| clean(&format!("{path}/{key}"), value));
            }
            Value::Array(items) => {
                for item in items.iter_mut() {
                    clean(path, item);
                }
                items.sort_by_key(ToString::to_string);
            }
            _ => {}
        }
    }
    let mut document = document.clone();
    clean("", &mut document);
    document
}
