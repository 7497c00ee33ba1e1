//! The rights of an installation token. A token has the requested permissions and repositories, but
//! no more than the installation itself.
//!
//! <https://docs.github.com/rest/authentication/permissions-required-for-github-apps>

use serde_json::{Map, Value, json};

use crate::github::APP_SLUG;
use crate::github::rest::{self, Call, Reply};
use crate::github::shapes;
use crate::github::world::World;

/// The rights of a token.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    org: String,
    /// The slug of the token's App.
    pub(crate) app: String,
    permissions: Map<String, Value>,
    /// The ids of the repositories that the token can use. `None` means all repositories of the
    /// organisation.
    repositories: Option<Vec<u64>>,
}

impl Grant {
    /// Returns the rights that the body of `POST /app/installations/{id}/access_tokens` requests.
    pub(crate) fn asked(world: &World, org: &Value, app: &Value, body: &Value) -> Result<Self, Reply> {
        let login = org["login"].as_str().unwrap_or_default();
        let held = shapes::permissions_in(org, app);
        let held = held.as_object().cloned().unwrap_or_default();
        let mut permissions = held.clone();
        // A client that sends `{}` requests all permissions of the installation.
        if let Some(asked) = body["permissions"].as_object().filter(|asked| !asked.is_empty()) {
            let too_much = asked.iter().any(|(name, level)| rank(level) > rank(&held_level(&held, name)));
            if too_much {
                return Err(Reply::invalid(
                    "The permissions requested are not granted to this installation.",
                ));
            }
            permissions.clone_from(asked);
        }
        let mut repositories: Option<Vec<u64>> = None;
        for id in body["repository_ids"].as_array().into_iter().flatten() {
            let known = id.as_u64().filter(|id| world.by_id(*id).is_some_and(|(owner, _)| owner == login));
            repositories.get_or_insert_default().push(known.ok_or_else(not_there)?);
        }
        for name in body["repositories"].as_array().into_iter().flatten() {
            let known = name.as_str().and_then(|name| world.repository(login, name)?["id"].as_u64());
            repositories.get_or_insert_default().push(known.ok_or_else(not_there)?);
        }
        let app = app["slug"].as_str().unwrap_or(APP_SLUG).to_owned();
        Ok(Self { org: login.to_owned(), app, permissions, repositories })
    }

    /// Returns the login of the token's organisation.
    pub(crate) fn org(&self) -> &str {
        &self.org
    }

    /// Returns the rights in the form that the answer to the token request has.
    pub(crate) fn shown(&self, world: &World) -> Value {
        let mut shown = json!({ "permissions": self.permissions, "repository_selection": "all" });
        if self.repositories.is_some() {
            shown["repository_selection"] = json!("selected");
            shown["repositories"] = self.rows(world).into();
        }
        shown
    }

    fn rows(&self, world: &World) -> Vec<Value> {
        let all = world.repositories(&self.org).into_iter().filter(|found| self.reaches(found));
        all.map(|found| shapes::repository(world, &self.org, found, false)).collect()
    }

    fn reaches(&self, repository: &Value) -> bool {
        let id = repository["id"].as_u64();
        self.repositories.as_ref().is_none_or(|ids| id.is_some_and(|id| ids.contains(&id)))
    }

    /// Returns an error if the token lacks a right that the call needs.
    pub(crate) fn refusal(&self, world: &World, call: &Call<'_>) -> Option<Reply> {
        if let ["repos", org, name, ..] = call.path.as_slice()
            && world.repository(org, name).is_some_and(|found| !self.reaches(found))
        {
            return Some(Reply::not_found());
        }
        let (permission, writes) = needed(call.method.as_str(), &call.path)?;
        // A comment on a pull request needs one of two permissions.
        let is_comment = matches!(
            call.path.as_slice(),
            ["repos", _, _, "issues", "comments", _] | ["repos", _, _, "issues", _, "comments"]
        );
        let is_allowed = (self.has(permission, writes) || (is_comment && self.has("pull_requests", writes)))
            && (!renames_default(world, call) || self.has("administration", true))
            && (!defines(call) || rank(&held_level(&self.permissions, permission)) >= rank(&json!("admin")));
        (!is_allowed).then(|| Reply::message(403, "Resource not accessible by integration"))
    }

    fn has(&self, permission: &str, writes: bool) -> bool {
        let least = if writes { "write" } else { "read" };
        rank(&held_level(&self.permissions, permission)) >= rank(&json!(least))
    }

