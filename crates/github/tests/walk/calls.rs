//! The calls that the test makes: one call for each method of the client.

use std::sync::Arc;

use beadle_engine::Time;
use beadle_github::{
    Actor, ActorKind, Annotation, Below, CheckOutput, CheckWriter, Conclusion, Cursor, FilesCommit, Grantee,
    IssueWriter, Known, Method, Names, NewTeam, Path, Permission, Reader, Repository, SelectedBy, Team,
    TeamPermission, Visibility, Writer,
};
use beadle_transport::testing::Texts;
use serde_json::{Map, json};

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
        rest_settings: Known::NotAsked,
        default_branch: None,
        topics: Known::NotAsked,
        teams: Known::NotAsked,
        has_age: false,
        last_seen: None,
        missing: Arc::default(),
        collaborators: Known::NotAsked,
        invitations: Known::NotAsked,
        protection: Known::NotAsked,
        created_at: String::new(),
        vulnerability_alerts: None,
        labels: Known::NotAsked,
        milestones: Known::NotAsked,
        deploy_keys: Known::NotAsked,
        rulesets: Known::NotAsked,
        properties: Known::NotAsked,
    }
}

/// Resolves the names of a policy.
pub(crate) async fn resolve(reader: &Reader, texts: &Texts) -> bool {
    let actor = |kind, name| {
        let name = texts.pick(name).to_owned();
        (Actor { kind, name, id: None, number: None }, None)
    };
    let wanted =
        [actor(ActorKind::User, "user"), actor(ActorKind::Team, "team"), actor(ActorKind::App, "app")];
    Names::new(None, "acme", reader.clock()).resolve(reader, &wanted).await.is_ok()
}

/// Calls a method of the reader, and returns whether the call succeeded.
#[expect(clippy::disallowed_methods, reason = "the walk makes every call of the client")]
pub(crate) async fn read(call: &str, reader: &Reader, texts: &Texts) -> bool {
    let text = |name: &'static str| texts.pick(name);
    let mut repository = repository(texts);
    match call {
        "refresh" => {
            let custom = Permission::Custom("custom".into());
            let team = TeamPermission { id: 1, slug: "team".into(), permission: custom, parent: None };
            repository.teams = Known::Known(vec![team]);
            repository.has_age = true;
            repository.last_seen = Some(Time(0));
            reader.refresh(&mut repository).await.is_ok()
        }
        "repository" => reader.repository(text("node")).await.is_ok(),
        "repository_last_seen" => reader.repository_last_seen(text("node"), Time(0)).await.is_ok(),
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
        "kept_files" => reader.kept_files(text("node"), &[text("path")]).await.is_ok(),
        "below" => reader.below(&repository, Path::at("thing").value(text("value"))).await.is_ok(),
        "list_below" => {
            reader.list_below(&repository, Path::at("list").value(text("value")), &["id"]).await.is_ok()
        }
        "list_anew_below" => {
            reader.list_anew_below(&repository, Path::at("list").value(text("value")), &["id"]).await.is_ok()
        }
        "rows_below" => {
            let path = Path::at("rows").value(text("value"));
            reader.rows_below(&repository, path, "rows", &["name"]).await.is_ok()
        }
        "of_organisation" => reader.of_organisation(Path::at("thing").value(text("value"))).await.is_ok(),
        "list_of_organisation" => {
            reader.list_of_organisation(Path::at("list").value(text("value")), &["id"]).await.is_ok()
        }
        "list_anew_of_organisation" => {
            let path = Path::at("list").value(text("value"));
            reader.list_anew_of_organisation(path, &["id"]).await.is_ok()
        }
        "rows_of_organisation" => {
            reader.rows_of_organisation(Path::at("list").value(text("value")), "rows", &["id"]).await.is_ok()
        }
        "user_writes" => reader.user_writes(text("login"), text("owner"), text("name")).await.is_ok(),
        "team_writes" => reader.team_writes(text("slug"), text("owner"), text("name")).await.is_ok(),
        "team_role" => reader.team_role(text("slug"), text("owner"), text("name")).await.is_ok(),
        "app" => reader.app().await.is_ok(),
        "app_slug" => reader.app_slug().await.is_ok(),
        "own_app" => reader.own_app().await.is_ok(),
        "drop_token" => {
            reader.drop_token().await;
            true
        }
        "renew_token" => reader.renew_token().await.is_ok(),
        "heed_accepted_permissions" => reader.heed_accepted_permissions().await.is_ok(),
        "is_installed" => reader.is_installed().await.is_ok(),
        "installations" => reader.installations().await.is_ok(),
        "has_installation" => reader.has_installation(1).await.is_ok(),
        "deliveries" => reader.deliveries(None).await.is_ok(),
        "rate_limit" => reader.rate_limit().await.is_ok(),
        "dispatched" => {
            reader.dispatched(text("repository"), text("workflow"), Time::from_seconds(0)).await.is_ok()
        }
        "organisation_and_clock" => reader.organisation_and_clock().await.is_ok(),
        "all_teams" => reader.all_teams().await.is_ok(),
        "teams_of" => reader.teams_of(text("login")).await.is_ok(),
        "members" => reader.members().await.is_ok(),
        "invitations" => reader.invitations().await.is_ok(),
        "person" => reader.person(text("login")).await.is_ok(),
        "identities" => reader.identities().await.is_ok(),
        "team_members" => reader.team_members(text("slug")).await.is_ok(),
        "kept_by" => reader.kept_by(text("slug")).await.is_ok(),
        "repositories_called" => reader.repositories_called(&[text("name").to_owned()]).await.is_ok(),
        "occupant" => reader.occupant(text("name")).await.is_ok(),
        "visibility_of" => reader.visibility_of(text("owner"), text("name")).await.is_ok(),
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
        "needs_review" => reader.needs_review(text("repository"), text("branch")).await.is_ok(),
        "comments_since" => reader.comments_since(text("repository"), Time::from_seconds(0)).await.is_ok(),
        "commit" => reader.commit(text("repository"), text("reference")).await.is_ok(),
        "commits_after" => reader.commits_after(text("repository"), "base", text("head")).await.is_ok(),
        "files_at" => reader.files_at(text("repository"), text("commit"), "policy").await.is_ok(),
        "blobs" => reader.blobs(text("repository"), &[text("blob").to_owned()]).await.is_ok(),
        "defined_properties" => reader.defined_properties().await.is_ok(),
        "pull" => reader.pull(text("repository"), 7).await.is_ok(),
        "open_pulls_at" => reader.open_pulls_at(text("repository"), "head").await.is_ok(),
        "reviews" => reader.reviews(text("repository"), 7).await.is_ok(),
        "is_in_team" => reader.is_in_team(text("team"), text("login")).await.is_ok(),
        "merge_base" => reader.merge_base(text("repository"), "a", "b").await.is_ok(),
        "check_run" => reader.check_run(text("repository"), text("commit"), text("check"), 1).await.is_ok(),
        "own_comment" => reader.own_comment(text("repository"), 7, 1, "marker").await.is_ok(),
        "own_issues" => reader.own_issues(text("repository"), 1).await.is_ok(),
        other => panic!("the walk does not know how to call Reader::{other}"),
    }
}

