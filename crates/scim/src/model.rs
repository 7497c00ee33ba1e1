//! Groups and users (RFC 7643, 4). Attribute names are compared as the RFC writes them; what Beadle does not use is left out.

use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Clone, Debug, Deserialize)]
struct Member {
    value: String,
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The id that its owner gave it.
    pub external_id: Option<String>,
    /// The ids of its members, where the server shows them; each once.
    pub members: Vec<String>,
    /// Which of its versions this is, where the server tells them apart.
    pub(crate) version: Option<String>,
}

impl<'de> Deserialize<'de> for Group {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Shape {
            id: String,
            display_name: String,
            external_id: Option<String>,
            members: Option<Vec<Member>>,
            #[serde(default)]
            meta: Value,
        }
        let shape = Shape::deserialize(from)?;
        let mut members: Vec<String> = shape
            .members
            .into_iter()
            .flatten()
            // A group in the group is no person, and nothing is done about it.
            .filter(|member| member.kind.as_deref() != Some("Group"))
            .map(|member| member.value)
            .collect();
        members.sort();
        members.dedup();
        Ok(Self {
            id: shape.id,
            name: shape.display_name,
            external_id: shape.external_id.filter(|id| !id.is_empty()),
            members,
            version: shape.meta["version"].as_str().map(str::to_owned),
        })
    }
}

fn yes() -> bool {
    true
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Its id.
    pub id: String,
    /// What it signs in with.
    pub user_name: String,
    /// The id that its owner gave it.
    pub external_id: Option<String>,
    /// Whether it may sign in.
    #[serde(default = "yes")]
    pub active: bool,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl User {
    /// A value of it by the path that a PATCH would take; `emails` is the first address.
    pub fn value(&self, path: &str) -> Value {
        match path {
            "userName" => json!(self.user_name),
            "externalId" => json!(self.external_id),
            "active" => json!(self.active),
            "emails" => {
                let emails = self.other.get("emails").and_then(Value::as_array);
                let first = emails.and_then(|emails| {
                    emails.iter().find(|email| email["primary"] == true).or(emails.first())
                });
                first.map_or(Value::Null, |email| email["value"].clone())
            }
            path => {
                let mut parts = path.split('.');
                let first = parts.next().and_then(|part| self.other.get(part));
                let found = first.and_then(|first| parts.try_fold(first, |value, part| value.get(part)));
                found.cloned().unwrap_or_default()
            }
        }
    }
}

/// A user as it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    /// What it signs in with.
    pub user_name: String,
    /// The id that its owner gave it.
    pub external_id: String,
    /// Given name.
    pub given: String,
    /// Family name.
    pub family: String,
    /// The name that is shown.
    pub display: String,
    /// The first address.
    pub email: Option<String>,
}

impl NewUser {
    /// The whole resource, active.
    pub(crate) fn body(&self) -> Value {
        let mut body = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "externalId": self.external_id, "userName": self.user_name, "active": true,
            "name": { "givenName": self.given, "familyName": self.family, "formatted": self.display },
            "displayName": self.display,
        });
        if let Some(email) = &self.email {
            body["emails"] = json!([{ "value": email, "type": "work", "primary": true }]);
        }
        body
    }
}
