//! The observed state of a repository. The state uses the names of the REST API, as policies do.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use beadle_engine::Time;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::rulesets::Ruleset;
use crate::unsure::Unsure;

/// One part of a repository. Beadle knows this part or does not know it. An unknown part is not the
/// same as an empty part: Beadle removes nothing because of an unknown part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known<T> {
    /// Beadle did not read the part, because nothing asked for it.
    NotAsked,
    /// Beadle could not read the whole part, for this reason.
    Unknown(Unsure),
    /// The complete part.
    Known(T),
}

impl<T> Known<T> {
    /// Returns the part, or `None` if the part is not known.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::NotAsked | Self::Unknown(_) => None,
        }
    }
}

/// Which parts of a repository Beadle reads. Beadle reads only the parts that the policy needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// True if Beadle reads the topics.
    pub topics: bool,
    /// True if Beadle reads the teams and their permissions.
    pub teams: bool,
    /// True if Beadle reads the direct collaborators and the pending invitations.
    pub collaborators: bool,
    /// True if Beadle reads the branch protection rules.
    pub protection: bool,
    /// True if Beadle reads the settings that only the REST API shows.
    pub rest_settings: bool,
    /// True if Beadle reads the labels.
    pub labels: bool,
    /// True if Beadle reads the milestones.
    pub milestones: bool,
    /// True if Beadle reads the deploy keys.
    pub deploy_keys: bool,
    /// True if Beadle reads the rulesets that belong to the repository.
    pub rulesets: bool,
    /// True if Beadle reads the values of the custom properties.
    pub properties: bool,
}

impl Asks {
    /// Returns the parts that are set in at least one of the two values.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            topics: self.topics || other.topics,
            teams: self.teams || other.teams,
            collaborators: self.collaborators || other.collaborators,
            protection: self.protection || other.protection,
            rest_settings: self.rest_settings || other.rest_settings,
            labels: self.labels || other.labels,
            milestones: self.milestones || other.milestones,
            deploy_keys: self.deploy_keys || other.deploy_keys,
            rulesets: self.rulesets || other.rulesets,
            properties: self.properties || other.properties,
        }
    }
}

/// Who can see a repository. The order is from the fewest people to the most people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Only the people with access to the repository.
    Private,
    /// All members of the enterprise.
    Internal,
    /// Anyone.
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
    /// Returns the name of the visibility in the REST API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Internal => "internal",
            Self::Public => "public",
        }
    }
}

/// A permission on a repository. For a custom role, GraphQL shows the base role.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Permission {
    /// Can read.
    Pull,
    /// Can read, and manage issues and pull requests.
    Triage,
    /// Can read and write.
    Push,
    /// Can manage the repository, except for sensitive and destructive actions.
    Maintain,
    /// Can do everything.
    Admin,
    /// A custom role of the organisation, by its name.
    Custom(String),
}

impl Permission {
    /// Returns the name that GitHub uses for the permission of a team.
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

    /// Returns the name that GitHub uses for the permission in an invitation. Invitations have no
    /// custom roles.
    pub fn as_invitation(&self) -> &str {
        match self {
            Self::Pull => "read",
            Self::Push => "write",
            other => other.as_str(),
        }
    }

    /// Returns the rank of the permission; a permission with a higher rank permits more. A custom
    /// role has no rank, because Beadle does not know what the role permits.
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
    /// Accepts every name of a permission. GitHub uses different names for teams, for invitations
    /// and in GraphQL.
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

/// An account that has access to the repository directly, not through a team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collaborator {
    /// The immutable id of the account.
    pub id: u64,
    /// The login of the account.
    pub login: String,
    /// The permission of the account.
    pub permission: Permission,
}

/// An invitation to a repository. The account has not accepted the invitation yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// The id of the invitation.
    pub id: u64,
    /// The immutable id of the invited account. `None` if somebody was invited by mail.
    pub account: Option<u64>,
    /// The login of the invited account. `None` if somebody was invited by mail.
    pub login: Option<String>,
    /// The permission that the account gets when it accepts the invitation.
    pub permission: Permission,
    /// True if the invitation has expired.
    pub expired: bool,
}

/// The kind of an actor in a branch rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActorKind {
    /// A user account.
    User,
    /// A team of the organisation.
    Team,
    /// A GitHub App.
    App,
}

/// A user, a team or an App in a branch rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Whether the actor is a user, a team or an App.
    pub kind: ActorKind,
    /// The login or the slug. Beadle ignores upper and lower case when it compares the name.
    pub name: String,
    /// The node id of the actor, if it is known.
    pub id: Option<String>,
    /// The immutable id as a number, if it is known.
    pub number: Option<u64>,
}

/// A status check that a branch rule requires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusCheck {
    /// The name of the check.
    pub context: String,
    /// The id of the App that must report the check. `None` if any source can report the check.
    pub app_id: Option<i64>,
    /// The node id of the App that must report the check, if it is known.
    pub app_node: Option<String>,
}

