//! Simulates the people of an organisation, of its teams, and of its identity provider.

use serde_json::{Map, Value, json};

use super::connection::{Edge, page};
use super::resolve::{Object, Resolved, text};
use crate::github::world::World;

fn of(type_name: &'static str, node: Object, role: &str) -> Edge {
    Edge { type_name, node, permission: Some(role.to_owned()), sources: Vec::new() }
}

/// Returns the mail addresses of a user in the verified domains of the organisation.
pub(super) fn emails(user: &Value) -> Resolved {
    let emails = &user["verified_emails"];
    Resolved::Value(if emails.is_array() { emails.clone() } else { json!([]) })
}

/// Returns the teams of an organisation. If the query has the argument `userLogins`, returns only
/// the teams that contain one of these people.
pub(super) fn teams(world: &World, org: &str, arguments: &Map<String, Value>) -> Resolved {
    let all = world.org(org).map(|org| org["teams"].clone()).unwrap_or_default();
    let logins = arguments.get("userLogins").and_then(Value::as_array);
    let has = |team: &Value| {
        logins.is_none_or(|logins| {
            logins.iter().filter_map(Value::as_str).any(|login| team["members"].get(login).is_some())
        })
    };
    let teams = all.as_object().into_iter().flatten().filter(|(_, team)| has(team));
    let teams = teams.map(|(slug, _)| Edge::plain(Object::Team { org: org.to_owned(), slug: slug.clone() }));
    page("TeamConnection", teams.collect(), arguments)
}

/// Returns the teams below a team.
pub(super) fn below(world: &World, org: &str, slug: &str, arguments: &Map<String, Value>) -> Resolved {
    let all = world.org(org).map(|org| org["teams"].clone()).unwrap_or_default();
    let below = all.as_object().into_iter().flatten().filter(|(_, team)| team["parent"] == slug);
    let below = below.map(|(slug, _)| Edge::plain(Object::Team { org: org.to_owned(), slug: slug.clone() }));
    page("TeamConnection", below.collect(), arguments)
}

/// Returns the members of an organisation.
pub(super) fn members(world: &World, org: &str, arguments: &Map<String, Value>) -> Resolved {
    let members = world.org(org).map(|org| org["members"].clone()).unwrap_or_default();
    let members = members.as_array().into_iter().flatten().filter_map(Value::as_str).map(|login| {
        let role = if world.is_owner(org, login) { "ADMIN" } else { "MEMBER" };
        of("OrganizationMemberEdge", Object::User(login.to_owned()), role)
    });
    page("OrganizationMemberConnection", members.collect(), arguments)
}

/// Returns the members of a team. By default, the result includes the members of the teams below
/// the team.
pub(super) fn of_team(world: &World, org: &str, slug: &str, arguments: &Map<String, Value>) -> Resolved {
    let all = world.org(org).map(|org| org["teams"].clone()).unwrap_or_default();
    let mut members = all[slug]["members"].as_object().cloned().unwrap_or_default();
    if text(arguments, "membership") != "IMMEDIATE" {
        for (_, team) in all.as_object().into_iter().flatten().filter(|(_, team)| team["parent"] == slug) {
            for (login, role) in team["members"].as_object().into_iter().flatten() {
                members.entry(login.clone()).or_insert(role.clone());
            }
        }
    }
    let edges = members.iter().map(|(login, role)| {
        let is_maintainer = role == "maintainer" || world.is_owner(org, login);
        let role = if is_maintainer { "MAINTAINER" } else { "MEMBER" };
        of("TeamMemberEdge", Object::User(login.clone()), role)
    });
    page("TeamMemberConnection", edges.collect(), arguments)
}

/// Returns the people who have an open invitation to a team.
pub(super) fn invited(team: &Value, arguments: &Map<String, Value>) -> Resolved {
    let invited = team["invitations"].as_array().into_iter().flatten();
    let invited =
        invited.map(|one| Edge::plain(Object::Invitation(one["login"].as_str().map(str::to_owned))));
    page("OrganizationInvitationConnection", invited.collect(), arguments)
}

/// Returns the people at the identity provider. Some of them have no linked account yet.
pub(super) fn identities(world: &World, org: &str, arguments: &Map<String, Value>) -> Resolved {
    let identities = world.org(org).map(|org| org["identities"].clone()).unwrap_or_default();
    let identities = identities.as_object().into_iter().flatten().map(|(name, login)| {
        Edge::plain(Object::Identity { login: login.as_str().map(str::to_owned), names: json!(name) })
    });
    page("ExternalIdentityConnection", identities.collect(), arguments)
}

/// Returns the name of a person at the identity provider.
pub(super) fn identity(world: &World, login: Option<&str>, name: &Value, field: &str) -> Resolved {
    match field {
        "user" => match login.filter(|login| world.user(login).is_some()) {
            Some(login) => Resolved::Object(Object::User(login.to_owned())),
            None => Resolved::Value(Value::Null),
        },
        "samlIdentity" => Resolved::Object(Object::Plain(
            "ExternalIdentitySamlAttributes",
            json!({ "nameId": name, "username": name }),
        )),
        "scimIdentity" => Resolved::Value(Value::Null),
        _ => Resolved::unknown("ExternalIdentity", field),
    }
}
