//! Teams, their members, and their repositories.
//!
//! <https://docs.github.com/rest/teams>

use serde_json::{Value, json};

use super::{Call, Reply, external_groups, page, read_only};
use crate::github::defaults::has_repository_role;
use crate::github::shapes;
use crate::github::world::World;

pub(super) fn answer(world: &mut World, call: &Call<'_>, org: &str, rest: &[&str]) -> Reply {
    match (call.method.as_str(), rest) {
        ("GET", []) => {
            let teams = world.org(org).map(|org| org["teams"].clone()).unwrap_or_default();
            let teams = teams.as_object().into_iter().flatten();
            page(call, teams.map(|(_, team)| shapes::team(world, org, team, None)).collect())
        }
        ("POST", []) => create(world, call, org),
        (_, [slug, rest @ ..]) => match world.team(org, slug).cloned() {
            Some(found) => team(world, call, org, &found, rest),
            None => Reply::not_found(),
        },
        _ => Reply::not_found(),
    }
}

/// Returns the login of the organisation and the slug of the team that have these ids.
pub(super) fn named(world: &World, org: &str, id: &str) -> Option<(String, String)> {
    let (org, id): (u64, u64) = (org.parse().ok()?, id.parse().ok()?);
    let mut orgs = world.doc["orgs"].as_object()?.values();
    let login = orgs.find(|found| found["id"].as_u64() == Some(org))?["login"].as_str()?;
    Some((login.to_owned(), by_id(world, login, id)?))
}

/// Returns the slug that GitHub derives from a name.
fn slug_of(name: &str) -> String {
    let text: String = name
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' })
        .collect();
    let parts: Vec<&str> = text.split('-').filter(|part| !part.is_empty()).collect();
    parts.join("-")
}

fn taken() -> Reply {
    let errors = json!([{ "resource": "Team", "code": "unprocessable", "field": "data", "message": "Name must be unique for this org" }]);
    let documentation = "https://docs.github.com/rest";
    Reply::json(
        422,
        json!({ "message": "Validation Failed", "documentation_url": documentation, "errors": errors }),
    )
}

fn create(world: &mut World, call: &Call<'_>, org: &str) -> Reply {
    let Some(name) = call.body["name"].as_str().filter(|name| !name.is_empty()) else {
        return Reply::invalid("Validation Failed: a team has a name");
    };
    let slug = slug_of(name);
    if world.team(org, &slug).is_some() {
        return taken();
    }
    let parent = call.body["parent_team_id"].as_u64();
    let above = parent.map(|id| by_id(world, org, id));
    if above == Some(None) {
        return Reply::invalid("Validation Failed: the parent is no team of this organization");
    }
    let above = above.flatten();
    let id = world.fresh_id();
    let mut made = json!({
        "id": id, "slug": slug, "name": name, "description": call.body["description"], "parent": above,
    });
    let privacy = call.body["privacy"].as_str();
    if privacy == Some("secret") && made["parent"].is_string() {
        return Reply::invalid("Validation Failed: a team below another one is visible");
    }
    // Without the key `privacy`, a new team is secret. But a team below another team is visible.
    made["privacy"] = json!(privacy.unwrap_or(if made["parent"].is_string() { "closed" } else { "secret" }));
    made["notification_setting"] =
        json!(call.body["notification_setting"].as_str().unwrap_or("notifications_enabled"));
    world.edit_teams(org, call.sender, |teams| teams[&slug] = made);
    let made = world.team(org, &slug).cloned().unwrap_or_default();
    Reply::json(201, shapes::whole_team(world, org, &made))
}

fn by_id(world: &World, org: &str, id: u64) -> Option<String> {
    let teams = world.org(org)?["teams"].as_object()?;
    teams.iter().find(|(_, team)| team["id"].as_u64() == Some(id)).map(|(slug, _)| slug.clone())
}