/// Calls a method of the writer, and returns whether the call succeeded.
pub(crate) async fn write(call: &str, writer: &Writer, texts: &Texts) -> bool {
    let text = |name: &'static str| texts.pick(name);
    match call {
        "named" => writer.named(1, text("node")).await.is_ok(),
        "create_rule" => writer.create_rule(json!({ "pattern": text("pattern") })).await.is_ok(),
        "update_rule" => {
            let input = json!({ "branchProtectionRuleId": text("rule"), "pattern": text("pattern") });
            writer.update_rule(input).await.is_ok()
        }
        "delete_rule" => writer.delete_rule(text("rule")).await.is_ok(),
        "create_files_branch" => writer.create_files_branch(text("repository"), text("commit")).await.is_ok(),
        "reset_branch" => writer.reset_branch(text("branch"), text("commit")).await.is_ok(),
        "delete_branch" => writer.delete_branch(text("branch")).await.is_ok(),
        "commit_files" => {
            let [branch, onto, headline] = ["branch", "commit", "headline"].map(|name| text(name).to_owned());
            let files = [(text("path").to_owned(), "content".to_owned())].into();
            writer.commit_files(&FilesCommit { branch, onto, headline, files }).await.is_ok()
        }
        "open_pull" => {
            writer.open_pull(text("repository"), text("base"), (text("title"), text("body"))).await.is_ok()
        }
        "update_pull" => writer.update_pull(text("pull"), text("body"), true).await.is_ok(),
        "redeliver" => writer.redeliver(7).await.is_ok(),
        "dispatch" => {
            let inputs = json!({ "input": text("input") });
            writer.dispatch(text("repository"), text("workflow"), text("reference"), &inputs).await.is_ok()
        }
        "to_organisation" => {
            writer.to_organisation(Method::PUT, Below::label(text("value")), None).await.is_ok()
        }
        "generate" => {
            let body = json!({ "name": text("new") });
            writer.generate((text("owner"), text("name")), body).await.is_ok()
        }
        "fork" => {
            let body = json!({ "name": text("new") });
            writer.fork((text("owner"), text("name")), body).await.is_ok()
        }
        "assign_role" => writer.assign_role(&Grantee::team(5, text("slug")), 7).await.is_ok(),
        "unassign_role" => writer.unassign_role(&Grantee::user(1, text("login")), 7).await.is_ok(),
        "block" => writer.block(&Grantee::user(1, text("login"))).await.is_ok(),
        "unblock" => writer.unblock(&Grantee::user(1, text("login"))).await.is_ok(),
        "create_team" => {
            let (name, description) = (text("team"), text("description"));
            let new = NewTeam { name, description, parent: None, is_secret: false };
            writer.create_team(&new).await.is_ok()
        }
        "organisation_members" => writer.organisation_members(&[text("account").to_owned()]).await.is_ok(),
        "team" => writer.team(&team(text("node")), &[text("account").to_owned()]).await.is_ok(),
        other => panic!("the walk does not know how to call Writer::{other}"),
    }
}

