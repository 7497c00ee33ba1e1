//! The fields of the types that are simulated.

use serde_json::{Map, Value, json};

use super::connection::{Connection, Edge, page};
use super::{Problem, people, rulesets};
use crate::github::access;
use crate::github::ids::Node;
use crate::github::protection;
use crate::github::shapes;
use crate::github::world::World;

/// A thing with fields.
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
    /// An organisation's identity provider.
    Provider(String),
    /// Who somebody is there.
    Identity {
        login: Option<String>,
        names: Value,
    },
    /// Somebody who is invited; without a login, by address.
    Invitation(Option<String>),
    Ruleset {
        repository: u64,
        name: String,
    },
    Connection(Box<Connection>),
    Edge(Box<Edge>),
    /// An allowance of a rule: its type and its actor.
    Allowance(&'static str, Box<Object>),
    /// The payload of a mutation that shows a rule.
    Payload(&'static str, Box<Object>),
    /// An object whose fields are all here.
    Plain(&'static str, Value),
}

/// What a field is.
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

    fn not_found(message: String) -> Self {
        Self::Problem(Problem { kind: "NOT_FOUND", message })
    }
}

impl Object {
    pub(super) fn type_name(&self) -> &'static str {
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
            Self::Connection(connection) => connection.type_name(),
            Self::Edge(edge) => edge.type_name,
            Self::Allowance(name, _) | Self::Payload(name, _) | Self::Plain(name, _) => name,
        }
    }
}

/// The value of a field of an object.
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
            // What the list says of the entry; lists of people call it a role.
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
        Object::Plain(name, value) => match value.get(field) {
            Some(value) => Resolved::Value(value.clone()),
            None => Resolved::unknown(name, field),
        },
    }
}

