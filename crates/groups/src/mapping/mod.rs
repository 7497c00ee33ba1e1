//! Mappings from groups of a directory to groups of a target.

mod group_key;
mod name;
mod pattern;

use std::collections::{BTreeMap, BTreeSet};

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
    /// A pattern that selects groups is invalid.
    #[error(
        "invalid pattern `{text}`: {why}; use a glob (`AWS_*`), a regular expression (`/^AWS_/`) or an id (`id:00g...`)"
    )]
    Pattern {
        /// The text of the pattern.
        text: String,
        /// Why the pattern is invalid.
        why: String,
    },
    /// The left side of a replacement is not a regular expression.
    #[error("replace: invalid regular expression `{text}`: {why}")]
    Replace {
        /// The text of the regular expression.
        text: String,
        /// Why the regular expression is invalid.
        why: String,
    },
}

/// What Beadle does if the target has no group with the name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMissingGroup {
    /// Create the group.
    Create,
    /// Check again later, because another system creates the group.
    #[default]
    Wait,
    /// Report an error and park the group.
    Error,
}

/// What Beadle does if the target has no user for a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMissingUser {
    /// Check again later, because another system creates the users.
    #[default]
    Wait,
    /// Write the group without this user.
    Skip,
    /// Report an error and park the group.
    Error,
}

/// Who manages the users of the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Users {
    /// Another system manages users.
    #[default]
    Leave,
    /// Beadle creates users and keeps their values up to date.
    Provision,
}

/// What Beadle does if the source group has been renamed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnRename {
    /// Rename the group at the target. The group keeps its id and its members.
    #[default]
    Follow,
    /// Hold the rename for an approval.
    Hold,
}

/// What Beadle does if the source group is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDelete {
    /// Keep the group at the target as it is, and report the group.
    #[default]
    Keep,
    /// Remove all members of the group at the target.
    Empty,
    /// Delete the group at the target after an approval.
    Delete,
}

/// The role of a person in a group. Only some targets have roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// An ordinary member.
    #[default]
    Member,
    /// A member who can change the group.
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

/// A mapping: a rule that turns selected groups of a directory into groups at a target.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mapping {
    /// The name of the directory.
    pub source: String,
    /// The name of the target.
    pub target: String,
    /// The patterns of the groups that the mapping includes. Without patterns, the mapping includes
    /// no group.
    pub include: Vec<Pattern>,
    /// The patterns of excluded groups. The mapping does not include an excluded group, even if a
    /// pattern of `include` selects the group.
    pub exclude: Vec<Pattern>,
    /// The rules that make the name at the target from the name of the source group.
    pub naming: Naming,
    /// The name of the union, if the mapping makes a union. In a union, all groups of the mapping
    /// become one group at the target.
    pub into: Option<String>,
    /// The mode of the groups that this mapping makes.
    pub mode: Mode,
    /// What Beadle does if the target has no group with the name.
    pub on_missing_group: OnMissingGroup,
    /// What Beadle does if the target has no user for a member.
    pub on_missing_user: OnMissingUser,
    /// Who manages the users of the target.
    pub users: Users,
    /// What Beadle does if the source group has been renamed.
    pub on_rename: OnRename,
    /// What Beadle does if the source group is gone.
    pub on_delete: OnDelete,
    /// True if Beadle takes over an existing group with the right name, although Beadle did not
    /// create this group.
    pub adopt: bool,
    /// True if an empty source group needs no approval. Beadle can then remove all members.
    pub may_empty: bool,
    /// The patterns of the protected groups. Without an approval, only a small number of members
    /// can leave a protected group within the window, even if the group is large.
    pub protected: Vec<Pattern>,
    /// The role that the members get at the target. If no mapping of a group sets a role, Beadle
    /// does not change the roles in this group.
    pub role: Option<Role>,
    /// The name of a parent group at the target. Beadle creates the groups below this parent.
    pub parent: Option<String>,
    /// The description of the groups at the target. Beadle replaces `{group}` with the name of the
    /// source group.
    pub description: Option<String>,
    /// The line of the mapping in the configuration.
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

/// All mappings of one generation, in the order of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Mappings {
    /// The mappings.
    pub all: Vec<Mapping>,
    /// A digest of all mappings. The digest changes when a mapping changes.
    pub generation: String,
    /// The targets with unknown mappings, each with the reason. Beadle does not change the groups
    /// of these targets, because an unknown mapping could belong to a union.
    pub incomplete: BTreeMap<String, String>,
}