/// Calls a method of the writer of checks, and returns whether the call succeeded.
pub(crate) async fn write_check(call: &str, writer: &CheckWriter, texts: &Texts) -> bool {
    let text = |name: &'static str| texts.pick(name);
    match call {
        "begin" => writer.begin(text("check"), text("commit"), text("external")).await.is_ok(),
        "begin_again" => writer.begin_again(7).await.is_ok(),
        "conclude" => {
            let (path, message) = (text("path").to_owned(), text("message").to_owned());
            let output = CheckOutput {
                conclusion: Conclusion::Failure,
                title: text("title").to_owned(),
                summary: text("summary").to_owned(),
                annotations: vec![Annotation { path, line: 1, is_error: true, message }],
            };
            writer.conclude(7, &output).await.is_ok()
        }
        "comment" => writer.comment(7, text("text")).await.is_ok(),
        "update_comment" => writer.update_comment(7, text("text")).await.is_ok(),
        other => panic!("the walk does not know how to call CheckWriter::{other}"),
    }
}

/// Calls a method of the writer of issues, and returns whether the call succeeded.
pub(crate) async fn write_issue(call: &str, writer: &IssueWriter, texts: &Texts) -> bool {
    let text = |name: &'static str| texts.pick(name);
    match call {
        "open" => writer.open(text("title"), text("text")).await.is_ok(),
        "update" => writer.update(7, text("title"), text("text")).await.is_ok(),
        "close" => writer.close(7, text("text")).await.is_ok(),
        other => panic!("the walk does not know how to call IssueWriter::{other}"),
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
        privacy: None,
        notifications: None,
        parent: None,
    }
}

/// Calls a method that writes to a repository, and returns whether the call succeeded. The
/// repository's name comes from GitHub.
pub(crate) async fn write_to_repository(call: &str, writer: &Writer, texts: &Texts) -> bool {
    let text = |name: &'static str| texts.pick(name);
    let role = || Permission::from(text("role").to_owned());
    let Ok(named) = writer.named(1, "R_1").await else { return false };
    match call {
        "send" => named.send(Method::PUT, Below::label(text("value")), None).await.is_ok(),
        "read" => named.read(Below::label(text("value"))).await.is_ok(),
        "update" => {
            let body = json!({ "name": text("renamed"), "description": text("description") });
            named.update(body).await.is_ok() && named.replace_topics(&[]).await.is_ok()
        }
        "try_update" => named.try_update(json!({ "description": text("description") })).await.is_ok(),
        "replace_topics" => named.replace_topics(&[text("topic").to_owned()]).await.is_ok(),
        "rename_branch" => named.rename_branch(text("branch"), text("renamed")).await.is_ok(),
        "create_branch" => named.create_branch(text("branch"), text("from")).await.is_ok(),
        "put_team" => named.put_team(&Grantee::team(5, text("slug")), &role()).await.is_ok(),
        "remove_team" => named.remove_team(&Grantee::team(5, text("slug"))).await.is_ok(),
        "put_collaborator" => named.put_collaborator(&Grantee::user(1, text("login")), &role()).await.is_ok(),
        "remove_collaborator" => named.remove_collaborator(&Grantee::user(1, text("login"))).await.is_ok(),
        "change_invitation" => named.change_invitation(7, &role()).await.is_ok(),
        "withdraw_invitation" => named.withdraw_invitation(7).await.is_ok(),
        other => panic!("the walk does not know how to call Named::{other}"),
    }
}

/// Calls a method that writes to a team, and returns whether the call succeeded. The team's slug
/// and the logins of its people come from GitHub.
pub(crate) async fn write_to_team(call: &str, writer: &Writer, texts: &Texts) -> bool {
    let text = |name: &'static str| texts.pick(name);
    let Ok(named) = writer.team(&team("T_5"), &["U_9".to_owned()]).await else { return false };
    match call {
        "has_account" => named.has_account(9).await.is_ok(),
        "is_member" => named.is_member(9).await.is_ok(),
        "rename" => named.rename(text("renamed")).await.is_ok(),
        "describe" => named.describe(text("description")).await.is_ok(),
        "configure" => named.configure(&serde_json::json!({ "privacy": text("description") })).await.is_ok(),
        "connect" => named.connect(Some(7)).await.is_ok(),
        "put_member" => named.put_member(9, false).await.is_ok(),
        "remove_member" => named.remove_member(9).await.is_ok(),
        "delete" => named.delete().await.is_ok(),
        other => panic!("the walk does not know how to call NamedTeam::{other}"),
    }
}

/// Calls a method that writes to the members of the organisation, and returns whether the call
/// succeeded. The logins of the people come from GitHub.
pub(crate) async fn write_to_members(call: &str, writer: &Writer) -> bool {
    let Ok(members) = writer.organisation_members(&["U_9".to_owned()]).await else { return false };
    match call {
        "put" => members.put(9, true).await.is_ok(),
        "remove" => members.remove(9).await.is_ok(),
        other => panic!("the walk does not know how to call OrganisationMembers::{other}"),
    }
}
