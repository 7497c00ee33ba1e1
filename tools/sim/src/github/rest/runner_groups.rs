//! Simulates the groups of self-hosted runners of an organisation.
//!
//! <https://docs.github.com/rest/actions/self-hosted-runner-groups>

use serde_json::{Value, json};

use super::organisation_variables::{repositories, stranger};
use super::{Call, Reply, has_id, in_object};
use crate::github::world::World;

fn shown(org: &str, name: &str, group: &Value) -> Value {
    let id = group["id"].as_u64().unwrap_or_default();
    let api = format!("https://api.github.com/orgs/{org}/actions/runner-groups/{id}");
    let mut shown = json!({
        "name": name, "visibility": "all", "default": false, "inherited": false,
        "runners_url": format!("{api}/runners"), "allows_public_repositories": false,
        "restricted_to_workflows": false, "selected_workflows": [], "workflow_restrictions_read_only": false,
    });
    for (key, value) in group.as_object().into_iter().flatten().filter(|(key, _)| *key != "repositories") {
        shown[key] = value.clone();
    }
    shown
}

fn set(group: &mut Value, body: &Value) {
    for (key, stored) in [
        ("visibility", "visibility"),
        ("allows_public_repositories", "allows_public_repositories"),
        ("restricted_to_workflows", "restricted_to_workflows"),
        ("selected_workflows", "selected_workflows"),
        ("selected_repository_ids", "repositories"),
    ] {
        if let Some(value) = body.get(key) {
            group[stored] = value.clone();
        }
    }
    if group["visibility"] != "selected" {
        group["repositories"] = json!([]);
    }
}

/// Answers calls with a path that begins with `/orgs/{org}/actions/runner-groups`.
pub(super) fn answer(world: &mut World, call: &Call<'_>, org: &str, rest: &[&str]) -> Reply {
    let known = world.org(org).and_then(|org| org["runner_groups"].as_object().cloned());
    let mut groups = known.unwrap_or_default();
    let found = rest.first().and_then(|id| groups.iter().find(|(_, group)| has_id(group, id)));
    let found = found.map(|(name, group)| (name.clone(), group.clone()));
    if let Some(refusal) = stranger(world, org, &call.body["selected_repository_ids"]) {
        return refusal;
    }
    let reply = match (call.method.as_str(), rest, found) {
        ("GET", [], _) => {
            let rows = groups.iter().map(|(name, group)| shown(org, name, group)).collect();
            return in_object(call, "runner_groups", rows);
        }
        ("POST", [], _) => {
            let name = call.body["name"].as_str().unwrap_or_default();
            if name.is_empty() || groups.contains_key(name) {
                return Reply::message(409, "Conflict: a group with this name already exists");
            }
            let mut new = json!({ "id": world.fresh_id(), "visibility": "all", "repositories": [] });
            set(&mut new, call.body);
            let shown = shown(org, name, &new);
            groups.insert(name.to_owned(), new);
            Reply::json(201, shown)
        }
        ("GET", [_], Some((name, group))) => return Reply::json(200, shown(org, &name, &group)),
        ("GET" | "PUT", [_, "repositories"], Some((_, group))) if group["visibility"] != "selected" => {
            return Reply::message(409, "Conflict: the visibility is not `selected`");
        }
        ("GET", [_, "repositories"], Some((_, group))) => {
            return repositories(world, call, org, &group["repositories"]);
        }
        ("PUT", [_, "repositories"], Some((name, mut group))) => {
            set(&mut group, call.body);
            groups.insert(name, group);
            Reply::empty(204)
        }
        ("PATCH", [_], Some((name, mut group))) => {
            set(&mut group, call.body);
            let new = call.body["name"].as_str().unwrap_or(&name).to_owned();
            groups.remove(&name);
            let shown = shown(org, &new, &group);
            groups.insert(new, group);
            Reply::json(200, shown)
        }
        ("DELETE", [_], Some((_, group))) if group["default"] == json!(true) => {
            return Reply::invalid("Validation Failed: the default group cannot be deleted");
        }
        ("DELETE", [_], Some((name, _))) => {
            groups.remove(&name);
            Reply::empty(204)
        }
        _ => return Reply::not_found(),
    };
    if let Some(known) = world.org_mut(org) {
        known["runner_groups"] = Value::Object(groups);
    }
    reply
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn the_default_group_stays_and_repositories_need_the_visibility_selected() {
        let mut world = World::from(json!({ "orgs": { "acme": { "repos": { "shop": { "id": 7 } } } } }));
        let mut send = |method: &Method, rest: &[&str], body: &Value| {
            let path = ["orgs", "acme", "actions", "runner-groups"].iter().chain(rest).copied().collect();
            let call = Call { method, path, query: &[], body, sender: "octocat", accept: "" };
            answer(&mut world, &call, "acme", rest)
        };
        assert_eq!(send(&Method::DELETE, &["1"], &Value::Null).status, 422);
        let new = send(&Method::POST, &[], &json!({ "name": "fast" })).body.unwrap();
        let id = new["id"].to_string();
        let id = id.as_str();
        let ids = json!({ "selected_repository_ids": [7] });
        assert_eq!(send(&Method::PUT, &[id, "repositories"], &ids).status, 409);
        let selected = json!({ "name": "fast", "visibility": "selected" });
        assert_eq!(send(&Method::PATCH, &[id], &selected).status, 200);
        assert_eq!(send(&Method::PUT, &[id, "repositories"], &ids).status, 204);
        let rows = send(&Method::GET, &[id, "repositories"], &Value::Null).body.unwrap();
        assert_eq!(rows["repositories"][0]["name"], "shop");
        assert_eq!(send(&Method::DELETE, &[id], &Value::Null).status, 204);
    }
}
