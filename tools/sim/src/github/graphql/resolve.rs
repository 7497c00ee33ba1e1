//! The fields of the simulated types.

use serde_json::{Map, Value, json};

use super::connection::{Connection, Edge};
use super::organisations::{organisation, team};
use super::repositories::repository;
use super::root::query;
use super::rules::rule;
use super::{Problem, git, people, rulesets};
use crate::github::ids::Node;
use crate::github::shapes;
use crate::github::world::World;

/// An object of the simulated GitHub. A query can request its fields.
#[derive(Clone, Debug)]
pub(super) enum Object {
    Query,
    Organisation(String),
    Repository(u64),
    Team {
        org: String,
        slug: String,
    },
    User(String),
    App(String),
    Rule {
        repository: u64,
        pattern: String,
    },
    Topic(String),
    /// The identity provider of an organisation.
    Provider(String),
    /// The identity of a person at the provider.
    Identity {
        login: Option<String>,
        names: Value,
    },
    /// An invitation to a team. An invitation without a login was sent to a mail address.
    Invitation(Option<String>),
    Ruleset {
        repository: u64,
        name: String,
    },
    Connection(Box<Connection>),
    Edge(Box<Edge>),
    /// An actor that a branch protection rule allows: the type of the allowance, and the actor.
    Allowance(&'static str, Box<Object>),
    /// The answer of a mutation. The answer contains a rule.
    Payload(&'static str, Box<Object>),
    /// A branch.
    Ref {
        repository: u64,
        name: String,
    },
    /// An object with fixed values in its fields. The object and all objects inside it contain
    /// their types.
    Json(Value),
    /// An object with fixed, simple values in its fields.
    Plain(&'static str, Value),
}

/// The value of a field.
pub(super) enum Resolved {
    Value(Value),
    Object(Object),
    List(Vec<Resolved>),
    Problem(Problem),
}

impl Resolved {
    pub(super) fn unknown(type_name: &str, field: &str) -> Self {
        let message = format!("Field '{field}' doesn't exist on type '{type_name}'");
        Self::Problem(Problem { kind: "undefinedField", message })
    }

    pub(super) fn not_found(message: String) -> Self {
        Self::Problem(Problem { kind: "NOT_FOUND", message })
    }
}

impl Object {
    pub(super) fn type_name(&self) -> &str {
        match self {
            Self::Query => "Query",
            Self::Organisation(_) => "Organization",
            Self::Repository(_) => "Repository",
            Self::Team { .. } => "Team",
            Self::User(_) => "User",
            Self::App(_) => "App",
            Self::Rule { .. } => "BranchProtectionRule",
            Self::Topic(_) => "RepositoryTopic",
            Self::Provider(_) => "OrganizationIdentityProvider",
            Self::Identity { .. } => "ExternalIdentity",
            Self::Invitation(_) => "OrganizationInvitation",
            Self::Ruleset { .. } => "RepositoryRuleset",
            Self::Ref { .. } => "Ref",
            Self::Json(value) => value["__typename"].as_str().unwrap_or_default(),
            Self::Connection(connection) => connection.type_name(),
            Self::Edge(edge) => edge.type_name,
            Self::Allowance(name, _) | Self::Payload(name, _) | Self::Plain(name, _) => name,
        }
    }
}

/// Returns the value of a field of an object.
pub(super) fn resolve(
    world: &World,
    object: &Object,
    field: &str,
    arguments: &Map<String, Value>,
) -> Resolved {
    match object {
        Object::Query => query(world, field, arguments),
        Object::Organisation(login) => organisation(world, login, field, arguments),
        Object::Repository(id) => repository(world, *id, field, arguments),
        Object::Team { org, slug } => team(world, org, slug, field, arguments),
        Object::User(login) => match (field, world.user(login)) {
            ("login", _) => Resolved::Value(json!(login)),
            ("id", Some(user)) => {
                Resolved::Value(json!(Node::User(user["id"].as_u64().unwrap_or(0)).encode()))
            }
            ("databaseId", Some(user)) => Resolved::Value(user["id"].clone()),
            ("organizationVerifiedDomainEmails", Some(user)) => people::emails(user),
            ("organization", _) => match world.org(text(arguments, "login")) {
                Some(org) if world.is_member(org["login"].as_str().unwrap_or_default(), login) => {
                    Resolved::Object(Object::Organisation(text(arguments, "login").to_owned()))
                }
                _ => Resolved::Value(Value::Null),
            },
            ("id", None) => Resolved::Value(json!(Node::User(1).encode())),
            ("databaseId", None) => Resolved::Value(json!(1)),
            _ => Resolved::unknown("User", field),
        },
        Object::App(slug) => match (field, world.app(slug)) {
            ("slug" | "name", _) => Resolved::Value(json!(slug)),
            ("id", Some(app)) => Resolved::Value(json!(Node::App(app["id"].as_u64().unwrap_or(0)).encode())),
            ("databaseId", Some(app)) => Resolved::Value(app["id"].clone()),
            _ => Resolved::unknown("App", field),
        },
        Object::Rule { repository, pattern } => rule(world, *repository, pattern, field, arguments),
        Object::Ruleset { repository, name } => rulesets::ruleset(world, *repository, name, field, arguments),
        Object::Provider(org) => match field {
            "externalIdentities" => people::identities(world, org, arguments),
            _ => Resolved::unknown("OrganizationIdentityProvider", field),
        },
        Object::Identity { login, names } => people::identity(world, login.as_deref(), names, field),
        Object::Invitation(login) => match field {
            "invitee" => login
                .clone()
                .map_or(Resolved::Value(Value::Null), |login| Resolved::Object(Object::User(login))),
            _ => Resolved::unknown("OrganizationInvitation", field),
        },
        Object::Topic(name) => match field {
            "topic" => Resolved::Object(Object::Plain("Topic", json!({ "name": name }))),
            _ => Resolved::unknown("RepositoryTopic", field),
        },
        Object::Connection(connection) => connection.resolve(field),
        Object::Edge(edge) => match field {
            "node" => Resolved::Object(edge.node.clone()),
            // The field is the permission on the edge. In lists of people, the same value has the
            // name `role`.
            "permission" | "role" => Resolved::Value(json!(edge.permission)),
            "permissionSources" => {
                let sources = edge.sources.iter().map(|(from, role)| {
                    let source = json!({ "__typename": from });
                    let permission = match role.as_str() {
                        "admin" => "ADMIN",
                        "push" | "maintain" => "WRITE",
                        _ => "READ",
                    };
                    let name = shapes::role_name(role);
                    Resolved::Object(Object::Plain(
                        "PermissionSource",
                        json!({ "permission": permission, "roleName": name, "source": source }),
                    ))
                });
                Resolved::List(sources.collect())
            }
            "cursor" => Resolved::Value(json!("cursor")),
            _ => Resolved::unknown(edge.type_name, field),
        },
        Object::Allowance(name, actor) => match field {
            "actor" => Resolved::Object((**actor).clone()),
            _ => Resolved::unknown(name, field),
        },
        Object::Payload(name, rule) => match field {
            "branchProtectionRule" => Resolved::Object((**rule).clone()),
            "clientMutationId" => Resolved::Value(Value::Null),
            _ => Resolved::unknown(name, field),
        },
        Object::Ref { repository, name } => git::reference(world, *repository, name, field, arguments),
        Object::Json(value) => match value.get(field) {
            Some(value) => nested(value),
            None => Resolved::unknown(object.type_name(), field),
        },
        Object::Plain(name, value) => match value.get(field) {
            Some(value) => Resolved::Value(value.clone()),
            None => Resolved::unknown(name, field),
        },
    }
}

/// Returns a value. If an object contains its type, the function resolves the object further. The
/// object can be alone or in a list.
fn nested(value: &Value) -> Resolved {
    match value {
        Value::Object(fields) if fields.contains_key("__typename") => {
            Resolved::Object(Object::Json(value.clone()))
        }
        Value::Array(items) => Resolved::List(items.iter().map(nested).collect()),
        _ => Resolved::Value(value.clone()),
    }
}

pub(super) fn text<'a>(arguments: &'a Map<String, Value>, name: &str) -> &'a str {
    arguments.get(name).and_then(Value::as_str).unwrap_or_default()
}