fn team(world: &mut World, call: &Call<'_>, org: &str, found: &Value, rest: &[&str]) -> Reply {
    let slug = found["slug"].as_str().unwrap_or_default();
    match (call.method.as_str(), rest) {
        ("GET", []) => Reply::json(200, shapes::whole_team(world, org, found)),
        ("PATCH", []) => update(world, call, org, found),
        ("DELETE", []) => {
            let before = world.org(org).map(|org| org["teams"].clone()).unwrap_or_default();
            world.edit_teams(org, call.sender, |teams| remove(teams, slug));
            for (slug, _) in before.as_object().into_iter().flatten() {
                if world.team(org, slug).is_none() {
                    world.move_grants(org, slug, None);
                }
            }
            Reply::empty(204)
        }
        ("GET", ["members"]) => {
            let role = call.query.iter().find(|(name, _)| name == "role").map(|(_, role)| role.as_str());
            let people = found["members"].as_object().into_iter().flatten();
            let people = people.filter(|(_, held)| role.is_none_or(|role| role == "all" || *held == role));
            page(call, people.map(|(login, _)| shapes::user(world, login)).collect())
        }
        (_, ["memberships", login]) => membership(world, call, org, found, login),
        (_, ["external-groups"]) => external_groups::of_team(world, call, org, found),
        // GitHub never lets an App make this call, even with all permissions.
        ("GET", ["team-sync", "group-mappings"]) => {
            Reply::message(403, "Resource not accessible by integration")
        }
        _ => repositories(world, call, org, slug, rest),
    }
}

/// Deletes a team and all teams below it.
fn remove(teams: &mut Value, slug: &str) {
    let below: Vec<String> = teams
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, team)| team["parent"] == slug)
        .map(|(slug, _)| slug.clone())
        .collect();
    teams.as_object_mut().map(|teams| teams.remove(slug));
    for slug in below {
        remove(teams, &slug);
    }
}

fn update(world: &mut World, call: &Call<'_>, org: &str, found: &Value) -> Reply {
    let slug = found["slug"].as_str().unwrap_or_default().to_owned();
    let mut team = found.clone();
    let mut renamed = slug.clone();
    if let Some(name) = call.body["name"].as_str() {
        renamed = slug_of(name);
        if renamed != slug && world.team(org, &renamed).is_some() {
            return taken();
        }
        team["name"] = json!(name);
        team["slug"] = json!(renamed);
    }
    if let Some(description) = call.body.get("description") {
        team["description"] = description.clone();
    }
    for key in ["privacy", "notification_setting"] {
        if let Some(value) = call.body.get(key) {
            team[key] = value.clone();
        }
    }
    if let Some(parent) = call.body.get("parent_team_id") {
        let above = parent.as_u64().map(|id| by_id(world, org, id));
        match above {
            None => team["parent"] = Value::Null,
            Some(Some(above)) if !world.lineage(org, &above).contains(&slug) => {
                team["parent"] = json!(above);
                team["privacy"] = json!("closed");
            }
            Some(_) => {
                return Reply::invalid("Validation Failed: parent_team_id is no team that can be above");
            }
        }
    }
    world.edit_teams(org, call.sender, |teams| {
        teams.as_object_mut().map(|teams| teams.remove(&slug));
        for (_, below) in teams.as_object_mut().into_iter().flatten() {
            if below["parent"] == json!(slug) {
                below["parent"] = json!(renamed);
            }
        }
        teams[&renamed] = team.clone();
    });
    if renamed != slug {
        world.move_grants(org, &slug, Some(&renamed));
    }
    let team = world.team(org, &renamed).cloned().unwrap_or_default();
    Reply::json(200, shapes::whole_team(world, org, &team))
}

