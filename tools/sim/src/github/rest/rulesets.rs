//! Rulesets of repositories and organisations. A PUT replaces each key that is in its body. A PUT
//! replaces a list as a whole.
//!
//! <https://docs.github.com/rest/repos/rules>, <https://docs.github.com/rest/orgs/rules>

use serde_json::{Map, Value, json};

use super::{Call, Reply, has_id, page};
use crate::github::events;
use crate::github::world::{World, now};

/// The allowed keys of a body.
const BODY: &[&str] = &["name", "target", "enforcement", "bypass_actors", "conditions", "rules"];
/// The maximum number of rulesets in a repository or an organisation.
const MOST: usize = 75;

fn shown(source_type: &str, source: &str, name: &str, ruleset: &Value, whole: bool) -> Value {
    let mut shown = json!({
        "id": ruleset["id"], "name": name, "target": ruleset["target"].as_str().unwrap_or("branch"),
        "source_type": source_type, "source": source, "enforcement": ruleset["enforcement"].as_str().unwrap_or("active"),
        "node_id": format!("RRS_lACq{}", ruleset["id"]),
        "created_at": "2026-01-01T00:00:00Z", "updated_at": ruleset["updated_at"].as_str().unwrap_or("2026-01-01T00:00:00Z"),
    });
    if whole {
        for (key, absent) in [("bypass_actors", json!([])), ("conditions", json!({})), ("rules", json!([]))] {
            let value = &ruleset[key];
            shown[key] = if value.is_null() { absent } else { value.clone() };
        }
    }
    shown
}

/// Returns the answer if the body is invalid, or `None` if the body is valid.
fn wrong(body: &Value, others: &Map<String, Value>, id: Option<&Value>) -> Option<Reply> {
    let name = body["name"].as_str();
    if id.is_none() && (name.is_none() || body["enforcement"].as_str().is_none()) {
        return Some(Reply::invalid("Validation Failed: name and enforcement are needed"));
    }
    if others.iter().any(|(other, ruleset)| Some(other.as_str()) == name && Some(&ruleset["id"]) != id) {
        return Some(Reply::invalid("Validation Failed: Name must be unique"));
    }
    if id.is_none() && others.len() >= MOST {
        return Some(Reply::invalid("Validation Failed: at most 75 rulesets"));
    }
    let rules = body["rules"].as_array().into_iter().flatten();
    let mut types: Vec<&str> = rules.filter_map(|rule| rule["type"].as_str()).collect();
    let count = types.len();
    types.sort_unstable();
    types.dedup();
    let demanded = |rule: &Value| match rule["type"].as_str() {
        Some("pull_request") => [
            "dismiss_stale_reviews_on_push",
            "require_code_owner_review",
            "require_last_push_approval",
            "required_approving_review_count",
            "required_review_thread_resolution",
        ]
        .iter()
        .all(|key| !rule["parameters"][*key].is_null()),
        // GitHub refuses an empty list: "Expected at least 1 elements, got 0".
        Some("required_status_checks") => {
            let checks = rule["parameters"]["required_status_checks"].as_array();
            checks.is_some_and(|checks| !checks.is_empty())
                && !rule["parameters"]["strict_required_status_checks_policy"].is_null()
        }
        _ => true,
    };
    if !body["rules"].as_array().into_iter().flatten().all(demanded) {
        return Some(Reply::invalid("Validation Failed: a rule lacks parameters"));
    }
    (types.len() < count).then(|| Reply::invalid("Validation Failed: a rule is there twice"))
}

/// Applies a call to the rulesets of a repository or an organisation. Returns the changed rulesets
/// and the answer.
fn change(
    rulesets: &Map<String, Value>,
    call: &Call<'_>,
    rest: &[&str],
    source: (&str, &str),
    fresh: u64,
) -> (Option<Map<String, Value>>, Reply) {
    let place = |id: &str| rulesets.iter().find(|(_, ruleset)| has_id(ruleset, id));
    match (call.method.as_str(), rest) {
        ("GET", []) => {
            let rows = rulesets.iter().map(|(name, ruleset)| shown(source.0, source.1, name, ruleset, false));
            (None, page(call, rows.collect()))
        }
        ("GET", [id]) => match place(id) {
            Some((name, ruleset)) => (None, Reply::json(200, shown(source.0, source.1, name, ruleset, true))),
            None => (None, Reply::not_found()),
        },
        ("POST", []) => {
            if let Some(refusal) = wrong(call.body, rulesets, None) {
                return (None, refusal);
            }
            let name = call.body["name"].as_str().unwrap_or_default().to_owned();
            let mut new = json!({ "id": fresh, "updated_at": now() });
            for key in BODY.iter().filter(|key| **key != "name") {
                if let Some(value) = call.body.get(*key) {
                    new[*key] = value.clone();
                }
            }
            let mut all = rulesets.clone();
            let reply = Reply::json(201, shown(source.0, source.1, &name, &new, true));
            all.insert(name, new);
            (Some(all), reply)
        }
        ("PUT", [id]) => {
            let Some((name, old)) = place(id) else { return (None, Reply::not_found()) };
            if let Some(refusal) = wrong(call.body, rulesets, Some(&old["id"])) {
                return (None, refusal);
            }
            // If the body lacks one of these keys, GitHub removes the key from the ruleset.
            let mut changed =
                json!({ "id": old["id"], "target": old["target"], "enforcement": old["enforcement"] });
            for key in BODY.iter().filter(|key| **key != "name") {
                if let Some(value) = call.body.get(*key) {
                    changed[*key] = value.clone();
                }
            }
            changed["updated_at"] = json!(now());
            let new = call.body["name"].as_str().unwrap_or(name).to_owned();
            let mut all = rulesets.clone();
            all.remove(name);
            let reply = Reply::json(200, shown(source.0, source.1, &new, &changed, true));
            all.insert(new, changed);
            (Some(all), reply)
        }
        ("DELETE", [id]) => match place(id) {
            Some((name, _)) => {
                let mut all = rulesets.clone();
                all.remove(name);
                (Some(all), Reply::empty(204))
            }
            None => (None, Reply::not_found()),
        },
        _ => (None, Reply::not_found()),
    }
}

