//! Simulates the custom repository roles and the roles of an organisation.
//!
//! <https://docs.github.com/enterprise-cloud@latest/rest/orgs/custom-roles>,
//! <https://docs.github.com/rest/orgs/organization-roles>

use serde_json::{Map, Value, json};

use super::{Call, Reply, has_id, in_object, page};
use crate::github::shapes;
use crate::github::world::World;

fn shown(world: &World, org: &str, name: &str, role: &Value) -> Value {
    let mut shown = json!({
        "name": name, "description": null, "base_role": "read", "permissions": [],
        "organization": shapes::organisation_as_owner(world, org),
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    });
    for (key, value) in role.as_object().into_iter().flatten() {
        if !["teams", "users"].contains(&key.as_str()) {
            shown[key] = value.clone();
        }
    }
    shown
}

/// Returns the roles in a part of the state. A name in `custom_roles` means a role without
/// permissions.
fn roles(world: &World, org: &str, part: &str) -> Map<String, Value> {
    let Some(known) = world.org(org) else { return Map::new() };
    let mut roles = known[part].as_object().cloned().unwrap_or_default();
    if part == "repository_roles" {
        let names = known["custom_roles"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for (at, name) in names.enumerate() {
            roles.insert(name.to_owned(), json!({ "id": 8000 + at }));
        }
    }
    roles
}

/// Answers calls with a path that begins with `/orgs/{org}/custom-repository-roles` or with
/// `/orgs/{org}/organization-roles`. `part` is the name of the part of the state, and `key` is the
/// name of the list in an answer.
pub(super) fn answer(
    world: &mut World,
    call: &Call<'_>,
    org: &str,
    (part, key): (&str, &str),
    rest: &[&str],
) -> Reply {
    let all = roles(world, org, part);
    let found = rest.last().and_then(|id| all.iter().find(|(_, role)| has_id(role, id)));
    let found = found.map(|(name, role)| (name.clone(), role.clone()));
    let is_fixed = found.as_ref().is_some_and(|(_, role)| role["source"] == "Predefined");
    match (call.method.as_str(), rest, found) {
        ("GET", [], _) => {
            let rows = all.iter().map(|(name, role)| shown(world, org, name, role)).collect();
            in_object(call, key, rows)
        }
        ("POST", [], _) => {
            let name = call.body["name"].as_str().unwrap_or_default();
            if name.is_empty() || all.keys().any(|known| known.eq_ignore_ascii_case(name)) {
                return Reply::invalid("Validation Failed: name has already been taken");
            }
            let mut new = json!({ "id": world.fresh_id() });
            if part == "organization_roles" {
                new["source"] = json!("Organization");
                new["teams"] = json!([]);
                new["users"] = json!([]);
            }
            set(&mut new, call.body);
            keep(world, org, part, name, Some(new.clone()));
            Reply::json(201, shown(world, org, name, &new))
        }
        ("GET", [_], Some((name, role))) => Reply::json(200, shown(world, org, &name, &role)),
        ("PATCH" | "DELETE", [_], Some(_)) if is_fixed => {
            Reply::message(403, "A role that GitHub defines cannot be changed")
        }
        ("PATCH", [_], Some((name, mut role))) => {
            set(&mut role, call.body);
            let new = call.body["name"].as_str().unwrap_or(&name).to_owned();
            keep(world, org, part, &name, None);
            keep(world, org, part, &new, Some(role.clone()));
            Reply::json(200, shown(world, org, &new, &role))
        }
        ("DELETE", [_], Some((name, _))) => {
            keep(world, org, part, &name, None);
            Reply::empty(204)
        }
        ("PUT" | "DELETE", [list @ ("teams" | "users"), who, _], Some((name, role))) => {
            assign(world, call, org, (name.as_str(), role), (*list, *who))
        }
        ("GET", [id, list @ ("teams" | "users")], None) => {
            let role = all.values().find(|role| has_id(role, id));
            role.map_or_else(Reply::not_found, |role| holders(world, call, org, role, list))
        }
        _ => Reply::not_found(),
    }
}

fn set(role: &mut Value, body: &Value) {
    for key in ["description", "base_role", "permissions"] {
        if let Some(value) = body.get(key) {
            role[key] = value.clone();
        }
    }
}

fn keep(world: &mut World, org: &str, part: &str, name: &str, role: Option<Value>) {
    let Some(known) = world.org_mut(org) else { return };
    if part == "repository_roles"
        && let Some(names) = known["custom_roles"].as_array_mut()
    {
        names.retain(|other| other != name);
    }
    let Some(all) = known[part].as_object_mut() else { return };
    match role {
        Some(role) => all.insert(name.to_owned(), role),
        None => all.remove(name),
    };
}

/// Assigns a role to a team or a person, or removes the role.
fn assign(
    world: &mut World,
    call: &Call<'_>,
    org: &str,
    (name, mut role): (&str, Value),
    (list, who): (&str, &str),
) -> Reply {
    let known = match list {
        "teams" => world.team(org, who).map(|team| team["slug"].clone()),
        _ => world.user(who).filter(|_| world.is_member(org, who)).map(|user| user["login"].clone()),
    };
    let Some(known) = known else { return Reply::not_found() };
    let mut holders = role[list].as_array().cloned().unwrap_or_default();
    holders.retain(|holder| *holder != known);
    if call.method.as_str() == "PUT" {
        holders.push(known);
    }
    role[list] = Value::Array(holders);
    keep(world, org, "organization_roles", name, Some(role));
    Reply::empty(204)
}

/// Returns the teams or the people who have a role.
fn holders(world: &World, call: &Call<'_>, org: &str, role: &Value, list: &str) -> Reply {
    let names = role[list].as_array().into_iter().flatten().filter_map(Value::as_str);
    let rows = names.filter_map(|name| {
        let mut row = match list {
            "teams" => shapes::team(world, org, world.team(org, name)?, None),
            _ => shapes::user(world, name),
        };
        row["assignment"] = json!("direct");
        Some(row)
    });
    page(call, rows.collect())
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn send(world: &mut World, method: &Method, rest: &[&str], body: &Value) -> Reply {
        let path = ["orgs", "acme", "organization-roles"].iter().chain(rest).copied().collect();
        let call = Call { method, path, query: &[], body, sender: "octocat", accept: "" };
        answer(world, &call, "acme", ("organization_roles", "roles"), rest)
    }

    #[test]
    fn a_role_is_assigned_to_teams_and_members_only() {
        let mut world = World::from(json!({
            "orgs": { "acme": { "members": ["mona"], "teams": { "core": {} } } },
            "users": { "mona": {}, "hubot": {} },
        }));
        for (list, who, status) in
            [("teams", "core", 204), ("teams", "none", 404), ("users", "mona", 204), ("users", "hubot", 404)]
        {
            let reply = send(&mut world, &Method::PUT, &[list, who, "138"], &Value::Null);
            assert_eq!(reply.status, status, "{list} {who}");
        }
        let rows = send(&mut world, &Method::GET, &["138", "teams"], &Value::Null).body.unwrap();
        assert_eq!((&rows[0]["slug"], &rows[0]["assignment"]), (&json!("core"), &json!("direct")));
        assert_eq!(send(&mut world, &Method::DELETE, &["138"], &Value::Null).status, 403);
        let new = json!({ "name": "Security_Manager", "permissions": [] });
        assert_eq!(send(&mut world, &Method::POST, &[], &new).status, 422);
    }
}
