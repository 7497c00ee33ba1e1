//! Rules that the published description does not have. These rules come from GitHub's documentation
//! or from reports of users. Each rule is one line of the table. The rules of the published
//! description are in [`super::described`].
//!
//! <https://docs.github.com/rest/repos/repos#update-a-repository>,
//! <https://docs.github.com/rest/repos/autolinks>, <https://docs.github.com/rest/repos/rules>,
//! <https://docs.github.com/rest/orgs/custom-properties>

use serde_json::Value;

use crate::github::defaults::has_repository_role;
use crate::github::rest::{Call, Reply};
use crate::github::world::World;

/// The types of rules that only push rulesets can have. A push ruleset can have no other types.
const PUSH_RULES: &[&str] =
    &["file_path_restriction", "max_file_path_length", "file_extension_restriction", "max_file_size"];
/// The settings for the title of a commit. For each of these settings, the table contains the
/// allowed settings for the commit's message.
const PAIRS: &[(&str, &str, &[&str])] = &[
    ("squash_merge_commit", "PR_TITLE", &["PR_BODY", "BLANK", "COMMIT_MESSAGES"]),
    ("squash_merge_commit", "COMMIT_OR_PR_TITLE", &["COMMIT_MESSAGES"]),
    ("merge_commit", "PR_TITLE", &["PR_BODY", "BLANK"]),
    ("merge_commit", "MERGE_MESSAGE", &["PR_TITLE"]),
];
const LABEL_NAME: usize = 50;
const DESCRIPTION: usize = 350;
/// The maximum length of an organisation's description, in characters.
const OF_ORGANISATION: usize = 160;
/// The maximum length of a comment, in characters.
const COMMENT: usize = 65_536;
const TOPICS: usize = 20;
const TOPIC: usize = 50;
/// The maximum number of reviews that a branch protection rule can require.
const REVIEWS: i64 = 6;

/// The part of a repository or an organisation that the body of a call changes.
pub(crate) struct Place<'a> {
    pub(crate) world: &'a World,
    pub(crate) org: &'a str,
    pub(crate) repository: Option<&'a Value>,
}

/// Returns an error if the body of a call breaks a rule.
pub(crate) fn refusal(place: &Place<'_>, call: &Call<'_>) -> Option<Reply> {
    let prefix = if place.repository.is_some() { 3 } else { 2 };
    let rest = call.path.get(prefix..)?;
    let body = call.body;
    let why = match (call.method.as_str(), rest, place.repository) {
        ("PATCH", [], None) => organisation(body),
        ("POST", ["repos"], None) | ("PATCH", [], Some(_)) => settings(body),
        ("PUT", ["topics"], Some(_)) => topics(body),
        ("POST", ["labels"], Some(_)) | ("PATCH", ["labels", _], Some(_)) => label(body),
        ("POST", ["autolinks"], Some(found)) => autolink(found, body),
        ("POST", ["rulesets"], _) => ruleset(place, body, None),
        ("PUT", ["rulesets", id], _) => ruleset(place, body, Some(*id)),
        ("PATCH", ["properties", "values"], Some(_)) => properties(place, body),
        ("PUT", ["branches", _, "protection"], Some(_)) => protection(body),
        ("POST", ["issues", _, "comments"], Some(_)) | ("PATCH", ["issues", "comments", _], Some(_)) => {
            comment(body)
        }
        ("PUT", ["collaborators", _], Some(_)) => role(place, body),
        ("POST", ["hooks"], _) | ("PATCH", ["hooks", _], _) => webhook(&body["config"]),
        ("PATCH", ["hooks", _, "config"], _) => webhook(body),
        _ => None,
    };
    why.map(|why| Reply::invalid(&format!("Validation Failed: {why}")))
}

fn settings(body: &Value) -> Option<String> {
    if longer(&body["description"], DESCRIPTION) {
        return Some(format!("description is too long (maximum is {DESCRIPTION} characters)"));
    }
    for stem in ["squash_merge_commit", "merge_commit"] {
        let part = |part: &str| body[format!("{stem}_{part}")].as_str();
        let (Some(title), Some(message)) = (part("title"), part("message")) else { continue };
        let fits = PAIRS
            .iter()
            .any(|(known, with, messages)| *known == stem && *with == title && messages.contains(&message));
        if !fits {
            return Some(format!("{stem}_title {title} does not go with {stem}_message {message}"));
        }
    }
    None
}

