//! Decides which keys become due because of a GitHub event. Beadle takes only ids from the payload,
//! and reads everything else from GitHub.

use beadle_engine::{Key, Lane, Mark, swept_hint};

use super::payload::{Payload, Repository};
use super::{NO_INSTANCE, Sender};
use super::{kept_files, policy_checks};

/// The events that make their repository due. The action and the sender of such an event do not
/// matter.
const REPOSITORY_EVENTS: &[&str] = &[
    "repository",
    "public",
    "branch_protection_rule",
    "branch_protection_configuration",
    "repository_ruleset",
    "team_add",
    "member",
    "label",
    "milestone",
    "custom_property_values",
    "security_and_analysis",
    "deploy_key",
];

/// The events that make the organisation itself due. The action of such an event does not matter.
const ORGANISATION_EVENTS: &[&str] = &["custom_property", "org_block"];

/// The id of the `team` key that stands for the members of the whole organisation. The ids of real
/// teams are numbers.
pub const MEMBERSHIP: &str = "organisation";

/// The key kind for the list of an App's installations.
pub const INSTALLATIONS: &str = "installations";

/// Returns the mark for an event about the App itself. Such an event reports that somebody
/// installed, removed or suspended the App.
pub(super) fn installations(event: &str, signers: &[&Sender]) -> Option<Mark> {
    let app = signers.iter().find(|sender| sender.takes_installations)?.app_id?;
    (event == "installation").then(|| Mark::new(Key::new(INSTALLATIONS, NO_INSTANCE, app), Lane::Event))
}

/// Returns whether a delivery from a repository with a policy can mark the check of a pull request.
/// GitHub's log of deliveries contains only the repository. So Beadle needs the payload of such a
/// delivery. A push needs no payload, because Beadle also looks at the policy without an event.
pub fn needs_payload(event: &str, action: Option<&str>) -> bool {
    policy_checks::can_mark(event, action)
}

pub(super) fn marks(event: &str, id: &str, payload: &Payload<'_>, sender: &Sender) -> Vec<Mark> {
    let instance = sender.instance.as_str();
    // If Beadle's own write caused the event, the repository is probably as declared, so the lane
    // is `sweep`. The run finds out whether another person or program wrote at the same moment.
    let lane = if sender.known.is_own(payload.actor()) { Lane::Sweep } else { Lane::Event };
    let repository = || payload.repository.as_ref().and_then(|repository| mark(repository, instance, lane));
    let organisation = |kind: &str, lane| {
        let installed = payload.installation.as_ref().and_then(|installation| installation.account.as_ref());
        let id = payload.organization.as_ref().or(installed)?.id?;
        Some(Mark::new(Key::new(kind, instance, id), lane))
    };
    let mut marks: Vec<Mark> = match event {
        // A ruleset of the organisation does not belong to a single repository.
        "repository_ruleset" if payload.repository.is_none() => {
            organisation("organisation", lane).into_iter().collect()
        }
        event if ORGANISATION_EVENTS.contains(&event) => {
            organisation("organisation", lane).into_iter().collect()
        }
        event if REPOSITORY_EVENTS.contains(&event) => repository().into_iter().collect(),
        "push" | "create" | "delete" if concerns(event, payload, sender) => {
            repository().into_iter().collect()
        }
        event if kept_files::concerns(event, payload, &sender.known) => repository().into_iter().collect(),
        "team" if payload.repository.is_some() => repository().into_iter().collect(),
        "installation_repositories" => payload
            .repositories_added
            .iter()
            .flatten()
            .filter_map(|added| mark(added, instance, lane))
            .collect(),
        // Team names, the members of the organisation and the access of an App affect all
        // repositories.
        "team" | "installation" | "organization" => {
            let all = reaches_all(event, payload).filter(|_| !is_own_team(event, payload, lane));
            let mark = all.and_then(|all| organisation("sweep", all.max(lane)));
            // If the kind of the event asks for the lane `sweep`, the runs may reuse the answers of
            // earlier reads. If the lane is `sweep` only because Beadle itself caused the event,
            // the runs must not reuse answers.
            let hint = all.filter(|all| *all == Lane::Sweep).map(|_| swept_hint(""));
            mark.map(|mark| Mark { hint, ..mark }).into_iter().collect()
        }
        _ => Vec::new(),
    };
    if sender.keeps_teams && matches!(event, "membership" | "team") {
        let team = payload.team.as_ref().and_then(|team| team.id);
        marks.extend(team.map(|id| Mark::new(Key::new("team", instance, id), lane)));
    }
    let action = payload.action.as_deref().unwrap_or_default();
    if sender.keeps_teams
        && event == "organization"
        && matches!(action, "member_added" | "member_removed" | "member_invited")
    {
        marks.push(Mark::new(Key::new("team", instance, MEMBERSHIP), lane));
    }
    marks.extend(policy_checks::marks(event, payload, &sender.policies));
    if event == "push" {
        marks.extend(policies(payload, sender));
    }
    for rule in &sender.dispatches {
        if rule.is_for(event, payload.action.as_deref()) {
            let key = Key::new("dispatch", instance, format_args!("{id}/{}", rule.name));
            marks.push(Mark::new(key, Lane::Event));
        }
    }
    marks
}

/// Returns the marks of the policies that a push can change.
fn policies(payload: &Payload<'_>, sender: &Sender) -> Vec<Mark> {
    let Some(Repository { id: Some(id), name: Some(name), .. }) = &payload.repository else {
        return Vec::new();
    };
    let reference = payload.reference.as_deref().unwrap_or_default();
    let pushed = sender.policies.iter().filter(|policy| policy.is_pushed(name, reference));
    pushed.map(|policy| Mark::new(Key::new("policy", &policy.instance, *id), Lane::Event)).collect()
}

/// Returns whether the event creates or deletes a branch that affects the policy. The first branch
/// of a new repository always affects the policy, because this branch becomes the default branch.
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

/// Returns the lane in which the event marks all repositories as due. Returns `None` if the event
/// does not affect all repositories.
fn reaches_all(event: &str, payload: &Payload<'_>) -> Option<Lane> {
    let action = payload.action.as_deref().unwrap_or_default();
    match (event, action) {
        ("team", "created" | "deleted" | "edited")
        | ("installation", "created" | "unsuspend" | "new_permissions_accepted")
        | ("organization", "renamed") => Some(Lane::Event),
        // If a person leaves the organisation, the person loses the direct access to all
        // repositories.
        ("organization", "member_removed" | "member_added") => Some(Lane::Sweep),
        _ => None,
    }
}

/// Returns whether the event reports that Beadle has created a team. A new team cannot access any
/// repository yet, so no repository becomes due.
fn is_own_team(event: &str, payload: &Payload<'_>, lane: Lane) -> bool {
    lane == Lane::Sweep && event == "team" && payload.action.as_deref() == Some("created")
}

fn mark(repository: &Repository<'_>, instance: &str, lane: Lane) -> Option<Mark> {
    let key = Key::new("repository", instance, repository.id?);
    let hint = repository.node_id.as_ref().map(ToString::to_string);
    Some(Mark { hint, ..Mark::new(key, lane) })
}
