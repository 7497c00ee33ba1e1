//! Targets are the systems whose groups Beadle writes.

mod github;
#[cfg(feature = "identity-store")]
mod identity_store;
mod scim;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{Class, Failure, Lane};
use beadle_scim::Attribute;
use serde_json::Value;

use crate::attributes::Attributes;
use crate::mapping::Role;
use crate::membership::MembershipLimits;
use crate::sources::Person;

pub use self::github::{Listed, Match, TeamReader, TeamWriter};
#[cfg(feature = "identity-store")]
pub use self::identity_store::IdentityStore;
pub use self::scim::{Memberships, ScimReader, ScimWriter};

/// A group of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetGroup {
    /// The id, which never changes.
    pub id: String,
    /// The name.
    pub name: String,
    /// The id that the group got from its creator. If Beadle created the group, this is Beadle's id
    /// for the group.
    pub external_id: Option<String>,
    /// The description, or `None` if the target has no descriptions.
    pub description: Option<String>,
    /// The known settings, by name.
    pub settings: BTreeMap<&'static str, Value>,
}

/// The values of a group that Beadle creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewGroup<'a> {
    /// The name.
    pub name: &'a str,
    /// Beadle's id for the group. Beadle finds the group again by this id.
    pub external_id: &'a str,
    /// The description.
    pub description: Option<&'a str>,
    /// The name of the parent group at the target.
    pub parent: Option<&'a str>,
    /// True if only the members of the group can see the group. A target that cannot hide a group
    /// ignores this value.
    pub is_secret: bool,
}

/// An account of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetAccount {
    /// The id, which never changes.
    pub id: String,
    /// The user name, if the target shows it.
    pub name: Option<String>,
    /// The directory's id of the account's owner, if the target shows this id.
    pub person: Option<String>,
    /// The possible names of the person at the directory. Beadle uses these names if the target
    /// does not show the person's id.
    pub known_as: Vec<String>,
    /// The mail address, if the target shows it.
    pub email: Option<String>,
    /// The role in the group, if the target has roles.
    pub role: Option<Role>,
    /// All other values that the target shows, by SCIM path.
    pub values: BTreeMap<&'static str, Value>,
    /// The values of the mapped attributes, by the name of the attribute.
    pub attributes: BTreeMap<String, Value>,
}

impl TargetAccount {
    /// Returns the values of the account that differ from the person's values. Each difference has
    /// the path, the present value and the wanted value.
    pub(crate) fn differences(&self, person: &Person) -> Vec<(&'static str, Value, Value)> {
        let pairs = person.values().into_iter().filter_map(|(path, after)| {
            let before = self.values.get(path)?;
            (!same(path, before, &after)).then(|| (path, before.clone(), after))
        });
        pairs.collect()
    }

    /// Returns the mapped attributes that do not have the wanted value. Each attribute has its
    /// present value and its wanted value.
    pub(crate) fn attributes_to_set(&self, wanted: &[(Attribute, Value)]) -> Vec<(Attribute, Value, Value)> {
        let pairs = wanted.iter().filter_map(|(attribute, after)| {
            let before = self.attributes.get(attribute.name())?;
            let differs = !is_same_attribute(before, after);
            differs.then(|| (attribute.clone(), before.clone(), after.clone()))
        });
        pairs.collect()
    }

    /// Returns whether the account can sign in, according to the target.
    pub(crate) fn is_active(&self) -> bool {
        self.values.get("active") == Some(&Value::Bool(true))
    }

    /// Returns the name of the account for plans and logs.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.id)
    }
}

