//! Groups and users (RFC 7643, 4). The names of attributes must have the same case as in the RFC.
//! The types leave out attributes that Beadle does not use.

use serde_json::{Map, Value, json};

use crate::attribute::{Attribute, fill};

/// A kind of resource that the client can read: a group or a user.
pub(crate) trait Record: Sized {
    /// Parses the resource from the server's JSON. The error is the reason why the resource is
    /// invalid.
    fn read(shown: &Value) -> Result<Self, String>;
    /// Returns the id.
    fn id(&self) -> &str;
}

/// Returns the text of an attribute. If the attribute is a number, returns the number as text.
pub(crate) fn text(shown: &Value, name: &str) -> Option<String> {
    match &shown[name] {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A group of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// The id that the creator of the group gave to the group.
    pub external_id: Option<String>,
    /// The ids of the members, if the server shows them. The list contains each id only once.
    pub members: Vec<String>,
    /// Why the list of members is not reliable, or `None` if the list is reliable.
    pub(crate) odd: Option<String>,
    /// The version of the group, if the server states one.
    pub(crate) version: Option<String>,
}

impl Record for Group {
    fn read(shown: &Value) -> Result<Self, String> {
        let id = text(shown, "id").ok_or("the record has no id")?;
        let name = text(shown, "displayName").ok_or("the record has no displayName")?;
        let (mut members, mut odd) = (Vec::new(), None);
        // Servers can leave out the attribute `members` if the group has no members.
        if !(shown["members"].is_null() || shown["members"].is_array()) {
            odd = Some(format!("`members` of group {name} ({id}) is not a list"));
        }
        for member in shown["members"].as_array().into_iter().flatten() {
            // If a member is a group, it is not a person, so Beadle ignores the member.
            if member["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("Group")) {
                continue;
            }
            match text(member, "value") {
                Some(member) => members.push(member),
                None => odd = Some(format!("group {name} ({id}) has a member without `value`")),
            }
        }
        members.sort();
        members.dedup();
        Ok(Self {
            id,
            name,
            external_id: text(shown, "externalId"),
            members,
            odd,
            version: shown["meta"]["version"].as_str().map(str::to_owned),
        })
    }

    fn id(&self) -> &str {
        &self.id
    }
}

/// A user of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The id.
    pub id: String,
    /// The sign-in name.
    pub user_name: String,
    /// The id that the creator of the user gave to the user.
    pub external_id: Option<String>,
    /// True if the user can sign in.
    pub active: bool,
    /// All other attributes that the server shows.
    pub other: Map<String, Value>,
}

impl User {
    /// Returns the complete list of the user's addresses, with `address` as the primary address. Other
    /// addresses, such as the address at home, stay.
    pub fn emails_with(&self, address: &str) -> Value {
        let mut emails = self.other.get("emails").and_then(Value::as_array).cloned().unwrap_or_default();
        let place = |is_it: fn(&Value) -> bool| emails.iter().position(is_it);
        let place =
            place(|email| email["primary"] == true).or_else(|| place(|email| email["type"] == "work"));
        let mut own = place.map_or(json!({ "type": "work" }), |place| emails.remove(place));
        own["value"] = json!(address);
        own["primary"] = json!(true);
        // Some servers show this text, which they make from the value.
        if let Some(own) = own.as_object_mut() {
            own.remove("display");
        }
        emails.retain(|other| {
            !other["value"].as_str().is_some_and(|other| other.eq_ignore_ascii_case(address))
        });
        emails.insert(0, own);
        Value::Array(emails)
    }
}

impl Record for User {
    fn read(shown: &Value) -> Result<Self, String> {
        let id = text(shown, "id").ok_or("the record has no id")?;
        let user_name = text(shown, "userName").ok_or("the record has no userName")?;
        let active = match &shown["active"] {
            Value::Null => true,
            Value::Bool(active) => *active,
            Value::String(word) if word.eq_ignore_ascii_case("true") => true,
            Value::String(word) if word.eq_ignore_ascii_case("false") => false,
            other => return Err(format!("`active` is {other}")),
        };
        let mut other = shown.as_object().cloned().unwrap_or_default();
        for known in ["id", "userName", "externalId", "active"] {
            other.remove(known);
        }
        Ok(Self { id, user_name, external_id: text(shown, "externalId"), active, other })
    }

