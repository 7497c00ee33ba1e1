//! The texts for each call, and the requests that each call sends.

use beadle_transport::testing::Entry;

/// The texts that every call takes in addition to the texts of its entry.
pub(crate) const EVERYWHERE: &[&str] = &["organisation"];

const fn entry(call: &'static str, texts: &'static [&'static str], sends: &'static [&'static str]) -> Entry {
    Entry { call, texts, sends }
}

pub(crate) const ENTRIES: &[Entry] = &[
    entry(
        "Reader::refresh",
        &["owner", "name", "slug"],
        &[
            "GET /repos/owner/name/teams",
            "GET /repos/owner/name/properties/values",
            "GET /orgs/organisation/teams/slug/repos/owner/name",
            "GET /repos/owner/name/invitations",
            "GET /repos/owner/name",
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
        "Reader::repository_last_seen",
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
    entry("Reader::kept_files", &["node", "path"], &["POST /graphql", "POST /graphql"]),
    entry("Reader::below", &["owner", "name", "value"], &["GET /repos/owner/name/thing/value"]),
    entry("Reader::list_below", &["owner", "name", "value"], &["GET /repos/owner/name/list/value"]),
    entry("Reader::list_anew_below", &["owner", "name", "value"], &["GET /repos/owner/name/list/value"]),
    entry("Reader::rows_below", &["owner", "name", "value"], &["GET /repos/owner/name/rows/value"]),
    entry("Reader::of_organisation", &["value"], &["GET /orgs/organisation/thing/value"]),
    entry("Reader::list_of_organisation", &["value"], &["GET /orgs/organisation/list/value"]),
    entry("Reader::list_anew_of_organisation", &["value"], &["GET /orgs/organisation/list/value"]),
    entry("Reader::rows_of_organisation", &["value"], &["GET /orgs/organisation/list/value"]),
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
    // These calls need an App. If the credential is a token, the client sends no request. The calls
    // take no text. The cursor of a page of deliveries is a whole address from GitHub. The client
    // follows the address only if it has the same origin.
    entry("Reader::app", &[], &[]),
    entry("Reader::app_slug", &[], &[]),
    entry("Reader::own_app", &[], &[]),
    entry("Reader::drop_token", &[], &[]),
    entry("Reader::renew_token", &[], &[]),
    entry("Reader::heed_accepted_permissions", &[], &[]),
    entry("Reader::is_installed", &[], &[]),
    entry("Reader::installations", &[], &[]),
    entry("another_organisation", &[], &[]),
    entry("remember_organisation", &[], &[]),
    entry("Names::another_owner", &[], &[]),
    entry("Names::confirm", &[], &[]),
    entry("Names::meant_before", &[], &[]),
    entry("Names::remembered", &[], &[]),
    entry("Names::remembered_lately", &[], &[]),
    entry("Names::resolve", &["user", "team", "app"], &["POST /graphql", "GET /apps/app"]),
    entry("Reader::has_installation", &[], &[]),
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
    entry("Reader::invitations", &[], &["GET /orgs/organisation/invitations"]),
    entry("Reader::person", &["login"], &["GET /users/login"]),
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
    entry("Reader::occupant", &["name"], &["POST /graphql"]),
    entry("Reader::visibility_of", &["owner", "name"], &["POST /graphql"]),
    entry("Reader::are_apps", &["node"], &["POST /graphql"]),
    entry("Reader::defined_properties", &[], &["GET /orgs/organisation/properties/schema"]),
    entry("Reader::pull", &["repository"], &["GET /repos/organisation/repository/pulls/7"]),
    entry("Reader::open_pulls_at", &["repository"], &["GET /repos/organisation/repository/pulls"]),
    entry("Reader::reviews", &["repository"], &["GET /repos/organisation/repository/pulls/7/reviews"]),
    entry("Reader::is_in_team", &["team", "login"], &["GET /orgs/organisation/teams/team/memberships/login"]),
    entry("Reader::merge_base", &["repository"], &["GET /repos/organisation/repository/compare/a...b"]),
    entry(
        "Reader::check_run",
        &["repository", "commit", "check"],
        &["GET /repos/organisation/repository/commits/commit/check-runs"],
    ),
    entry("Reader::comments_since", &["repository"], &["GET /repos/organisation/repository/issues/comments"]),
    entry("Reader::own_comment", &["repository"], &["GET /repos/organisation/repository/issues/7/comments"]),
    entry(
        "CheckWriter::begin",
        &["repository", "commit", "check", "external"],
        &["POST /repos/organisation/repository/check-runs"],
    ),
    entry(
        "CheckWriter::begin_again",
        &["repository"],
        &["PATCH /repos/organisation/repository/check-runs/7"],
    ),
    entry(
        "CheckWriter::conclude",
        &["repository", "title", "summary", "path", "message"],
        &["PATCH /repos/organisation/repository/check-runs/7"],
    ),
    entry(
        "CheckWriter::comment",
        &["repository", "text"],
        &["POST /repos/organisation/repository/issues/7/comments"],
    ),
    entry(
        "CheckWriter::update_comment",
        &["repository", "text"],
        &["PATCH /repos/organisation/repository/issues/comments/7"],
    ),
    entry("Reader::own_issues", &["repository"], &["GET /repos/organisation/repository/issues"]),
    entry(
        "IssueWriter::open",
        &["repository", "title", "text"],
        &["POST /repos/organisation/repository/issues"],
    ),
    entry(
        "IssueWriter::update",
        &["repository", "title", "text"],
        &["PATCH /repos/organisation/repository/issues/7"],
    ),
    entry("IssueWriter::close", &["repository", "text"], &["PATCH /repos/organisation/repository/issues/7"]),
    entry(
        "Reader::commit",
        &["repository", "reference"],
        &["GET /repos/organisation/repository/commits/reference"],
    ),
    // The request does not contain the commit at which the list ends.
    entry("Reader::commits_after", &["repository", "head"], &["GET /repos/organisation/repository/commits"]),
    // The request does not contain the path of the policy's folder.
    entry(
        "Reader::files_at",
        &["repository", "commit"],
        &["GET /repos/organisation/repository/git/trees/commit"],
    ),
    entry(
        "Reader::blobs",
        &["repository", "blob"],
        &["POST /graphql", "GET /repos/organisation/repository/git/blobs/blob"],
    ),
    entry(
        "Reader::needs_review",
        &["repository", "branch"],
        &[
            "GET /repos/organisation/repository/rules/branches/branch",
            "GET /repos/organisation/repository/branches/branch/protection",
        ],
    ),
    entry("Writer::named", &["node"], &["POST /graphql"]),
    entry("Writer::create_rule", &["pattern"], &["POST /graphql"]),
    entry("Writer::update_rule", &["rule", "pattern"], &["POST /graphql"]),
    entry("Writer::delete_rule", &["rule"], &["POST /graphql"]),
    entry("Writer::create_files_branch", &["repository", "commit"], &["POST /graphql"]),
    entry("Writer::reset_branch", &["branch", "commit"], &["POST /graphql"]),
    entry("Writer::delete_branch", &["branch"], &["POST /graphql"]),
    // The request contains the contents in an encoded form, so the test does not recognise them.
    entry("Writer::commit_files", &["branch", "commit", "headline", "path"], &["POST /graphql"]),
    entry("Writer::open_pull", &["repository", "base", "title", "body"], &["POST /graphql"]),
    entry("Writer::update_pull", &["pull", "body"], &["POST /graphql"]),
    entry(
        "Writer::dispatch",
        &["repository", "workflow", "reference", "input"],
        &["POST /repos/organisation/repository/actions/workflows/workflow/dispatches"],
    ),
    entry(
        "Writer::assign_role",
        &["slug"],
        &["POST /graphql", "PUT /orgs/organisation/organization-roles/teams/slug/7"],
    ),
    entry(
        "Writer::unassign_role",
        &["login"],
        &["POST /graphql", "DELETE /orgs/organisation/organization-roles/users/login/7"],
    ),
    entry("Writer::block", &["login"], &["POST /graphql", "PUT /orgs/organisation/blocks/login"]),
    entry("Writer::unblock", &["login"], &["POST /graphql", "DELETE /orgs/organisation/blocks/login"]),
    entry("Writer::organisation_members", &["account"], &["POST /graphql"]),
    entry(
        "OrganisationMembers::put",
        &["login"],
        &["POST /graphql", "PUT /orgs/organisation/memberships/login"],
    ),
    entry(
        "OrganisationMembers::remove",
        &["login"],
        &["POST /graphql", "DELETE /orgs/organisation/memberships/login"],
    ),
    entry("Writer::to_organisation", &["value"], &["PUT /orgs/organisation/labels/value"]),
    entry("Writer::generate", &["owner", "name", "new"], &["POST /repos/owner/name/generate"]),
    entry("Writer::fork", &["owner", "name", "new"], &["POST /repos/owner/name/forks"]),
    entry("Writer::create_team", &["team", "description"], &["POST /orgs/organisation/teams"]),
    entry("Writer::team", &["node", "account"], &["POST /graphql"]),
    entry("Named::send", &["name", "value"], &["POST /graphql", "PUT /repos/organisation/name/labels/value"]),
    entry("Named::read", &["name", "value"], &["POST /graphql", "GET /repos/organisation/name/labels/value"]),
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
        "Named::rename_branch",
        &["name", "branch", "renamed"],
        &["POST /graphql", "POST /repos/organisation/name/branches/branch/rename"],
    ),
    entry(
        "Named::create_branch",
        &["name", "branch", "from"],
        &[
            "POST /graphql",
            "GET /repos/organisation/name/branches/from",
            "POST /repos/organisation/name/git/refs",
        ],
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
        "NamedTeam::configure",
        &["slug", "description"],
        &["POST /graphql", "PATCH /orgs/organisation/teams/slug"],
    ),
    entry(
        "NamedTeam::connect",
        &["slug"],
        &["POST /graphql", "PATCH /orgs/organisation/teams/slug/external-groups"],
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
    entry("AppRegistration::exchange", &["code"], &["POST /app-manifests/code/conversions"]),
    entry("NamedTeam::delete", &["slug"], &["POST /graphql", "DELETE /orgs/organisation/teams/slug"]),
];