/// Servers can change the case of a name, or omit an empty value. So Beadle treats two values as
/// equal if they differ only in the case of a name, or if one is empty and the other is missing.
fn same(path: &str, one: &Value, other: &Value) -> bool {
    let text = |value: &Value| match value {
        Value::Null => Some(String::new()),
        Value::String(text) if path == "userName" => Some(text.to_lowercase()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    };
    one == other || text(one).is_some_and(|one| Some(one) == text(other))
}

/// A server can show a number or a boolean as a text, or remove the spaces around a text. So Beadle
/// treats two values of a mapped attribute as equal if they differ only in these two ways.
/// Otherwise, each run would write the value again.
fn is_same_attribute(one: &Value, other: &Value) -> bool {
    let text = |value: &Value| match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(on) => Some(on.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    };
    let (Some(one_text), Some(other_text)) = (text(one), text(other)) else { return one == other };
    match (one, other) {
        (Value::Bool(_), _) | (_, Value::Bool(_)) => one_text.eq_ignore_ascii_case(&other_text),
        _ => one_text == other_text,
    }
}

/// The result of a search for a person's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The account that belongs to the person.
    TargetAccount(TargetAccount),
    /// The target has no account for the person. The text describes how Beadle searched.
    Missing(String),
    /// An account looks like the person's account, but it possibly belongs to another person. So
    /// Beadle does not use the account.
    Another(String),
    /// The login that the source contains has a new owner. The earlier owner might be a member under
    /// a different login. So Beadle does not use the account, and removes no member.
    NewOwner(String),
}

/// The name of the setting that connects a group to a group of the identity provider. The value of
/// this setting is the name of the identity provider's group, or null.
pub const EXTERNAL_GROUP: &str = "external_group";

/// The methods that Beadle needs to read a target.
#[async_trait]
pub trait TargetReader: Send + Sync + 'static {
    /// Returns a copy of this reader that uses this lane for its reads. The copy shares all
    /// remembered data.
    fn in_lane(&self, lane: Lane) -> Arc<dyn TargetReader>;
    /// Returns a reader for previews, which stores nothing. Returns `None` if this reader itself
    /// stores nothing.
    fn for_preview(&self) -> Option<Arc<dyn TargetReader>> {
        None
    }
    /// Returns the group with this id, or `None` if the group does not exist.
    async fn group(&self, id: &str) -> Result<Option<TargetGroup>, Failure>;
    /// Returns the group with this name, or `None` if the group does not exist.
    async fn group_named(&self, name: &str) -> Result<Option<TargetGroup>, Failure>;
    /// Returns the group that Beadle created with this id, even if the group has a different name
    /// now. Returns `None` if there is no such group, or if the target does not show Beadle's ids.
    async fn group_owned_as(&self, external_id: &str) -> Result<Option<TargetGroup>, Failure>;
    /// Returns a group from the last list of all groups. This method sends no request.
    fn known(&self, id: &str) -> Option<TargetGroup>;
    /// Reads the list of all groups again, so that [`Self::known`] uses the new list. Returns the
    /// number of groups.
    async fn look(&self) -> Result<usize, Failure>;
    /// Returns all members of a group, or an error if the list is incomplete. Returns `None` if the
    /// group does not exist.
    async fn members(&self, id: &str) -> Result<Option<Vec<TargetAccount>>, Failure>;
    /// Returns the account of each of these people. `group` is the group that these people should
    /// join, if the group exists.
    async fn find(&self, group: Option<&str>, people: &[Person]) -> Vec<Result<Found, Failure>>;
    /// Reads the owners of the accounts again, if the last read is older than `believed`. Returns
    /// whether the method read the owners again.
    async fn refresh_identities(&self, believed: Duration) -> Result<bool, Failure>;
    /// Returns the ids of the groups that contain a person.
    async fn groups_of(&self, person: &str) -> Result<Vec<String>, Failure>;
    /// Returns the ids of the groups that contain the account with this id. `person` is the owner
    /// of the account. The account itself need not contain the person's id.
    async fn groups_of_account(&self, _account: &str, person: &str) -> Result<Vec<String>, Failure> {
        self.groups_of(person).await
    }
    /// Returns whether the account with this id exists. If the target cannot show this, returns
    /// `true`.
    async fn has_account(&self, _account: &str) -> Result<bool, Failure> {
        Ok(true)
    }
    /// Returns the ids of the accounts that cannot sign in, if the target lists accounts.
    async fn inactive_accounts(&self) -> Result<BTreeSet<String>, Failure> {
        Ok(BTreeSet::new())
    }
    /// Reads the present state of an account. Returns `None` if the account does not exist.
    async fn account_now(&self, _account: &str) -> Result<Option<TargetAccount>, Failure> {
        Err(Failure::new(Class::Rejected, "this target cannot read a single account"))
    }
    /// Returns the name of another system that manages the members of a group, if the target shows
    /// such a system.
    async fn kept_by(&self, id: &str) -> Result<Option<String>, Failure>;
    /// Returns the name of the identity provider's group that is connected to this group.
    async fn external_group(&self, _id: &str) -> Result<Option<String>, Failure> {
        Err(Failure::new(Class::Rejected, "groups of this target have no external group"))
    }
    /// If this group stands for the members of an organisation, returns the limits for these
    /// members.
    fn membership(&self, _group: &str) -> Option<MembershipLimits> {
        None
    }
    /// Returns the maximum number of members that one request can change.
    fn changes_at_once(&self) -> usize;
    /// Returns the mapped attributes of the accounts.
    fn attributes(&self) -> Attributes {
        Attributes::default()
    }
}

