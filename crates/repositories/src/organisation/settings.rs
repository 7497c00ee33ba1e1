//! Plans and writes the settings of the organisation: its profile, the rights of its members, and
//! the features of new repositories. If the policy has at least one of these keys, Beadle reads all
//! settings in one call.
//!
//! <https://docs.github.com/rest/orgs/orgs#update-an-organization>

use async_trait::async_trait;
use beadle_engine::{Failure, Risk};
use beadle_github::{Method, Path};
use serde_json::{Map, Value, json};

use super::aspect::{ADMINISTRATION, Context, OrganisationAspect, OrganisationPlanner, Section};
use crate::aspects::{AspectPlan, Step, WriteTarget, field};
use crate::policy::shape::{Key, Shape, Status, key, never};
use crate::policy::{Node, forms};

/// The aspect for an organisation's settings.
pub(super) const SETTINGS: OrganisationAspect = OrganisationAspect {
    name: "organization",
    section: "organization",
    sections: &[],
    keys: KEYS,
    permissions: &[ADMINISTRATION],
    events: &[],
    planner: &Settings,
};

const KEYS: &[Key] = &[
    key("name", Shape::Text, "The display name. An empty text removes it."),
    key("description", Shape::Form(&forms::ORGANIZATION_DESCRIPTION), "The description."),
    key("company", Shape::Text, "The company."),
    key("blog", Shape::Text, "The address of the website."),
    key("location", Shape::Text, "The location."),
    key("email", Shape::Text, "The public address for mail."),
    key("billing_email", Shape::Text, "The address for bills. It is not public."),
    key("twitter_username", Shape::Text, "The account on X."),
    key("has_organization_projects", Shape::Bool, "Whether the organisation can have projects."),
    key("has_repository_projects", Shape::Bool, "Whether repositories can have projects."),
    key(
        "default_repository_permission",
        Shape::OneOf(&["none", "read", "write", "admin"]),
        "What each member may do in every repository.",
    ),
    key("members_can_create_repositories", Shape::Bool, "Whether members can create repositories."),
    key(
        "members_can_create_public_repositories",
        Shape::Bool,
        "Whether members can create public repositories.",
    ),
    key(
        "members_can_create_private_repositories",
        Shape::Bool,
        "Whether members can create private repositories.",
    ),
    key(
        "members_can_create_internal_repositories",
        Shape::Bool,
        "Whether members can create internal repositories.",
    ),
    key("members_can_create_pages", Shape::Bool, "Whether members can publish sites of GitHub Pages."),
    key("members_can_create_public_pages", Shape::Bool, "Whether members can publish public sites."),
    key("members_can_create_private_pages", Shape::Bool, "Whether members can publish private sites."),
    key(
        "members_can_fork_private_repositories",
        Shape::Bool,
        "Whether members can fork private repositories.",
    ),
    key("web_commit_signoff_required", Shape::Bool, "Whether commits in the browser need a sign-off."),
    key("deploy_keys_enabled_for_repositories", Shape::Bool, "Whether repositories can have deploy keys."),
    key(
        "advanced_security_enabled_for_new_repositories",
        Shape::Bool,
        "Turns on GitHub Advanced Security in new repositories.",
    ),
    key(
        "dependabot_alerts_enabled_for_new_repositories",
        Shape::Bool,
        "Turns on Dependabot alerts in new repositories.",
    ),
    key(
        "dependabot_security_updates_enabled_for_new_repositories",
        Shape::Bool,
        "Turns on Dependabot security updates in new repositories.",
    ),
    key(
        "dependency_graph_enabled_for_new_repositories",
        Shape::Bool,
        "Turns on the dependency graph in new repositories.",
    ),
    key(
        "secret_scanning_enabled_for_new_repositories",
        Shape::Bool,
        "Turns on secret scanning in new repositories.",
    ),
    key(
        "secret_scanning_push_protection_enabled_for_new_repositories",
        Shape::Bool,
        "Turns on push protection in new repositories.",
    ),
    key(
        "secret_scanning_push_protection_custom_link_enabled",
        Shape::Bool,
        "Shows a link to people whose push is blocked.",
    ),
    key("secret_scanning_push_protection_custom_link", Shape::Text, "The address of this link."),
    key("secret_scanning_validity_checks_enabled", Shape::Bool, "Asks providers whether secrets are valid."),
    key("two_factor_requirement_enabled", Shape::Bool, REPORTED),
    key("default_repository_branch", Shape::Text, REPORTED),
    key("members_can_delete_repositories", Shape::Bool, REPORTED),
    key("members_can_change_repo_visibility", Shape::Bool, REPORTED),
    key("members_can_invite_outside_collaborators", Shape::Bool, REPORTED),
    key("members_can_delete_issues", Shape::Bool, REPORTED),
    key("members_can_create_teams", Shape::Bool, REPORTED),
    key("members_can_view_dependency_insights", Shape::Bool, REPORTED),
    key("display_commenter_full_name_setting_enabled", Shape::Bool, REPORTED),
    key("readers_can_create_discussions", Shape::Bool, REPORTED),
    never("two_factor_requirement", "write `two_factor_requirement_enabled`"),
    never(
        "members_allowed_repository_creation_type",
        "write `members_can_create_public_repositories` and `members_can_create_private_repositories`",
    ),
];

