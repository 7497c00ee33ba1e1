//! Groups and users as Okta shows them, without the attributes that Beadle does not use.

use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::list::Row;

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The id, which does not change when the group is renamed.
    pub id: String,
    /// The name.
    pub name: String,
    /// The number of members, if the request asked for this number.
    pub count: Option<u64>,
    /// When the members last changed, in Okta's notation.
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

/// A push mapping at Okta. If the mapping is active, Okta pushes a group into an application.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PushMapping {
    pub(crate) source_group_id: String,
    /// The status of the mapping: `ACTIVE`, `ERROR` or `INACTIVE`.
    pub(crate) status: String,
    /// The id of the mapping.
    id: String,
}

impl Row for PushMapping {
    fn id(&self) -> &str {
        &self.id
    }
}

/// The status of a user at Okta. Only [`Status::Suspended`] and [`Status::Deprovisioned`] can mean
/// that Beadle must remove the user's access.
///
/// <https://developer.okta.com/docs/api/openapi/okta-management/management/tag/User/>
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(from = "String")]
pub enum Status {
    /// Created but not activated.
    Staged,
    /// Activated, but the user has not completed the registration.
    Provisioned,
    /// Active.
    Active,
    /// The password is being reset.
    Recovery,
    /// Locked because of too many wrong passwords.
    LockedOut,
    /// The password has expired.
    PasswordExpired,
    /// Suspended by an administrator.
    Suspended,
    /// Deactivated.
    Deprovisioned,
    /// A status that Beadle does not know. Beadle never removes access because of an unknown
    /// status.
    Other(String),
}

/// The known statuses with their names at Okta.
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
    /// Returns the names of all known statuses.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(_, name)| *name)
    }

    /// Returns the name of the status at Okta.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(name) => name,
            known => NAMES.iter().find(|(status, _)| status == known).map_or("", |(_, name)| name),
        }
    }
}

impl Status {
    fn missing() -> Self {
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

/// The profile of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// The sign-in name. Okta documents that the login can be missing.
    #[serde(default)]
    pub login: String,
    /// The primary mail address.
    pub email: Option<String>,
    /// The given name.
    pub first_name: Option<String>,
    /// The family name.
    pub last_name: Option<String>,
    /// The display name.
    pub display_name: Option<String>,
    /// All other attributes.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct User {
    /// The id, which does not change when the login changes.
    pub id: String,
    /// The status.
    #[serde(default = "Status::missing")]
    pub status: Status,
    /// The profile.
    pub profile: Profile,
}

impl Row for User {
    fn id(&self) -> &str {
        &self.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_its_name_at_okta_and_an_unknown_one_keeps_it() {
        for name in Status::names() {
            assert_eq!(Status::from(name.to_owned()).as_str(), name);
            assert!(!matches!(Status::from(name.to_owned()), Status::Other(_)), "{name}");
        }
        let new = Status::from("PAUSED".to_owned());
        assert_eq!((new.as_str(), &new), ("PAUSED", &Status::Other("PAUSED".into())));
    }

    #[test]
    fn a_user_without_a_status_or_a_login_is_read_all_the_same() {
        let user: User = serde_json::from_str(r#"{ "id": "00u1", "profile": { "email": null } }"#).unwrap();
        assert_eq!((user.id.as_str(), user.status.as_str(), user.profile.login.as_str()), ("00u1", "", ""));
    }
}
