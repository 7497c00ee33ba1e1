//! The values of a new organisation, and the roles that every organisation has.

use serde_json::{Value, json};

/// The switches of a new organisation.
const SWITCHES: &[(&str, bool)] = &[
    ("has_organization_projects", true),
    ("has_repository_projects", true),
    ("members_can_create_repositories", true),
    ("members_can_create_public_repositories", true),
    ("members_can_create_private_repositories", true),
    ("members_can_create_internal_repositories", false),
    ("members_can_create_pages", true),
    ("members_can_create_public_pages", true),
    ("members_can_create_private_pages", true),
    ("members_can_fork_private_repositories", false),
    ("web_commit_signoff_required", false),
    ("deploy_keys_enabled_for_repositories", true),
    ("advanced_security_enabled_for_new_repositories", false),
    ("dependabot_alerts_enabled_for_new_repositories", false),
    ("dependabot_security_updates_enabled_for_new_repositories", false),
    ("dependency_graph_enabled_for_new_repositories", false),
    ("secret_scanning_enabled_for_new_repositories", false),
    ("secret_scanning_push_protection_enabled_for_new_repositories", false),
    ("secret_scanning_push_protection_custom_link_enabled", false),
    ("secret_scanning_validity_checks_enabled", false),
    ("two_factor_requirement_enabled", true),
    ("members_can_delete_repositories", true),
    ("members_can_change_repo_visibility", true),
    ("members_can_invite_outside_collaborators", true),
    ("members_can_delete_issues", false),
    ("members_can_create_teams", true),
    ("members_can_view_dependency_insights", true),
    ("display_commenter_full_name_setting_enabled", false),
    ("readers_can_create_discussions", true),
];

/// Returns the settings of a new organisation.
pub(crate) fn settings() -> Value {
    let mut settings = json!({
        "name": null, "description": null, "company": null, "blog": null, "location": null, "email": null,
        "billing_email": "billing@example.com", "twitter_username": null,
        "default_repository_permission": "read", "default_repository_branch": "main",
        "secret_scanning_push_protection_custom_link": null,
    });
    for (key, on) in SWITCHES {
        settings[*key] = json!(on);
    }
    settings
}

/// Returns the Actions permissions of a new organisation.
pub(crate) fn actions() -> Value {
    json!({
        "enabled_repositories": "all", "selected_repositories": [],
        "allowed_actions": "all", "sha_pinning_required": false,
        "github_owned_allowed": true, "verified_allowed": false, "patterns_allowed": [],
        "default_workflow_permissions": "read", "can_approve_pull_request_reviews": false,
        "days": 90, "approval_policy": "first_time_contributors",
        "run_workflows_from_fork_pull_requests": false, "send_write_tokens_to_workflows": false,
        "send_secrets_and_variables": false, "require_approval_for_fork_pr_workflows": false,
        "self_hosted_runners": "all", "self_hosted_runner_repositories": [],
    })
}

/// Returns the subject of OpenID Connect tokens in a new organisation.
pub(crate) fn oidc_subject() -> Value {
    json!({ "include_claim_keys": ["repo", "context"], "use_immutable_subject": false })
}

/// Returns the roles that GitHub defines in every organisation.
pub(crate) fn roles() -> Value {
    json!({ "security_manager": {
        "id": 138, "source": "Predefined", "description": "Manages alerts and security settings",
        "base_role": "read", "permissions": ["read_secret_scanning_alerts"], "teams": [], "users": [],
    } })
}

/// Returns whether an organisation has a custom repository role.
pub(crate) fn has_repository_role(org: &Value, name: &str) -> bool {
    let named = org["custom_roles"].as_array().is_some_and(|roles| roles.iter().any(|role| role == name));
    named || org["repository_roles"].get(name).is_some()
}

/// Returns the runner groups of a new organisation.
pub(crate) fn runner_groups() -> Value {
    json!({ "Default": {
        "id": 1, "default": true, "visibility": "all", "allows_public_repositories": false, "repositories": [],
    } })
}