impl Mappings {
    /// Creates a generation from its mappings, and computes the digest.
    pub fn new(all: Vec<Mapping>) -> Self {
        let text = serde_json::to_string(&all).unwrap_or_default();
        let digest = Sha256::digest(text);
        let generation = digest.iter().take(6).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        Self { all, generation, incomplete: BTreeMap::new() }
    }

    /// Returns these mappings, followed by the mappings of `further`. If both have the same
    /// mapping, the result contains this mapping only once. Several organisations can share one
    /// policy.
    #[must_use]
    pub fn with(&self, further: impl IntoIterator<Item = Mapping>) -> Self {
        let mut all = self.all.clone();
        let mut known: BTreeSet<String> = all.iter().map(declared).collect();
        all.extend(further.into_iter().filter(|mapping| known.insert(declared(mapping))));
        Self { incomplete: self.incomplete.clone(), ..Self::new(all) }
    }

    /// Returns the first mapping that turns this group into a separate group at `target`. A mapping
    /// into a union does not count.
    pub fn one(&self, target: &str, source: &str, id: &str, name: &str) -> Option<&Mapping> {
        self.all.iter().find(|mapping| {
            mapping.target == target
                && mapping.source == source
                && mapping.into.is_none()
                && mapping.is_for(id, name)
        })
    }

    /// Returns all mappings that belong to a union.
    pub fn union(&self, target: &str, into: &str) -> Vec<&Mapping> {
        let is_its = |mapping: &&Mapping| mapping.target == target && mapping.into.as_deref() == Some(into);
        self.all.iter().filter(is_its).collect()
    }

    /// Returns a mapping that creates users at `target` for people of this directory. Also returns
    /// the most careful mode of all mappings that create these users.
    pub fn provisioning(&self, target: &str, source: &str) -> Option<(&Mapping, Mode)> {
        let makes = |mapping: &&Mapping| {
            mapping.target == target && mapping.source == source && mapping.users == Users::Provision
        };
        let mode = self.all.iter().filter(makes).map(|mapping| mapping.mode).min()?;
        Some((self.all.iter().find(makes)?, mode))
    }

    /// Returns the identities of all groups that the mappings make from this group, each with its
    /// target.
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

    /// Returns the names of those targets whose mappings differ between `self` and `other`.
    pub fn changed_targets(&self, other: &Self) -> BTreeSet<String> {
        let names = self.all.iter().chain(&other.all).map(|mapping| mapping.target.as_str());
        let of = |mappings: &Self, target: &str| -> Vec<String> {
            let its = mappings.all.iter().filter(|mapping| mapping.target == target);
            its.map(declared).collect()
        };
        let names: BTreeSet<&str> = names.collect();
        let changed = names.into_iter().filter(|target| of(self, target) != of(other, target));
        changed.map(str::to_owned).collect()
    }

    /// Returns the names of the targets that have a mapping for groups of this directory.
    pub fn targets(&self, source: &str) -> Vec<&str> {
        let of = self.all.iter().filter(|mapping| mapping.source == source);
        let mut targets: Vec<&str> = of.map(|mapping| mapping.target.as_str()).collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    }
}

/// Returns a text that represents a mapping. Two mappings have the same text only if they declare
/// the same values.
pub(crate) fn declared(mapping: &Mapping) -> String {
    serde_json::to_string(mapping).unwrap_or_default()
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

    #[test]
    fn a_stored_mapping_is_read_back() {
        let naming = Naming {
            strip_prefix: Some("AWS_".into()),
            replace: replacements(&[("_".into(), " ".into())]).unwrap(),
            case: Some(Case::Lower),
            ..Naming::default()
        };
        let all = vec![
            Mapping { naming, role: Some(Role::Maintainer), ..mapping("/^AWS_/", Some("All")) },
            mapping("id:00g9", None),
        ];
        let text = serde_json::to_string(&all).unwrap();
        let read: Vec<Mapping> = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert_eq!(read[0].naming.of("AWS_Site_Ops"), "site ops");
        assert!(serde_json::from_str::<Vec<Mapping>>(&text.replace("/^AWS_/", "/(/")).is_err());
    }

    #[test]
    fn equal_mappings_of_two_policies_are_one() {
        let own = Mappings::new(vec![mapping("AWS_*", None)]);
        let further = [mapping("Dev_*", None), mapping("AWS_*", None), mapping("Dev_*", None)];
        let all = own.with(further);
        assert_eq!(all.all.len(), 2);
        assert_ne!(all.generation, own.generation);
        assert_eq!(own.with(Vec::new()).generation, own.generation);
        assert!(own.changed_targets(&own).is_empty());
        assert_eq!(own.changed_targets(&all), BTreeSet::from(["aws".to_owned()]));
    }
}