    /// Returns an error if the token lacks a right that the mutation in a request needs.
    pub(crate) fn mutation(&self, request: &Value) -> Option<Reply> {
        let text = request["query"].as_str().unwrap_or_default();
        let has = |mutation: &&str| text.contains(*mutation);
        let permission =
            if ["createRef(", "updateRef(", "deleteRef(", "createCommitOnBranch("].iter().any(has) {
                "contents"
            } else if ["createPullRequest(", "updatePullRequest("].iter().any(has) {
                "pull_requests"
            } else {
                "administration"
            };
        let files =
            request["variables"]["input"]["fileChanges"]["additions"].as_array().into_iter().flatten();
        let mut paths = files.filter_map(|file| file["path"].as_str());
        let has_workflow = paths.any(|path| path.starts_with(".github/workflows/"));
        let is_allowed = self.has(permission, true) && (!has_workflow || self.has("workflows", true));
        let problem =
            json!({ "type": "FORBIDDEN", "path": [], "message": "Resource not accessible by integration" });
        let refused = json!({ "data": null, "errors": [problem] });
        (!is_allowed).then(|| Reply::json(200, refused))
    }

    /// Answers `GET /installation/repositories`.
    pub(crate) fn repositories(&self, world: &World, call: &Call<'_>) -> Reply {
        let rows = self.rows(world);
        let total = rows.len();
        let selection = if self.repositories.is_some() { "selected" } else { "all" };
        let mut reply = rest::page(call, rows);
        reply.body = reply.body.map(
            |rows| json!({ "total_count": total, "repository_selection": selection, "repositories": rows }),
        );
        reply
    }
}

fn not_there() -> Reply {
    Reply::invalid(
        "There is at least one repository that does not exist or is not accessible to the parent installation.",
    )
}

fn held_level(permissions: &Map<String, Value>, name: &str) -> Value {
    permissions.get(name).cloned().unwrap_or_default()
}

fn rank(level: &Value) -> u8 {
    match level.as_str() {
        Some("read") => 1,
        Some("write") => 2,
        Some("admin") => 3,
        _ => 0,
    }
}

/// Returns whether a call renames the default branch. A rename of the default branch needs a second
/// permission.
fn renames_default(world: &World, call: &Call<'_>) -> bool {
    let ["repos", org, name, "branches", branch, "rename"] = call.path.as_slice() else { return false };
    world.repository(org, name).is_some_and(|found| found["default_branch"] == *branch)
}

/// Returns whether a call changes the definition of a custom property. A changed definition needs a
/// higher level of the permission than a changed value.
fn defines(call: &Call<'_>) -> bool {
    call.method.as_str() != "GET" && matches!(call.path.as_slice(), ["orgs", _, "properties", "schema", ..])
}

