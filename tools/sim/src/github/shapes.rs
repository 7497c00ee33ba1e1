//! Converts the objects of the state to REST's form. The result has every field that GitHub's
//! description requires.

use serde_json::{Value, json};

use crate::github::access;
use crate::github::address;
use crate::github::ids::Node;
use crate::github::world::World;

/// Keys of an object in the state that REST does not show in the object, because they are lists
/// with their own addresses.
pub(crate) const OWN: &[&str] = &[
    "branches",
    "protection",
    "teams",
    "collaborators",
    "invitations",
    "contents",
    "commits",
    "head_commit",
    "tree_limit",
    "labels",
    "milestones",
    "autolinks",
    "deploy_keys",
    "rulesets",
    "actions",
    "oidc_subject",
    "pages",
    "interaction_limit",
    "vulnerability_alerts",
    "automated_security_fixes",
    "private_vulnerability_reporting",
    "immutable_releases",
    "code_scanning",
    "hooks",
    "properties",
    "environments",
    "variables",
    "secrets",
    "dependabot_secrets",
    "codespaces_secrets",
    "workflows",
    "runs",
    "check_runs",
    "issues",
    "pulls",
];
const URLS: &[&str] = &[
    "archive_url",
    "assignees_url",
    "blobs_url",
    "branches_url",
    "collaborators_url",
    "comments_url",
    "commits_url",
    "compare_url",
    "contents_url",
    "contributors_url",
    "deployments_url",
    "downloads_url",
    "events_url",
    "forks_url",
    "git_commits_url",
    "git_refs_url",
    "git_tags_url",
    "hooks_url",
    "issue_comment_url",
    "issue_events_url",
    "issues_url",
    "keys_url",
    "labels_url",
    "languages_url",
    "merges_url",
    "milestones_url",
    "notifications_url",
    "pulls_url",
    "releases_url",
    "stargazers_url",
    "statuses_url",
    "subscribers_url",
    "subscription_url",
    "tags_url",
    "teams_url",
    "trees_url",
];
/// The fields that GitHub shows only in the answer about a single repository, and not in a list.
const FULL_ONLY: &[&str] = &[
    "allow_squash_merge",
    "allow_merge_commit",
    "allow_rebase_merge",
    "allow_auto_merge",
    "delete_branch_on_merge",
    "allow_update_branch",
    "use_squash_pr_title_as_default",
    "squash_merge_commit_title",
    "squash_merge_commit_message",
    "merge_commit_title",
    "merge_commit_message",
    "has_pull_requests",
    "pull_request_creation_policy",
];

/// Returns a repository. With `full` = `false`, the result is a row of a list, without merge
/// settings.
pub(crate) fn repository(world: &World, org: &str, repository: &Value, full: bool) -> Value {
    let name = repository["name"].as_str().unwrap_or_default();
    let id = repository["id"].as_u64().unwrap_or_default();
    let api = format!("https://api.github.com/repos/{org}/{name}");
    let web = format!("https://github.com/{org}/{name}");
    let mut shown = json!({
        "node_id": Node::Repository(id).encode(),
        "full_name": format!("{org}/{name}"),
        "owner": organisation_as_owner(world, org),
        "url": api,
        "html_url": web,
        "clone_url": format!("{web}.git"),
        "git_url": format!("git://github.com/{org}/{name}.git"),
        "ssh_url": format!("git@github.com:{org}/{name}.git"),
        "svn_url": web,
        "mirror_url": null,
        "language": null,
        "license": null,
        "forks": 0, "forks_count": 0, "open_issues": 0, "open_issues_count": 0, "size": 0,
        "stargazers_count": 0, "watchers": 0, "watchers_count": 0, "network_count": 0, "subscribers_count": 0,
        "has_pages": !repository["pages"].is_null(),
        "has_downloads": true,
        // These are the permissions of the caller as a person. An App has none of these
        // permissions.
        "permissions": { "admin": false, "maintain": false, "push": false, "triage": false, "pull": false },
        "pushed_at": repository["created_at"],
        "updated_at": repository["created_at"],
    });
    for url in URLS {
        let part = url.trim_end_matches("_url");
        shown[*url] = json!(format!("{api}/{part}"));
    }
    for (key, value) in repository.as_object().into_iter().flatten() {
        let hidden = OWN.contains(&key.as_str()) || (!full && FULL_ONLY.contains(&key.as_str()));
        if !hidden {
            shown[key] = value.clone();
        }
    }
    shown
}

/// Returns a repository in its short form. Other objects contain this form. The short form has no
/// settings.
pub(crate) fn simple_repository(world: &World, org: &str, of: &Value) -> Value {
    let whole = repository(world, org, of, false);
    let keys =
        ["id", "node_id", "name", "full_name", "owner", "private", "html_url", "description", "fork", "url"];
    keys.iter().chain(URLS).map(|key| ((*key).to_owned(), whole[*key].clone())).collect()
}