/// The description of a read-only setting. GitHub shows such a setting, but no API can change it.
const REPORTED: &str = "Beadle only reports a difference: an owner must change the value in the browser.";

/// The settings that GitHub shows but no API can change.
pub(crate) const READ_ONLY: &[&str] = &[
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

/// The values of `default_repository_permission`, ordered from the least access to the most.
const PERMISSIONS: &[&str] = &["none", "read", "write", "admin"];

/// The switches that give people more rights when they are on. Each row contains a switch and the
/// risk of turning it on.
const ALLOWING: &[(&str, Risk)] = &[
    ("members_can_create_repositories", Risk::Weakens),
    ("members_can_create_public_repositories", Risk::Exposes),
    ("members_can_create_private_repositories", Risk::Weakens),
    ("members_can_create_internal_repositories", Risk::Exposes),
    ("members_can_create_pages", Risk::Exposes),
    ("members_can_create_public_pages", Risk::Exposes),
    ("members_can_create_private_pages", Risk::Exposes),
    ("members_can_fork_private_repositories", Risk::Exposes),
    ("deploy_keys_enabled_for_repositories", Risk::Weakens),
];

/// The switches that protect the organisation. If Beadle turns off such a switch, this change is a
/// weakening.
const PROTECTING: &[&str] = &[
    "web_commit_signoff_required",
    "advanced_security_enabled_for_new_repositories",
    "dependabot_alerts_enabled_for_new_repositories",
    "dependabot_security_updates_enabled_for_new_repositories",
    "dependency_graph_enabled_for_new_repositories",
    "secret_scanning_enabled_for_new_repositories",
    "secret_scanning_push_protection_enabled_for_new_repositories",
    "secret_scanning_validity_checks_enabled",
];

/// The settings that take effect in all existing repositories.
const OF_ALL_REPOSITORIES: &[&str] = &[
    "default_repository_permission",
    "members_can_fork_private_repositories",
    "deploy_keys_enabled_for_repositories",
    "web_commit_signoff_required",
];

/// Returns the risk of changing one setting.
fn risk(key: &str, before: &Value, after: &Value) -> Risk {
    if key == "default_repository_permission" {
        let place = |value: &Value| PERMISSIONS.iter().position(|known| value == known);
        // With this value, members lose their present access.
        return if place(before) < place(after) { Risk::Exposes } else { Risk::Removes };
    }
    if key == "deploy_keys_enabled_for_repositories" && *after == json!(false) {
        // With this value, all existing deploy keys stop working.
        return Risk::Removes;
    }
    let allowing = ALLOWING.iter().find(|(known, _)| *known == key);
    match allowing {
        Some((_, risk)) if *after == json!(true) => *risk,
        None if PROTECTING.contains(&key) && *after == json!(false) => Risk::Weakens,
        _ => Risk::Changes,
    }
}

struct Settings;

/// Changes settings of the organisation.
struct Patch(Map<String, Value>);

#[async_trait]
impl Step for Patch {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        to.send(Method::PATCH, "", Some(Value::Object(self.0.clone()))).await
    }
}

/// Returns the settings that the section declares.
fn wants(section: &Node) -> impl Iterator<Item = (&'static str, &Node)> {
    let carried = KEYS.iter().filter(|key| key.status == Status::Carried);
    carried.filter_map(move |key| Some((key.name, section.get(key.name).filter(|node| !node.is_null())?)))
}

