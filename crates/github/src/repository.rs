//! The observed state of a repository, in the terms of the REST API, which the policy uses too.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::rulesets::Ruleset;
use crate::unsure::Unsure;

/// A part of a repository. An unknown part is never an empty one: Beadle removes nothing because of
/// it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known<T> {
    /// Nobody asked for the part.
    NotAsked,
    /// The part was not read to its end, for this reason.
    Unknown(Unsure),
    /// The whole part.
    Known(T),
}

impl<T> Known<T> {
    /// Returns the part, if it is known.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::NotAsked | Self::Unknown(_) => None,
        }
    }
}

/// The parts of a repository that Beadle reads. It reads only the parts that a policy needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// Topics.
    pub topics: bool,
    /// Teams and their permissions.
    pub teams: bool,
    /// Direct collaborators and pending invitations.
    pub collaborators: bool,
    /// Branch protection rules.
    pub protection: bool,
    /// Settings that only the REST API shows.
    pub rest_settings: bool,
    /// Labels.
    pub labels: bool,
    /// The repository's own rulesets.
    pub rulesets: bool,
    /// Values of custom properties.
    pub properties: bool,
}

impl Asks {
    /// Returns the parts that at least one of both asks for.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            topics: self.topics || other.topics,
            teams: self.teams || other.teams,
            collaborators: self.collaborators || other.collaborators,
            protection: self.protection || other.protection,
            rest_settings: self.rest_settings || other.rest_settings,
            labels: self.labels || other.labels,
            rulesets: self.rulesets || other.rulesets,
            properties: self.properties || other.properties,
        }
    }
}

/// The people who can see a repository, from few to many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// The people with access.
    Private,
    /// All members of the enterprise.
    Internal,
    /// All people.
    Public,
}

impl FromStr for Visibility {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "private" => Ok(Self::Private),
            "internal" => Ok(Self::Internal),
            "public" => Ok(Self::Public),
            _ => Err(format!("invalid visibility `{text}`: must be `private`, `internal` or `public`")),
        }
    }
}

impl Visibility {
    /// Returns the value in REST.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Internal => "internal",
            Self::Public => "public",
        }
    }
}

/// A permission on a repository. GraphQL shows a custom role as the role that it is based on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Permission {
    /// Read.
    Pull,
    /// Read, and manage issues.
    Triage,
    /// Write.
    Push,
    /// Manage without dangerous actions.
    Maintain,
    /// All actions.
    Admin,
    /// A custom role of the organisation.
    Custom(String),
}

impl Permission {
    /// Returns the name in the permissions of teams.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Pull => "pull",
            Self::Triage => "triage",
            Self::Push => "push",
            Self::Maintain => "maintain",
            Self::Admin => "admin",
            Self::Custom(name) => name,
        }
    }

    /// Returns the name in invitations, which have no custom roles.
    pub fn as_invitation(&self) -> &str {
        match self {
            Self::Pull => "read",
            Self::Push => "write",
            other => other.as_str(),
        }
    }

    /// Returns the rank, from the least permission to the greatest. A custom role has no rank,
    /// because Beadle does not know what it permits.
    pub fn rank(&self) -> Option<u8> {
        match self {
            Self::Pull => Some(0),
            Self::Triage => Some(1),
            Self::Push => Some(2),
            Self::Maintain => Some(3),
            Self::Admin => Some(4),
            Self::Custom(_) => None,
        }
    }
}

impl From<String> for Permission {
    /// Accepts the names of teams, of invitations and of GraphQL.
    fn from(text: String) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "pull" | "read" => Self::Pull,
            "triage" => Self::Triage,
            "push" | "write" => Self::Push,
            "maintain" => Self::Maintain,
            "admin" => Self::Admin,
            _ => Self::Custom(text),
        }
    }
}

impl From<Permission> for String {
    fn from(permission: Permission) -> Self {
        permission.as_str().to_owned()
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A direct collaborator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collaborator {
    /// The account's immutable id.
    pub id: u64,
    /// The account's login.
    pub login: String,
    /// The account's permission.
    pub permission: Permission,
}

/// A pending invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// The id of the invitation.
    pub id: u64,
    /// The immutable id of the invited account. `None` for an invitation by mail.
    pub account: Option<u64>,
    /// The account's login.
    pub login: Option<String>,
    /// The permission that the account will get.
    pub permission: Permission,
    /// Whether the invitation has expired.
    pub expired: bool,
}

/// The kind of an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActorKind {
    /// A person.
    User,
    /// A team of the organisation.
    Team,
    /// A GitHub App.
    App,
}

