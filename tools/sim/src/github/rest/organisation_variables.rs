//! The variables of an organisation for Actions.
//!
//! <https://docs.github.com/rest/actions/variables>

use serde_json::{Map, Value, json};

use super::{Call, Reply, in_object};
use crate::github::shapes;
use crate::github::world::World;

fn shown(org: &str, name: &str, variable: &Value) -> Value {
    let mut shown = json!({
        "name": name, "value": variable["value"], "visibility": variable["visibility"],
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    });
    if variable["visibility"] == "selected" {
        let url = format!("https://api.github.com/orgs/{org}/actions/variables/{name}/repositories");
        shown["selected_repositories_url"] = json!(url);
    }
    shown
}

/// Returns a page of repositories in the form of a list with its total.
pub(super) fn repositories(world: &World, call: &Call<'_>, org: &str, ids: &Value) -> Reply {
    let is_selected = |found: &&&Value| ids.as_array().is_some_and(|ids| ids.contains(&found["id"]));
    let all = world.repositories(org);
    let rows: Vec<Value> =
        all.iter().filter(is_selected).map(|found| shapes::repository(world, org, found, false)).collect();
    in_object(call, "repositories", rows)
}

/// Returns an error if a body selects a repository that the organisation does not have.
pub(super) fn stranger(world: &World, org: &str, ids: &Value) -> Option<Reply> {
    let mut ids = ids.as_array().into_iter().flatten();
    let is_own = |id: &Value| {
        let id = id.as_u64().unwrap_or_default();
        world.by_id(id).is_some_and(|(owner, _)| owner.eq_ignore_ascii_case(org))
    };
    ids.any(|id| !is_own(id)).then(|| Reply::invalid("Validation Failed: a repository does not exist"))
}

/// Copies the known keys of a body to a variable.
fn set(variable: &mut Value, body: &Value) {
    for (key, stored) in
        [("value", "value"), ("visibility", "visibility"), ("selected_repository_ids", "repositories")]
    {
        if let Some(value) = body.get(key) {
            variable[stored] = value.clone();
        }
    }
    if variable["visibility"] != "selected" {
        variable["repositories"] = json!([]);
    }
}

/// Answers calls with a path that begins with `/orgs/{org}/actions/variables`.
pub(super) fn answer(world: &mut World, call: &Call<'_>, org: &str, rest: &[&str]) -> Reply {
    let known = world.org(org).and_then(|org| org["variables"].as_object().cloned());
    let mut variables: Map<String, Value> = known.unwrap_or_default();
    // GitHub ignores the case of names, and shows them in upper case.
    let name = rest.first().map(|name| name.to_uppercase());
    let found = name.as_ref().and_then(|name| variables.get(name)).cloned();
    if let Some(refusal) = stranger(world, org, &call.body["selected_repository_ids"]) {
        return refusal;
    }
    let reply = match (call.method.as_str(), rest, name, found) {
        ("GET", [], ..) => {
            let rows = variables.iter().map(|(name, variable)| shown(org, name, variable)).collect();
            return in_object(call, "variables", rows);
        }
        ("POST", [], ..) => {
            let name = call.body["name"].as_str().unwrap_or_default().to_uppercase();
            if variables.contains_key(&name) {
                return Reply::message(409, "Already exists - Variable already exists");
            }
            let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let is_reserved = name.starts_with("GITHUB_") || name.starts_with(|c: char| c.is_ascii_digit());
            if name.is_empty() || is_reserved || !name.chars().all(is_allowed) {
                return Reply::invalid("Validation Failed: the name of a variable is invalid");
            }
            let mut new = json!({ "repositories": [] });
            set(&mut new, call.body);
            variables.insert(name, new);
            Reply::json(201, json!({}))
        }
        ("GET", [_], Some(name), Some(variable)) => return Reply::json(200, shown(org, &name, &variable)),
        ("GET", [_, "repositories"], _, Some(variable)) if variable["visibility"] == "selected" => {
            return repositories(world, call, org, &variable["repositories"]);
        }
        (_, [_, "repositories"], _, Some(_)) => {
            return Reply::message(409, "Conflict: the visibility is not `selected`");
        }
        ("PATCH", [_], Some(name), Some(mut variable)) => {
            set(&mut variable, call.body);
            variables.insert(name, variable);
            Reply::empty(204)
        }
        ("DELETE", [_], Some(name), Some(_)) => {
            variables.remove(&name);
            Reply::empty(204)
        }
        _ => return Reply::not_found(),
    };
    if let Some(known) = world.org_mut(org) {
        known["variables"] = Value::Object(variables);
    }
    reply
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn send(world: &mut World, method: &Method, rest: &[&str], body: &Value) -> Reply {
        let path = ["orgs", "acme", "actions", "variables"].iter().chain(rest).copied().collect();
        let call = Call { method, path, query: &[], body, sender: "octocat", accept: "" };
        answer(world, &call, "acme", rest)
    }

    #[test]
    fn what_github_refuses_is_refused() {
        let mut world = World::from(json!({ "orgs": { "acme": { "repos": { "shop": { "id": 7 } } } } }));
        let new = |name: &str| json!({ "name": name, "value": "x", "visibility": "all" });
        for (name, status) in [("tier", 201), ("TIER", 409), ("1st", 422), ("github_x", 422), ("a-b", 422)] {
            assert_eq!(send(&mut world, &Method::POST, &[], &new(name)).status, status, "{name}");
        }
        assert_eq!(send(&mut world, &Method::GET, &["Tier"], &Value::Null).status, 200);
        assert_eq!(send(&mut world, &Method::GET, &["tier", "repositories"], &Value::Null).status, 409);
        for (id, status) in [(8, 422), (7, 204)] {
            let body = json!({ "visibility": "selected", "selected_repository_ids": [id] });
            assert_eq!(send(&mut world, &Method::PATCH, &["tier"], &body).status, status, "{id}");
        }
        let rows = send(&mut world, &Method::GET, &["tier", "repositories"], &Value::Null).body.unwrap();
        assert_eq!((&rows["total_count"], &rows["repositories"][0]["name"]), (&json!(1), &json!("shop")));
        assert_eq!(send(&mut world, &Method::DELETE, &["tier"], &Value::Null).status, 204);
        assert_eq!(send(&mut world, &Method::DELETE, &["tier"], &Value::Null).status, 404);
    }
}