/// Returns a value in the form that Beadle compares. In this form, a missing text is the same as an
/// empty text.
fn comparable(value: &Value, wanted: &Value) -> Value {
    match value {
        Value::Null if wanted.is_string() => json!(""),
        Value::String(text) => json!(text.trim_end()),
        other => other.clone(),
    }
}

#[async_trait]
impl OrganisationPlanner for Settings {
    async fn plan(
        &self,
        context: &Context<'_>,
        section: &Section<'_>,
        plan: &mut AspectPlan,
    ) -> Result<(), Failure> {
        if wants(section.node).next().is_none() {
            return Ok(());
        }
        let seen = context.reader.of_organisation(Path::at("")).await?;
        let (mut plain, mut body) = (Vec::new(), Map::new());
        for (key, node) in wants(section.node) {
            let wanted = node.json();
            let can_be_empty = wanted.is_string() && key != "default_repository_permission";
            let Some(found) = seen.get(key).filter(|value| !value.is_null() || can_be_empty) else {
                let why = format!("GitHub does not show the setting that {} sets", node.asked);
                plan.cannot_read_part(key, why);
                continue;
            };
            let (before, after) = (comparable(found, &wanted), comparable(&wanted, &wanted));
            if before == after {
                continue;
            }
            if READ_ONLY.contains(&key) {
                let why = format!(
                    "the value at GitHub is {before}, and {} sets {after}; no API can change it: an owner must \
                     change it in the settings of the organisation",
                    node.asked
                );
                plan.cannot_resolve_part(key, why);
                continue;
            }
            let risk = risk(key, &before, &after);
            let field = field(key, before, after.clone(), Some(&node.asked), risk);
            if risk.is_guarded() {
                let from = plan.changes.len();
                let patch = Patch(Map::from_iter([(key.to_owned(), after)]));
                plan.change(format!("organization {key}"), vec![field], patch);
                let narrowed = if OF_ALL_REPOSITORIES.contains(&key) { None } else { Some(1) };
                context.reach(plan, from, narrowed).await?;
            } else {
                plain.push(field);
                body.insert(key.to_owned(), after);
            }
        }
        if !plain.is_empty() {
            plan.change("organization", plain, Patch(body));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_has_the_risk_of_what_it_allows() {
        for (key, before, after, expected) in [
            ("default_repository_permission", json!("read"), json!("write"), Risk::Exposes),
            ("default_repository_permission", json!("none"), json!("read"), Risk::Exposes),
            ("default_repository_permission", json!("read"), json!("none"), Risk::Removes),
            ("members_can_create_public_repositories", json!(false), json!(true), Risk::Exposes),
            ("members_can_create_public_repositories", json!(true), json!(false), Risk::Changes),
            ("members_can_create_private_repositories", json!(false), json!(true), Risk::Weakens),
            ("web_commit_signoff_required", json!(true), json!(false), Risk::Weakens),
            ("web_commit_signoff_required", json!(false), json!(true), Risk::Changes),
            ("deploy_keys_enabled_for_repositories", json!(true), json!(false), Risk::Removes),
            ("deploy_keys_enabled_for_repositories", json!(false), json!(true), Risk::Weakens),
            ("company", json!("a"), json!("b"), Risk::Changes),
        ] {
            assert_eq!(risk(key, &before, &after), expected, "{key}: {before} to {after}");
        }
    }

    #[test]
    fn every_name_in_the_tables_is_a_key() {
        let allowing = ALLOWING.iter().map(|(key, _)| *key);
        let named = allowing.chain(PROTECTING.iter().copied()).chain(READ_ONLY.iter().copied());
        for name in named.chain(OF_ALL_REPOSITORIES.iter().copied()) {
            assert!(KEYS.iter().any(|key| key.name == name), "{name}");
        }
    }

    #[test]
    fn a_text_that_is_not_set_is_empty() {
        assert_eq!(comparable(&Value::Null, &json!("")), json!(""));
        assert_eq!(comparable(&json!("Acme "), &json!("Acme")), json!("Acme"));
        assert_eq!(comparable(&json!(false), &json!(true)), json!(false));
    }
}
