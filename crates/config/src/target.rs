//! `[[target]]`: the targets. Each target is a SCIM server, or the teams of a GitHub organisation.

use std::path::PathBuf;

use beadle_engine::Limits;
use serde::Deserialize;

use crate::{AttributesFile, GuardFile, Invalid, KeyPath, Span};

/// `[[target]]`: one system with groups that Beadle manages. It is a SCIM 2.0 server, or the teams
/// of a GitHub organisation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetFile {
    /// The name of the target in Beadle and in its keys.
    pub name: String,
    /// The SCIM server, if the target is a SCIM server.
    pub scim: Option<ScimFile>,
    /// The GitHub organisation, if its teams are the groups of the target.
    pub github: Option<TeamsFile>,
    /// The limits of the guard for all groups of the target together.
    #[serde(default)]
    pub guard: GuardFile,
    /// How many members may leave each single group.
    #[serde(default)]
    pub group_guard: GroupGuardFile,
    /// Beadle sets these attributes in the accounts that it creates. Only a SCIM server has these
    /// attributes.
    #[serde(default)]
    pub attributes: AttributesFile,
    /// How much Beadle may use the SCIM server. Teams do not have this setting, because they use
    /// the budget of their organisation.
    pub budget: Option<TargetBudgetFile>,
}

impl TargetFile {
    /// Returns the limits of the guard for all groups of the target together.
    pub fn limits(&self) -> Limits {
        self.guard.limits()
    }

    /// Returns the name of the source that declares the members of the organisation.
    pub fn members_source(&self) -> String {
        format!("{}.members", self.name)
    }

    /// Returns a description of the system that contains the groups, for output.
    pub fn place(&self) -> String {
        match (&self.scim, &self.github) {
            (Some(scim), _) => scim.url.clone(),
            (None, Some(teams)) => format!("teams of {}", teams.org),
            (None, None) => String::new(),
        }
    }
}

/// `[target.github]`: a GitHub organisation. The teams of the organisation are the groups of the
/// target.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeamsFile {
    /// The name of the `[[org]]`. Beadle uses the credential and the budget of this organisation.
    pub org: String,
    /// The ways to find a person's account. The most reliable way comes first.
    #[serde(rename = "match", default)]
    pub found_by: Vec<Match>,
    /// The path of a file that assigns accounts to people. The lines of the file have the form
    /// `"login, address or id at the directory" = "login at GitHub"`.
    pub users_from: Option<PathBuf>,
    /// True if `teams.yml` in the policy of the organisation also declares teams.
    #[serde(default)]
    pub teams_from_policy: bool,
    /// True if `members.yml` in the policy declares the members and the owners of the organisation.
    #[serde(default)]
    pub members_from_policy: bool,
    /// The minimum number of owners in the organisation.
    pub min_owners: Option<usize>,
    /// The logins that must always be owners in `members.yml`.
    #[serde(default)]
    pub required_owners: Vec<String>,
    /// Without an approval, at most this percentage of the members may leave the organisation
    /// within the window of `group_guard`.
    pub members_percent: Option<usize>,
}

impl TeamsFile {
    /// Checks the keys about the members of the organisation.
    pub(crate) fn check_members(&self, table: &KeyPath) -> Result<(), Invalid> {
        let keys = [
            ("min_owners", self.min_owners.is_some()),
            ("required_owners", !self.required_owners.is_empty()),
            ("members_percent", self.members_percent.is_some()),
        ];
        if let Some((key, _)) = keys.into_iter().find(|(_, is_set)| *is_set && !self.members_from_policy) {
            let at = table.key(key);
            let what = format!("`{at}` has no effect: `members_from_policy` is not true");
            return Err(Invalid::new(at, what));
        }
        if self.min_owners == Some(0) {
            return Err(Invalid::must(table.key("min_owners"), "be at least 1, found 0"));
        }
        match self.members_percent {
            Some(percent) if !(1..=100).contains(&percent) => {
                let rule = format!("be from 1 to 100, found {percent}");
                Err(Invalid::must(table.key("members_percent"), &rule))
            }
            _ => Ok(()),
        }
    }
}

