//! `[[groups]]`: mappings from groups of a directory to groups of a target.

use beadle_engine::Mode;
use serde::Deserialize;
use toml::Spanned;

use crate::Source;

/// `[[groups]]`: a mapping from groups of a directory to groups of a target.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupsFile {
    /// The name of the `[[okta]]`.
    pub source: Spanned<String>,
    /// The name of the `[[target]]`.
    pub target: String,
    /// Patterns of the groups of the directory.
    pub include: Vec<String>,
    /// Patterns of groups that the mapping leaves out.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// A text that Beadle removes from the start of the name.
    pub strip_prefix: Option<String>,
    /// A text that Beadle removes from the end of the name.
    pub strip_suffix: Option<String>,
    /// Pairs of a regular expression and its replacement.
    #[serde(default)]
    pub replace: Vec<(String, String)>,
    /// The case of the name.
    pub case: Option<Case>,
    /// A text that Beadle puts before the name.
    pub prefix: Option<String>,
    /// The name of one group that all groups of the mapping make.
    pub into: Option<String>,
    /// The mode of the mapping.
    #[serde(default)]
    pub mode: Mode,
    /// What Beadle does if the target has no group of the name.
    #[serde(default)]
    pub on_missing_group: OnMissingGroup,
    /// What Beadle does if the target has no account of a person.
    #[serde(default)]
    pub on_missing_user: OnMissingUser,
    /// Whether Beadle manages accounts.
    #[serde(default)]
    pub users: Users,
    /// What Beadle does if the group of the directory has a new name.
    #[serde(default)]
    pub on_rename: OnRename,
    /// What Beadle does if the group of the directory is gone.
    #[serde(default)]
    pub on_delete: OnDelete,
    /// Whether Beadle takes over a group of the name that it did not create.
    #[serde(default)]
    pub adopt: bool,
    /// Whether a source without members needs no approval.
    #[serde(default)]
    pub may_empty: bool,
    /// Patterns of groups to which `group_guard.count` applies, however large they are.
    #[serde(default)]
    pub protected: Vec<String>,
    /// The role of the members in a team.
    pub role: Option<Role>,
    /// The team above a new team.
    pub parent: Option<String>,
    /// The description of a team.
    pub description: Option<String>,
}

impl GroupsFile {
    /// Returns the line of the mapping in its file, from 1: the line of its `source`.
    pub fn line(&self, source: &Source) -> u32 {
        u32::try_from(source.line(self.source.span().start)).unwrap_or(u32::MAX)
    }
}

/// A file that has only mappings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappingsFile {
    /// The mappings.
    #[serde(default)]
    pub groups: Vec<GroupsFile>,
}

/// The case of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Case {
    /// Lower case.
    Lower,
    /// Upper case.
    Upper,
}

/// What Beadle does if the target has no group of the name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMissingGroup {
    /// Beadle creates the group.
    Create,
    /// Beadle retries: another program creates the group.
    #[default]
    Wait,
    /// Beadle reports the group and parks it.
    Error,
}

/// What Beadle does if the target has no account of a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMissingUser {
    /// Beadle retries: another program creates accounts.
    #[default]
    Wait,
    /// Beadle continues without the person.
    Skip,
    /// Beadle reports the group and parks it.
    Error,
}

/// Whether Beadle manages accounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Users {
    /// Beadle leaves accounts alone.
    #[default]
    Leave,
    /// Beadle creates, updates and deactivates accounts.
    Provision,
}

/// What Beadle does if the group of the directory has a new name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnRename {
    /// Beadle renames the group of the target.
    #[default]
    Follow,
    /// The rename waits for an approval.
    Hold,
}

/// What Beadle does if the group of the directory is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDelete {
    /// Beadle keeps the group of the target and reports it.
    #[default]
    Keep,
    /// Beadle removes all members.
    Empty,
    /// Beadle deletes the group after an approval.
    Delete,
}

/// The role of the members in a team.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A member.
    Member,
    /// A member who can change the team.
    Maintainer,
}