fn organisation(body: &Value) -> Option<String> {
    longer(&body["description"], OF_ORGANISATION)
        .then(|| format!("description is too long (maximum is {OF_ORGANISATION} characters)"))
}

fn comment(body: &Value) -> Option<String> {
    longer(&body["body"], COMMENT).then(|| format!("body is too long (maximum is {COMMENT} characters)"))
}

fn topics(body: &Value) -> Option<String> {
    let names = body["names"].as_array()?;
    let fine = |name: &Value| {
        name.as_str().is_some_and(|name| {
            let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            name.len() <= TOPIC && name.starts_with(letter) && name.chars().all(|c| letter(c) || c == '-')
        })
    };
    if names.len() > TOPICS {
        return Some(format!("a repository has at most {TOPICS} topics"));
    }
    let wrong = names.iter().find(|name| !fine(name))?;
    Some(format!(
        "{wrong} is no topic: it starts with a lower-case letter or a digit, has at most {TOPIC} characters, and only \
         lower-case letters, digits and hyphens"
    ))
}

fn label(body: &Value) -> Option<String> {
    let key = ["name", "new_name"].into_iter().find(|key| longer(&body[*key], LABEL_NAME))?;
    Some(format!("{key} is too long (maximum is {LABEL_NAME} characters)"))
}

fn autolink(found: &Value, body: &Value) -> Option<String> {
    let prefix = body["key_prefix"].as_str()?;
    if !prefix.chars().all(|c| c.is_ascii_alphanumeric() || ".-_+=:/#".contains(c)) {
        return Some("key_prefix may have letters, digits and .-_+=:/# only".into());
    }
    if prefix.ends_with(|c: char| c.is_ascii_digit()) {
        return Some("key_prefix must not end with a number".into());
    }
    let mut others = found["autolinks"].as_object().into_iter().flatten().map(|(other, _)| other);
    let overlapping = others.find(|other| other.starts_with(prefix) || prefix.starts_with(other.as_str()))?;
    Some(format!("key_prefix overlaps with {overlapping}"))
}

fn ruleset(place: &Place<'_>, body: &Value, id: Option<&str>) -> Option<String> {
    let org = place.world.org(place.org)?;
    let all = &place.repository.unwrap_or(org)["rulesets"];
    let id = id.and_then(|id| id.parse::<u64>().ok());
    let old = id.and_then(|id| all.as_object()?.values().find(|old| old["id"] == id));
    let target = body["target"].as_str().or(old.and_then(|old| old["target"].as_str())).unwrap_or("branch");
    for kind in body["rules"].as_array().into_iter().flatten().filter_map(|rule| rule["type"].as_str()) {
        if PUSH_RULES.contains(&kind) != (target == "push") {
            return Some(format!("a ruleset for {target} has no rule {kind}"));
        }
    }
    let conditions = &body["conditions"];
    let names = ["repository_name", "repository_id", "repository_property"];
    let count = names.iter().filter(|name| conditions[**name].is_object()).count();
    if place.repository.is_none() && count != 1 && (id.is_none() || conditions.is_object()) {
        return Some(format!("an organization's ruleset needs exactly one of {}", names.join(", ")));
    }
    let is_ref = |text: &str| text.starts_with("refs/") || ["~ALL", "~DEFAULT_BRANCH"].contains(&text);
    let refs = ["include", "exclude"].into_iter().filter_map(|key| conditions["ref_name"][key].as_array());
    if let Some(wrong) = refs.flatten().filter_map(Value::as_str).find(|text| !is_ref(text)) {
        return Some(format!("Invalid target patterns: '{wrong}'"));
    }
    if body["enforcement"] == "evaluate" && matches!(org["plan"].as_str(), Some("free" | "team")) {
        return Some("evaluate is for enterprises".into());
    }
    body["bypass_actors"].as_array().into_iter().flatten().find_map(|actor| bypass(place, target, actor))
}