pub(super) fn text<'a>(arguments: &'a Map<String, Value>, name: &str) -> &'a str {
    arguments.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn query(world: &World, field: &str, arguments: &Map<String, Value>) -> Resolved {
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
            // `followRenames` is on where nobody says otherwise.
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

/// Which repository a rule belongs to, and its pattern.
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

fn organisation(world: &World, login: &str, field: &str, arguments: &Map<String, Value>) -> Resolved {
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

fn permission(text: &str) -> String {
    match text {
        "triage" => "TRIAGE".into(),
        "push" | "write" => "WRITE".into(),
        "maintain" => "MAINTAIN".into(),
        "admin" => "ADMIN".into(),
        // `pull`; and a custom role shows as the one that it is based on; here they are all based on reading.
        _ => "READ".into(),
    }
}

/// What was granted on the repository; and for owners of the organisation, what that gives besides.
fn sources(world: &World, org: &str, login: &str, role: &Value) -> Vec<(&'static str, String)> {
    let mut sources = vec![("Repository", role.as_str().unwrap_or_default().to_owned())];
    let owners = world.org(org).map(|org| org["owners"].clone()).unwrap_or_default();
    if owners.as_array().is_some_and(|owners| owners.contains(&json!(login))) {
        sources.insert(0, ("Organization", "admin".into()));
    }
    sources
}

fn team(world: &World, org: &str, slug: &str, field: &str, arguments: &Map<String, Value>) -> Resolved {
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

/// GraphQL's plain fields of a repository, and their REST keys.
const FIELDS: &[(&str, &str)] = &[
    ("databaseId", "id"),
    ("name", "name"),
    ("isArchived", "archived"),
    ("isFork", "fork"),
    ("isPrivate", "private"),
    ("description", "description"),
    ("homepageUrl", "homepage"),
    ("hasIssuesEnabled", "has_issues"),
    ("hasProjectsEnabled", "has_projects"),
    ("hasWikiEnabled", "has_wiki"),
    ("hasDiscussionsEnabled", "has_discussions"),
    ("isTemplate", "is_template"),
    ("squashMergeAllowed", "allow_squash_merge"),
    ("mergeCommitAllowed", "allow_merge_commit"),
    ("rebaseMergeAllowed", "allow_rebase_merge"),
    ("autoMergeAllowed", "allow_auto_merge"),
    ("deleteBranchOnMerge", "delete_branch_on_merge"),
    ("allowUpdateBranch", "allow_update_branch"),
    ("squashMergeCommitTitle", "squash_merge_commit_title"),
    ("squashMergeCommitMessage", "squash_merge_commit_message"),
    ("mergeCommitTitle", "merge_commit_title"),
    ("mergeCommitMessage", "merge_commit_message"),
    ("forkingAllowed", "allow_forking"),
    ("webCommitSignoffRequired", "web_commit_signoff_required"),
    ("createdAt", "created_at"),
    ("hasVulnerabilityAlertsEnabled", "vulnerability_alerts"),
];

fn repository(world: &World, id: u64, field: &str, arguments: &Map<String, Value>) -> Resolved {
    let Some((org, repository)) = world.by_id(id) else { return Resolved::Value(Value::Null) };
    if let Some((_, key)) = FIELDS.iter().find(|(name, _)| *name == field) {
        return Resolved::Value(repository[*key].clone());
    }
    match field {
        "id" => Resolved::Value(json!(Node::Repository(id).encode())),
        "nameWithOwner" => {
            Resolved::Value(json!(format!("{org}/{}", repository["name"].as_str().unwrap_or_default())))
        }
        "owner" => Resolved::Object(Object::Organisation(org.to_owned())),
        "visibility" => {
            Resolved::Value(json!(repository["visibility"].as_str().unwrap_or_default().to_uppercase()))
        }
        "defaultBranchRef" => {
            let name = repository["default_branch"].as_str().unwrap_or_default();
            // An empty repository has none.
            match repository["branches"].get(name) {
                Some(_) => Resolved::Object(Object::Plain("Ref", json!({ "name": name }))),
                None => Resolved::Value(Value::Null),
            }
        }
        "ref" => {
            let name = text(arguments, "qualifiedName").trim_start_matches("refs/heads/");
            match repository["branches"].get(name) {
                Some(_) => Resolved::Object(Object::Plain("Ref", json!({ "name": name }))),
                None => Resolved::Value(Value::Null),
            }
        }
        "repositoryTopics" => {
            let topics = repository["topics"].as_array().into_iter().flatten();
            let topics =
                topics.filter_map(|topic| Some(Edge::plain(Object::Topic(topic.as_str()?.to_owned()))));
            page("RepositoryTopicConnection", topics.collect(), arguments)
        }
        "labels" => {
            let labels = repository["labels"].as_object().into_iter().flatten();
            let labels = labels.map(|(name, label)| {
                let color = label["color"].as_str().unwrap_or("ededed");
                let shown = json!({ "name": name, "color": color, "description": label["description"] });
                Edge::plain(Object::Plain("Label", shown))
            });
            page("LabelConnection", labels.collect(), arguments)
        }
        "rulesets" => {
            let rulesets = repository["rulesets"].as_object().into_iter().flatten();
            let rulesets =
                rulesets.map(|(name, _)| Edge::plain(Object::Ruleset { repository: id, name: name.clone() }));
            page("RepositoryRulesetConnection", rulesets.collect(), arguments)
        }
        "collaborators" => {
            let people = repository["collaborators"].as_object().into_iter().flatten();
            let people = people.map(|(login, role)| Edge {
                type_name: "RepositoryCollaboratorEdge",
                node: Object::User(login.clone()),
                permission: Some(permission(role.as_str().unwrap_or_default())),
                sources: sources(world, org, login, role),
            });
            page("RepositoryCollaboratorConnection", people.collect(), arguments)
        }
        "branchProtectionRules" => {
            let rules = repository["protection"].as_object().into_iter().flatten();
            let rules = rules
                .map(|(pattern, _)| Edge::plain(Object::Rule { repository: id, pattern: pattern.clone() }));
            page("BranchProtectionRuleConnection", rules.collect(), arguments)
        }
        _ => Resolved::unknown("Repository", field),
    }
}

fn rule(world: &World, id: u64, pattern: &str, field: &str, arguments: &Map<String, Value>) -> Resolved {
    let Some((org, repository)) = world.by_id(id) else { return Resolved::Value(Value::Null) };
    let rule = &repository["protection"][pattern];
    let reviews = &rule["required_pull_request_reviews"];
    let checks = &rule["required_status_checks"];
    if let Some((_, key)) = protection::FLAGS.iter().find(|(name, _)| *name == field) {
        return Resolved::Value(rule[*key].clone());
    }
    if let Some((name, key)) = protection::REVIEWS.iter().find(|(name, _)| *name == field) {
        let absent = if *name == "requiredApprovingReviewCount" { Value::Null } else { json!(false) };
        return Resolved::Value(if reviews.is_object() { reviews[*key].clone() } else { absent });
    }
    let list = |connection, allowance, actors: &Value| {
        let mut edges = Vec::new();
        for (kind, names) in actors.as_object().into_iter().flatten() {
            for name in names.as_array().into_iter().flatten().filter_map(Value::as_str) {
                let actor = match kind.as_str() {
                    "teams" => Object::Team { org: org.to_owned(), slug: name.to_owned() },
                    "apps" => Object::App(name.to_owned()),
                    _ => Object::User(name.to_owned()),
                };
                edges.push(Edge::plain(Object::Allowance(allowance, Box::new(actor))));
            }
        }
        page(connection, edges, arguments)
    };
    match field {
        "id" => Resolved::Value(json!(Node::Rule(rule["id"].as_u64().unwrap_or(0)).encode())),
        "databaseId" => Resolved::Value(rule["id"].clone()),
        "pattern" => Resolved::Value(json!(pattern)),
        "requiresApprovingReviews" => Resolved::Value(json!(reviews.is_object())),
        "restrictsReviewDismissals" => Resolved::Value(json!(reviews["dismissal_restrictions"].is_object())),
        "requiresStatusChecks" => Resolved::Value(json!(checks.is_object())),
        "requiresStrictStatusChecks" => Resolved::Value(json!(checks["strict"].as_bool().unwrap_or(false))),
        "requiredStatusChecks" => {
            let checks = checks["checks"].as_array().cloned().unwrap_or_default();
            Resolved::List(checks.into_iter().map(|check| check_of(world, &check)).collect())
        }
        "restrictsPushes" => Resolved::Value(json!(rule["restrictions"].is_object())),
        "requiresDeployments" => Resolved::Value(json!(rule["required_deployment_environments"].is_array())),
        "requiredDeploymentEnvironments" => {
            let names = &rule["required_deployment_environments"];
            Resolved::Value(if names.is_array() { names.clone() } else { json!([]) })
        }
        "pushAllowances" => list("PushAllowanceConnection", "PushAllowance", &rule["restrictions"]),
        "reviewDismissalAllowances" => list(
            "ReviewDismissalAllowanceConnection",
            "ReviewDismissalAllowance",
            &reviews["dismissal_restrictions"],
        ),
        "bypassPullRequestAllowances" => list(
            "BypassPullRequestAllowanceConnection",
            "BypassPullRequestAllowance",
            &reviews["bypass_pull_request_allowances"],
        ),
        "bypassForcePushAllowances" => list(
            "BypassForcePushAllowanceConnection",
            "BypassForcePushAllowance",
            &rule["force_push_allowances"],
        ),
        _ => Resolved::unknown("BranchProtectionRule", field),
    }
}

fn check_of(world: &World, check: &Value) -> Resolved {
    let apps = world.doc["apps"].as_object().into_iter().flatten();
    let app = check["app_id"]
        .as_u64()
        .and_then(|id| apps.into_iter().find(|(_, app)| app["id"].as_u64() == Some(id)));
    let app = app.map_or(Value::Null, |(slug, app)| {
        json!({ "id": Node::App(app["id"].as_u64().unwrap_or(0)).encode(), "databaseId": app["id"], "slug": slug })
    });
    Resolved::Object(Object::Plain(
        "RequiredStatusCheckDescription",
        json!({ "context": check["context"], "app": app }),
    ))
}