/// An account that the target refused to add or to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The id of the account.
    pub account: String,
    /// The reason that the target gave for its refusal.
    pub why: String,
}

/// The connection of a writer to the store and to the plan. The writer stores notes that all
/// processes read, and needs some facts about the plan.
#[async_trait]
pub trait StopNote: Send + Sync {
    /// Records in the store that the target is stopped. The writer records this before it puts lost
    /// members back. So the target is stopped even if the process is killed between these two
    /// steps.
    async fn put(&self, why: &str) -> Result<(), Failure>;
    /// Deletes the note that stops the target for this reason, because the target need not be
    /// stopped.
    async fn withdraw(&self, why: &str) -> Result<(), Failure>;
    /// Stores a note about a write of a group's members, before Beadle sends the write. The new
    /// note replaces the note about the group's previous write.
    async fn note_write(&self, _group: &str, _write: &str) -> Result<(), Failure> {
        Ok(())
    }
    /// Returns the write that a group's note describes, if the effect of this write is still
    /// unknown.
    async fn unread_write(&self, _group: &str) -> Result<Option<String>, Failure> {
        Ok(None)
    }
    /// Deletes the note about a group's last write, because the effect of the write is known.
    async fn forget_write(&self, _group: &str) -> Result<(), Failure> {
        Ok(())
    }
    /// Returns whether this account should be in the group after the whole plan.
    fn wants(&self, _account: &str) -> bool {
        true
    }
    /// Returns whether the plan removes this account from the group without an approval. There are
    /// also accounts that the plan neither wants nor removes. Such accounts stay, because their
    /// removal waits for an approval or because Beadle does not know their owner.
    fn takes_out(&self, account: &str) -> bool {
        !self.wants(account)
    }
}

