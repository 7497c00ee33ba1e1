//! The settings of an organisation.
//!
//! <https://docs.github.com/rest/orgs/orgs#update-an-organization>

use serde_json::{Value, json};

use super::{Call, Reply};
use crate::github::shapes;
use crate::github::world::World;

/// The settings that GitHub shows but lets no API change.
const READ_ONLY: &[&str] = &[
    "two_factor_requirement_enabled",
    "default_repository_branch",
    "members_can_delete_repositories",
    "members_can_change_repo_visibility",
    "members_can_invite_outside_collaborators",
    "members_can_delete_issues",
    "members_can_create_teams",
    "members_can_view_dependency_insights",
    "display_commenter_full_name_setting_enabled",
    "readers_can_create_discussions",
];

/// Returns the settings of a new organisation.
pub(crate) fn defaults() -> Value {
    json!({
        "name": null, "description": null, "company": null, "blog": null, "location": null, "email": null,
        "billing_email": "billing@example.com", "twitter_username": null,
        "has_organization_projects": true, "has_repository_projects": true,
        "default_repository_permission": "read", "default_repository_branch": "main",
        "members_can_create_repositories": true, "members_can_create_public_repositories": true,
        "members_can_create_private_repositories": true, "members_can_create_internal_repositories": false,
        "members_can_create_pages": true, "members_can_create_public_pages": true,
        "members_can_create_private_pages": true, "members_can_fork_private_repositories": false,
        "web_commit_signoff_required": false, "deploy_keys_enabled_for_repositories": true,
        "advanced_security_enabled_for_new_repositories": false,
        "dependabot_alerts_enabled_for_new_repositories": false,
        "dependabot_security_updates_enabled_for_new_repositories": false,
        "dependency_graph_enabled_for_new_repositories": false,
        "secret_scanning_enabled_for_new_repositories": false,
        "secret_scanning_push_protection_enabled_for_new_repositories": false,
        "secret_scanning_push_protection_custom_link_enabled": false,
        "secret_scanning_push_protection_custom_link": null,
        "secret_scanning_validity_checks_enabled": false,
        "two_factor_requirement_enabled": true, "members_can_delete_repositories": true,
        "members_can_change_repo_visibility": true, "members_can_invite_outside_collaborators": true,
        "members_can_delete_issues": false, "members_can_create_teams": true,
        "members_can_view_dependency_insights": true, "display_commenter_full_name_setting_enabled": false,
        "readers_can_create_discussions": true,
    })
}

/// Returns the organisation with its settings, as an owner sees it.
fn shown(world: &World, org: &str) -> Value {
    let Some(known) = world.org(org) else { return Value::Null };
    let mut shown = shapes::organisation(world, known);
    for (key, value) in known["settings"].as_object().into_iter().flatten() {
        // The description says that these texts are never null.
        let is_text = ["name", "company", "blog", "location", "email"].contains(&key.as_str());
        shown[key] = if is_text && value.is_null() { json!("") } else { value.clone() };
    }
    shown
}

/// Answers calls whose path is `/orgs/{org}`.
pub(super) fn answer(world: &mut World, call: &Call<'_>, org: &str) -> Reply {
    match call.method.as_str() {
        "GET" => Reply::json(200, shown(world, org)),
        "PATCH" => {
            if let Some(known) = world.org_mut(org) {
                let settings = &mut known["settings"];
                for (key, value) in call.body.as_object().into_iter().flatten() {
                    // GitHub ignores the keys that it does not know, and those that it only shows.
                    if settings.get(key).is_some() && !READ_ONLY.contains(&key.as_str()) {
                        settings[key] = value.clone();
                    }
                }
            }
            Reply::json(200, shown(world, org))
        }
        _ => Reply::not_found(),
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn send(world: &mut World, method: &Method, body: &Value) -> Value {
        let path = vec!["orgs", "acme"];
        let call = Call { method, path, query: &[], body, sender: "octocat", accept: "" };
        answer(world, &call, "acme").body.unwrap()
    }

    #[test]
    fn only_what_github_lets_a_caller_change_changes() {
        let mut world = World::from(json!({ "orgs": { "acme": {} } }));
        let body = json!({
            "company": "Acme", "two_factor_requirement_enabled": false, "colour": "red", "login": "other",
        });
        let shown = send(&mut world, &Method::PATCH, &body);
        assert_eq!(shown["company"], "Acme");
        assert_eq!(shown["two_factor_requirement_enabled"], true);
        assert_eq!(shown["login"], "acme");
        assert_eq!(shown.get("colour"), None);
        assert_eq!(send(&mut world, &Method::GET, &Value::Null), shown);
    }
}
