//! Groups and users, as Okta shows them. What Beadle does not use is left out.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use crate::list::Row;

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its id, which stays when it is renamed.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How many members it has, where that was asked for.
    pub count: Option<u64>,
    /// When its members changed last, as Okta writes it.
    pub members_changed: Option<String>,
}

#[derive(Deserialize)]
struct GroupProfile {
    name: String,
}

impl<'de> Deserialize<'de> for Group {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Shape {
            id: String,
            profile: GroupProfile,
            last_membership_updated: Option<String>,
            #[serde(default, rename = "_embedded")]
            embedded: Value,
        }
        let shape = Shape::deserialize(from)?;
        Ok(Self {
            id: shape.id,
            name: shape.profile.name,
            count: shape.embedded["stats"]["usersCount"].as_u64(),
            members_changed: shape.last_membership_updated,
        })
    }
}

impl Row for Group {
    fn id(&self) -> &str {
        &self.id
    }
}

/// A group that Okta pushes into an application.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PushMapping {
    pub(crate) source_group_id: String,
    /// `ACTIVE`, `ERROR` or `INACTIVE`.
    pub(crate) status: String,
    /// The mapping's own.
    id: String,
}

impl Row for PushMapping {
    fn id(&self) -> &str {
        &self.id
    }
}

/// How it stands with a user. Of these, only the last two mean that access should go.
///
/// <https://developer.okta.com/docs/api/openapi/okta-management/management/tag/User/>
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(from = "String")]
pub enum Status {
    /// Made, and not activated.
    Staged,
    /// Activated, and the user has not answered yet.
    Provisioned,
    /// In use.
    Active,
    /// The password is being reset.
    Recovery,
    /// Too many wrong passwords.
    LockedOut,
    /// The password is too old.
    PasswordExpired,
    /// Stopped by an administrator.
    Suspended,
    /// Deactivated.
    Deprovisioned,
    /// One that Okta had not got when this was written. It is no reason to take anything away.
    Other(String),
}

/// Names as Okta writes them.
const NAMES: [(Status, &str); 8] = [
    (Status::Staged, "STAGED"),
    (Status::Provisioned, "PROVISIONED"),
    (Status::Active, "ACTIVE"),
    (Status::Recovery, "RECOVERY"),
    (Status::LockedOut, "LOCKED_OUT"),
    (Status::PasswordExpired, "PASSWORD_EXPIRED"),
    (Status::Suspended, "SUSPENDED"),
    (Status::Deprovisioned, "DEPROVISIONED"),
];

impl Status {
    /// Every status that is known.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(_, name)| *name)
    }

    /// As Okta writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(name) => name,
            known => NAMES.iter().find(|(status, _)| status == known).map_or("", |(_, name)| name),
        }
    }
}

impl Status {
    fn unsaid() -> Self {
        Self::Other(String::new())
    }
}

impl From<String> for Status {
    fn from(text: String) -> Self {
        let known = NAMES.iter().find(|(_, name)| *name == text).map(|(status, _)| status.clone());
        known.unwrap_or(Self::Other(text))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a user is called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// What the user signs in with. Okta describes it as one that may be missing.
    #[serde(default)]
    pub login: String,
    /// The first address.
    pub email: Option<String>,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// As the user wants to be called.
    pub display_name: Option<String>,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct User {
    /// Its id, which stays when the login changes.
    pub id: String,
    /// How it stands with it.
    #[serde(default = "Status::unsaid")]
    pub status: Status,
    /// What it is called.
    pub profile: Profile,
}

impl Row for User {
    fn id(&self) -> &str {
        &self.id
    }
}