/// The methods that Beadle needs to write to a target. Beadle can repeat each write without harm.
#[async_trait]
pub trait TargetWriter: Send + Sync + 'static {
    /// Returns a copy of this writer that uses this lane for its requests. The copy shares all
    /// remembered data.
    fn in_lane(&self, lane: Lane) -> Arc<dyn TargetWriter>;
    /// Returns why the target is stopped, or `None` if the target is not stopped.
    fn stopped(&self) -> Option<String> {
        None
    }
    /// Creates a group. If Beadle has already created a group with the same id, returns that group.
    async fn create(&self, new: &NewGroup<'_>) -> Result<TargetGroup, Failure>;
    /// Renames a group without creating a new one. If the target then shows a name that differs
    /// from the given name, returns the name that the target shows. `waiting` contains the groups
    /// that wait for a name, by id. Some of these groups come from the notes of other processes.
    async fn rename(
        &self,
        group: &str,
        name: &str,
        waiting: &BTreeMap<String, String>,
    ) -> Result<Option<String>, Failure>;
    /// Sets the description of a group.
    async fn describe(&self, group: &str, external_id: &str, description: &str) -> Result<(), Failure>;
    /// Sets these settings of a group. All other settings of the group do not change.
    async fn configure(&self, _group: &str, _settings: &[(&'static str, Value)]) -> Result<(), Failure> {
        Err(Failure::new(Class::Rejected, "groups of this target have no settings"))
    }
    /// Adds accounts to a group, or changes their role.
    async fn add(
        &self,
        group: &str,
        accounts: &[String],
        role: Role,
        stop: &dyn StopNote,
    ) -> Result<Vec<Refused>, Failure>;
    /// Removes accounts from a group.
    async fn remove(
        &self,
        group: &str,
        accounts: &[String],
        stop: &dyn StopNote,
    ) -> Result<Vec<Refused>, Failure>;
    /// Deletes a group.
    async fn delete(&self, group: &str) -> Result<(), Failure>;
    /// Creates an account for a person. If the person has an account, updates that account.
    async fn provision(&self, person: &Person) -> Result<TargetAccount, Failure>;
    /// Sets these values of an account. All other values of the account do not change.
    async fn update(&self, account: &str, values: &[(&'static str, Value)]) -> Result<(), Failure>;
    /// Sets mapped attributes of an account. If a value is null, removes the attribute. All other
    /// values of the account do not change.
    async fn set_attributes(&self, _account: &str, _values: &[(Attribute, Value)]) -> Result<(), Failure> {
        Err(Failure::new(Class::Rejected, "this target has no mapped attributes"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_attribute_in_the_form_of_the_server_is_no_difference() {
        for (before, after, is_same) in [
            (json!("7"), json!(7), true),
            (json!("True"), json!(true), true),
            (json!("London"), json!("London "), true),
            (json!(""), Value::Null, true),
            (json!("london"), json!("London"), false),
            (json!("8"), json!(7), false),
            (json!("false"), json!(true), false),
            (Value::Null, json!(false), false),
            (json!(["7"]), json!("7"), false),
        ] {
            assert_eq!(is_same_attribute(&before, &after), is_same, "{before} and {after}");
        }
    }

    #[test]
    fn an_account_differs_by_what_the_server_shows_and_not_by_case_or_empty_texts() {
        let person = Person {
            id: "00u1".into(),
            login: "Ada@acme.example".into(),
            email: Some("ada@acme.example".into()),
            given: "Ada".into(),
            family: String::new(),
            display: "Ada".into(),
            is_leaving: false,
            status: "ACTIVE".into(),
            may_be_made: true,
            profile: serde_json::Map::new(),
            account: None,
            role: None,
        };
        let values = [
            ("userName", json!("ada@ACME.example")),
            ("externalId", json!("00u1")),
            ("active", json!(false)),
            ("name.givenName", json!("ada")),
            ("name.familyName", Value::Null),
        ];
        let account = TargetAccount {
            id: "a1".into(),
            name: None,
            person: None,
            known_as: Vec::new(),
            email: None,
            role: None,
            values: BTreeMap::from(values),
            attributes: BTreeMap::new(),
        };
        let differences = account.differences(&person);
        let wanted = [("active", json!(false), json!(true)), ("name.givenName", json!("ada"), json!("Ada"))];
        assert_eq!(differences, wanted, "the server does not show `displayName` and `emails`");
        // The directory shows no profile for the person `hidden`.
        let hidden = Person { login: "00u1".into(), given: String::new(), ..person };
        let paths: Vec<&str> = account.differences(&hidden).iter().map(|(path, ..)| *path).collect();
        assert_eq!(paths, ["active"], "the names of the account stay");
    }
}
