//! The root fields of a query. A query reaches all other objects through these fields.

use serde_json::{Map, Value};

use super::Problem;
use super::resolve::{Object, Resolved, text};
use crate::github::ids::Node;
use crate::github::world::World;

pub(super) fn query(world: &World, field: &str, arguments: &Map<String, Value>) -> Resolved {
    match field {
        "organization" => {
            let login = text(arguments, "login");
            match world.org(login).and_then(|org| org["login"].as_str()) {
                Some(login) => Resolved::Object(Object::Organisation(login.to_owned())),
                None => Resolved::not_found(format!(
                    "Could not resolve to an Organization with the login of '{login}'."
                )),
            }
        }
        "repository" => {
            let (owner, name) = (text(arguments, "owner"), text(arguments, "name"));
            let id = world.repository(owner, name).and_then(|repository| repository["id"].as_u64());
            // The argument `followRenames` is on by default.
            match id.or_else(|| world.moved(owner, name)) {
                Some(id) => Resolved::Object(Object::Repository(id)),
                None => Resolved::not_found(format!(
                    "Could not resolve to a Repository with the name '{owner}/{name}'."
                )),
            }
        }
        "user" => {
            let login = text(arguments, "login");
            match world.user(login).and_then(|user| user["login"].as_str()) {
                Some(login) => Resolved::Object(Object::User(login.to_owned())),
                None => {
                    Resolved::not_found(format!("Could not resolve to a User with the login of '{login}'."))
                }
            }
        }
        "node" => node(world, text(arguments, "id")),
        "nodes" => {
            let ids = arguments.get("ids").and_then(Value::as_array).cloned().unwrap_or_default();
            if ids.len() > 100 {
                return Resolved::Problem(Problem {
                    kind: "ARGUMENT_LIMIT",
                    message: "You may not provide more than 100 node ids; you provided more.".into(),
                });
            }
            Resolved::List(ids.iter().map(|id| node(world, id.as_str().unwrap_or_default())).collect())
        }
        "rateLimit" => Resolved::Value(Value::Null),
        _ => Resolved::unknown("Query", field),
    }
}

fn node(world: &World, id: &str) -> Resolved {
    let found = match Node::decode(id) {
        Some(Node::Repository(id)) => world.by_id(id).map(|_| Object::Repository(id)),
        Some(Node::Rule(id)) => {
            find_rule(world, id).map(|(repository, pattern)| Object::Rule { repository, pattern })
        }
        Some(Node::Ruleset(id)) => find_ruleset(world, id),
        Some(Node::App(id)) => {
            let mut apps = world.doc["apps"].as_object().into_iter().flatten();
            apps.find(|(_, app)| app["id"].as_u64() == Some(id)).map(|(slug, _)| Object::App(slug.clone()))
        }
        Some(Node::User(id)) => {
            let mut users = world.doc["users"].as_object().into_iter().flatten();
            users
                .find(|(_, user)| user["id"].as_u64() == Some(id))
                .map(|(login, _)| Object::User(login.clone()))
        }
        Some(Node::Team(id)) => {
            let mut orgs = world.doc["orgs"].as_object().into_iter().flatten();
            orgs.find_map(|(org, found)| {
                let mut teams = found["teams"].as_object()?.iter();
                let (slug, _) = teams.find(|(_, team)| team["id"].as_u64() == Some(id))?;
                Some(Object::Team { org: org.clone(), slug: slug.clone() })
            })
        }
        Some(Node::Organisation(id)) => {
            let mut orgs = world.doc["orgs"].as_object().into_iter().flatten();
            orgs.find(|(_, org)| org["id"].as_u64() == Some(id))
                .map(|(login, _)| Object::Organisation(login.clone()))
        }
        _ => None,
    };
    found.map_or_else(
        || Resolved::not_found(format!("Could not resolve to a node with the global id of '{id}'")),
        Resolved::Object,
    )
}

/// Returns the repository and the branch pattern of a rule.
pub(super) fn find_rule(world: &World, id: u64) -> Option<(u64, String)> {
    let orgs = world.doc["orgs"].as_object()?.values();
    let mut repositories = orgs.filter_map(|org| org["repos"].as_object()).flat_map(Map::values);
    repositories.find_map(|repository| {
        let mut rules = repository["protection"].as_object()?.iter();
        let (pattern, _) = rules.find(|(_, rule)| rule["id"].as_u64() == Some(id))?;
        Some((repository["id"].as_u64()?, pattern.clone()))
    })
}

fn find_ruleset(world: &World, id: u64) -> Option<Object> {
    let orgs = world.doc["orgs"].as_object()?.values();
    let mut repositories = orgs.filter_map(|org| org["repos"].as_object()).flat_map(Map::values);
    repositories.find_map(|found| {
        let mut rulesets = found["rulesets"].as_object()?.iter();
        let (name, _) = rulesets.find(|(_, ruleset)| ruleset["id"].as_u64() == Some(id))?;
        Some(Object::Ruleset { repository: found["id"].as_u64()?, name: name.clone() })
    })
}
