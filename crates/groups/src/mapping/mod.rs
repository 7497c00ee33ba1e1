//! Mappings: which groups of a directory make which groups of a target.

mod name;
mod pattern;

use std::collections::BTreeSet;

use beadle_engine::{Mode, PolicyLocation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use name::{Case, Naming, Replacement, replacements};
pub use pattern::Pattern;

/// What is wrong with a mapping.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MappingError {
    /// A pattern is none.
    #[error(
        "invalid pattern `{text}`: {why}; use a glob (`AWS_*`), a regular expression (`/^AWS_/`) or an id (`id:00g...`)"
    )]
    Pattern {
        /// The pattern.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// A replacement's left side is no regular expression.
    #[error("replace: invalid regular expression `{text}`: {why}")]
    Replace {
        /// The expression.
        text: String,
        /// What is wrong with it.
        why: String,
    },
}

/// What to do where the target has no group of that name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMissingGroup {
    /// Make it.
    Create,
    /// Look again later: somebody else makes it.
    #[default]
    Wait,
    /// Say so, and set the group aside.
    Error,
}

/// What to do where the target has no such user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMissingUser {
    /// Look again later: somebody else provisions users.
    #[default]
    Wait,
    /// Go on without.
    Skip,
    /// Say so, and set the group aside.
    Error,
}

/// Whether users are made too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Users {
    /// They are somebody else's.
    #[default]
    Leave,
    /// They are made, and kept up to date.
    Provision,
}

/// What to do when the source's group has another name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnRename {
    /// Rename the target's, in place.
    #[default]
    Follow,
    /// Ask first.
    Hold,
}

/// What to do when the source's group is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDelete {
    /// Leave the target's as it is, and say so.
    #[default]
    Keep,
    /// Take everybody out.
    Empty,
    /// Delete it, once somebody approved.
    Delete,
}

/// What somebody is in a group, where the target has a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// One of many.
    #[default]
    Member,
    /// One who may change it.
    Maintainer,
}

impl Role {
    /// As it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Maintainer => "maintainer",
        }
    }
}

/// One mapping.
#[derive(Clone, Debug, Serialize)]
pub struct Mapping {
    /// The directory.
    pub source: String,
    /// The target.
    pub target: String,
    /// Groups that are meant; none means none.
    pub include: Vec<Pattern>,
    /// Of these, groups that are not meant.
    pub exclude: Vec<Pattern>,
    /// What they are called at the target.
    pub naming: Naming,
    /// All of them make this one group.
    pub into: Option<String>,
    /// How far Beadle may go.
    pub mode: Mode,
    /// What to do where the target has no group of that name.
    pub on_missing_group: OnMissingGroup,
    /// What to do where the target has no such user.
    pub on_missing_user: OnMissingUser,
    /// Whether users are made too.
    pub users: Users,
    /// What to do when the source's group has another name.
    pub on_rename: OnRename,
    /// What to do when the source's group is gone.
    pub on_delete: OnDelete,
    /// A group of the right name that is nobody's is taken over.
    pub adopt: bool,
    /// A source without members needs no approval.
    pub may_empty: bool,
    /// Groups that few may leave at once, however large they are.
    pub protected: Vec<Pattern>,
    /// What its people are at the target. Where no mapping of a group says it, roles are left as they are.
    pub role: Option<Role>,
    /// The group above those that are made, as the target names it.
    pub parent: Option<String>,
    /// What the groups are to say about themselves; `{group}` is the source's name.
    pub description: Option<String>,
    /// The line that says so.
    #[serde(skip)]
    pub asked: Option<PolicyLocation>,
}

impl Mapping {
    /// Whether a group is meant.
    pub fn is_for(&self, id: &str, name: &str) -> bool {
        let any = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.is_for(id, name));
        any(&self.include) && !any(&self.exclude)
    }

    /// Whether a group is protected.
    pub fn protects(&self, id: &str, name: &str) -> bool {
        self.protected.iter().any(|pattern| pattern.is_for(id, name))
    }
}

/// What a group of a target is made of. It names the key, and stays when either side is renamed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupKey {
    /// One group of a directory.
    One {
        /// The directory.
        source: String,
        /// The group's id there.
        group: String,
    },
    /// A union of this name.
    Union(String),
    /// No group: the account of one person, which Beadle made.
    TargetAccount {
        /// The directory.
        source: String,
        /// The person's id there.
        person: String,
    },
}

/// Names that no directory may have, as they begin the keys of unions and of accounts.
pub const RESERVED: [&str; 2] = ["into", ACCOUNT];
const ACCOUNT: &str = "account";

impl std::fmt::Display for GroupKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One { source, group } => write!(f, "{source}/{group}"),
            Self::Union(name) => write!(f, "into/{name}"),
            Self::TargetAccount { source, person } => write!(f, "{ACCOUNT}/{source}/{person}"),
        }
    }
}

