//! Simulates the part of GitHub's REST API that Beadle and safe-settings use.
//!
//! <https://docs.github.com/rest>

mod actions;
mod autolinks;
mod blocks;
mod branches;
mod checks;
mod configurations;
mod contents;
mod create;
mod deploy_keys;
mod environments;
mod external_groups;
mod git;
mod hooks;
mod installations;
mod interactions;
mod issues;
mod labels;
mod memberships;
mod milestones;
mod oidc;
mod organisation;
mod organisation_actions;
mod organisation_roles;
mod organisation_secrets;
mod organisation_variables;
mod pages;
mod people;
mod properties;
pub(crate) mod pulls;
mod rulesets;
mod runner_groups;
mod secrets;
mod security;
mod teams;
mod variables;

use http::Method;
use serde_json::{Value, json};

use crate::github::address::{MOVED, RAW};
use crate::github::rules::Place;
use crate::github::world::World;
use crate::github::{address, described, rules, shapes};

/// A call of the REST API.
pub(crate) struct Call<'a> {
    pub(crate) method: &'a Method,
    /// The segments of the path, percent-decoded.
    pub(crate) path: Vec<&'a str>,
    pub(crate) query: &'a [(String, String)],
    pub(crate) body: &'a Value,
    /// The login of the caller.
    pub(crate) sender: &'a str,
    pub(crate) accept: &'a str,
}

/// The answer to a call.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Option<Value>,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Reply {
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self { status, body: Some(body), headers: Vec::new() }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self { status, body: None, headers: Vec::new() }
    }

    /// Creates an answer that is the plain text of a file.
    fn raw(text: &str) -> Self {
        Self { headers: vec![(RAW, "true".to_owned())], ..Self::json(200, json!(text)) }
    }

    pub(crate) fn is_raw(&self) -> bool {
        self.headers.iter().any(|(name, _)| *name == RAW)
    }

    /// Returns the body as it is sent.
    pub(crate) fn text(&self) -> String {
        match &self.body {
            Some(Value::String(text)) if self.is_raw() => text.clone(),
            Some(body) => body.to_string(),
            None => String::new(),
        }
    }

    pub(crate) fn message(status: u16, message: &str) -> Self {
        let documentation = "https://docs.github.com/rest";
        Self::json(
            status,
            json!({ "message": message, "documentation_url": documentation, "status": status.to_string() }),
        )
    }

    pub(crate) fn not_found() -> Self {
        Self::message(404, "Not Found")
    }

    pub(crate) fn invalid(message: &str) -> Self {
        let documentation = "https://docs.github.com/rest";
        Self::json(422, json!({ "message": message, "documentation_url": documentation, "errors": [] }))
    }
}

/// Answers a call of the REST API.
pub(crate) fn answer(world: &mut World, call: &Call<'_>) -> Reply {
    let method = call.method.as_str();
    match (method, call.path.as_slice()) {
        ("GET", ["users", login]) => match world.user(login).and_then(|user| user["login"].as_str()) {
            Some(login) => Reply::json(200, shapes::public_user(world, login)),
            None => Reply::not_found(),
        },
        ("GET", ["apps", slug]) => match world.app(slug) {
            Some(app) => Reply::json(200, shapes::app(world, app)),
            None => Reply::not_found(),
        },
        (_, ["orgs", org, rest @ ..]) => {
            match world.org(org).and_then(|org| org["login"].as_str()).map(str::to_owned) {
                Some(org) => {
                    let place = Place { world, org: &org, repository: None };
                    described::refusal(method, &call.path, call.body)
                        .or_else(|| rules::refusal(&place, call))
                        .unwrap_or_else(|| organisation(world, call, &org, rest))
                }
                None => Reply::not_found(),
            }
        }
        // This path is the address in the field `url` of a team.
        (_, ["organizations", org, "team", id, rest @ ..]) => {
            let Some((org, slug)) = teams::named(world, org, id) else { return Reply::not_found() };
            let path = ["orgs", org.as_str(), "teams", slug.as_str()]
                .into_iter()
                .chain(rest.iter().copied())
                .collect();
            answer(world, &Call { path, ..*call })
        }
        // This path is the target of a redirect.
        (_, ["repositories", id, rest @ ..]) => {
            let found = id.parse().ok().and_then(|id| world.by_id(id));
            let found =
                found.and_then(|(org, found)| Some((org.to_owned(), found["name"].as_str()?.to_owned())));
            let Some((org, name)) = found else { return Reply::not_found() };
            let path =
                ["repos", org.as_str(), name.as_str()].into_iter().chain(rest.iter().copied()).collect();
            repository(world, &Call { path, ..*call }, &org, &name, rest)
        }
        (_, ["repos", org, name, rest @ ..]) => {
            let found = world.repository(org, name).and_then(|found| found["name"].as_str());
            let login = world.org(org).and_then(|org| org["login"].as_str());
            match found.map(str::to_owned).zip(login.map(str::to_owned)) {
                Some((name, org)) => repository(world, call, &org, &name, rest),
                None => world.moved(org, name).map_or_else(Reply::not_found, |id| moved(call, id, rest)),
            }
        }
        _ => Reply::not_found(),
    }
}