/// An account, a team or an App that a branch rule names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The kind.
    pub kind: ActorKind,
    /// The login or the slug. Beadle compares it without case.
    pub name: String,
    /// The node id, if it is known.
    pub id: Option<String>,
    /// The immutable id, if it is known.
    pub number: Option<u64>,
}

/// A required status check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusCheck {
    /// The check's name.
    pub context: String,
    /// The App that must report the check. `None` if any source may report it.
    pub app_id: Option<i64>,
    /// The App's node id, if it is known.
    pub app_node: Option<String>,
}

/// The four lists of actors of a branch rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowances {
    /// The actors who may push if pushes are restricted.
    pub push: Vec<Actor>,
    /// The actors who may dismiss reviews if that is restricted.
    pub dismissal: Vec<Actor>,
    /// The actors who may merge without a pull request.
    pub bypass_pull_request: Vec<Actor>,
    /// The actors who may force-push.
    pub bypass_force_push: Vec<Actor>,
}

/// A branch protection rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The node id.
    pub id: String,
    /// The pattern of the names of the protected branches.
    pub pattern: String,
    /// The flags and numbers, by their names in GraphQL.
    pub fields: Map<String, Value>,
    /// The required checks.
    pub checks: Vec<StatusCheck>,
    /// The environments that need a deployment before a merge.
    pub environments: Vec<String>,
    /// The lists of actors.
    pub allowances: Allowances,
    /// The lists of actors that GitHub does not show completely, by the names of their connections.
    pub hidden: Vec<String>,
}

/// A label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The name. Beadle compares it without case.
    pub name: String,
    /// The color: six hexadecimal digits.
    pub color: String,
    /// The description.
    pub description: Option<String>,
}

/// The observed state of a repository.
#[derive(Clone, Debug, PartialEq)]
pub struct Repository {
    /// The immutable id.
    pub id: u64,
    /// The node id.
    pub node_id: String,
    /// The name.
    pub name: String,
    /// The owner's login.
    pub owner: String,
    /// Whether the repository is archived. GitHub refuses writes then.
    pub archived: bool,
    /// Whether the repository is a fork.
    pub fork: bool,
    /// The visibility.
    pub visibility: Visibility,
    /// The settings, by the names of the body of `PATCH /repos/{owner}/{repo}`.
    pub settings: Map<String, Value>,
    /// The settings that only REST shows.
    pub rest_settings: Known<Map<String, Value>>,
    /// The default branch. An empty repository may have none yet.
    pub default_branch: Option<String>,
    /// Topics.
    pub topics: Known<Vec<String>>,
    /// Teams.
    pub teams: Known<Vec<crate::TeamPermission>>,
    /// Whether the teams or the properties come from a snapshot of the whole organisation.
    pub has_age: bool,
    /// The names by which layers select and that nothing has.
    pub missing: std::sync::Arc<crate::Missing>,
    /// Direct collaborators.
    pub collaborators: Known<Vec<Collaborator>>,
    /// Pending invitations.
    pub invitations: Known<Vec<Invitation>>,
    /// Branch protection rules.
    pub protection: Known<Vec<Rule>>,
    /// The time of creation, as GitHub writes it.
    pub created_at: String,
    /// Whether Dependabot alerts are on. `None` if this GitHub does not show it.
    pub vulnerability_alerts: Option<bool>,
    /// Labels.
    pub labels: Known<Vec<Label>>,
    /// The repository's own rulesets.
    pub rulesets: Known<Vec<Ruleset>>,
    /// Values of custom properties. Each value is a text or a list of texts.
    pub properties: Known<BTreeMap<String, Value>>,
}

impl Repository {
    /// Returns `owner/name`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// Returns whether the repository is a private fork that GitHub created for a security
    /// advisory. Beadle leaves such a fork alone.
    pub fn is_advisory_fork(&self) -> bool {
        const ALPHABET: &str = "23456789cfghjmpqrvwx";
        let Some((_, suffix)) = self.name.rsplit_once("-ghsa-") else { return false };
        let groups: Vec<&str> = suffix.split('-').collect();
        let group = |group: &&str| group.len() == 4 && group.chars().all(|letter| ALPHABET.contains(letter));
        self.fork && self.visibility == Visibility::Private && groups.len() == 3 && groups.iter().all(group)
    }
}
