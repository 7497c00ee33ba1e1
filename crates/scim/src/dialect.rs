//! A dialect describes how a server differs from other servers.

use serde::Deserialize;

/// How the client reads the pages of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Paging {
    /// By the index of the first record, `startIndex` (RFC 7644, 3.4.2.4).
    Index,
    /// By a `cursor` from the previous page (RFC 9865).
    Cursor,
}

/// Where the client reads the members of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Members {
    /// In the group itself.
    Group,
    /// In the list of users, with the filter `groups.value eq "..."`.
    Users,
}

/// How a request removes members from a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Removal {
    /// With one operation for each member. The path is `members[value eq "..."]` (RFC 7644,
    /// 3.5.2.2).
    Path,
    /// With the path `members`. The value is a list of the members to remove.
    Array,
}

/// The dialect of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// How the client reads the pages of a list.
    pub paging: Paging,
    /// The maximum size of a page.
    pub page: usize,
    /// Where the client reads the members of a group.
    pub members: Members,
    /// How a request removes members from a group.
    pub removal: Removal,
    /// The maximum number of members that one request can change.
    pub changes: usize,
    /// True if a request can ask the server to leave attributes out of a list.
    pub attributes: bool,
    /// True if the server's documentation describes the results of filters. Beadle then trusts an
    /// empty answer to a filter.
    pub trusted: bool,
}

impl Dialect {
    /// The dialect of AWS IAM Identity Center.
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
