//! Simulates the groups of the identity provider that set the members of teams. In the state,
//! `external_groups` of an organisation has the groups by their names. Each group has its `id` and
//! the logins of its `members`.
//!
//! <https://docs.github.com/enterprise-cloud@latest/rest/teams/external-groups>

use serde_json::{Value, json};

use super::{Call, Reply};
use crate::github::world::World;

const UPDATED: &str = "2026-01-01T00:00:00Z";

fn shown(name: &str, group: &Value) -> Value {
    let id = group["id"].as_u64().unwrap_or(1);
    json!({ "group_id": id, "group_name": name, "updated_at": UPDATED })
}

/// Answers calls to `/orgs/{org}/external-groups`.
pub(super) fn answer(world: &World, call: &Call<'_>, org: &str) -> Reply {
    let text =
        call.query.iter().find(|(name, _)| name == "display_name").map(|(_, text)| text.to_lowercase());
    let groups = world.org(org).and_then(|org| org["external_groups"].as_object()).into_iter().flatten();
    let groups =
        groups.filter(|(name, _)| text.as_ref().is_none_or(|text| name.to_lowercase().contains(text)));
    let groups: Vec<Value> = groups.map(|(name, group)| shown(name, group)).collect();
    Reply::json(200, json!({ "groups": groups }))
}

/// Answers calls to `/orgs/{org}/teams/{team_slug}/external-groups`.
pub(super) fn of_team(world: &mut World, call: &Call<'_>, org: &str, found: &Value) -> Reply {
    let slug = found["slug"].as_str().unwrap_or_default();
    let groups = world.org(org).map(|org| org["external_groups"].clone()).unwrap_or_default();
    match call.method.as_str() {
        "GET" => {
            let name = found["external_group"].as_str();
            let groups: Vec<Value> = name.map(|name| shown(name, &groups[name])).into_iter().collect();
            Reply::json(200, json!({ "groups": groups }))
        }
        "DELETE" => {
            world.edit_teams(org, call.sender, |teams| teams[slug]["external_group"] = Value::Null);
            Reply::empty(204)
        }
        "PATCH" => {
            let mut all = groups.as_object().into_iter().flatten();
            let Some((name, group)) = all.find(|(_, group)| group["id"] == call.body["group_id"]) else {
                return Reply::not_found();
            };
            let has_members = found["members"].as_object().is_some_and(|members| !members.is_empty());
            if has_members && found["external_group"].is_null() {
                return Reply::invalid("Validation Failed: the team has members that were added manually");
            }
            let logins = group["members"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let members: Value = logins.map(|login| (login.to_owned(), json!("member"))).collect();
            world.edit_teams(org, call.sender, |teams| {
                teams[slug]["external_group"] = json!(name);
                teams[slug]["members"] = members;
            });
            let mut connected = shown(name, group);
            connected["teams"] = json!([{ "team_id": found["id"], "team_name": found["name"] }]);
            connected["members"] = json!([]);
            Reply::json(200, connected)
        }
        _ => Reply::not_found(),
    }
}