/// One way to find a person's GitHub account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Match {
    /// By the name that the person has at the organisation's identity provider.
    Saml,
    /// By the person's mail address. The organisation must have verified the domain of the address.
    Mail,
    /// By the entry of the person in the file `users_from`.
    File,
}

/// `[target.scim]`: a SCIM 2.0 server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScimFile {
    /// The address of the server.
    pub url: String,
    /// A reference to the token that Beadle sends to the server.
    pub token: String,
    /// The SCIM dialect of the server.
    pub dialect: String,
    /// How Beadle requests the next page of a list.
    pub paging: Option<Paging>,
    /// Where Beadle reads the members of a group.
    pub members: Option<Members>,
    /// How Beadle's requests remove members from a group.
    pub removal: Option<Removal>,
    /// The maximum number of entries that Beadle requests in one page.
    pub page: Option<usize>,
    /// The maximum number of members that Beadle adds or removes with one request.
    pub changes: Option<usize>,
    /// Whether the server can omit attributes from a list if Beadle does not ask for these
    /// attributes.
    pub attributes: Option<bool>,
    /// Whether `beadle targets probe` only reads, or also writes.
    #[serde(default)]
    pub probe: Probing,
    /// The last day of the token's validity, such as `2027-03-01`.
    pub token_ends: Option<jiff::civil::Date>,
    /// The AWS Identity Store. If it is set, Beadle reads the members from the Identity Store, not
    /// from the SCIM server.
    pub identity_store: Option<IdentityStoreFile>,
}

/// How Beadle requests the next page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Paging {
    /// With `startIndex` (RFC 7644, 3.4.2.4).
    Index,
    /// With `cursor` (RFC 9865).
    Cursor,
}

/// Where Beadle reads the members of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Members {
    /// In the group itself, from its list of members.
    Group,
    /// In the list of users, with the filter `groups.value eq "..."`.
    Users,
}

/// How Beadle's requests remove members from a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Removal {
    /// With the path `members[value eq "..."]`, and one operation for each member (RFC 7644,
    /// 3.5.2.2).
    Path,
    /// With the path `members`, and a list of the removed members as the value.
    Array,
}

/// Whether `beadle targets probe` only reads, or also writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Probing {
    /// The probe only reads.
    #[default]
    Read,
    /// The probe also writes: it creates a test group, adds three users, removes them one by one,
    /// and deletes the test group.
    Write,
}

/// `identity_store`: the AWS Identity Store that belongs to the SCIM server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityStoreFile {
    /// The id of the Identity Store, such as `d-1234567890`.
    pub id: String,
    /// The AWS region that contains the Identity Store.
    pub region: String,
    /// The address of the Identity Store, if it is not the public AWS address.
    pub endpoint: Option<String>,
}

/// `[target.group_guard]`: how many members may leave one group in a window.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GroupGuardFile {
    /// A group with at least this number of members is large.
    pub large: Option<usize>,
    /// The maximum percentage of members who may leave a large group in a window.
    pub percent: Option<usize>,
    /// The maximum number of members who may leave a small or protected group in a window.
    pub count: Option<usize>,
    /// How many additional members may leave, if the directory confirms for each of them that the
    /// access must end.
    pub leavers: Option<usize>,
    /// The length of the window. Beadle counts the members who leave within the window.
    pub window: Option<Span>,
}

/// `[target.budget]`: how much Beadle may use a SCIM server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetBudgetFile {
    /// The maximum number of requests that are in progress at the same time.
    pub concurrency: usize,
    /// The maximum number of points in a minute. A read costs one point, and a write costs five
    /// points.
    pub points: u32,
    /// The time between two bulk writes.
    pub write_every: Span,
}

impl Default for TargetBudgetFile {
    fn default() -> Self {
        // AWS publishes no rate limit. In a test, AWS answered with 429 after approximately 40,000
        // calls within 15 s.
        Self { concurrency: 10, points: 20_000, write_every: Span::from_millis(50) }
    }
}
