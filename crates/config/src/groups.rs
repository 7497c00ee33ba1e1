//! `[[groups]]`: mappings from groups of a directory to groups of a target.

use beadle_engine::Mode;
use serde::Deserialize;
use toml::Spanned;

use crate::Source;

/// `[[groups]]`: a mapping from groups of a directory to groups of a target.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupsFile {
    /// The name of the `[[okta]]` that contains the groups of the mapping.
    pub source: Spanned<String>,
    /// The name of the `[[target]]` that gets the groups.
    pub target: String,
    /// Patterns of names. The mapping selects each group of the directory that matches a pattern.
    pub include: Vec<String>,
    /// Patterns of names. A group that matches a pattern does not belong to the mapping.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// A text that Beadle removes from the beginning of the group's name.
    pub strip_prefix: Option<String>,
    /// A text that Beadle removes from the end of the group's name.
    pub strip_suffix: Option<String>,
    /// Replacements in the group's name. Each replacement is a pair of a regular expression and the
    /// new text.
    #[serde(default)]
    pub replace: Vec<(String, String)>,
    /// Whether Beadle converts the group's name to upper or lower case.
    pub case: Option<Case>,
    /// A text that Beadle puts before the group's name.
    pub prefix: Option<String>,
    /// The name of one group at the target. If it is set, the members of all groups of the mapping
    /// become members of this group.
    pub into: Option<String>,
    /// The mode of the mapping, which decides how far Beadle may go.
    #[serde(default)]
    pub mode: Mode,
    /// What Beadle does if the target has no group with the mapped name.
    #[serde(default)]
    pub on_missing_group: OnMissingGroup,
    /// What Beadle does if the target has no account for a person.
    #[serde(default)]
    pub on_missing_user: OnMissingUser,
    /// Whether Beadle manages the accounts at the target.
    #[serde(default)]
    pub users: Users,
    /// What Beadle does if the group of the directory gets a new name.
    #[serde(default)]
    pub on_rename: OnRename,
    /// What Beadle does if the group no longer exists in the directory.
    #[serde(default)]
    pub on_delete: OnDelete,
    /// True if Beadle takes over an existing group with the same name at the target.
    #[serde(default)]
    pub adopt: bool,
    /// True if a group of the directory may have no members. If the value is `false`, the removals
    /// for a group without members need an approval.
    #[serde(default)]
    pub may_empty: bool,
    /// Patterns of groups. If a group matches a pattern, its limit is `group_guard.count`, even if
    /// the group is large. A renamed group stays protected under its former names.
    #[serde(default)]
    pub protected: Vec<String>,
    /// The role that the members have in a GitHub team.
    pub role: Option<Role>,
    /// The parent team that Beadle gives to a new team.
    pub parent: Option<String>,
    /// The description that Beadle gives to a team.
    pub description: Option<String>,
}

impl GroupsFile {
    /// Returns the number of the line that contains the `source` of the mapping. The first line is
    /// 1.
    pub fn line(&self, source: &Source) -> u32 {
        u32::try_from(source.line(self.source.span().start)).unwrap_or(u32::MAX)
    }
}

/// A file that `groups_from` names. It contains only mappings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappingsFile {
    /// The mappings of the file.
    #[serde(default)]
    pub groups: Vec<GroupsFile>,
}

/// Whether Beadle converts a group's name to upper or lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Case {
    /// Lower case.
    Lower,
    /// Upper case.
    Upper,
}

/// What Beadle does if the target has no group with the mapped name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMissingGroup {
    /// Beadle creates the group.
    Create,
    /// Beadle waits and retries, because another program creates the group.
    #[default]
    Wait,
    /// Beadle reports the group and parks it.
    Error,
}

/// What Beadle does if the target has no account for a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMissingUser {
    /// Beadle waits and retries, because another program creates accounts.
    #[default]
    Wait,
    /// Beadle writes the group without the person.
    Skip,
    /// Beadle reports the group and parks it.
    Error,
}

/// Whether Beadle manages the accounts at the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Users {
    /// Beadle does not change accounts.
    #[default]
    Leave,
    /// Beadle creates, updates and deactivates accounts.
    Provision,
}

/// What Beadle does if the group of the directory gets a new name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnRename {
    /// Beadle gives the same new name to the group of the target.
    #[default]
    Follow,
    /// Beadle holds the rename until an operator approves it.
    Hold,
}

/// What Beadle does if the group no longer exists in the directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDelete {
    /// Beadle keeps the group at the target and the group's members, and reports the group.
    #[default]
    Keep,
    /// Beadle removes all members from the group of the target.
    Empty,
    /// Beadle deletes the group of the target, after an operator has approved the deletion.
    Delete,
}

/// The role that the members have in a GitHub team.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The members get the role `member`.
    Member,
    /// The members get the role `maintainer`. A maintainer can change the team.
    Maintainer,
}
