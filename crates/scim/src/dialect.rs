//! Dialects: the differences between servers.

use serde::Deserialize;

/// The paging of lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Paging {
    /// `startIndex` (RFC 7644, 3.4.2.4).
    Index,
    /// `cursor` (RFC 9865).
    Cursor,
}

/// The place at which to read the members of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Members {
    /// In the group itself.
    Group,
    /// Among the users, by `groups.value eq "..."`.
    Users,
}

/// The way to remove members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Removal {
    /// `members[value eq "..."]`, one operation each (RFC 7644, 3.5.2.2).
    Path,
    /// `members`, with the list of the members to remove as its value.
    Array,
}

/// The dialect of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// The paging of lists.
    pub paging: Paging,
    /// The maximum size of a page.
    pub page: usize,
    /// The place at which to read the members of a group.
    pub members: Members,
    /// The way to remove members.
    pub removal: Removal,
    /// The maximum number of members that one request may change.
    pub changes: usize,
    /// Whether lists may leave out attributes that the request excludes.
    pub attributes: bool,
    /// Whether the server's documentation states what its filters find, so that an empty answer is
    /// reliable.
    pub trusted: bool,
}

impl Dialect {
    /// AWS IAM Identity Center.
    ///
    /// <https://docs.aws.amazon.com/singlesignon/latest/developerguide/what-is-scim.html>
    pub const AWS: Self = Self {
        paging: Paging::Cursor,
        page: 100,
        members: Members::Users,
        removal: Removal::Array,
        changes: 100,
        attributes: false,
        trusted: true,
    };
    /// The dialect of RFC 7644.
    pub const RFC7644: Self = Self {
        paging: Paging::Index,
        page: 100,
        members: Members::Group,
        removal: Removal::Path,
        changes: 100,
        attributes: true,
        trusted: false,
    };
    /// The names of the dialects in the configuration.
    pub const NAMES: [&str; 2] = ["aws-identity-center", "rfc7644"];

    /// Returns the dialect with this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "aws-identity-center" => Some(Self::AWS),
            "rfc7644" => Some(Self::RFC7644),
            _ => None,
        }
    }
}
