//! Simulates deployment environments. The case of an environment's name does not matter.
//!
//! <https://docs.github.com/rest/deployments/environments>,
//! <https://docs.github.com/rest/deployments/branch-policies>,
//! <https://docs.github.com/rest/deployments/protection-rules>

use serde_json::{Value, json};

use super::variables::{self, Holder};
use super::{Call, Reply, has_id, in_object, secrets};
use crate::github::world::World;
use crate::github::{address, shapes};

/// The greatest wait timer, in minutes.
const LONGEST_WAIT: i64 = 43_200;
/// The maximum number of reviewers.
const REVIEWERS: usize = 6;

/// Returns the entry with an id.
fn by_id<'a>(map: &'a Value, id: &Value) -> Option<&'a Value> {
    map.as_object()?.values().find(|entry| id.is_u64() && entry["id"] == *id)
}

/// Returns a reviewer in GitHub's form. Returns `None` if nobody has the id.
fn reviewer(world: &World, org: &str, entry: &Value) -> Option<Value> {
    let who = match entry["type"].as_str()? {
        "User" => {
            let user = by_id(&world.doc["users"], &entry["id"])?;
            shapes::user(world, user["login"].as_str()?)
        }
        "Team" => shapes::team(world, org, by_id(&world.org(org)?["teams"], &entry["id"])?, None),
        _ => return None,
    };
    Some(json!({ "type": entry["type"], "reviewer": who }))
}

fn shown(world: &World, org: &str, repository: &str, name: &str, environment: &Value) -> Value {
    let id = environment["id"].as_u64().unwrap_or_default();
    let segment = address::segment(name);
    let rule = |nth: u64, kind: &str| json!({ "id": id * 10 + nth, "node_id": format!("GA_kwDO{id:08}{nth}"), "type": kind });
    let mut rules = Vec::new();
    if environment["wait_timer"].as_i64().is_some_and(|minutes| minutes > 0) {
        let mut wait = rule(1, "wait_timer");
        wait["wait_timer"] = environment["wait_timer"].clone();
        rules.push(wait);
    }
    let reviewers = environment["reviewers"].as_array().into_iter().flatten();
    let reviewers: Vec<Value> = reviewers.filter_map(|entry| reviewer(world, org, entry)).collect();
    if !reviewers.is_empty() {
        let mut required = rule(2, "required_reviewers");
        required["prevent_self_review"] = json!(environment["prevent_self_review"] == json!(true));
        required["reviewers"] = json!(reviewers);
        rules.push(required);
    }
    let policy = &environment["deployment_branch_policy"];
    if policy.is_object() {
        rules.push(rule(3, "branch_policy"));
    }
    let at = "2026-01-01T00:00:00Z";
    json!({
        "id": id, "node_id": format!("EN_kwDO{id:08}"), "name": name,
        "url": format!("https://api.github.com/repos/{org}/{repository}/environments/{segment}"),
        "html_url": format!(
            "https://github.com/{org}/{repository}/deployments/activity_log?environments_filter={segment}"
        ),
        "created_at": at, "updated_at": at, "protection_rules": rules, "deployment_branch_policy": policy,
    })
}

/// Returns the reason why GitHub refuses the settings of an environment.
fn refusal(world: &World, org: &str, body: &Value) -> Option<&'static str> {
    if body["wait_timer"].as_i64().is_some_and(|minutes| !(0..=LONGEST_WAIT).contains(&minutes)) {
        return Some("wait_timer must be between 0 and 43200");
    }
    let reviewers = body["reviewers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if reviewers.len() > REVIEWERS {
        return Some("an environment has at most 6 reviewers");
    }
    if reviewers.iter().any(|entry| reviewer(world, org, entry).is_none()) {
        return Some("a reviewer does not exist");
    }
    let policy = &body["deployment_branch_policy"];
    (policy.is_object() && policy["protected_branches"] == policy["custom_branch_policies"])
        .then_some("protected_branches and custom_branch_policies cannot have the same value")
}

/// Returns the settings that a body gives an environment. GitHub resets the settings that the body
/// leaves out.
fn settings(old: &Value, id: u64, body: &Value) -> Value {
    let or = |key: &str, none: Value| if body[key].is_null() { none } else { body[key].clone() };
    let is_custom = body["deployment_branch_policy"]["custom_branch_policies"] == json!(true);
    let kept = |key: &str, none: Value| if old[key].is_null() { none } else { old[key].clone() };
    json!({
        "id": id,
        "wait_timer": or("wait_timer", json!(0)),
        "prevent_self_review": or("prevent_self_review", json!(false)),
        "reviewers": or("reviewers", json!([])),
        "deployment_branch_policy": or("deployment_branch_policy", Value::Null),
        // Without `custom_branch_policies`, an environment has no patterns.
        "branch_policies": if is_custom { kept("branch_policies", json!([])) } else { json!([]) },
        "gates": kept("gates", json!([])),
        "variables": kept("variables", json!({})),
        "secrets": kept("secrets", json!({})),
    })
}