fn membership(world: &mut World, call: &Call<'_>, org: &str, found: &Value, login: &str) -> Reply {
    let slug = found["slug"].as_str().unwrap_or_default();
    let Some(login) = world.user(login).and_then(|user| user["login"].as_str()).map(str::to_owned) else {
        return Reply::not_found();
    };
    let url = format!("https://api.github.com/organizations/1/team/{}/memberships/{login}", found["id"]);
    let shown =
        |role: &str, state: &str| Reply::json(200, json!({ "url": url, "role": role, "state": state }));
    let managed = found["external_group"].is_string() && call.method != "GET";
    if managed {
        return Reply::message(403, "This team is externally managed and cannot be changed here");
    }
    match call.method.as_str() {
        "GET" => match found["members"][&login].as_str() {
            Some(role) => shown(role, "active"),
            None => Reply::not_found(),
        },
        "PUT" => {
            let role = call.body["role"].as_str().unwrap_or("member");
            // GitHub treats an owner of the organisation as a maintainer of every team.
            let role = if world.is_owner(org, &login) { "maintainer" } else { role };
            if world.is_member(org, &login) {
                world.edit_teams(org, call.sender, |teams| teams[slug]["members"][&login] = json!(role));
                return shown(role, "active");
            }
            let invitation = json!({ "login": login, "role": role });
            world.edit_teams(org, call.sender, |teams| {
                if let Some(all) = teams[slug]["invitations"].as_array_mut() {
                    all.retain(|other| other["login"] != json!(login));
                    all.push(invitation);
                }
            });
            shown(role, "pending")
        }
        "DELETE" => {
            world.edit_teams(org, call.sender, |teams| {
                teams[slug]["members"].as_object_mut().map(|members| members.remove(&login));
                if let Some(all) = teams[slug]["invitations"].as_array_mut() {
                    all.retain(|other| other["login"] != json!(login));
                }
            });
            Reply::empty(204)
        }
        _ => Reply::not_found(),
    }
}

fn repositories(world: &mut World, call: &Call<'_>, org: &str, slug: &str, rest: &[&str]) -> Reply {
    match (call.method.as_str(), rest) {
        ("GET", ["repos"]) => {
            let rows = world.repositories(org).into_iter().filter_map(|row| {
                let held = world.team_access(org, row, slug)?;
                let mut shown = shapes::repository(world, org, row, false);
                shown["role_name"] = json!(shapes::role_name(&held));
                shown["permissions"] = shapes::permissions_by(&held);
                Some(shown)
            });
            page(call, rows.collect())
        }
        (method, ["repos", owner, name]) if owner.eq_ignore_ascii_case(org) => {
            let Some(found) = world.repository(org, name) else { return Reply::not_found() };
            let held = world.team_access(org, found, slug);
            match method {
                "GET" => match held {
                    Some(_) if !call.accept.contains("repository+json") => Reply::empty(204),
                    Some(role) => {
                        let mut shown = shapes::repository(world, org, found, true);
                        shown["role_name"] = json!(shapes::role_name(&role));
                        shown["permissions"] = shapes::permissions_by(&role);
                        Reply::json(200, shown)
                    }
                    None => Reply::not_found(),
                },
                "PUT" => {
                    let permission = call.body["permission"].as_str().unwrap_or("push");
                    let known = ["pull", "triage", "push", "maintain", "admin"].contains(&permission)
                        || world.org(org).is_some_and(|org| has_repository_role(org, permission));
                    if !known {
                        return Reply::invalid(
                            "Validation Failed: permission is not a role of this organization",
                        );
                    }
                    if let Some(refusal) = read_only(found) {
                        return refusal;
                    }
                    let (slug, permission) = (slug.to_owned(), permission.to_owned());
                    world.edit(org, name, call.sender, |found| found["teams"][slug] = json!(permission));
                    Reply::empty(204)
                }
                "DELETE" => {
                    if let Some(refusal) = read_only(found) {
                        return refusal;
                    }
                    world.edit(org, name, call.sender, |found| {
                        found["teams"].as_object_mut().and_then(|teams| teams.remove(slug))
                    });
                    Reply::empty(204)
                }
                _ => Reply::not_found(),
            }
        }
        _ => Reply::not_found(),
    }
}