/// Answers a call that uses the old name of a renamed repository. GitHub answers with the new
/// address: with status 301 for a read, and 307 for a write.
fn moved(call: &Call<'_>, id: u64, rest: &[&str]) -> Reply {
    let (status, message) = match call.method.as_str() {
        "GET" => (301, "Moved Permanently"),
        _ => (307, "Temporary Redirect"),
    };
    let mut place = format!("/repositories/{id}");
    for segment in rest {
        place.push('/');
        place.push_str(&address::segment(segment));
    }
    let mut reply = Reply::message(status, message);
    if let Some(body) = &mut reply.body {
        body["url"] = json!(format!("https://api.github.com{place}"));
    }
    reply.headers.push((MOVED, place));
    reply
}

/// Returns whether the caller asks for the raw text of a file, with
/// `application/vnd.github.raw+json` or `application/vnd.github.v3.raw`.
fn wants_raw(accept: &str) -> bool {
    let mut types = accept.split([',', ';']).map(str::trim);
    types.any(|kind| {
        kind.strip_prefix("application/vnd.github.")
            .is_some_and(|rest| rest.trim_end_matches("+json").split('.').any(|part| part == "raw"))
    })
}

/// Returns whether an entry of the state has this id.
fn has_id(entry: &Value, id: &str) -> bool {
    entry["id"].as_u64().is_some_and(|known| Some(known) == id.parse().ok())
}

/// Returns the page that a call requests from a list, with the `Link` header.
pub(crate) fn page(call: &Call<'_>, rows: Vec<Value>) -> Reply {
    let number = |name: &str, or: usize| {
        let value = call.query.iter().find(|(other, _)| other == name);
        value.and_then(|(_, value)| value.parse().ok()).unwrap_or(or).max(1)
    };
    let (size, page) = (number("per_page", 30).min(100), number("page", 1));
    let total = rows.len();
    let rows: Vec<Value> = rows.into_iter().skip((page - 1) * size).take(size).collect();
    let mut reply = Reply::json(200, Value::Array(rows));
    let last = total.div_ceil(size).max(1);
    if page > 1 {
        reply.headers.push(("x-sim-prev-page", (page - 1).to_string()));
    }
    if page < last {
        reply.headers.push(("x-sim-next-page", (page + 1).to_string()));
        reply.headers.push(("x-sim-last-page", last.to_string()));
    }
    if page > 1 {
        reply.headers.push(("x-sim-first-page", "1".to_owned()));
    }
    reply
}

/// Returns a page of a list that GitHub puts into an object with the total of all pages.
pub(crate) fn in_object(call: &Call<'_>, key: &str, rows: Vec<Value>) -> Reply {
    let total = rows.len();
    let mut reply = page(call, rows);
    reply.body = reply.body.map(|rows| json!({ "total_count": total, key: rows }));
    reply
}

