//! Mappings from groups of a directory to groups of a target.

mod group_key;
mod name;
mod pattern;

use std::collections::BTreeSet;

use beadle_engine::{Mode, PolicyLocation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub(crate) use group_key::OWNED;
pub use group_key::{GroupKey, RESERVED};
pub use name::{Case, Naming, Replacement, replacements};
pub use pattern::Pattern;

/// An error in a mapping.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MappingError {
    /// A pattern is invalid.
    #[error(
        "invalid pattern `{text}`: {why}; use a glob (`AWS_*`), a regular expression (`/^AWS_/`) or an id (`id:00g...`)"
    )]
    Pattern {
        /// The pattern.
        text: String,
        /// The reason.
        why: String,
    },
    /// The left side of a replacement is not a regular expression.
    #[error("replace: invalid regular expression `{text}`: {why}")]
    Replace {
        /// The expression.
        text: String,
        /// The reason.
        why: String,
    },
}

/// The action if the target has no group with the name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMissingGroup {
    /// Create the group.
    Create,
    /// Check again later: another system creates the group.
    #[default]
    Wait,
    /// Report an error and park the group.
    Error,
}

/// The action if the target has no such user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMissingUser {
    /// Check again later: another system provisions users.
    #[default]
    Wait,
    /// Continue without the user.
    Skip,
    /// Report an error and park the group.
    Error,
}

/// Whether Beadle creates users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Users {
    /// Another system manages users.
    #[default]
    Leave,
    /// Beadle creates users and keeps them up to date.
    Provision,
}

/// The action if the source's group has another name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnRename {
    /// Rename the target's group in place.
    #[default]
    Follow,
    /// Hold the rename for an approval.
    Hold,
}

/// The action if the source's group is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDelete {
    /// Keep the target's group as it is, and report it.
    #[default]
    Keep,
    /// Remove all members.
    Empty,
    /// Delete the group after an approval.
    Delete,
}

/// The role of a person in a group, if the target has roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// An ordinary member.
    #[default]
    Member,
    /// A member who may change the group.
    Maintainer,
}

impl Role {
    /// Returns the name of the role.
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
    /// The patterns of the included groups. Without patterns, the mapping includes no group.
    pub include: Vec<Pattern>,
    /// The patterns of the groups to exclude from these.
    pub exclude: Vec<Pattern>,
    /// The rules for the name at the target.
    pub naming: Naming,
    /// The union: all groups of the mapping become this one group.
    pub into: Option<String>,
    /// The mode.
    pub mode: Mode,
    /// The action if the target has no group with the name.
    pub on_missing_group: OnMissingGroup,
    /// The action if the target has no such user.
    pub on_missing_user: OnMissingUser,
    /// Whether Beadle creates users.
    pub users: Users,
    /// The action if the source's group has another name.
    pub on_rename: OnRename,
    /// The action if the source's group is gone.
    pub on_delete: OnDelete,
    /// Whether Beadle takes over a group with the right name that it did not create.
    pub adopt: bool,
    /// Whether a source without members needs no approval.
    pub may_empty: bool,
    /// The patterns of groups of which only a few members may leave at once, however large the
    /// groups are.
    pub protected: Vec<Pattern>,
    /// The role of the members at the target. If no mapping of a group sets a role, Beadle leaves
    /// roles as they are.
    pub role: Option<Role>,
    /// The parent of created groups, by its name at the target.
    pub parent: Option<String>,
    /// The description of the groups. `{group}` stands for the name of the source's group.
    pub description: Option<String>,
    /// The line of the mapping.
    #[serde(skip)]
    pub asked: Option<PolicyLocation>,
}

impl Mapping {
    /// Returns whether the mapping includes a group.
    pub fn is_for(&self, id: &str, name: &str) -> bool {
        let any = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.is_for(id, name));
        any(&self.include) && !any(&self.exclude)
    }

    /// Returns whether the mapping protects a group.
    pub fn protects(&self, id: &str, name: &str) -> bool {
        self.protected.iter().any(|pattern| pattern.is_for(id, name))
    }
}

/// One generation of all mappings, in their order.
#[derive(Clone, Debug, Default)]
pub struct Mappings {
    /// The mappings.
    pub all: Vec<Mapping>,
    /// A digest of the mappings.
    pub generation: String,
}

impl Mappings {
    /// Creates a generation.
    pub fn new(all: Vec<Mapping>) -> Self {
        let text = serde_json::to_string(&all).unwrap_or_default();
        let digest = Sha256::digest(text);
        let generation = digest.iter().take(6).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        Self { all, generation }
    }

    /// Returns the first mapping that makes a group of `target` from this group alone.
    pub fn one(&self, target: &str, source: &str, id: &str, name: &str) -> Option<&Mapping> {
        self.all.iter().find(|mapping| {
            mapping.target == target
                && mapping.source == source
                && mapping.into.is_none()
                && mapping.is_for(id, name)
        })
    }

    /// Returns the mappings of a union.
    pub fn union(&self, target: &str, into: &str) -> Vec<&Mapping> {
        let is_its = |mapping: &&Mapping| mapping.target == target && mapping.into.as_deref() == Some(into);
        self.all.iter().filter(is_its).collect()
    }

    /// Returns a mapping that creates users at `target` for people of this directory, and the most
    /// careful mode of all such mappings.
    pub fn provisioning(&self, target: &str, source: &str) -> Option<(&Mapping, Mode)> {
        let makes = |mapping: &&Mapping| {
            mapping.target == target && mapping.source == source && mapping.users == Users::Provision
        };
        let mode = self.all.iter().filter(makes).map(|mapping| mapping.mode).min()?;
        Some((self.all.iter().find(makes)?, mode))
    }

    /// Returns the keys of all groups that contain this group, each with its target.
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

    /// Returns the targets of this directory's groups.
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
    }
}