pub(crate) fn organisation_as_owner(world: &World, login: &str) -> Value {
    let id = world.org(login).and_then(|org| org["id"].as_u64()).unwrap_or_default();
    account(login, id, &Node::Organisation(id).encode(), "Organization")
}

/// Returns a person. If the state has no entry for the person, the result has default values.
pub(crate) fn user(world: &World, login: &str) -> Value {
    let known = world.user(login);
    let id = known.and_then(|user| user["id"].as_u64()).unwrap_or(1);
    let login = known.and_then(|user| user["login"].as_str()).unwrap_or(login);
    account(login, id, &Node::User(id).encode(), "User")
}

/// Returns the author of an action. An App acts with the login of its bot.
pub(crate) fn sender(world: &World, login: &str) -> Value {
    match world.acting(login).and_then(|app| app["id"].as_u64()) {
        Some(id) => account(&format!("{login}[bot]"), id + 900_000, &format!("BOT_kgDO{id:08}"), "Bot"),
        None => user(world, login),
    }
}

fn account(login: &str, id: u64, node_id: &str, kind: &str) -> Value {
    // The login of a bot contains brackets, which must be encoded in an address.
    let segment = address::segment(login);
    let api = format!("https://api.github.com/users/{segment}");
    json!({
        "login": login, "id": id, "node_id": node_id, "type": kind, "site_admin": false, "gravatar_id": "",
        "avatar_url": format!("https://avatars.githubusercontent.com/u/{id}"),
        "html_url": format!("https://github.com/{segment}"),
        "url": api,
        "events_url": format!("{api}/events{{/privacy}}"),
        "followers_url": format!("{api}/followers"),
        "following_url": format!("{api}/following{{/other_user}}"),
        "gists_url": format!("{api}/gists{{/gist_id}}"),
        "organizations_url": format!("{api}/orgs"),
        "received_events_url": format!("{api}/received_events"),
        "repos_url": format!("{api}/repos"),
        "starred_url": format!("{api}/starred{{/owner}}{{/repo}}"),
        "subscriptions_url": format!("{api}/subscriptions"),
    })
}

pub(crate) fn public_user(world: &World, login: &str) -> Value {
    let mut shown = user(world, login);
    for key in ["bio", "blog", "company", "email", "hireable", "location", "name"] {
        shown[key] = Value::Null;
    }
    for key in ["followers", "following", "public_gists", "public_repos"] {
        shown[key] = json!(0);
    }
    shown["created_at"] = json!("2020-01-01T00:00:00Z");
    shown["updated_at"] = json!("2020-01-01T00:00:00Z");
    shown["user_view_type"] = json!("public");
    shown
}

/// Returns a team. In the list of a repository's teams, a team also has its permission on the
/// repository.
pub(crate) fn team(world: &World, org: &str, team: &Value, permission: Option<&str>) -> Value {
    let slug = team["slug"].as_str().unwrap_or_default();
    let id = team["id"].as_u64().unwrap_or_default();
    let org_id = world.org(org).and_then(|org| org["id"].as_u64()).unwrap_or_default();
    let api = format!("https://api.github.com/organizations/{org_id}/team/{id}");
    json!({
        "id": id,
        "node_id": Node::Team(id).encode(),
        "slug": slug,
        "name": team["name"],
        "description": team["description"],
        "privacy": team["privacy"].as_str().unwrap_or("closed"),
        "notification_setting": team["notification_setting"].as_str().unwrap_or("notifications_enabled"),
        "permission": permission.unwrap_or("pull"),
        "permissions": permissions_by(permission.unwrap_or("pull")),
        "type": "organization",
        "organization_id": org_id,
        "url": api,
        "html_url": format!("https://github.com/orgs/{org}/teams/{slug}"),
        "members_url": format!("{api}/members{{/member}}"),
        "repositories_url": format!("{api}/repos"),
        "parent": team["parent"].as_str().and_then(|slug| world.team(org, slug)).map(|above| {
            let mut above = self::team(world, org, &json!({ "id": above["id"], "slug": above["slug"], "name": above["name"] }), None);
            // GitHub shows a parent team without a field for the parent above it.
            above.as_object_mut().map(|above| above.remove("parent"));
            above
        }),
    })
}

