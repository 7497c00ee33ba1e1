//! Which keys an event makes due. What it says about them is not believed.

use beadle_engine::{Key, Lane, Mark};

use super::payload::{Payload, Repository};

/// Events whose repository is looked at, whatever the action.
const REPOSITORY_EVENTS: &[&str] = &[
    "repository",
    "public",
    "branch_protection_rule",
    "branch_protection_configuration",
    "repository_ruleset",
    "team_add",
    "member",
    "label",
    "custom_property_values",
    "security_and_analysis",
];

pub(super) fn marks(event: &str, payload: &Payload<'_>, instance: &str) -> Vec<Mark> {
    let repository = || payload.repository.as_ref().and_then(|repository| mark(repository, instance));
    let marks: Vec<Mark> = match event {
        event if REPOSITORY_EVENTS.contains(&event) => repository().into_iter().collect(),
        // The first branch of a new repository decides which one is the default.
        "push" if payload.created == Some(true) => repository().into_iter().collect(),
        "create" if payload.ref_type.as_deref() == Some("branch") => repository().into_iter().collect(),
        "team" if payload.repository.is_some() => repository().into_iter().collect(),
        "installation_repositories" => {
            payload.repositories_added.iter().flatten().filter_map(|added| mark(added, instance)).collect()
        }
        // Team names, and what an App may see, reach every repository.
        "team" | "installation" | "organization" if reaches_all(event, payload) => {
            let id = payload
                .organization
                .as_ref()
                .or(payload.installation.as_ref().and_then(|i| i.account.as_ref()));
            let id = id.and_then(|organisation| organisation.id);
            id.map(|id| Mark::new(Key::new("organisation", instance, id), Lane::Event)).into_iter().collect()
        }
        _ => Vec::new(),
    };
    marks
}

fn reaches_all(event: &str, payload: &Payload<'_>) -> bool {
    let action = payload.action.as_deref().unwrap_or_default();
    match event {
        "team" => matches!(action, "created" | "deleted" | "edited"),
        "installation" => matches!(action, "created" | "unsuspend" | "new_permissions_accepted"),
        _ => action == "renamed",
    }
}

fn mark(repository: &Repository<'_>, instance: &str) -> Option<Mark> {
    let key = Key::new("repository", instance, repository.id?);
    Some(Mark { key, lane: Lane::Event, hint: repository.node_id.as_ref().map(ToString::to_string) })
}