    fn id(&self) -> &str {
        &self.id
    }
}

impl User {
    /// Returns the value of a mapped attribute, or null.
    pub fn mapped(&self, attribute: &Attribute) -> Value {
        attribute.of(&self.other)
    }

    /// Returns the value of an attribute. `path` is the path in a PATCH. `emails` means the first
    /// mail address.
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

/// The values of a user that Beadle creates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    /// The sign-in name.
    pub user_name: String,
    /// Beadle's id for the user.
    pub external_id: String,
    /// The given name.
    pub given: String,
    /// The family name.
    pub family: String,
    /// The display name.
    pub display: String,
    /// The primary mail address.
    pub email: Option<String>,
    /// The values of further attributes. The request leaves out an attribute with the value null.
    pub attributes: Vec<(Attribute, Value)>,
}

impl NewUser {
    /// Returns the whole resource for a request. The user is active.
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
        fill(&mut body, &self.attributes);
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_an_id_and_a_word_is_a_truth() {
        let user =
            User::read(&json!({ "id": 7, "userName": "ada", "externalId": 8, "active": "True" })).unwrap();
        assert_eq!((user.id.as_str(), user.external_id.as_deref(), user.active), ("7", Some("8"), true));
        let user = User::read(&json!({ "id": "7", "userName": "ada", "active": "false" })).unwrap();
        assert!(!user.active);
        let group =
            Group::read(&json!({ "id": 1, "displayName": "Ops", "members": [{ "value": 7 }] })).unwrap();
        assert_eq!((group.id.as_str(), group.members), ("1", vec!["7".to_owned()]));
    }

    #[test]
    fn what_cannot_be_told_apart_is_no_record() {
        assert!(Group::read(&json!({ "id": "1", "displayName": null })).is_err());
        assert!(Group::read(&json!({ "displayName": "Ops" })).is_err());
        assert!(User::read(&json!({ "id": "1", "userName": "" })).is_err());
        assert!(User::read(&json!({ "id": "1", "userName": "ada", "active": 3 })).is_err());
    }

    #[test]
    fn a_member_without_a_value_makes_the_members_unknown_and_not_the_group() {
        let shown =
            json!({ "id": "1", "displayName": "Ops", "members": [{ "value": "7" }, { "display": "ada" }] });
        let group = Group::read(&shown).unwrap();
        assert!(group.odd.is_some_and(|why| why.contains("Ops")));
        assert_eq!(group.name, "Ops");
        for members in [json!({ "value": "7" }), json!("7"), json!(0)] {
            let group = Group::read(&json!({ "id": "1", "displayName": "Ops", "members": members })).unwrap();
            assert!(group.odd.is_some_and(|why| why.contains("not a list")), "{members}");
        }
        let group = Group::read(&json!({ "id": "1", "displayName": "Ops", "members": null })).unwrap();
        assert_eq!((group.members.len(), group.odd), (0, None));
    }

    #[test]
    fn a_value_is_found_by_its_patch_path() {
        let shown = json!({
            "id": "1", "userName": "ada", "name": { "givenName": "Ada" },
            "emails": [{ "value": "old@acme.example" }, { "value": "ada@acme.example", "primary": true }],
        });
        let user = User::read(&shown).unwrap();
        assert_eq!(user.value("name.givenName"), "Ada");
        assert_eq!(user.value("name.familyName"), Value::Null);
        assert_eq!(user.value("emails"), "ada@acme.example", "the primary address");
        assert_eq!(
            user.emails_with("new@acme.example"),
            json!([{ "value": "new@acme.example", "primary": true }, { "value": "old@acme.example" }])
        );
        assert_eq!((user.value("active"), user.value("externalId")), (json!(true), Value::Null));
    }

    #[test]
    fn a_new_user_without_an_address_has_no_list_of_addresses() {
        let user = |email: Option<&str>| NewUser {
            user_name: "ada".into(),
            external_id: "00u1".into(),
            given: "Ada".into(),
            family: "Lovelace".into(),
            display: "Ada".into(),
            email: email.map(str::to_owned),
            attributes: Vec::new(),
        };
        assert_eq!(user(None).body().get("emails"), None);
        assert_eq!(user(Some("a@b.example")).body()["emails"][0]["value"], "a@b.example");
    }
}