/// Returns a team with all fields.
pub(crate) fn whole_team(world: &World, org: &str, team: &Value) -> Value {
    let mut shown = self::team(world, org, team, None);
    let slug = team["slug"].as_str().unwrap_or_default();
    let lineage = world.lineage(org, slug);
    let of =
        world.repositories(org).iter().filter(|found| access::granted(found, &lineage).is_some()).count();
    shown["members_count"] = json!(team["members"].as_object().map_or(0, serde_json::Map::len));
    shown["repos_count"] = json!(of);
    shown["created_at"] = json!("2026-01-01T00:00:00Z");
    shown["updated_at"] = json!("2026-01-01T00:00:00Z");
    shown["organization"] = world.org(org).map(|org| organisation(world, org)).unwrap_or_default();
    shown
}

pub(crate) fn invitation(world: &World, org: &str, of: &Value, invitation: &Value) -> Value {
    let id = invitation["id"].as_u64().unwrap_or_default();
    let name = of["name"].as_str().unwrap_or_default();
    let invitee = invitation["login"].as_str().map(|login| user(world, login));
    json!({
        "id": id,
        "node_id": format!("RI_kgDO{id:08}"),
        "repository": repository(world, org, of, false),
        "invitee": invitee,
        "inviter": user(world, "octocat"),
        "permissions": invitation["permissions"],
        "created_at": invitation["created_at"].as_str().unwrap_or("2026-01-01T00:00:00Z"),
        "expired": invitation["expired"].as_bool().unwrap_or(false),
        "url": format!("https://api.github.com/user/repository_invitations/{id}"),
        "html_url": format!("https://github.com/{org}/{name}/invitations"),
    })
}

/// Returns the membership of a person in an organisation.
pub(crate) fn membership(world: &World, org: &str, login: &str, role: &str, state: &str) -> Value {
    let api = format!("https://api.github.com/orgs/{org}");
    json!({
        "url": format!("{api}/memberships/{}", address::segment(login)),
        "state": state,
        "role": role,
        "organization_url": api,
        "organization": world.org(org).map(|org| organisation(world, org)),
        "user": user(world, login),
    })
}

/// Returns an invitation to an organisation.
pub(crate) fn organisation_invitation(world: &World, invitation: &Value) -> Value {
    let id = invitation["id"].as_u64().unwrap_or_default();
    json!({
        "id": id,
        "node_id": format!("OI_kwDO{id:08}"),
        "login": invitation["login"],
        "email": null,
        "role": invitation["role"],
        "created_at": "2026-01-01T00:00:00Z",
        "failed_at": null,
        "failed_reason": null,
        "inviter": user(world, "octocat"),
        "team_count": 0,
        "invitation_teams_url": format!("https://api.github.com/organizations/1/invitations/{id}/teams"),
    })
}

pub(crate) fn organisation(world: &World, org: &Value) -> Value {
    let login = org["login"].as_str().unwrap_or_default();
    let api = format!("https://api.github.com/orgs/{login}");
    let id = org["id"].as_u64().unwrap_or_default();
    json!({
        "login": login, "id": id, "node_id": Node::Organisation(id).encode(), "type": "Organization",
        "url": api,
        "repos_url": format!("{api}/repos"), "events_url": format!("{api}/events"),
        "hooks_url": format!("{api}/hooks"), "issues_url": format!("{api}/issues"),
        "members_url": format!("{api}/members{{/member}}"),
        "public_members_url": format!("{api}/public_members{{/member}}"),
        "avatar_url": format!("https://avatars.githubusercontent.com/u/{id}"),
        "html_url": format!("https://github.com/{login}"),
        "description": null, "has_organization_projects": true, "has_repository_projects": true,
        "public_repos": world.repositories(login).iter().filter(|r| r["visibility"] == "public").count(),
        "public_gists": 0, "followers": 0, "following": 0,
        "created_at": "2020-01-01T00:00:00Z", "updated_at": "2020-01-01T00:00:00Z", "archived_at": null,
    })
}

/// Returns the permissions of an organisation's App installation.
pub(crate) fn permissions_of(org: &Value) -> Value {
    if org["permissions"].is_object() { org["permissions"].clone() } else { permissions() }
}

/// Returns the permissions and the subscribed events of an App.
pub(crate) fn permissions() -> Value {
    json!({
        "actions": "write", "administration": "write", "contents": "read", "issues": "write", "metadata": "read",
        "members": "write", "organization_administration": "write", "organization_hooks": "write",
        "organization_actions_variables": "write", "organization_custom_roles": "write",
        "organization_custom_org_roles": "write", "organization_self_hosted_runners": "write",
        "organization_user_blocking": "write", "repository_hooks": "write",
        "pages": "write", "security_events": "write", "vulnerability_alerts": "write",
        "organization_custom_properties": "admin", "repository_custom_properties": "write",
        "environments": "write", "actions_variables": "write", "secrets": "write",
        "dependabot_secrets": "write", "codespaces_secrets": "write",
        "organization_secrets": "write", "organization_dependabot_secrets": "write",
        "organization_codespaces_secrets": "write",
    })
}