impl std::str::FromStr for GroupKey {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some(("into", name)) if !name.is_empty() => Ok(Self::Union(name.to_owned())),
            Some((ACCOUNT, whose)) => match whose.split_once('/') {
                Some((source, person)) if !source.is_empty() && !person.is_empty() => {
                    Ok(Self::TargetAccount { source: source.to_owned(), person: person.to_owned() })
                }
                _ => Err(format!("invalid account `{text}`: expected {ACCOUNT}/SOURCE/ID")),
            },
            Some((source, group)) if !source.is_empty() && !group.is_empty() => {
                Ok(Self::One { source: source.to_owned(), group: group.to_owned() })
            }
            _ => Err(format!("invalid group `{text}`: expected SOURCE/ID or into/NAME")),
        }
    }
}

/// All mappings, in their order: one generation of them.
#[derive(Clone, Debug, Default)]
pub struct Mappings {
    /// The mappings.
    pub all: Vec<Mapping>,
    /// A name for exactly these.
    pub generation: String,
}

impl Mappings {
    /// A generation.
    pub fn new(all: Vec<Mapping>) -> Self {
        let text = serde_json::to_string(&all).unwrap_or_default();
        let digest = Sha256::digest(text);
        let generation = digest.iter().take(6).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        Self { all, generation }
    }

    /// The mapping that makes a group of `target` of this one alone: the first that is for it.
    pub fn one(&self, target: &str, source: &str, id: &str, name: &str) -> Option<&Mapping> {
        self.all.iter().find(|mapping| {
            mapping.target == target
                && mapping.source == source
                && mapping.into.is_none()
                && mapping.is_for(id, name)
        })
    }

    /// The mappings that make this union.
    pub fn union(&self, target: &str, into: &str) -> Vec<&Mapping> {
        let is_its = |mapping: &&Mapping| mapping.target == target && mapping.into.as_deref() == Some(into);
        self.all.iter().filter(is_its).collect()
    }

    /// Returns a mapping that makes users at `target` for people of this directory, and the most
    /// careful mode of all that do.
    pub fn provisioning(&self, target: &str, source: &str) -> Option<(&Mapping, Mode)> {
        let makes = |mapping: &&Mapping| {
            mapping.target == target && mapping.source == source && mapping.users == Users::Provision
        };
        let mode = self.all.iter().filter(makes).map(|mapping| mapping.mode).min()?;
        Some((self.all.iter().find(makes)?, mode))
    }

    /// Everything that a group takes part in: by target.
    pub fn group_keys(&self, source: &str, id: &str, name: &str) -> Vec<(String, GroupKey)> {
        let mut group_keys = BTreeSet::new();
        for mapping in self.all.iter().filter(|mapping| mapping.source == source && mapping.is_for(id, name))
        {
            let group_key = match &mapping.into {
                Some(into) => GroupKey::Union(into.clone()),
                None => GroupKey::One { source: source.to_owned(), group: id.to_owned() },
            };
            group_keys.insert((mapping.target.clone(), group_key));
        }
        group_keys.into_iter().collect()
    }

    /// The targets that this directory's groups go to.
    pub fn targets(&self, source: &str) -> Vec<&str> {
        let of = self.all.iter().filter(|mapping| mapping.source == source);
        let mut targets: Vec<&str> = of.map(|mapping| mapping.target.as_str()).collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(include: &str, into: Option<&str>) -> Mapping {
        Mapping {
            source: "corp".into(),
            target: "aws".into(),
            include: vec![include.parse().unwrap()],
            exclude: vec!["*_Legacy".parse().unwrap()],
            naming: Naming::default(),
            into: into.map(str::to_owned),
            mode: Mode::Observe,
            on_missing_group: OnMissingGroup::default(),
            on_missing_user: OnMissingUser::default(),
            users: Users::default(),
            on_rename: OnRename::default(),
            on_delete: OnDelete::default(),
            adopt: false,
            may_empty: false,
            protected: Vec::new(),
            role: None,
            parent: None,
            description: None,
            asked: None,
        }
    }

    #[test]
    fn a_group_is_one_of_a_target_and_of_every_union_that_names_it() {
        let mappings = Mappings::new(vec![
            mapping("AWS_*", None),
            mapping("/^AWS_(Ops|Dev)$/", Some("Engineers")),
            mapping("id:00g9", None),
        ]);
        let group_keys = |id: &str, name: &str| -> Vec<String> {
            mappings
                .group_keys("corp", id, name)
                .iter()
                .map(|(target, group_key)| format!("{target}:{group_key}"))
                .collect()
        };
        assert_eq!(group_keys("00g1", "AWS_Ops"), ["aws:corp/00g1", "aws:into/Engineers"]);
        assert_eq!(group_keys("00g2", "AWS_Finance"), ["aws:corp/00g2"]);
        assert_eq!(group_keys("00g3", "AWS_Legacy"), Vec::<String>::new());
        assert_eq!(group_keys("00g9", "Whatever"), ["aws:corp/00g9"]);
        assert!(mappings.group_keys("other", "00g1", "AWS_Ops").is_empty());
        for group_key in ["corp/00g1", "into/Engineers and others", "account/corp/00u1"] {
            assert_eq!(group_key.parse::<GroupKey>().unwrap().to_string(), group_key);
        }
    }
}
