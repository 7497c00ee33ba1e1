//! Which keys an event makes due. What it says about them is not believed.

use beadle_engine::{Key, Lane, Mark};

use super::Sender;
use super::payload::{Payload, Repository};

/// Events whose repository is looked at, whatever the action and whoever caused it: people, bots and ourselves.
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

pub(super) fn marks(event: &str, id: &str, payload: &Payload<'_>, sender: &Sender) -> Vec<Mark> {
    let instance = sender.instance.as_str();
    // What we wrote ourselves is looked at once more, when there is time: it is as declared, unless somebody else wrote
    // at the same moment.
    let lane = if sender.known.is_own(payload.actor()) { Lane::Sweep } else { Lane::Event };
    let repository = || payload.repository.as_ref().and_then(|repository| mark(repository, instance, lane));
    let organisation = |kind: &str, lane| {
        let installed = payload.installation.as_ref().and_then(|installation| installation.account.as_ref());
        let id = payload.organization.as_ref().or(installed)?.id?;
        Some(Mark::new(Key::new(kind, instance, id), lane))
    };
    let mut marks: Vec<Mark> = match event {
        // A ruleset of the organisation belongs to no repository.
        "repository_ruleset" if payload.repository.is_none() => {
            organisation("organisation", lane).into_iter().collect()
        }
        event if REPOSITORY_EVENTS.contains(&event) => repository().into_iter().collect(),
        "push" | "create" | "delete" if concerns(event, payload, sender) => {
            repository().into_iter().collect()
        }
        "team" if payload.repository.is_some() => repository().into_iter().collect(),
        "installation_repositories" => payload
            .repositories_added
            .iter()
            .flatten()
            .filter_map(|added| mark(added, instance, lane))
            .collect(),
        // Team names, who is a member, and what an App may see, reach every repository.
        "team" | "installation" | "organization" => {
            let all = reaches_all(event, payload).filter(|_| !is_own_team(event, payload, lane));
            all.and_then(|all| organisation("sweep", all.max(lane))).into_iter().collect()
        }
        _ => Vec::new(),
    };
    if sender.keeps_teams && matches!(event, "membership" | "team") {
        let team = payload.team.as_ref().and_then(|team| team.id);
        marks.extend(team.map(|id| Mark::new(Key::new("team", instance, id), lane)));
    }
    for rule in &sender.dispatches {
        if rule.is_for(event, payload.action.as_deref()) {
            let key = Key::new("dispatch", instance, format_args!("{id}/{}", rule.name));
            marks.push(Mark::new(key, Lane::Event));
        }
    }
    marks
}

/// Whether a branch that the policy names came or went: the first one of a new repository decides which is the default.
fn concerns(event: &str, payload: &Payload<'_>, sender: &Sender) -> bool {
    let name = payload.reference.as_deref().unwrap_or_default();
    let branch = match event {
        "push" if payload.created == Some(true) || payload.deleted == Some(true) => {
            name.strip_prefix("refs/heads/")
        }
        "create" | "delete" if payload.ref_type.as_deref() == Some("branch") => Some(name),
        _ => None,
    };
    let default = payload.repository.as_ref().and_then(|repository| repository.default_branch.as_deref());
    branch.is_some_and(|branch| sender.known.is_watched(branch, default))
}

/// How urgently every repository has to be looked at, if it has.
fn reaches_all(event: &str, payload: &Payload<'_>) -> Option<Lane> {
    let action = payload.action.as_deref().unwrap_or_default();
    match (event, action) {
        ("team", "created" | "deleted" | "edited")
        | ("installation", "created" | "unsuspend" | "new_permissions_accepted")
        | ("organization", "renamed") => Some(Lane::Event),
        // Whoever leaves loses direct access everywhere.
        ("organization", "member_removed" | "member_added") => Some(Lane::Sweep),
        _ => None,
    }
}

/// A team that we made ourselves has no repositories yet: nothing is to be looked at because of it.
fn is_own_team(event: &str, payload: &Payload<'_>, lane: Lane) -> bool {
    lane == Lane::Sweep && event == "team" && payload.action.as_deref() == Some("created")
}

fn mark(repository: &Repository<'_>, instance: &str, lane: Lane) -> Option<Mark> {
    let key = Key::new("repository", instance, repository.id?);
    Some(Mark { key, lane, hint: repository.node_id.as_ref().map(ToString::to_string) })
}