/// Returns the error in a bypass actor of a ruleset.
fn bypass(place: &Place<'_>, target: &str, actor: &Value) -> Option<String> {
    let id = actor["actor_id"].as_u64();
    let kind = actor["actor_type"].as_str().unwrap_or_default();
    let is_in = |all: &Value| {
        all.as_object().is_some_and(|all| all.values().any(|one| id.is_some() && one["id"].as_u64() == id))
    };
    let is_known = match kind {
        "Team" => is_in(&place.world.org(place.org)?["teams"]),
        "Integration" => is_in(&place.world.doc["apps"]),
        "User" => is_in(&place.world.doc["users"]),
        _ => true,
    };
    if !is_known {
        return Some(format!("actor {} is no {kind} of this organization", actor["actor_id"]));
    }
    let by_request = actor["bypass_mode"] == "pull_request";
    if by_request && (kind == "DeployKey" || target != "branch") {
        return Some(format!("bypass mode pull_request is not for {kind} of a ruleset for {target}"));
    }
    None
}

/// Returns an error if the body has a value for an undefined property. If the state lacks
/// `property_definitions`, every property is defined.
fn properties(place: &Place<'_>, body: &Value) -> Option<String> {
    let definitions = place.world.org(place.org)?["property_definitions"].as_object()?;
    body["properties"].as_array().into_iter().flatten().find_map(|property| {
        let name = property["property_name"].as_str()?;
        let Some((_, definition)) = definitions.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))
        else {
            return Some(format!("property {name} is not defined for this organization"));
        };
        let allowed = definition["allowed_values"].as_array()?;
        let value = &property["value"];
        let given = value.as_array().map_or_else(|| vec![value], |all| all.iter().collect());
        let wrong = given.into_iter().find(|value| !value.is_null() && !allowed.contains(value))?;
        Some(format!("{wrong} is no value of property {name}"))
    })
}

fn protection(body: &Value) -> Option<String> {
    let count = body["required_pull_request_reviews"]["required_approving_review_count"].as_i64()?;
    (!(0..=REVIEWS).contains(&count))
        .then(|| format!("required_approving_review_count must be between 0 and {REVIEWS}"))
}

fn role(place: &Place<'_>, body: &Value) -> Option<String> {
    let permission = body["permission"].as_str()?;
    let is_known = ["pull", "triage", "push", "maintain", "admin"].contains(&permission)
        || has_repository_role(place.world.org(place.org)?, permission);
    (!is_known).then(|| format!("permission {permission} is not a role of this organization"))
}

fn webhook(config: &Value) -> Option<String> {
    let is_wrong =
        |key: &str, fits: &dyn Fn(&str) -> bool| config[key].as_str().is_some_and(|text| !fits(text));
    if is_wrong("url", &|url| url.starts_with("http://") || url.starts_with("https://")) {
        return Some("url is missing a scheme".into());
    }
    is_wrong("content_type", &|kind| ["json", "form"].contains(&kind))
        .then(|| "content_type is json or form".into())
}