pub(crate) const EVENTS: &[&str] = &[
    "branch_protection_configuration",
    "branch_protection_rule",
    "create",
    "custom_property_values",
    "label",
    "member",
    "membership",
    "milestone",
    "organization",
    "public",
    "push",
    "repository",
    "repository_ruleset",
    "security_and_analysis",
    "team",
    "team_add",
];

pub(crate) fn app(world: &World, app: &Value) -> Value {
    let id = app["id"].as_u64().unwrap_or_default();
    let slug = app["slug"].as_str().unwrap_or_default();
    // An App from a manifest has these values in the state.
    let own = |key: &str, default: Value| if app[key].is_null() { default } else { app[key].clone() };
    let owner = app["owner"].as_str().map(|org| organisation_as_owner(world, org));
    json!({
        "id": id, "slug": slug, "node_id": Node::App(id).encode(), "name": own("name", json!(slug)),
        "description": null,
        "owner": owner.unwrap_or_else(|| user(world, "octocat")),
        "external_url": own("external_url", json!(format!("https://{slug}.example.com"))),
        "html_url": own("html_url", json!(format!("https://github.com/apps/{slug}"))),
        "created_at": "2020-01-01T00:00:00Z", "updated_at": "2020-01-01T00:00:00Z",
        "permissions": own("permissions", permissions()), "events": own("events", json!(EVENTS)),
    })
}

/// Returns the permissions that an installed App has in an organisation.
pub(crate) fn permissions_in(org: &Value, app: &Value) -> Value {
    if app["permissions"].is_object() { app["permissions"].clone() } else { permissions_of(org) }
}

pub(crate) fn installation(world: &World, org: &Value, app: &Value) -> Value {
    let login = org["login"].as_str().unwrap_or_default();
    let id = installation_id(org);
    let is_suspended = is_suspended(app, org);
    json!({
        "id": id, "app_id": app["id"], "app_slug": app["slug"], "client_id": "Iv1.0000000000000000",
        "target_id": org["id"], "target_type": "Organization",
        "account": organisation_as_owner(world, login),
        "single_file_name": null, "repository_selection": "all",
        "access_tokens_url": format!("https://api.github.com/app/installations/{id}/access_tokens"),
        "repositories_url": "https://api.github.com/installation/repositories",
        "html_url": format!("https://github.com/organizations/{login}/settings/installations/{id}"),
        "events": if app["events"].is_array() { app["events"].clone() } else { json!(EVENTS) },
        "permissions": permissions_in(org, app),
        "created_at": "2020-01-01T00:00:00Z", "updated_at": "2020-01-01T00:00:00Z",
        "suspended_by": if is_suspended { user(world, "octocat") } else { Value::Null },
        "suspended_at": if is_suspended { json!("2026-01-01T00:00:00Z") } else { Value::Null },
    })
}

/// Returns whether an organisation suspended the installation of an App.
pub(crate) fn is_suspended(app: &Value, org: &Value) -> bool {
    app["suspended"].as_array().is_some_and(|suspended| suspended.contains(&org["login"]))
}

/// Returns the id of an organisation's installation. An organisation has only one.
pub(crate) fn installation_id(org: &Value) -> u64 {
    org["id"].as_u64().unwrap_or_default() + 40_000_000
}

/// Returns the flags that describe a permission, such as `push`.
pub(crate) fn permissions_by(permission: &str) -> Value {
    let all = ["pull", "triage", "push", "maintain", "admin"];
    // In the simulator, every custom role is based on `pull`.
    let reach = all.iter().position(|known| *known == permission).unwrap_or(0);
    all.iter().enumerate().map(|(at, name)| ((*name).to_owned(), json!(at <= reach))).collect()
}

/// Returns the name that roles and invitations use for a permission.
pub(crate) fn role_name(permission: &str) -> &str {
    match permission {
        "pull" => "read",
        "push" => "write",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_bot_is_a_uri() {
        let bot = sender(&World::new(), crate::github::APP_SLUG);
        assert_eq!((&bot["login"], &bot["type"]), (&json!("beadle-app[bot]"), &json!("Bot")));
        assert_eq!(bot["url"], "https://api.github.com/users/beadle-app%5Bbot%5D");
    }

    #[test]
    fn a_simple_repository_shows_no_settings() {
        let world = World::from(json!({ "orgs": { "acme": { "repos": { "shop": { "topics": ["a"] } } } } }));
        let shown = simple_repository(&world, "acme", world.repository("acme", "shop").unwrap());
        assert_eq!((&shown["name"], &shown["owner"]["login"]), (&json!("shop"), &json!("acme")));
        for key in ["topics", "visibility", "permissions", "default_branch", "archived", "has_wiki"] {
            assert!(shown.get(key).is_none(), "{key}");
        }
    }
}