/// Returns the permission that a call needs, and whether the call writes. Returns `None` if the
/// call needs no permission.
fn needed(method: &str, path: &[&str]) -> Option<(&'static str, bool)> {
    let writes = method != "GET";
    let permission = match path {
        ["orgs", _, "teams", _, "repos", ..]
        | ["organizations", _, "team", _, "repos", ..]
        | ["orgs", _, "repos"]
        | ["repos", _, _]
        | ["repos", _, _, "forks" | "generate"]
        | ["repos", _, _, "topics" | "collaborators" | "rulesets" | "private-vulnerability-reporting", ..]
            if writes =>
        {
            "administration"
        }
        ["orgs", _, "teams" | "members" | "memberships" | "invitations" | "external-groups", ..]
        | ["organizations", _, "team", ..]
        | ["orgs", _, "organization-roles", "teams" | "users", ..] => "members",
        ["orgs", _] if writes => "organization_administration",
        ["orgs", _, "actions", "permissions" | "oidc", ..]
        | ["orgs", _, "rulesets" | "code-security" | "installations", ..] => "organization_administration",
        ["orgs", _, "actions", "variables", ..] => "organization_actions_variables",
        ["orgs", _, "actions", "secrets", ..] => "organization_secrets",
        ["orgs", _, "dependabot", "secrets", ..] => "organization_dependabot_secrets",
        ["orgs", _, "codespaces", "secrets", ..] => "organization_codespaces_secrets",
        ["orgs", _, "custom-repository-roles", ..] if writes => "organization_custom_roles",
        ["orgs", _, "organization-roles", ..] => "organization_custom_org_roles",
        ["orgs", _, "actions", "runner-groups", ..] => "organization_self_hosted_runners",
        ["orgs", _, "blocks", ..] => "organization_user_blocking",
        ["orgs", _, "hooks", ..] => "organization_hooks",
        ["orgs", _, "properties", ..] => "organization_custom_properties",
        ["repos", _, _, "labels" | "milestones" | "issues", ..] => "issues",
        ["repos", _, _, "pulls", ..] => "pull_requests",
        ["repos", _, _, "check-runs", ..] | ["repos", _, _, "commits", _, "check-runs"] => "checks",
        ["repos", _, _, "hooks", ..] => "repository_hooks",
        ["repos", _, _, "pages", ..] => "pages",
        ["repos", _, _, "contents" | "commits" | "git" | "compare", ..]
        | ["repos", _, _, "branches", _]
        | ["repos", _, _, "branches", _, "rename"] => "contents",
        ["repos", _, _, "properties", ..] if writes => "repository_custom_properties",
        ["repos", _, _, "actions", "workflows" | "oidc", ..] => "actions",
        ["repos", _, _, "actions", "variables", ..] => "actions_variables",
        ["repos", _, _, "actions", "secrets", ..] => "secrets",
        ["repos", _, _, "dependabot", "secrets", ..] => "dependabot_secrets",
        ["repos", _, _, "codespaces", "secrets", ..] => "codespaces_secrets",
        ["repos", _, _, "environments", _, "variables" | "secrets", ..] => "environments",
        ["repos", _, _, "environments", ..] if !writes => "actions",
        [
            "repos",
            _,
            _,
            "actions"
            | "teams"
            | "autolinks"
            | "environments"
            | "keys"
            | "invitations"
            | "immutable-releases"
            | "interaction-limits"
            | "automated-security-fixes",
            ..,
        ]
        | ["repos", _, _, "branches", _, "protection"] => "administration",
        _ => return None,
    };
    Some((permission, writes))
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn world() -> World {
        World::from(json!({ "orgs": { "acme": {
            "permissions": { "administration": "write", "members": "read", "metadata": "read" },
            "repos": { "svc": { "id": 7 }, "shop": { "id": 8 } },
        } } }))
    }

    fn grant(world: &World, body: &Value) -> Result<Grant, Reply> {
        Grant::asked(world, world.org("acme").unwrap(), &Value::Null, body)
    }

    fn status(grant: &Grant, world: &World, method: &Method, path: &str) -> Option<u16> {
        let call = Call {
            method,
            path: path.split('/').collect(),
            query: &[],
            body: &Value::Null,
            sender: "beadle-app",
            accept: "",
        };
        grant.refusal(world, &call).map(|reply| reply.status)
    }

    #[test]
    fn a_token_has_only_the_requested_permissions() {
        let world = world();
        let whole = grant(&world, &Value::Null).unwrap();
        assert_eq!(status(&whole, &world, &Method::PATCH, "repos/acme/svc"), None);
        assert_eq!(status(&whole, &world, &Method::GET, "orgs/acme/teams"), None);
        assert_eq!(status(&whole, &world, &Method::POST, "orgs/acme/teams"), Some(403));
        assert_eq!(status(&whole, &world, &Method::GET, "orgs/acme/invitations"), None);
        assert_eq!(status(&whole, &world, &Method::PUT, "orgs/acme/memberships/mona"), Some(403));
        assert_eq!(status(&whole, &world, &Method::GET, "repos/acme/svc/labels"), Some(403));
        let whole = grant(&world, &json!({ "permissions": {} })).unwrap();
        assert_eq!(status(&whole, &world, &Method::PATCH, "repos/acme/svc"), None);
        let reading = grant(&world, &json!({ "permissions": { "administration": "read" } })).unwrap();
        assert_eq!(status(&reading, &world, &Method::GET, "repos/acme/svc/autolinks"), None);
        assert_eq!(status(&reading, &world, &Method::POST, "repos/acme/svc/autolinks"), Some(403));
        let rule = json!({ "query": "mutation { deleteBranchProtectionRule(input: $input) { id } }" });
        assert!(reading.mutation(&rule).is_some() && whole.mutation(&rule).is_none());
        assert!(
            whole.mutation(&json!({ "query": "mutation { createRef(input: $input) { id } }" })).is_some()
        );
        assert!(grant(&world, &json!({ "permissions": { "members": "write" } })).is_err());
    }

    #[test]
    fn a_rename_of_the_default_branch_needs_administration_too() {
        let mut world = world();
        let path = |branch: &str| format!("repos/acme/svc/branches/{branch}/rename");
        world.doc["orgs"]["acme"]["permissions"] = json!({ "contents": "write" });
        let files = grant(&world, &Value::Null).unwrap();
        assert_eq!(status(&files, &world, &Method::POST, &path("next")), None);
        assert_eq!(status(&files, &world, &Method::POST, &path("main")), Some(403));
        world.doc["orgs"]["acme"]["permissions"]["administration"] = json!("write");
        let both = grant(&world, &Value::Null).unwrap();
        assert_eq!(status(&both, &world, &Method::POST, &path("main")), None);
    }

    #[test]
    fn a_token_reaches_only_the_requested_repositories() {
        let world = world();
        let one = grant(&world, &json!({ "repositories": ["svc"] })).unwrap();
        assert_eq!(status(&one, &world, &Method::GET, "repos/acme/svc"), None);
        assert_eq!(status(&one, &world, &Method::GET, "repos/acme/shop"), Some(404));
        let shown = one.shown(&world);
        assert_eq!(shown["repository_selection"], "selected");
        assert_eq!(shown["repositories"].as_array().unwrap().len(), 1);
        assert!(grant(&world, &json!({ "repository_ids": [9] })).is_err());
        assert!(grant(&world, &json!({ "repository_ids": [8] })).is_ok());
    }
}
