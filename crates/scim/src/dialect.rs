//! What servers do differently.

use serde::Deserialize;

/// How a list goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Paging {
    /// `startIndex` (RFC 7644, 3.4.2.4).
    Index,
    /// `cursor` (RFC 9865).
    Cursor,
}

/// Where a group's members are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Members {
    /// In the group itself.
    Group,
    /// Among the users, by `groups.value eq "..."`.
    Users,
}

/// How members are taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Removal {
    /// `members[value eq "..."]`, one operation each (RFC 7644, 3.5.2.2).
    Path,
    /// `members` with the list of those who go as value.
    Array,
}

/// How to talk to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// How a list goes on.
    pub paging: Paging,
    /// The most that a page may have.
    pub page: usize,
    /// Where a group's members are read.
    pub members: Members,
    /// How members are taken out.
    pub removal: Removal,
    /// The most members that one request may change.
    pub changes: usize,
    /// Lists may leave out attributes that were not asked for.
    pub attributes: bool,
    /// The server's documentation says what its filters find: an answer of nobody means nobody.
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
    /// What RFC 7644 says.
    pub const RFC7644: Self = Self {
        paging: Paging::Index,
        page: 100,
        members: Members::Group,
        removal: Removal::Path,
        changes: 100,
        attributes: true,
        trusted: false,
    };
    /// The names in configurations.
    pub const NAMES: [&str; 2] = ["aws-identity-center", "rfc7644"];

    /// The dialect of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "aws-identity-center" => Some(Self::AWS),
            "rfc7644" => Some(Self::RFC7644),
            _ => None,
        }
    }
}