/// Answers calls with a path that begins with `/repos/{owner}/{repo}/environments`.
pub(super) fn answer(world: &mut World, call: &Call<'_>, org: &str, found: &Value, rest: &[&str]) -> Reply {
    let repository = found["name"].as_str().unwrap_or_default();
    let all = found["environments"].as_object().cloned().unwrap_or_default();
    let [asked, below @ ..] = rest else {
        let rows = all.iter().map(|(name, one)| shown(world, org, repository, name, one)).collect();
        return in_object(call, "environments", rows);
    };
    let known = all.keys().find(|name| name.eq_ignore_ascii_case(asked)).cloned();
    let method = call.method.as_str();
    if method == "PUT" && below.is_empty() {
        if let Some(why) = refusal(world, org, call.body) {
            return Reply::invalid(&format!("Validation Failed: {why}"));
        }
        let name = known.unwrap_or_else(|| (*asked).to_owned());
        let old = all.get(&name).cloned().unwrap_or_default();
        let id = old["id"].as_u64().unwrap_or_else(|| world.fresh_id());
        let new = settings(&old, id, call.body);
        world.edit(org, repository, call.sender, |found| found["environments"][&name] = new.clone());
        return Reply::json(200, shown(world, org, repository, &name, &new));
    }
    let Some(name) = known else { return Reply::not_found() };
    let environment = &found["environments"][&name];
    let holder = Holder { org, repository, environment: Some(&name) };
    match (method, below) {
        ("GET", []) => Reply::json(200, shown(world, org, repository, &name, environment)),
        ("DELETE", []) => {
            world.edit(org, repository, call.sender, |found| {
                found["environments"].as_object_mut().and_then(|all| all.remove(&name))
            });
            Reply::empty(204)
        }
        (_, ["variables", rest @ ..]) => variables::answer(world, call, holder, found, rest),
        (_, ["secrets", rest @ ..]) => secrets::answer(world, call, (holder, "secrets"), found, rest),
        (_, ["deployment-branch-policies", rest @ ..]) => patterns(world, call, holder, environment, rest),
        (_, ["deployment_protection_rules", rest @ ..]) => rules(world, call, holder, environment, rest),
        _ => Reply::not_found(),
    }
}

/// Adds an entry to a list of an environment.
fn push(world: &mut World, sender: &str, holder: Holder<'_>, list: &str, entry: Value) {
    holder.edit(world, sender, |part| {
        if let Some(all) = part[list].as_array_mut() {
            all.push(entry);
        }
    });
}

/// Removes the entry with an id from a list of an environment.
fn remove(world: &mut World, call: &Call<'_>, holder: Holder<'_>, list: &str, id: &str) -> Reply {
    let mut is_gone = false;
    holder.edit(world, call.sender, |part| {
        if let Some(all) = part[list].as_array_mut() {
            let before = all.len();
            all.retain(|entry| !has_id(entry, id));
            is_gone = all.len() < before;
        }
    });
    if is_gone { Reply::empty(204) } else { Reply::not_found() }
}

/// Answers calls about the patterns that select the branches and tags that can deploy.
fn patterns(
    world: &mut World,
    call: &Call<'_>,
    holder: Holder<'_>,
    environment: &Value,
    rest: &[&str],
) -> Reply {
    const LIST: &str = "branch_policies";
    let is_custom = environment["deployment_branch_policy"]["custom_branch_policies"] == json!(true);
    let known = environment[LIST].as_array().cloned().unwrap_or_default();
    let shown = |entry: &Value| {
        let id = entry["id"].as_u64().unwrap_or_default();
        let kind = entry["type"].as_str().unwrap_or("branch");
        json!({ "id": id, "node_id": format!("GABP_{id:08}"), "name": entry["name"], "type": kind })
    };
    match (call.method.as_str(), rest) {
        ("GET", []) => in_object(call, LIST, known.iter().map(shown).collect()),
        ("POST", []) => {
            if !is_custom {
                return Reply::not_found();
            }
            let kind = call.body["type"].as_str().unwrap_or("branch");
            let is_same = |entry: &Value| entry["name"] == call.body["name"] && shown(entry)["type"] == kind;
            if known.iter().any(is_same) {
                return Reply::message(303, "See Other");
            }
            let entry = json!({ "id": world.fresh_id(), "name": call.body["name"], "type": kind });
            let reply = Reply::json(200, shown(&entry));
            push(world, call.sender, holder, LIST, entry);
            reply
        }
        ("DELETE", [id]) => remove(world, call, holder, LIST, id),
        _ => Reply::not_found(),
    }
}

