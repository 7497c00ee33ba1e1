//! Simulates the fields of organisations and teams.

use serde_json::{Map, Value, json};

use super::connection::{Edge, page};
use super::people;
use super::repositories::permission;
use super::resolve::{Object, Resolved, text};
use crate::github::access;
use crate::github::ids::Node;
use crate::github::world::World;

pub(super) fn organisation(
    world: &World,
    login: &str,
    field: &str,
    arguments: &Map<String, Value>,
) -> Resolved {
    let org = world.org(login).unwrap_or(&Value::Null);
    match field {
        "login" => Resolved::Value(json!(login)),
        "id" => Resolved::Value(json!(Node::Organisation(org["id"].as_u64().unwrap_or(0)).encode())),
        "databaseId" => Resolved::Value(org["id"].clone()),
        "repositories" => {
            let ids =
                world.repositories(login).into_iter().filter_map(|repository| repository["id"].as_u64());
            page(
                "RepositoryConnection",
                ids.map(|id| Edge::plain(Object::Repository(id))).collect(),
                arguments,
            )
        }
        "team" => {
            let slug = text(arguments, "slug");
            match world.team(login, slug).and_then(|team| team["slug"].as_str()) {
                Some(slug) => Resolved::Object(Object::Team { org: login.to_owned(), slug: slug.to_owned() }),
                None => Resolved::Value(Value::Null),
            }
        }
        "teams" => people::teams(world, login, arguments),
        "membersWithRole" => people::members(world, login, arguments),
        "samlIdentityProvider" if org["identities"].is_object() => {
            Resolved::Object(Object::Provider(login.to_owned()))
        }
        "samlIdentityProvider" => Resolved::Value(Value::Null),
        _ => Resolved::unknown("Organization", field),
    }
}

pub(super) fn team(
    world: &World,
    org: &str,
    slug: &str,
    field: &str,
    arguments: &Map<String, Value>,
) -> Resolved {
    let team = world.team(org, slug).unwrap_or(&Value::Null);
    match field {
        "slug" => Resolved::Value(json!(slug)),
        "name" => Resolved::Value(team["name"].clone()),
        "id" => Resolved::Value(json!(Node::Team(team["id"].as_u64().unwrap_or(0)).encode())),
        "databaseId" => Resolved::Value(team["id"].clone()),
        "repositories" => {
            let lineage = world.lineage(org, slug);
            let repositories = world.repositories(org).into_iter().filter_map(|repository| {
                let permission = permission(&access::granted(repository, &lineage)?);
                let node = Object::Repository(repository["id"].as_u64()?);
                let sources = Vec::new();
                Some(Edge { type_name: "TeamRepositoryEdge", node, permission: Some(permission), sources })
            });
            page("TeamRepositoryConnection", repositories.collect(), arguments)
        }
        "description" => Resolved::Value(team["description"].clone()),
        "privacy" => Resolved::Value(json!(match team["privacy"].as_str() {
            Some("secret") => "SECRET",
            _ => "VISIBLE",
        })),
        "notificationSetting" => {
            let setting = team["notification_setting"].as_str().unwrap_or("notifications_enabled");
            Resolved::Value(json!(setting.to_uppercase()))
        }
        "parentTeam" => match team["parent"].as_str() {
            Some(slug) => Resolved::Object(Object::Team { org: org.to_owned(), slug: slug.to_owned() }),
            None => Resolved::Value(Value::Null),
        },
        "childTeams" => people::below(world, org, slug, arguments),
        "members" => people::of_team(world, org, slug, arguments),
        "invitations" => people::invited(team, arguments),
        _ => Resolved::unknown("Team", field),
    }
}
