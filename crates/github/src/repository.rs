//! A repository as it was observed, in the terms of the REST API (which the policy uses too).

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

/// Which parts are to be read. Only what a policy asks for is.
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
    /// Rulesets of its own.
    pub rulesets: bool,
    /// Values of custom properties.
    pub properties: bool,
}

impl Asks {
    /// Everything that either asks for.
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

/// Who can see a repository, from few to many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Those with access.
    Private,
    /// Everybody of the enterprise.
    Internal,
    /// Everybody.
    Public,
}

impl FromStr for Visibility {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "private" => Ok(Self::Private),
            "internal" => Ok(Self::Internal),
            "public" => Ok(Self::Public),
            _ => Err(format!("`{text}` is not a visibility: private, internal or public")),
        }
    }
}

impl Visibility {
    /// As REST says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Internal => "internal",
            Self::Public => "public",
        }
    }
}

/// A permission on a repository. GraphQL shows a custom role as the one that it is based on.
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
    /// Everything.
    Admin,
    /// A role that the organisation defined.
    Custom(String),
}

impl Permission {
    /// In the words of team permissions.
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

    /// In the words of invitations, which have no custom roles.
    pub fn as_invitation(&self) -> &str {
        match self {
            Self::Pull => "read",
            Self::Push => "write",
            other => other.as_str(),
        }
    }

    /// Its place from least to most; `None` for a custom role, whose reach is not known.
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
    /// From the words of teams, of invitations, or of GraphQL.
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
    /// Their login.
    pub login: String,
    /// What they may do.
    pub permission: Permission,
}

/// An invitation that is not accepted yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Its id.
    pub id: u64,
    /// The immutable id of the account that it is for; invitations by mail have none.
    pub account: Option<u64>,
    /// The account's login.
    pub login: Option<String>,
    /// What they will be able to do.
    pub permission: Permission,
    /// It is no longer valid.
    pub expired: bool,
}

/// What kind of actor a branch rule names.
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

/// Somebody whom a branch rule names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// What they are.
    pub kind: ActorKind,
    /// Login or slug; compared without case.
    pub name: String,
    /// The node id, where it is known.
    pub id: Option<String>,
    /// The immutable id, where it is known.
    pub number: Option<u64>,
}

/// A check that has to pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusCheck {
    /// The check's name.
    pub context: String,
    /// The App that has to report it; `None` for any source.
    pub app_id: Option<i64>,
    /// The App's node id, where it is known.
    pub app_node: Option<String>,
}

/// The four lists of actors of a branch rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowances {
    /// Who may push, where pushes are restricted.
    pub push: Vec<Actor>,
    /// Who may dismiss reviews, where that is restricted.
    pub dismissal: Vec<Actor>,
    /// Who may merge without a pull request.
    pub bypass_pull_request: Vec<Actor>,
    /// Who may force-push.
    pub bypass_force_push: Vec<Actor>,
}

/// A branch protection rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its node id.
    pub id: String,
    /// The branches that it protects.
    pub pattern: String,
    /// Its flags and numbers, by GraphQL's names.
    pub fields: Map<String, Value>,
    /// The checks that have to pass.
    pub checks: Vec<StatusCheck>,
    /// Environments that have to be deployed to.
    pub environments: Vec<String>,
    /// Its actors.
    pub allowances: Allowances,
    /// The lists, by their connection's name, of which GitHub does not show everybody.
    pub hidden: Vec<String>,
}

/// A label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name; compared without case.
    pub name: String,
    /// Six hexadecimal digits.
    pub color: String,
    /// What it is for.
    pub description: Option<String>,
}

/// A repository as it was observed.
#[derive(Clone, Debug, PartialEq)]
pub struct Repository {
    /// The immutable id.
    pub id: u64,
    /// GraphQL's id.
    pub node_id: String,
    /// Its name.
    pub name: String,
    /// The owner's login.
    pub owner: String,
    /// Nothing can be written to it.
    pub archived: bool,
    /// It is a fork.
    pub fork: bool,
    /// Who can see it.
    pub visibility: Visibility,
    /// The settings, by the names of the body of `PATCH /repos/{owner}/{repo}`.
    pub settings: Map<String, Value>,
    /// The settings that only REST shows.
    pub rest_settings: Known<Map<String, Value>>,
    /// The default branch; an empty repository may have none yet.
    pub default_branch: Option<String>,
    /// Topics.
    pub topics: Known<Vec<String>>,
    /// Teams.
    pub teams: Known<Vec<crate::TeamPermission>>,
    /// Its teams and properties come from a snapshot of the whole organisation.
    pub has_age: bool,
    /// Names by which layers select and that stand for nothing.
    pub missing: std::sync::Arc<crate::Missing>,
    /// Direct collaborators.
    pub collaborators: Known<Vec<Collaborator>>,
    /// Pending invitations.
    pub invitations: Known<Vec<Invitation>>,
    /// Branch protection rules.
    pub protection: Known<Vec<Rule>>,
    /// When it was made, as GitHub writes it.
    pub created_at: String,
    /// Dependabot alerts; `None` where this GitHub does not say.
    pub vulnerability_alerts: Option<bool>,
    /// Labels.
    pub labels: Known<Vec<Label>>,
    /// Rulesets of its own.
    pub rulesets: Known<Vec<Ruleset>>,
    /// Values of custom properties: a text, or a list of texts.
    pub properties: Known<BTreeMap<String, Value>>,
}

impl Repository {
    /// `owner/name`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// A private fork that GitHub made for a security advisory. It is left alone.
    pub fn is_advisory_fork(&self) -> bool {
        const ALPHABET: &str = "23456789cfghjmpqrvwx";
        let Some((_, suffix)) = self.name.rsplit_once("-ghsa-") else { return false };
        let groups: Vec<&str> = suffix.split('-').collect();
        let group = |group: &&str| group.len() == 4 && group.chars().all(|letter| ALPHABET.contains(letter));
        self.fork && self.visibility == Visibility::Private && groups.len() == 3 && groups.iter().all(group)
    }
}
