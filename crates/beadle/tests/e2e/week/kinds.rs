//! Lists the kinds of events in the simulated week, and defines the change of each kind.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};

use crate::repair::is_declared;

use super::setup::{LAYER, account, group, name, target_group};

/// A kind of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A push to a repository that contains no policy.
    Push,
    /// An event of a different kind that makes no key due.
    Other,
    /// Somebody creates a repository.
    Created,
    /// Somebody gives a team access to a repository.
    Team,
    /// Somebody weakens the protection of a branch.
    Protection,
    /// Somebody changes the topics of a repository.
    Topics,
    /// Somebody makes a repository public.
    Visibility,
    /// Somebody changes a setting, and GitHub sends no webhook about this change.
    Silent,
    /// Somebody adds or removes a collaborator. The policy does not mention this person.
    Collaborator,
    /// Somebody joins or leaves a group of the directory.
    Membership,
    /// A commit changes the policy.
    Policy,
}

impl Kind {
    /// Returns the name in the report.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Other => "other event",
            Self::Created => "repository created",
            Self::Team => "team of a repository",
            Self::Protection => "branch protection",
            Self::Topics => "topics",
            Self::Visibility => "visibility",
            Self::Silent => "setting without a webhook",
            Self::Collaborator => "collaborator",
            Self::Membership => "member of a group",
            Self::Policy => "commit of the policy",
        }
    }

    /// Returns the merge patch that makes a repository drift. `nth` is the number of the event.
    pub(super) fn drift(self, nth: u64) -> Value {
        match self {
            Self::Team => json!({ "teams": { "contractors": "admin" } }),
            Self::Protection => json!({ "protection": { "main": { "enforce_admins": false } } }),
            Self::Topics => json!({ "topics": ["managed", "stray"] }),
            Self::Visibility => json!({ "visibility": "public", "private": false }),
            Self::Silent => json!({ "has_wiki": true }),
            Self::Created => json!({ "visibility": "private", "branches": { "main": {} } }),
            Self::Collaborator if nth.is_multiple_of(2) => json!({ "collaborators": { "dan": "push" } }),
            Self::Collaborator => json!({ "collaborators": { "dan": null } }),
            Self::Push | Self::Other | Self::Membership | Self::Policy => json!({}),
        }
    }
}

/// The object that differs from the policy after an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// The repository with this name.
    Repository(String),
    /// The repositories of the layer. The layer sets `has_projects` to this value.
    Layer(bool),
    /// The group with this number.
    Group(usize),
}

impl Subject {
    /// Returns the name of the subject in the webhook of the event.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Repository(name) => name.clone(),
            Self::Layer(_) => "admin".to_owned(),
            Self::Group(n) => group(*n),
        }
    }

    /// Returns whether the subject is as declared. `memberships` contains the people of each group.
    pub(super) fn is_declared(&self, live: &Live<'_>, memberships: &[BTreeSet<usize>]) -> bool {
        match self {
            Self::Repository(name) => is_declared(&live.repositories[name]),
            Self::Layer(has) => (0..LAYER).all(|n| live.repositories[name(n)]["has_projects"] == json!(has)),
            Self::Group(n) => live.has_exactly(*n, &memberships[*n]),
        }
    }
}

/// The state of the simulators at one moment.
pub(super) struct Live<'a> {
    repositories: &'a Value,
    /// Maps the name of a group to the members of this group at the target.
    groups: HashMap<&'a str, &'a Value>,
}

impl<'a> Live<'a> {
    /// Looks at the state of the simulated GitHub and of the target.
    pub(super) fn of(github: &'a Value, target: &'a Value) -> Self {
        let groups = target["groups"].as_object().into_iter().flatten();
        let groups =
            groups.filter_map(|(_, group)| Some((group["displayName"].as_str()?, &group["members"])));
        Self { repositories: &github["orgs"]["acme"]["repos"], groups: groups.collect() }
    }

    /// Returns whether a group of the target has exactly these people.
    fn has_exactly(&self, group: usize, people: &BTreeSet<usize>) -> bool {
        let members = self.groups.get(target_group(group).as_str()).and_then(|members| members.as_object());
        let Some(members) = members else { return false };
        members.len() == people.len() && people.iter().all(|n| members.contains_key(&account(*n)))
    }
}
