//! Simulates the members of an organisation, and the invitations to the organisation.
//!
//! <https://docs.github.com/rest/orgs/members>

use serde_json::{Value, json};

use super::{Call, Reply, page};
use crate::github::shapes;
use crate::github::world::World;

/// Answers `GET /orgs/{org}/invitations`.
pub(super) fn invitations(world: &World, call: &Call<'_>, org: &str) -> Reply {
    let all = world.org(org).map(|org| org["invitations"].clone()).unwrap_or_default();
    let rows = all.as_array().into_iter().flatten();
    page(call, rows.map(|row| shapes::organisation_invitation(world, row)).collect())
}

/// Answers `GET /orgs/{org}/members`.
pub(super) fn members(world: &World, call: &Call<'_>, org: &str) -> Reply {
    let role = call.query.iter().find(|(name, _)| name == "role").map(|(_, role)| role.as_str());
    let is_wanted = |login: &&str| match role {
        Some("admin") => world.is_owner(org, login),
        Some("member") => !world.is_owner(org, login),
        _ => true,
    };
    let found = world.membership(org);
    let logins = found["members"].as_array().into_iter().flatten().filter_map(Value::as_str);
    page(call, logins.filter(is_wanted).map(|login| shapes::user(world, login)).collect())
}

fn lacks(list: &mut Value, login: &str) {
    let is_it = |row: &Value| {
        let other = row.as_str().or_else(|| row["login"].as_str());
        other.is_some_and(|other| other.eq_ignore_ascii_case(login))
    };
    if let Some(rows) = list.as_array_mut() {
        rows.retain(|row| !is_it(row));
    }
}

fn gets(list: &mut Value, login: &str, row: Value) {
    lacks(list, login);
    if let Some(rows) = list.as_array_mut() {
        rows.push(row);
    }
}

/// Returns the open invitation of a person.
fn invited<'a>(membership: &'a Value, login: &str) -> Option<&'a Value> {
    membership["invitations"].as_array()?.iter().find(|row| row["login"] == json!(login))
}

/// Answers calls with the path `/orgs/{org}/memberships/{username}`.
pub(super) fn answer(world: &mut World, call: &Call<'_>, org: &str, login: &str) -> Reply {
    let Some(login) = world.user(login).and_then(|user| user["login"].as_str()).map(str::to_owned) else {
        return Reply::not_found();
    };
    let found = world.membership(org);
    let is_invited = invited(&found, &login).is_some();
    let is_member = world.is_member(org, &login);
    let is_last_owner =
        world.is_owner(org, &login) && found["owners"].as_array().is_some_and(|owners| owners.len() == 1);
    let refused = || Reply::message(403, "An organization must have at least one owner.");
    match call.method.as_str() {
        "GET" | "DELETE" if !is_member && !is_invited => Reply::not_found(),
        "GET" => shown(world, org, &login),
        "PUT" => {
            let role = call.body["role"].as_str().unwrap_or("member").to_owned();
            if is_last_owner && role == "member" {
                return refused();
            }
            let is_blocked = world.org(org).and_then(|org| org["blocks"].as_array()).is_some_and(|blocked| {
                blocked.iter().filter_map(Value::as_str).any(|other| other.eq_ignore_ascii_case(&login))
            });
            if is_blocked {
                return Reply::invalid("Validation Failed: the user is blocked by the organization");
            }
            let id = world.fresh_id();
            world.edit_membership(org, call.sender, |found| {
                if is_member {
                    lacks(&mut found["owners"], &login);
                    if role == "admin" {
                        gets(&mut found["owners"], &login, json!(login));
                    }
                } else {
                    let role = if role == "admin" { "admin" } else { "direct_member" };
                    let row = json!({ "id": id, "login": login, "role": role });
                    gets(&mut found["invitations"], &login, row);
                }
            });
            shown(world, org, &login)
        }
        "DELETE" if is_last_owner => refused(),
        "DELETE" => {
            world.edit_teams(org, call.sender, |teams| {
                for (_, team) in teams.as_object_mut().into_iter().flatten() {
                    team["members"].as_object_mut().map(|members| members.remove(&login));
                }
            });
            world.edit_membership(org, call.sender, |found| {
                for part in ["members", "owners", "invitations"] {
                    lacks(&mut found[part], &login);
                }
            });
            Reply::empty(204)
        }
        _ => Reply::not_found(),
    }
}

