//! Every call of the client, with values of a policy, a payload and of live state that try to
//! become structure: no value changes which resource a request names, and none gets into the text
//! of a GraphQL document.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use beadle_engine::{Budgets, Clock, Time};
use beadle_github::{
    Actor, ActorKind, Api, Asks, Below, Credential, Cursor, Endpoint, Grantee, Method, NewTeam, Path,
    Permission, Reader, Repository, SelectedBy, Team, TeamPermission, Visibility, Writer,
};
use beadle_transport::Settings;
use beadle_transport::testing::{Arrived, Entry, Recorder, Texts, holds_all, walk};
use secrecy::SecretString;
use serde_json::{Map, Value, json};

/// What every call takes.
const EVERYWHERE: &[&str] = &["organisation"];

const fn entry(call: &'static str, texts: &'static [&'static str], sends: &'static [&'static str]) -> Entry {
    Entry { call, texts, sends }
}

const ENTRIES: &[Entry] = &[
    entry(
        "Reader::refresh",
        &["owner", "name", "slug"],
        &[
            "GET /repos/owner/name/teams",
            "GET /repos/owner/name/properties/values",
            "GET /orgs/organisation/teams/slug/repos/owner/name",
        ],
    ),
    entry(
        "Reader::repository",
        &["node", "owner", "name"],
        &[
            "POST /graphql",
            "GET /repos/owner/name/teams",
            "GET /repos/owner/name/properties/values",
            "GET /repos/owner/name/invitations",
            "GET /repos/owner/name",
        ],
    ),
    entry(
        "Reader::bulk",
        &["team", "slug"],
        &[
            "GET /orgs/organisation/custom-repository-roles",
            "POST /graphql",
            "GET /orgs/organisation/teams/slug/repos",
            "GET /orgs/organisation/properties/values",
            "POST /graphql",
            "GET /orgs/organisation/properties/schema",
        ],
    ),
    entry("Reader::page", &["cursor"], &["POST /graphql", "POST /graphql"]),
    entry(
        "Reader::complete",
        &["owner", "name"],
        &[
            "GET /repos/owner/name/teams",
            "GET /repos/owner/name/properties/values",
            "GET /repos/owner/name/invitations",
            "GET /repos/owner/name",
        ],
    ),
    entry("Reader::index", &["cursor"], &["POST /graphql", "POST /graphql"]),
    entry("Reader::branch_exists", &["node", "branch"], &["POST /graphql"]),
    entry("Reader::below", &["owner", "name", "value"], &["GET /repos/owner/name/thing/value"]),
    entry("Reader::list_below", &["owner", "name", "value"], &["GET /repos/owner/name/list/value"]),
    entry("Reader::list_anew_below", &["owner", "name", "value"], &["GET /repos/owner/name/list/value"]),
    entry("Reader::of_organisation", &["value"], &["GET /orgs/organisation/thing/value"]),
    entry("Reader::list_of_organisation", &["value"], &["GET /orgs/organisation/list/value"]),
    entry(
        "Reader::user_writes",
        &["login", "owner", "name"],
        &["GET /repos/owner/name/collaborators/login/permission"],
    ),
    entry(
        "Reader::team_writes",
        &["slug", "owner", "name"],
        &["GET /orgs/organisation/teams/slug/repos/owner/name"],
    ),
    entry(
        "Reader::team_role",
        &["slug", "owner", "name"],
        &["GET /orgs/organisation/teams/slug/repos/owner/name"],
    ),
    // These are calls of an App, and a token sends nothing for them. They take no text: the place
    // of a page of deliveries is the vendor's whole address, which the client follows to its own
    // origin only.
    entry("Reader::app", &[], &[]),
    entry("Reader::app_slug", &[], &[]),
    entry("Reader::deliveries", &[], &[]),
    entry("Writer::redeliver", &[], &[]),
    entry("Reader::rate_limit", &[], &["GET /rate_limit"]),
    entry(
        "Reader::dispatched",
        &["repository", "workflow"],
        &["GET /repos/organisation/repository/actions/workflows/workflow/runs"],
    ),
    entry("Reader::organisation_and_clock", &[], &["GET /orgs/organisation"]),
    entry("Reader::all_teams", &[], &["POST /graphql"]),
    entry("Reader::teams_of", &["login"], &["POST /graphql"]),
    entry("Reader::members", &[], &["POST /graphql"]),
    entry("Reader::identities", &[], &["POST /graphql"]),
    entry("Reader::team_members", &["slug"], &["POST /graphql"]),
    entry(
        "Reader::kept_by",
        &["slug"],
        &[
            "GET /orgs/organisation/teams/slug/external-groups",
            "GET /orgs/organisation/teams/slug/team-sync/group-mappings",
        ],
    ),
    entry("Reader::resolve", &["user", "team", "app"], &["POST /graphql", "GET /apps/app"]),
    entry("Reader::repositories_called", &["name"], &["POST /graphql"]),
    entry("Reader::are_apps", &["node"], &["POST /graphql"]),
    entry("Reader::defined_properties", &[], &["GET /orgs/organisation/properties/schema"]),
    entry("Writer::named", &["node"], &["POST /graphql"]),
    entry("Writer::create_rule", &["pattern"], &["POST /graphql"]),
    entry("Writer::update_rule", &["rule", "pattern"], &["POST /graphql"]),
    entry("Writer::delete_rule", &["rule"], &["POST /graphql"]),
    entry(
        "Writer::dispatch",
        &["repository", "workflow", "reference", "input"],
        &["POST /repos/organisation/repository/actions/workflows/workflow/dispatches"],
    ),
    entry("Writer::to_organisation", &["value"], &["PUT /orgs/organisation/labels/value"]),
    entry("Writer::create_team", &["team", "description"], &["POST /orgs/organisation/teams"]),
    entry("Writer::team", &["node", "account"], &["POST /graphql"]),
    entry("Named::send", &["name", "value"], &["POST /graphql", "PUT /repos/organisation/name/labels/value"]),
    entry(
        "Named::update",
        &["name", "renamed", "description"],
        &["POST /graphql", "PATCH /repos/organisation/name", "PUT /repos/organisation/renamed/topics"],
    ),
    entry(
        "Named::try_update",
        &["name", "description"],
        &["POST /graphql", "PATCH /repos/organisation/name"],
    ),
    entry(
        "Named::replace_topics",
        &["name", "topic"],
        &["POST /graphql", "PUT /repos/organisation/name/topics"],
    ),
    entry(
        "Named::put_team",
        &["name", "slug", "role"],
        &["POST /graphql", "POST /graphql", "PUT /orgs/organisation/teams/slug/repos/organisation/name"],
    ),
    entry(
        "Named::remove_team",
        &["name", "slug"],
        &["POST /graphql", "POST /graphql", "DELETE /orgs/organisation/teams/slug/repos/organisation/name"],
    ),
    entry(
        "Named::put_collaborator",
        &["name", "login", "role"],
        &["POST /graphql", "POST /graphql", "PUT /repos/organisation/name/collaborators/login"],
    ),
    entry(
        "Named::remove_collaborator",
        &["name", "login"],
        &["POST /graphql", "POST /graphql", "DELETE /repos/organisation/name/collaborators/login"],
    ),
    entry(
        "Named::change_invitation",
        &["name", "role"],
        &["POST /graphql", "PATCH /repos/organisation/name/invitations/7"],
    ),
    entry(
        "Named::withdraw_invitation",
        &["name"],
        &["POST /graphql", "DELETE /repos/organisation/name/invitations/7"],
    ),
    entry("NamedTeam::has_account", &[], &["POST /graphql"]),
    entry("NamedTeam::is_member", &["login"], &["POST /graphql", "GET /orgs/organisation/members/login"]),
    entry(
        "NamedTeam::rename",
        &["slug", "renamed"],
        &["POST /graphql", "PATCH /orgs/organisation/teams/slug"],
    ),
    entry(
        "NamedTeam::describe",
        &["slug", "description"],
        &["POST /graphql", "PATCH /orgs/organisation/teams/slug"],
    ),
    entry(
        "NamedTeam::put_member",
        &["slug", "login"],
        &["POST /graphql", "PUT /orgs/organisation/teams/slug/memberships/login"],
    ),
    entry(
        "NamedTeam::remove_member",
        &["slug", "login"],
        &["POST /graphql", "DELETE /orgs/organisation/teams/slug/memberships/login"],
    ),
    entry("NamedTeam::delete", &["slug"], &["POST /graphql", "DELETE /orgs/organisation/teams/slug"]),
];

fn page(nodes: &Value) -> Value {
    let total = nodes.as_array().map_or(0, Vec::len);
    let info = json!({ "hasNextPage": false, "endCursor": null });
    json!({ "totalCount": total, "pageInfo": info, "nodes": nodes })
}

/// What GraphQL answers to any document of the client's.
fn data(arrived: &Arrived, texts: &Texts) -> Value {
    let document = arrived.body["query"].as_str().unwrap_or_default();
    let mut repositories = page(&json!([]));
    if arrived.body["variables"]["after"].is_null() {
        repositories["pageInfo"] = json!({ "hasNextPage": true, "endCursor": texts.pick("cursor") });
    }
    let team = json!({
        "__typename": "Team", "id": "T_5", "databaseId": 5, "slug": texts.pick("slug"), "name": "Team",
        "description": "", "childTeams": { "totalCount": 0 }, "parentTeam": null,
        "repositories": page(&json!([])), "members": page(&json!([])), "invitations": page(&json!([])),
    });
    let repository = json!({
        "__typename": "Repository", "id": texts.pick("node"), "databaseId": 1, "name": texts.pick("name"),
        "owner": { "login": texts.pick("owner") }, "visibility": "PRIVATE", "collaborators": page(&json!([])),
    });
    let person =
        json!({ "__typename": "User", "databaseId": 9, "login": texts.pick("login"), "organization": null });
    let nodes = if document.contains("... on User") { json!([team, person]) } else { json!([repository]) };
    let actor = json!({ "id": "A_1", "databaseId": 1, "login": "mona", "team": team });
    json!({
        "organization": {
            "id": "O_1", "team": team, "teams": page(&json!([team])), "membersWithRole": page(&json!([])),
            "repositories": repositories, "samlIdentityProvider": { "externalIdentities": page(&json!([])) },
        },
        "node": {
            "__typename": "Repository", "databaseId": 1, "name": texts.pick("name"),
            "owner": { "login": texts.pick("organisation") }, "ref": { "name": "main" },
        },
        "nodes": nodes, "a0": actor, "a1": actor,
    })
}

/// What REST answers.
fn rest(arrived: &Arrived, texts: &Texts) -> (u16, Value) {
    let path: Vec<&str> = arrived.segments.iter().map(String::as_str).collect();
    let body = match (arrived.method.as_str(), path.as_slice()) {
        ("GET", ["repos", _, _, "teams"]) => {
            json!([{ "id": 1, "slug": texts.pick("slug"), "permission": "push" }])
        }
        (
            "GET",
            ["repos", _, _, "invitations"]
            | ["orgs", _, "teams", _, "repos"]
            | [.., "properties", "values" | "schema"]
            | [.., "list", _],
        ) => json!([]),
        ("GET", [.., "permission"]) => json!({ "role_name": "push" }),
        ("GET", [.., "runs"]) => json!({ "workflow_runs": [] }),
        ("GET", [.., "custom-repository-roles"]) => json!({ "total_count": 1 }),
        ("GET", ["apps", _]) => json!({ "id": 1, "node_id": "A_1", "slug": "app" }),
        ("GET", ["orgs", _, "members", _]) => return (204, Value::Null),
        ("POST", ["orgs", _, "teams"]) => {
            json!({ "id": 5, "node_id": "T_5", "slug": "team", "name": "Team", "description": null })
        }
        ("PATCH" | "GET", _) => json!({ "id": 1, "default_branch": "main", "groups": [] }),
        _ => return (204, Value::Null),
    };
    (200, body)
}

fn api(wire: &Arc<Recorder>, organisation: &str) -> Api {
    let settings = Settings {
        rest_points: u32::MAX,
        graphql_points: u32::MAX,
        wire: Some(wire.clone()),
        ..Settings::default()
    };
    let endpoint = Endpoint::new("https://github.test");
    let token = Credential::Token(SecretString::from("token"));
    Api::new(&endpoint, organisation, token, Budgets::new("walk", 0), &Clock::system(), settings).unwrap()
}

fn repository(texts: &Texts) -> Repository {
    Repository {
        id: 1,
        node_id: "R_1".into(),
        name: texts.pick("name").to_owned(),
        owner: texts.pick("owner").to_owned(),
        archived: false,
        fork: false,
        visibility: Visibility::Private,
        settings: Map::new(),
        rest_settings: None,
        default_branch: None,
        topics: None,
        teams: None,
        has_age: false,
        missing: Arc::default(),
        collaborators: None,
        invitations: None,
        protection: None,
        created_at: String::new(),
        vulnerability_alerts: None,
        labels: None,
        rulesets: None,
        properties: None,
    }
}

/// A call of the reader. Gives whether it came to something.
async fn read(call: &str, reader: &Reader, texts: &Texts) -> bool {
    let text = |name: &'static str| texts.pick(name);
    let mut repository = repository(texts);
    match call {
        "refresh" => {
            let custom = Permission::Custom("custom".into());
            let team = TeamPermission { id: 1, slug: "team".into(), permission: custom, parent: None };
            repository.teams = Some(Ok(vec![team]));
            reader.refresh(&mut repository).await.is_ok()
        }
        "repository" => reader.repository(text("node")).await.is_ok(),
        "bulk" => {
            let (teams, properties) = (vec![text("team").to_owned()], vec!["property".to_owned()]);
            reader.select_by(SelectedBy { teams, properties });
            drop(reader.bulk(25).await);
            true
        }
        "page" => {
            let first = reader.page(&Cursor::default()).await;
            match first.ok().and_then(|first| first.next) {
                Some(next) => reader.page(&next).await.is_ok(),
                None => false,
            }
        }
        "complete" => {
            let bulk = reader.bulk(1).await;
            reader.complete(&mut [repository], &bulk).await.is_ok()
        }
        "index" => reader.index().await.is_ok(),
        "branch_exists" => reader.branch_exists(text("node"), text("branch")).await.is_ok(),
        "below" => reader.below(&repository, Path::at("thing").value(text("value"))).await.is_ok(),
        "list_below" => {
            reader.list_below(&repository, Path::at("list").value(text("value")), &["id"]).await.is_ok()
        }
        "list_anew_below" => {
            reader.list_anew_below(&repository, Path::at("list").value(text("value")), &["id"]).await.is_ok()
        }
        "of_organisation" => reader.of_organisation(Path::at("thing").value(text("value"))).await.is_ok(),
        "list_of_organisation" => {
            reader.list_of_organisation(Path::at("list").value(text("value")), &["id"]).await.is_ok()
        }
        "user_writes" => reader.user_writes(text("login"), text("owner"), text("name")).await.is_ok(),
        "team_writes" => reader.team_writes(text("slug"), text("owner"), text("name")).await.is_ok(),
        "team_role" => reader.team_role(text("slug"), text("owner"), text("name")).await.is_ok(),
        "app" => reader.app().await.is_ok(),
        "app_slug" => reader.app_slug().await.is_ok(),
        "deliveries" => reader.deliveries(None).await.is_ok(),
        "rate_limit" => reader.rate_limit().await.is_ok(),
        "dispatched" => {
            reader.dispatched(text("repository"), text("workflow"), Time::from_seconds(0)).await.is_ok()
        }
        "organisation_and_clock" => reader.organisation_and_clock().await.is_ok(),
        "all_teams" => reader.all_teams().await.is_ok(),
        "teams_of" => reader.teams_of(text("login")).await.is_ok(),
        "members" => reader.members().await.is_ok(),
        "identities" => reader.identities().await.is_ok(),
        "team_members" => reader.team_members(text("slug")).await.is_ok(),
        "kept_by" => reader.kept_by(text("slug")).await.is_ok(),
        "repositories_called" => reader.repositories_called(&[text("name").to_owned()]).await.is_ok(),
        "are_apps" => reader.are_apps(&[text("node").to_owned()]).await.is_ok(),
        "resolve" => {
            let actor = |kind, name| Actor { kind, name: text(name).to_owned(), id: None, number: None };
            let actors = [
                actor(ActorKind::User, "user"),
                actor(ActorKind::Team, "team"),
                actor(ActorKind::App, "app"),
            ];
            reader.resolve(&actors).await.is_ok()
        }
        "defined_properties" => reader.defined_properties().await.is_ok(),
        other => panic!("the walk does not know how to call Reader::{other}"),
    }
}

/// A call of the writer.
async fn write(call: &str, writer: &Writer, texts: &Texts) -> bool {
    let text = |name: &'static str| texts.pick(name);
    match call {
        "named" => writer.named(1, text("node")).await.is_ok(),
        "create_rule" => writer.create_rule(json!({ "pattern": text("pattern") })).await.is_ok(),
        "update_rule" => {
            let input = json!({ "branchProtectionRuleId": text("rule"), "pattern": text("pattern") });
            writer.update_rule(input).await.is_ok()
        }
        "delete_rule" => writer.delete_rule(text("rule")).await.is_ok(),
        "redeliver" => writer.redeliver(7).await.is_ok(),
        "dispatch" => {
            let inputs = json!({ "input": text("input") });
            writer.dispatch(text("repository"), text("workflow"), text("reference"), &inputs).await.is_ok()
        }
        "to_organisation" => {
            writer.to_organisation(Method::PUT, Below::label(text("value")), None).await.is_ok()
        }
        "create_team" => {
            let new = NewTeam { name: text("team"), description: text("description"), parent: None };
            writer.create_team(&new).await.is_ok()
        }
        "team" => writer.team(&team(text("node")), &[text("account").to_owned()]).await.is_ok(),
        other => panic!("the walk does not know how to call Writer::{other}"),
    }
}

fn team(node: &str) -> Team {
    Team {
        id: 5,
        node_id: node.to_owned(),
        slug: "before".into(),
        name: "Team".into(),
        description: String::new(),
        is_parent: false,
    }
}

/// A write to a repository, whose name comes from GitHub.
async fn write_to_repository(call: &str, writer: &Writer, texts: &Texts) -> bool {
    let text = |name: &'static str| texts.pick(name);
    let role = || Permission::from(text("role").to_owned());
    let Ok(named) = writer.named(1, "R_1").await else { return false };
    match call {
        "send" => named.send(Method::PUT, Below::label(text("value")), None).await.is_ok(),
        "update" => {
            let body = json!({ "name": text("renamed"), "description": text("description") });
            named.update(body).await.is_ok() && named.replace_topics(&[]).await.is_ok()
        }
        "try_update" => named.try_update(json!({ "description": text("description") })).await.is_ok(),
        "replace_topics" => named.replace_topics(&[text("topic").to_owned()]).await.is_ok(),
        "put_team" => named.put_team(&Grantee::team(5, text("slug")), &role()).await.is_ok(),
        "remove_team" => named.remove_team(&Grantee::team(5, text("slug"))).await.is_ok(),
        "put_collaborator" => named.put_collaborator(&Grantee::user(1, text("login")), &role()).await.is_ok(),
        "remove_collaborator" => named.remove_collaborator(&Grantee::user(1, text("login"))).await.is_ok(),
        "change_invitation" => named.change_invitation(7, &role()).await.is_ok(),
        "withdraw_invitation" => named.withdraw_invitation(7).await.is_ok(),
        other => panic!("the walk does not know how to call Named::{other}"),
    }
}

/// A write to a team, whose slug and people's logins come from GitHub.
async fn write_to_team(call: &str, writer: &Writer, texts: &Texts) -> bool {
    let text = |name: &'static str| texts.pick(name);
    let Ok(named) = writer.team(&team("T_5"), &["U_9".to_owned()]).await else { return false };
    match call {
        "has_account" => named.has_account(9).await.is_ok(),
        "is_member" => named.is_member(9).await.is_ok(),
        "rename" => named.rename(text("renamed")).await.is_ok(),
        "describe" => named.describe(text("description")).await.is_ok(),
        "put_member" => named.put_member(9, false).await.is_ok(),
        "remove_member" => named.remove_member(9).await.is_ok(),
        "delete" => named.delete().await.is_ok(),
        other => panic!("the walk does not know how to call NamedTeam::{other}"),
    }
}

async fn perform(call: &str, texts: &Texts) -> Vec<Arrived> {
    let answers = texts.clone();
    let recorder = Recorder::new(move |arrived| {
        if arrived.segments == ["graphql"] {
            (200, json!({ "data": data(arrived, &answers) }))
        } else {
            rest(arrived, &answers)
        }
    });
    let api = api(&recorder, texts.pick("organisation"));
    let asks =
        Asks { teams: true, properties: true, collaborators: true, rest_settings: true, ..Asks::default() };
    let (reader, writer) = (Reader::new(api.clone(), asks), Writer::new(api));
    match call.split_once("::") {
        Some(("Reader", call)) => Box::pin(read(call, &reader, texts)).await,
        Some(("Writer", call)) => Box::pin(write(call, &writer, texts)).await,
        Some(("Named", call)) => Box::pin(write_to_repository(call, &writer, texts)).await,
        Some(("NamedTeam", call)) => Box::pin(write_to_team(call, &writer, texts)).await,
        _ => panic!("the walk does not know how to call {call}"),
    };
    recorder.arrived()
}

#[tokio::test(start_paused = true)]
async fn no_value_changes_which_resource_a_request_names() {
    walk(ENTRIES, EVERYWHERE, &perform).await;
}

#[test]
fn the_walk_knows_every_call() {
    holds_all(ENTRIES, env!("CARGO_MANIFEST_DIR"));
}