fn organisation(world: &mut World, call: &Call<'_>, org: &str, rest: &[&str]) -> Reply {
    match (call.method.as_str(), rest) {
        (_, []) => organisation::answer(world, call, org),
        ("GET", ["repos"]) => {
            let rows =
                world.repositories(org).into_iter().map(|row| shapes::repository(world, org, row, false));
            page(call, rows.collect())
        }
        ("POST", ["repos"]) => create::in_organisation(world, call, org),
        (_, ["actions", "permissions", rest @ ..]) => organisation_actions::answer(world, call, org, rest),
        ("GET" | "PUT", ["actions", "oidc", "customization", "sub"]) => {
            oidc::of_organisation(world, call, org)
        }
        (_, ["actions", "runner-groups", rest @ ..]) => runner_groups::answer(world, call, org, rest),
        (_, ["blocks", rest @ ..]) => blocks::answer(world, call, org, rest),
        (_, ["actions", "variables", rest @ ..]) => organisation_variables::answer(world, call, org, rest),
        (_, [product @ ("actions" | "dependabot" | "codespaces"), "secrets", rest @ ..]) => {
            organisation_secrets::answer(world, call, (org, *product), rest)
        }
        (_, ["hooks", rest @ ..]) => hooks::of_organisation(world, call, org, rest),
        (_, ["rulesets", rest @ ..]) => rulesets::of_organisation(world, call, org, rest),
        (_, ["properties", "schema", rest @ ..]) => properties::definitions(world, call, org, rest),
        (_, ["properties", "values"]) => properties::of_organisation(world, call, org),
        (_, ["code-security", "configurations", rest @ ..]) => configurations::answer(world, call, org, rest),
        ("GET", ["members"]) => memberships::members(world, call, org),
        ("GET", ["members", login]) if world.is_member(org, login) => Reply::empty(204),
        (_, ["memberships", login]) => memberships::answer(world, call, org, login),
        ("GET", ["invitations"]) => memberships::invitations(world, call, org),
        (_, ["teams", rest @ ..]) => teams::answer(world, call, org, rest),
        ("GET", ["installations"]) => installations::of_organisation(world, call, org),
        ("GET", ["external-groups"]) => external_groups::answer(world, call, org),
        (_, ["custom-repository-roles", rest @ ..]) => {
            organisation_roles::answer(world, call, org, ("repository_roles", "custom_roles"), rest)
        }
        (_, ["organization-roles", rest @ ..]) => {
            organisation_roles::answer(world, call, org, ("organization_roles", "roles"), rest)
        }
        _ => Reply::not_found(),
    }
}

fn read_only(repository: &Value) -> Option<Reply> {
    (repository["archived"] == json!(true))
        .then(|| Reply::message(403, "Repository was archived so is read-only."))
}

/// The keys of a body that the simulator stores for a new or changed repository.
const SETTABLE: &[&str] = &[
    "name",
    "description",
    "homepage",
    "private",
    "visibility",
    "has_issues",
    "has_projects",
    "has_wiki",
    "has_discussions",
    "has_pull_requests",
    "pull_request_creation_policy",
    "is_template",
    "default_branch",
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
    "archived",
    "allow_forking",
    "web_commit_signoff_required",
];

/// Stores the known keys of a body. GitHub ignores all other keys.
fn set(repository: &mut Value, body: &Value) {
    for (key, value) in body.as_object().into_iter().flatten() {
        if key == "security_and_analysis" {
            for (feature, status) in value.as_object().into_iter().flatten() {
                // GitHub ignores the reviewers of bypasses while the feature is off.
                let is_of_bypass = feature == "secret_scanning_delegated_bypass_options";
                if is_of_bypass && repository[key]["secret_scanning_delegated_bypass"]["status"] != "enabled"
                {
                    continue;
                }
                repository[key][feature] = status.clone();
            }
        } else if SETTABLE.contains(&key.as_str()) {
            repository[key] = value.clone();
        }
    }
    match (body["visibility"].as_str(), body["private"].as_bool()) {
        (Some(visibility), _) => repository["private"] = json!(visibility != "public"),
        (None, Some(true)) => repository["visibility"] = json!("private"),
        (None, Some(false)) => repository["visibility"] = json!("public"),
        (None, None) => {}
    }
}