fn shown(world: &World, org: &str, login: &str) -> Reply {
    let found = world.membership(org);
    let invited = invited(&found, login);
    let is_owner = match invited {
        Some(row) => row["role"] == "admin",
        None => world.is_owner(org, login),
    };
    let role = if is_owner { "admin" } else { "member" };
    let state = if invited.is_some() { "pending" } else { "active" };
    Reply::json(200, shapes::membership(world, org, login, role, state))
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn ask(world: &mut World, method: &Method, login: &str, body: &Value) -> Reply {
        let path = vec!["orgs", "acme", "memberships", login];
        let call = Call { method, path, query: &[], body, sender: "octocat", accept: "" };
        answer(world, &call, "acme", login)
    }

    fn world() -> World {
        World::from(json!({
            "orgs": { "acme": {
                "members": ["mona", "bob"], "owners": ["mona"], "blocks": ["spammer"],
                "teams": { "ops": { "members": { "bob": "member" } } },
            } },
            "users": { "mona": {}, "bob": {}, "eve": {}, "spammer": {} },
        }))
    }

    #[test]
    fn who_is_no_member_is_invited_and_the_invitation_can_change_and_be_withdrawn() {
        let mut world = world();
        for (role, expected) in [("member", "direct_member"), ("admin", "admin")] {
            let reply = ask(&mut world, &Method::PUT, "Eve", &json!({ "role": role }));
            assert_eq!((reply.status, reply.body.unwrap()["state"].clone()), (200, json!("pending")));
            let invitations = world.membership("acme")["invitations"].clone();
            assert_eq!(invitations.as_array().unwrap().len(), 1);
            assert_eq!(invitations[0]["role"], expected);
        }
        assert_eq!(ask(&mut world, &Method::DELETE, "eve", &Value::Null).status, 204);
        assert_eq!(world.membership("acme")["invitations"], json!([]));
        assert_eq!(ask(&mut world, &Method::DELETE, "eve", &Value::Null).status, 404);
    }

    #[test]
    fn the_members_can_be_listed_by_role() {
        let world = world();
        for (role, expected) in [
            (None, vec!["mona", "bob"]),
            (Some("admin"), vec!["mona"]),
            (Some("member"), vec!["bob"]),
            (Some("all"), vec!["mona", "bob"]),
        ] {
            let query: Vec<(String, String)> =
                role.into_iter().map(|role: &str| ("role".to_owned(), role.to_owned())).collect();
            let (method, path) = (Method::GET, vec!["orgs", "acme", "members"]);
            let body = Value::Null;
            let call = Call { method: &method, path, query: &query, body: &body, sender: "mona", accept: "" };
            let shown = members(&world, &call, "acme").body.unwrap();
            let logins: Vec<&str> =
                shown.as_array().unwrap().iter().map(|row| row["login"].as_str().unwrap()).collect();
            assert_eq!(logins, expected, "{role:?}");
        }
    }

    #[test]
    fn the_last_owner_stays_and_who_is_removed_loses_the_teams() {
        let mut world = world();
        for (method, body) in [(Method::DELETE, Value::Null), (Method::PUT, json!({ "role": "member" }))] {
            assert_eq!(ask(&mut world, &method, "mona", &body).status, 403, "{method}");
        }
        assert_eq!(ask(&mut world, &Method::PUT, "spammer", &json!({ "role": "member" })).status, 422);
        assert_eq!(ask(&mut world, &Method::PUT, "nobody", &json!({ "role": "member" })).status, 404);
        assert_eq!(ask(&mut world, &Method::PUT, "bob", &json!({ "role": "admin" })).status, 200);
        assert_eq!(ask(&mut world, &Method::DELETE, "mona", &Value::Null).status, 204);
        assert_eq!(world.membership("acme")["owners"], json!(["bob"]));
        world.edit_membership("acme", "octocat", |found| found["owners"] = json!(["bob", "mona"]));
        assert_eq!(ask(&mut world, &Method::DELETE, "bob", &Value::Null).status, 204);
        assert_eq!(world.org("acme").unwrap()["teams"]["ops"]["members"], json!({}));
    }
}