fn longer(text: &Value, most: usize) -> bool {
    text.as_str().is_some_and(|text| text.chars().count() > most)
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use super::*;

    fn world() -> World {
        World::from(json!({
            "orgs": { "acme": {
                "plan": "team", "teams": { "platform": { "id": 501 } },
                "property_definitions": { "tier": { "value_type": "single_select", "allowed_values": ["gold"] } },
                "repos": { "svc": { "autolinks": { "APO-": { "url_template": "https://x/<num>" } } } },
            } },
            "apps": { "ci": { "id": 15368 } },
        }))
    }

    fn refused(method: &Method, path: &str, body: &Value) -> Option<String> {
        let world = world();
        let segments: Vec<&str> = path.split('/').collect();
        let repository = if path.starts_with("repos") { world.repository("acme", "svc") } else { None };
        let call = Call { method, path: segments, query: &[], body, sender: "octocat", accept: "" };
        let place = Place { world: &world, org: "acme", repository };
        refusal(&place, &call)?.body?["message"].as_str().map(str::to_owned)
    }

    #[test]
    fn a_body_that_only_the_documentation_forbids_is_refused() {
        let repository = json!({ "repository_name": { "include": ["*"], "exclude": [] } });
        let ruleset = |more: Value| {
            let mut body = json!({ "name": "x", "enforcement": "active", "conditions": repository });
            for (key, value) in more.as_object().unwrap() {
                body[key] = value.clone();
            }
            body
        };
        let actor = |kind: &str, id: u64, mode: &str| {
            ruleset(json!({ "bypass_actors": [{ "actor_type": kind, "actor_id": id, "bypass_mode": mode }] }))
        };
        let cases = [
            (Method::PATCH, "repos/acme/svc", json!({ "description": "x".repeat(351) })),
            (
                Method::PATCH,
                "repos/acme/svc",
                json!({ "squash_merge_commit_title": "COMMIT_OR_PR_TITLE", "squash_merge_commit_message": "BLANK" }),
            ),
            (Method::PUT, "repos/acme/svc/topics", json!({ "names": ["c++"] })),
            (Method::PUT, "repos/acme/svc/topics", json!({ "names": ["-a"] })),
            (Method::POST, "repos/acme/svc/labels", json!({ "name": "x".repeat(51) })),
            (Method::PATCH, "repos/acme/svc/labels/x", json!({ "new_name": "x".repeat(51) })),
            (Method::POST, "repos/acme/svc/autolinks", json!({ "key_prefix": "APO-X-" })),
            (Method::POST, "repos/acme/svc/autolinks", json!({ "key_prefix": "T1" })),
            (Method::POST, "repos/acme/svc/autolinks", json!({ "key_prefix": "T T-" })),
            (
                Method::POST,
                "repos/acme/svc/rulesets",
                ruleset(json!({ "rules": [{ "type": "max_file_size" }] })),
            ),
            (
                Method::POST,
                "repos/acme/svc/rulesets",
                ruleset(json!({ "target": "push", "rules": [{ "type": "deletion" }] })),
            ),
            (Method::POST, "repos/acme/svc/rulesets", ruleset(json!({ "enforcement": "evaluate" }))),
            (Method::POST, "orgs/acme/rulesets", json!({ "name": "x", "enforcement": "active" })),
            (
                Method::POST,
                "orgs/acme/rulesets",
                ruleset(json!({ "conditions": {
                    "repository_name": { "include": ["~ALL"] }, "repository_id": { "repository_ids": [1] },
                } })),
            ),
            (
                Method::POST,
                "repos/acme/svc/rulesets",
                ruleset(json!({ "conditions": { "ref_name": { "include": ["main"], "exclude": [] } } })),
            ),
            (Method::POST, "orgs/acme/rulesets", actor("Team", 502, "always")),
            (Method::POST, "orgs/acme/rulesets", actor("Integration", 1, "always")),
            (Method::POST, "orgs/acme/rulesets", actor("DeployKey", 1, "pull_request")),
            (
                Method::PATCH,
                "repos/acme/svc/properties/values",
                json!({ "properties": [{ "property_name": "level", "value": "gold" }] }),
            ),
            (
                Method::PATCH,
                "repos/acme/svc/properties/values",
                json!({ "properties": [{ "property_name": "tier", "value": "lead" }] }),
            ),
            (Method::PUT, "repos/acme/svc/collaborators/ann", json!({ "permission": "owner" })),
            (Method::POST, "repos/acme/svc/hooks", json!({ "config": { "url": "ci.example.com" } })),
            (Method::PATCH, "repos/acme/svc/hooks/1/config", json!({ "content_type": "xml" })),
        ];
        for (method, path, body) in cases {
            assert!(refused(&method, path, &body).is_some(), "{method} {path} {body} was taken");
        }
        assert_eq!(refused(&Method::POST, "orgs/acme/rulesets", &actor("Team", 501, "pull_request")), None);
    }

    #[test]
    fn a_body_that_the_documentation_allows_is_accepted() {
        let cases = [
            (Method::PATCH, "repos/acme/svc", json!({ "description": "x".repeat(350) })),
            (
                Method::PATCH,
                "repos/acme/svc",
                json!({ "merge_commit_title": "PR_TITLE", "merge_commit_message": "BLANK" }),
            ),
            (
                Method::POST,
                "repos/acme/svc/rulesets",
                json!({ "name": "x", "enforcement": "active", "conditions": {
                    "ref_name": { "include": ["refs/tags/v*", "~DEFAULT_BRANCH"], "exclude": ["refs/heads/x"] },
                } }),
            ),
            (Method::PUT, "repos/acme/svc/topics", json!({ "names": ["3d", "a-b"] })),
            (Method::POST, "repos/acme/svc/autolinks", json!({ "key_prefix": "APOPS-" })),
            (
                Method::PATCH,
                "repos/acme/svc/properties/values",
                json!({ "properties": [{ "property_name": "Tier", "value": null }] }),
            ),
            (Method::PUT, "repos/acme/svc/collaborators/ann", json!({})),
        ];
        for (method, path, body) in cases {
            assert_eq!(refused(&method, path, &body), None, "{method} {path} {body}");
        }
    }
}