/// The four lists of actors in a branch rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowances {
    /// The actors who can push if the rule restricts pushes.
    pub push: Vec<Actor>,
    /// The actors who can dismiss reviews if the rule restricts dismissals.
    pub dismissal: Vec<Actor>,
    /// The actors who can merge without a pull request.
    pub bypass_pull_request: Vec<Actor>,
    /// The actors who can force-push.
    pub bypass_force_push: Vec<Actor>,
}

/// A branch protection rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The node id of the rule.
    pub id: String,
    /// The pattern that decides which branches the rule protects, by their names.
    pub pattern: String,
    /// The flags and numbers of the rule, with their names in GraphQL.
    pub fields: Map<String, Value>,
    /// The status checks that must pass before a merge.
    pub checks: Vec<StatusCheck>,
    /// The environments that need a successful deployment before a merge.
    pub environments: Vec<String>,
    /// The actors who can do things that the rule forbids to all other actors.
    pub allowances: Allowances,
    /// The lists of actors that GitHub shows incompletely. Each list has the name of its GraphQL
    /// connection.
    pub hidden: Vec<String>,
}

/// A label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The name. Beadle ignores upper and lower case when it compares the name.
    pub name: String,
    /// The colour: six hexadecimal digits.
    pub color: String,
    /// The description. `None` if the label has no description.
    pub description: Option<String>,
}

/// A milestone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Milestone {
    /// The number of the milestone in REST.
    pub number: u64,
    /// The title.
    pub title: String,
    /// The description. `None` if the milestone has no description.
    pub description: Option<String>,
    /// The state as REST writes it: `open` or `closed`.
    pub state: String,
    /// When the milestone is due, in GitHub's format. `None` if the milestone has no date.
    pub due_on: Option<String>,
}

/// A deploy key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeployKey {
    /// The public key, without a comment.
    pub key: String,
    /// The title.
    pub title: String,
    /// True if the key can only read.
    pub read_only: bool,
}

/// The observed state of a repository.
#[derive(Clone, Debug, PartialEq)]
pub struct Repository {
    /// The immutable id of the repository.
    pub id: u64,
    /// The node id of the repository.
    pub node_id: String,
    /// The name of the repository, without its owner.
    pub name: String,
    /// The login of the owner.
    pub owner: String,
    /// True if the repository is archived. GitHub refuses writes to an archived repository.
    pub archived: bool,
    /// True if the repository is a fork.
    pub fork: bool,
    /// The visibility of the repository.
    pub visibility: Visibility,
    /// The settings, by their names in the body of `PATCH /repos/{owner}/{repo}`.
    pub settings: Map<String, Value>,
    /// The settings that only the REST API shows.
    pub rest_settings: Known<Map<String, Value>>,
    /// The default branch. `None` if the repository is empty and has no default branch yet.
    pub default_branch: Option<String>,
    /// The topics.
    pub topics: Known<Vec<String>>,
    /// The teams that have access, with their permissions.
    pub teams: Known<Vec<crate::TeamPermission>>,
    /// True if the teams or the properties come from a read of the whole organisation. This data
    /// can be older than the other parts.
    pub has_age: bool,
    /// The time of the earliest stored read, if the parts that only REST shows come from stored
    /// reads. `None` if Beadle used no stored read for these parts.
    pub last_seen: Option<Time>,
    /// The names that do not exist, although layers use them to select repositories.
    pub missing: std::sync::Arc<crate::Missing>,
    /// The accounts that have access directly, not through a team.
    pub collaborators: Known<Vec<Collaborator>>,
    /// The invitations that nobody has accepted yet.
    pub invitations: Known<Vec<Invitation>>,
    /// The branch protection rules.
    pub protection: Known<Vec<Rule>>,
    /// When the repository was created, in GitHub's format.
    pub created_at: String,
    /// Whether Dependabot alerts are on. `None` if this GitHub server does not show this setting.
    pub vulnerability_alerts: Option<bool>,
    /// The labels.
    pub labels: Known<Vec<Label>>,
    /// The deploy keys. GraphQL does not show the REST ids of deploy keys.
    pub deploy_keys: Known<Vec<DeployKey>>,
    /// The milestones, open and closed.
    pub milestones: Known<Vec<Milestone>>,
    /// The rulesets that belong to the repository.
    pub rulesets: Known<Vec<Ruleset>>,
    /// The values of the custom properties. Each value is a text or a list of texts.
    pub properties: Known<BTreeMap<String, Value>>,
}

impl Repository {
    /// Returns the full name of the repository, `owner/name`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// Returns whether the repository is a private fork that GitHub created for a security
    /// advisory. Beadle does not manage such a fork.
    pub fn is_advisory_fork(&self) -> bool {
        const ALPHABET: &str = "23456789cfghjmpqrvwx";
        let Some((_, suffix)) = self.name.rsplit_once("-ghsa-") else { return false };
        let groups: Vec<&str> = suffix.split('-').collect();
        let group = |group: &&str| group.len() == 4 && group.chars().all(|letter| ALPHABET.contains(letter));
        self.fork && self.visibility == Visibility::Private && groups.len() == 3 && groups.iter().all(group)
    }
}
