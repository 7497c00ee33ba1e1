//! `[[target]]`: SCIM servers, and the teams of organisations.

use std::path::PathBuf;

use beadle_engine::Limits;
use serde::Deserialize;

use crate::{GuardFile, Span};

/// `[[target]]`: the place of groups, which is a SCIM 2.0 server or the teams of an organisation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetFile {
    /// The name of the target in Beadle.
    pub name: String,
    /// The SCIM server.
    pub scim: Option<ScimFile>,
    /// The teams.
    pub github: Option<TeamsFile>,
    /// The limits over all groups of the target.
    #[serde(default)]
    pub guard: GuardFile,
    /// The limits of each group.
    #[serde(default)]
    pub group_guard: GroupGuardFile,
    /// The use of the SCIM server. Teams use the budget of their organisation.
    pub budget: Option<TargetBudgetFile>,
}

impl TargetFile {
    /// Returns the limits over all groups of the target.
    pub fn limits(&self) -> Limits {
        self.guard.limits()
    }

    /// Returns a description of the place of the groups, for people.
    pub fn place(&self) -> String {
        match (&self.scim, &self.github) {
            (Some(scim), _) => scim.url.clone(),
            (None, Some(teams)) => format!("teams of {}", teams.org),
            (None, None) => String::new(),
        }
    }
}

/// `[target.github]`: the teams of an organisation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeamsFile {
    /// The name of the `[[org]]`, whose credential and budget Beadle uses.
    pub org: String,
    /// How Beadle finds the account of a person, the surest way first.
    #[serde(rename = "match")]
    pub found_by: Vec<Match>,
    /// A file of `"login, address or id at the directory" = "login at GitHub"`.
    pub users_from: Option<PathBuf>,
}

/// A way to find the account of a person at GitHub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Match {
    /// By the name that the identity provider of the organisation has for the person.
    Saml,
    /// By an address in a domain that the organisation has verified.
    Mail,
    /// By the file of `users_from`.
    File,
}

/// `[target.scim]`: a SCIM 2.0 server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScimFile {
    /// The address of the server.
    pub url: String,
    /// A reference to the token of the server.
    pub token: String,
    /// The name of the dialect.
    pub dialect: String,
    /// How lists continue.
    pub paging: Option<Paging>,
    /// Where Beadle reads the members of a group.
    pub members: Option<Members>,
    /// How Beadle removes members.
    pub removal: Option<Removal>,
    /// The largest number of rows of a page.
    pub page: Option<usize>,
    /// The largest number of members that one request changes.
    pub changes: Option<usize>,
    /// Whether lists can leave out attributes that Beadle does not ask for.
    pub attributes: Option<bool>,
    /// The extent of `beadle targets probe`.
    #[serde(default)]
    pub probe: Probing,
    /// The last day of the token, as `2027-03-01`.
    pub token_ends: Option<jiff::civil::Date>,
    /// The Identity Store of AWS, from which Beadle reads the members in place of SCIM.
    pub identity_store: Option<IdentityStoreFile>,
}

/// How lists of a SCIM server continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Paging {
    /// By `startIndex` (RFC 7644, 3.4.2.4).
    Index,
    /// By `cursor` (RFC 9865).
    Cursor,
}

/// Where Beadle reads the members of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Members {
    /// In the group.
    Group,
    /// Among the users, by `groups.value eq "..."`.
    Users,
}

/// How Beadle removes members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Removal {
    /// By `members[value eq "..."]`, one operation each (RFC 7644, 3.5.2.2).
    Path,
    /// By `members` with the list of the removed members as its value.
    Array,
}

/// The extent of a probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Probing {
    /// The probe only reads.
    #[default]
    Read,
    /// The probe also creates a group of its own, adds three users, removes them one by one and
    /// deletes the group.
    Write,
}

/// `identity_store`: the Identity Store of AWS behind the SCIM server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityStoreFile {
    /// The id, such as `d-1234567890`.
    pub id: String,
    /// The region.
    pub region: String,
    /// An address other than that of AWS.
    pub endpoint: Option<String>,
}

/// `[target.group_guard]`: the limits on the members who leave one group.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GroupGuardFile {
    /// The number of members from which a group is large.
    pub large: Option<usize>,
    /// The share of a large group, in percent, that can leave in a window.
    pub percent: Option<usize>,
    /// The number of members who can leave a smaller or protected group in a window.
    pub count: Option<usize>,
    /// The number of further members who can leave in a window, because the directory confirms
    /// each.
    pub leavers: Option<usize>,
    /// The length of the window.
    pub window: Option<Span>,
}

/// `[target.budget]`: the use of a SCIM server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetBudgetFile {
    /// The number of requests at the same time.
    pub concurrency: usize,
    /// The points of requests in a minute. A write has five points.
    pub points: u32,
    /// The time between two bulk writes.
    pub write_every: Span,
}

impl Default for TargetBudgetFile {
    fn default() -> Self {
        // AWS publishes no rate limit. It was seen to answer 429 after about 40,000 calls in 15 s.
        Self { concurrency: 10, points: 20_000, write_every: Span::from_millis(50) }
    }
}