fn repository(world: &mut World, call: &Call<'_>, org: &str, name: &str, rest: &[&str]) -> Reply {
    let Some(found) = world.repository(org, name).cloned() else { return Reply::not_found() };
    let method = call.method.as_str();
    let writes = method != "GET";
    let unarchives = method == "PATCH" && rest.is_empty() && call.body["archived"] == json!(false);
    if writes
        && !unarchives
        && !(method == "DELETE" && rest.is_empty())
        && let Some(refusal) = read_only(&found)
    {
        return refusal;
    }
    let place = Place { world, org, repository: Some(&found) };
    let refusal = described::refusal(method, &call.path, call.body).or_else(|| rules::refusal(&place, call));
    if let Some(refusal) = refusal {
        return refusal;
    }
    match (method, rest) {
        ("GET", []) => Reply::json(200, shapes::repository(world, org, &found, true)),
        ("PATCH", []) => update(world, call, org, &found),
        ("DELETE", []) => {
            world.remove_repository(org, name, call.sender);
            Reply::empty(204)
        }
        ("POST", ["forks"]) => create::fork(world, call, &found),
        ("POST", ["generate"]) => create::from_template(world, call, &found),
        ("GET", ["topics"]) => Reply::json(200, json!({ "names": found["topics"] })),
        ("PUT", ["topics"]) => {
            let names = call.body["names"].as_array().cloned().unwrap_or_default();
            world.edit(org, name, call.sender, |found| found["topics"] = json!(names));
            Reply::json(200, json!({ "names": names }))
        }
        ("GET", ["teams"]) => page(call, teams_of(world, org, &found)),
        (_, ["collaborators", rest @ ..]) => people::collaborators(world, call, org, &found, rest),
        (_, ["invitations", rest @ ..]) => people::invitations(world, call, org, &found, rest),
        (_, ["labels", rest @ ..]) => labels::answer(world, call, org, &found, rest),
        (_, ["milestones", rest @ ..]) => milestones::answer(world, call, org, &found, rest),
        (_, ["autolinks", rest @ ..]) => autolinks::answer(world, call, org, &found, rest),
        (_, ["interaction-limits"]) => interactions::answer(world, call, org, &found),
        (_, ["pages"]) => pages::answer(world, call, org, &found),
        (_, ["keys", rest @ ..]) => deploy_keys::answer(world, call, org, &found, rest),
        (_, ["rulesets", rest @ ..]) => rulesets::of_repository(world, call, org, &found, rest),
        (_, ["environments", rest @ ..]) => environments::answer(world, call, org, &found, rest),
        (_, ["actions", "variables", rest @ ..]) => {
            let holder = variables::Holder { org, repository: name, environment: None };
            variables::answer(world, call, holder, &found, rest)
        }
        (_, [product @ ("actions" | "dependabot" | "codespaces"), "secrets", rest @ ..]) => {
            let holder = variables::Holder { org, repository: name, environment: None };
            let key = match *product {
                "dependabot" => "dependabot_secrets",
                "codespaces" => "codespaces_secrets",
                _ => "secrets",
            };
            secrets::answer(world, call, (holder, key), &found, rest)
        }
        ("GET" | "PUT", ["actions", "oidc", "customization", "sub"]) => {
            oidc::answer(world, call, org, &found)
        }
        (_, ["actions", rest @ ..]) => actions::answer(world, call, org, &found, rest),
        (_, ["hooks", rest @ ..]) => hooks::answer(world, call, org, &found, rest),
        (_, ["properties", "values"]) => properties::of_repository(world, call, org, &found),
        (
            _,
            [
                "vulnerability-alerts"
                | "automated-security-fixes"
                | "private-vulnerability-reporting"
                | "immutable-releases",
            ]
            | ["code-scanning", "default-setup"],
        ) => security::answer(world, call, org, &found, rest[0]),
        ("GET", ["rules", "branches", branch]) => rulesets::of_branch(world, call, org, &found, branch),
        (_, ["branches", rest @ ..]) => branches::answer(world, call, org, &found, rest),
        (_, ["check-runs", rest @ ..]) => checks::answer(world, call, org, &found, rest),
        (_, ["pulls", rest @ ..]) => pulls::answer(world, call, org, &found, rest),
        (_, ["issues", rest @ ..]) => issues::answer(world, call, org, &found, rest),
        ("GET", ["commits", reference, "check-runs"]) => {
            checks::of_commit(world, call, org, &found, reference)
        }
        ("GET", ["contents", path @ ..]) => contents::answer(call, org, &found, &path.join("/")),
        ("GET", ["commits", rest @ ..]) => git::commits(world, call, org, &found, rest),
        ("GET", ["compare", basehead]) => git::compare(org, &found, basehead),
        ("POST", ["git", "refs"]) => git::create_ref(world, call, org, &found),
        ("GET", ["git", "trees", id]) => git::tree(call, org, &found, id),
        ("GET", ["git", "blobs", id]) => git::blob(call, org, &found, id),
        _ => Reply::not_found(),
    }
}

