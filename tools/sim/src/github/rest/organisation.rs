//! Simulates the settings of an organisation.
//!
//! <https://docs.github.com/rest/orgs/orgs#update-an-organization>

use serde_json::{Value, json};

use super::{Call, Reply};
use crate::github::shapes;
use crate::github::world::World;

/// The settings that GitHub shows, but that no API call can change.
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

/// Answers calls with the path `/orgs/{org}`.
pub(super) fn answer(world: &mut World, call: &Call<'_>, org: &str) -> Reply {
    match call.method.as_str() {
        "GET" => Reply::json(200, shown(world, org)),
        "PATCH" => {
            if let Some(known) = world.org_mut(org) {
                let settings = &mut known["settings"];
                for (key, value) in call.body.as_object().into_iter().flatten() {
                    // GitHub ignores the keys that it does not know, and the keys that it only
                    // shows.
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
