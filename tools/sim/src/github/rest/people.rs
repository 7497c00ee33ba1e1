//! Simulates the collaborators of a repository, and the invitations to become a collaborator.

use serde_json::{Value, json};

use super::{Call, Reply, page};
use crate::github::shapes;
use crate::github::world::{World, now};

pub(super) fn collaborators(
    world: &mut World,
    call: &Call<'_>,
    org: &str,
    found: &Value,
    rest: &[&str],
) -> Reply {
    let name = found["name"].as_str().unwrap_or_default();
    match (call.method.as_str(), rest) {
        ("GET", []) => {
            let people = found["collaborators"].as_object().into_iter().flatten();
            let rows = people.map(|(login, role)| {
                let mut shown = shapes::user(world, login);
                let role = role.as_str().unwrap_or_default();
                shown["role_name"] = json!(shapes::role_name(role));
                shown["permissions"] = shapes::permissions_by(role);
                shown
            });
            page(call, rows.collect())
        }
        ("GET", [login]) => {
            let known = world.user(login).and_then(|user| user["login"].as_str());
            match known.and_then(|login| world.person_access(org, found, login)) {
                Some(_) => Reply::empty(204),
                None => Reply::not_found(),
            }
        }
        ("GET", [login, "permission"]) => {
            let Some(login) = world.user(login).and_then(|user| user["login"].as_str()) else {
                return Reply::not_found();
            };
            let role = world.person_access(org, found, login);
            let role =
                role.as_deref().or((found["visibility"] == "public").then_some("pull")).unwrap_or("none");
            // This field has only four values. GitHub shows `maintain` as `write`. GitHub shows
            // `triage` and custom roles as `read`.
            let permission = match role {
                "admin" | "none" => role,
                "push" | "maintain" => "write",
                _ => "read",
            };
            let name = shapes::role_name(role);
            let mut user = shapes::user(world, login);
            user["role_name"] = json!(name);
            Reply::json(200, json!({ "permission": permission, "role_name": name, "user": user }))
        }
        ("PUT", [login]) => {
            let Some(login) = world.user(login).and_then(|user| user["login"].as_str()).map(str::to_owned)
            else {
                return Reply::not_found();
            };
            let permission = call.body["permission"].as_str().unwrap_or("push").to_owned();
            let members = world.org(org).map(|org| org["members"].clone()).unwrap_or_default();
            let is_member = members.as_array().is_some_and(|members| members.contains(&json!(login)));
            if is_member || found["collaborators"].get(&login).is_some() {
                world.edit(org, name, call.sender, |found| found["collaborators"][login] = json!(permission));
                return Reply::empty(204);
            }
            let words = shapes::role_name(&permission);
            let id = world.fresh_id();
            let invitation = json!({ "id": id, "login": login, "permissions": words, "created_at": now() });
            world.edit(org, name, call.sender, |found| {
                if let Some(all) = found["invitations"].as_array_mut() {
                    all.retain(|other| other["login"] != json!(login));
                    all.push(invitation.clone());
                }
            });
            Reply::json(201, shapes::invitation(world, org, found, &invitation))
        }
        ("DELETE", [login]) => {
            world.edit(org, name, call.sender, |found| {
                let people = found["collaborators"].as_object_mut()?;
                let key = people.keys().find(|other| other.eq_ignore_ascii_case(login))?.clone();
                people.remove(&key)
            });
            Reply::empty(204)
        }
        _ => Reply::not_found(),
    }
}

pub(super) fn invitations(
    world: &mut World,
    call: &Call<'_>,
    org: &str,
    found: &Value,
    rest: &[&str],
) -> Reply {
    let name = found["name"].as_str().unwrap_or_default();
    let all = found["invitations"].as_array().cloned().unwrap_or_default();
    let place = |id: &str| all.iter().position(|invitation| invitation["id"].as_u64() == id.parse().ok());
    match (call.method.as_str(), rest) {
        ("GET", []) => page(
            call,
            all.iter().map(|invitation| shapes::invitation(world, org, found, invitation)).collect(),
        ),
        ("PATCH", [id]) => match place(id) {
            Some(at) => {
                let permissions = call.body["permissions"].clone();
                world.edit(org, name, call.sender, |found| {
                    found["invitations"][at]["permissions"] = permissions.clone();
                });
                let mut changed = all[at].clone();
                changed["permissions"] = permissions;
                Reply::json(200, shapes::invitation(world, org, found, &changed))
            }
            None => Reply::not_found(),
        },
        ("DELETE", [id]) => match place(id) {
            Some(at) => {
                world.edit(org, name, call.sender, |found| {
                    found["invitations"].as_array_mut().map(|invitations| invitations.remove(at))
                });
                Reply::empty(204)
            }
            None => Reply::not_found(),
        },
        _ => Reply::not_found(),
    }
}