/// Returns the teams that have access to a repository. The access comes from the team itself, from
/// a team above it, or from a role in the whole organisation.
fn teams_of(world: &World, org: &str, found: &Value) -> Vec<Value> {
    let all = world.org(org).map(|org| org["teams"].clone()).unwrap_or_default();
    let teams = all.as_object().into_iter().flatten();
    let rows = teams.filter_map(|(slug, team)| {
        let direct = world.team_access(org, found, slug);
        let permission = direct.as_deref().or(team["organization_role"].as_str())?;
        let mut row = shapes::team(world, org, team, Some(permission));
        row["access_source"] = json!(if direct.is_some() { "direct" } else { "organization" });
        Some(row)
    });
    rows.collect()
}

fn update(world: &mut World, call: &Call<'_>, org: &str, found: &Value) -> Reply {
    let name = found["name"].as_str().unwrap_or_default();
    if let Some(visibility) = call.body["visibility"].as_str()
        && !["private", "internal", "public"].contains(&visibility)
    {
        return Reply::invalid("Validation Failed: visibility");
    }
    if let Some(branch) = call.body["default_branch"].as_str()
        && found["branches"].get(branch).is_none()
    {
        return Reply::invalid(&format!("Validation Failed: The branch {branch} was not found."));
    }
    for key in ["description", "homepage"] {
        if call.body[key].as_str().is_some_and(|text| text.chars().any(char::is_control)) {
            return Reply::invalid(&format!("Validation Failed: {key} control characters are not allowed"));
        }
    }
    if call.body["allow_forking"].is_boolean() && found["visibility"] == "public" {
        return Reply::invalid(
            "Validation Failed: allow_forking can only be changed on private repositories",
        );
    }
    let mut changed = found.clone();
    set(&mut changed, call.body);
    if found["fork"] == json!(true) && changed["visibility"] != found["visibility"] {
        return Reply::invalid("Validation Failed: the visibility of a fork cannot be changed");
    }
    if !call.body["name"].is_null() {
        let Some(kept) = create::kept_name(&call.body["name"]) else {
            return Reply::invalid("Validation Failed: the name is invalid");
        };
        changed["name"] = json!(kept);
    }
    for (stem, method) in
        [("squash_merge_commit", "allow_squash_merge"), ("merge_commit", "allow_merge_commit")]
    {
        let has = |part: &str| call.body.get(format!("{stem}_{part}")).is_some();
        if has("message") && !has("title") {
            return Reply::invalid(&format!(
                "Validation Failed: {stem}_title is required with {stem}_message"
            ));
        }
        if has("title") && changed[method] == json!(false) {
            return Reply::invalid("Validation Failed: the merge method is not enabled (no_merge_strategy)");
        }
    }
    let merges = ["allow_squash_merge", "allow_merge_commit", "allow_rebase_merge"];
    if merges.iter().all(|method| changed[*method] == json!(false)) {
        return Reply::invalid("Sorry, you need to allow at least one merge strategy. (no_merge_method)");
    }
    let wanted = changed["name"].as_str().unwrap_or_default().to_owned();
    if !wanted.eq_ignore_ascii_case(name) && world.repository(org, &wanted).is_some() {
        return Reply::invalid("Validation Failed: name already exists on this account");
    }
    world.edit(org, name, call.sender, |found| *found = changed.clone());
    Reply::json(200, shapes::repository(world, org, &changed, true))
}