/// Answers calls about the Apps that must allow a deployment.
fn rules(
    world: &mut World,
    call: &Call<'_>,
    holder: Holder<'_>,
    environment: &Value,
    rest: &[&str],
) -> Reply {
    let known = environment["gates"].as_array().cloned().unwrap_or_default();
    let shown = |world: &World, rule: &Value| {
        let app = by_id(&world.doc["apps"], &rule["app_id"]).cloned().unwrap_or_default();
        let id = rule["id"].as_u64().unwrap_or_default();
        let number = app["id"].as_u64().unwrap_or_default();
        json!({
            "id": id, "node_id": format!("GACR_{id:08}"), "enabled": true,
            "app": {
                "id": number, "slug": app["slug"], "node_id": format!("A_kgDO{number:08}"),
                "integration_url": "https://api.github.com/apps/".to_owned() + app["slug"].as_str().unwrap_or_default(),
            },
        })
    };
    match (call.method.as_str(), rest) {
        ("GET", []) => {
            let rows: Vec<Value> = known.iter().map(|rule| shown(world, rule)).collect();
            let total = rows.len();
            Reply::json(200, json!({ "total_count": total, "custom_deployment_protection_rules": rows }))
        }
        ("POST", []) => {
            let app = &call.body["integration_id"];
            let is_known = by_id(&world.doc["apps"], app).is_some();
            if !is_known || known.iter().any(|rule| rule["app_id"] == *app) {
                return Reply::invalid("Validation Failed: the App is not available, or has a rule already");
            }
            let rule = json!({ "id": world.fresh_id(), "app_id": app });
            let reply = Reply::json(201, shown(world, &rule));
            push(world, call.sender, holder, "gates", rule);
            reply
        }
        ("DELETE", [id]) => remove(world, call, holder, "gates", id),
        _ => Reply::not_found(),
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn status(world: &mut World, method: &Method, path: &str, body: &Value) -> u16 {
        let found = world.repository("acme", "svc").unwrap().clone();
        let rest: Vec<&str> = path.split('/').collect();
        let call = Call { method, path: rest.clone(), query: &[], body, sender: "octocat", accept: "" };
        answer(world, &call, "acme", &found, &rest).status
    }

    #[test]
    fn what_github_refuses_is_refused() {
        let mut world = World::from(json!({
            "users": { "mona": { "id": 5 } },
            "orgs": { "acme": { "teams": { "core": { "id": 6 } }, "repos": { "svc": {} } } },
        }));
        let policy = |both: bool| json!({ "deployment_branch_policy": { "protected_branches": both, "custom_branch_policies": both } });
        for body in [
            json!({ "wait_timer": 43_201 }),
            json!({ "reviewers": [{ "type": "User", "id": 6 }] }),
            json!({ "reviewers": vec![json!({ "type": "User", "id": 5 }); 7] }),
            policy(true),
            policy(false),
        ] {
            assert_eq!(status(&mut world, &Method::PUT, "prod", &body), 422, "{body}");
        }
        let reviewers = json!([{ "type": "User", "id": 5 }, { "type": "Team", "id": 6 }]);
        assert_eq!(status(&mut world, &Method::PUT, "prod", &json!({ "reviewers": reviewers })), 200);
        let (patterns, main) = ("PROD/deployment-branch-policies", json!({ "name": "main" }));
        assert_eq!(status(&mut world, &Method::POST, patterns, &main), 404, "the patterns are off");
        let custom = json!({ "protected_branches": false, "custom_branch_policies": true });
        let custom = json!({ "deployment_branch_policy": custom });
        assert_eq!(status(&mut world, &Method::PUT, "prod", &custom), 200);
        assert_eq!(status(&mut world, &Method::POST, patterns, &main), 200);
        assert_eq!(status(&mut world, &Method::POST, patterns, &main), 303);
        let rule = json!({ "integration_id": 5 });
        assert_eq!(status(&mut world, &Method::POST, "prod/deployment_protection_rules", &rule), 422);
        let kept = &world.repository("acme", "svc").unwrap()["environments"]["prod"];
        assert_eq!(kept["reviewers"], json!([]), "a body without reviewers removes them");
    }
}