/// Answers calls with a path that begins with `/repos/{owner}/{repo}/rulesets`. The list does not
/// contain the organisation's rulesets.
pub(super) fn of_repository(
    world: &mut World,
    call: &Call<'_>,
    org: &str,
    found: &Value,
    rest: &[&str],
) -> Reply {
    let name = found["name"].as_str().unwrap_or_default();
    let known = found["rulesets"].as_object().cloned().unwrap_or_default();
    let fresh = world.fresh_id();
    let (changed, reply) = change(&known, call, rest, ("Repository", &format!("{org}/{name}")), fresh);
    if let Some(changed) = changed {
        world.edit(org, name, call.sender, |found| found["rulesets"] = Value::Object(changed));
    }
    reply
}

/// Answers `GET /repos/{owner}/{repo}/rules/branches/{branch}`. The answer includes a ruleset of
/// the organisation if the conditions of the ruleset select all repositories.
pub(super) fn of_branch(world: &World, call: &Call<'_>, org: &str, found: &Value, branch: &str) -> Reply {
    let name = format!("{org}/{}", found["name"].as_str().unwrap_or_default());
    let is_default = found["default_branch"] == branch;
    let has = |names: &Value, fits: &dyn Fn(&str) -> bool| {
        names.as_array().into_iter().flatten().filter_map(Value::as_str).any(fits)
    };
    let is_it = |pattern: &str| {
        let is_named = pattern.strip_prefix("refs/heads/") == Some(branch);
        is_named || pattern == "~ALL" || (is_default && pattern == "~DEFAULT_BRANCH")
    };
    let reaches = |ruleset: &Value| {
        let (refs, repositories) =
            (&ruleset["conditions"]["ref_name"], &ruleset["conditions"]["repository_name"]);
        ruleset["enforcement"].as_str().unwrap_or("active") == "active"
            && ruleset["target"].as_str().unwrap_or("branch") == "branch"
            && has(&refs["include"], &is_it)
            && !has(&refs["exclude"], &is_it)
            && (repositories.is_null() || has(&repositories["include"], &|name: &str| name == "~ALL"))
    };
    let all = world.org(org).map(|org| org["rulesets"].clone()).unwrap_or_default();
    let mut rows = Vec::new();
    for (kind, source, rulesets) in
        [("Repository", name.as_str(), &found["rulesets"]), ("Organization", org, &all)]
    {
        for ruleset in rulesets.as_object().into_iter().flat_map(Map::values).filter(|one| reaches(one)) {
            for rule in ruleset["rules"].as_array().into_iter().flatten() {
                let mut row = rule.clone();
                row["ruleset_source_type"] = json!(kind);
                row["ruleset_source"] = json!(source);
                row["ruleset_id"] = ruleset["id"].clone();
                rows.push(row);
            }
        }
    }
    page(call, rows)
}

/// Answers calls with a path that begins with `/orgs/{org}/rulesets`.
pub(super) fn of_organisation(world: &mut World, call: &Call<'_>, org: &str, rest: &[&str]) -> Reply {
    let known = world.org(org).and_then(|org| org["rulesets"].as_object()).cloned().unwrap_or_default();
    let fresh = world.fresh_id();
    let (changed, mut reply) = change(&known, call, rest, ("Organization", org), fresh);
    // The list also has the rulesets of the enterprise, which the organisation cannot change.
    if let ("GET", [], Some(Value::Array(rows))) = (call.method.as_str(), rest, &mut reply.body) {
        let above = world.org(org).and_then(|org| org["enterprise_rulesets"].as_object());
        rows.extend(
            above
                .into_iter()
                .flatten()
                .map(|(name, ruleset)| shown("Enterprise", "corp", name, ruleset, false)),
        );
    }
    if let Some(changed) = changed {
        let told = events::of_rulesets(world, org, &known, &changed, call.sender);
        if let Some(org) = world.org_mut(org) {
            org["rulesets"] = Value::Object(changed);
        }
        world.outbox.extend(told);
    }
    reply
}
