//! Targets: the systems that have the groups.

mod github;
#[cfg(feature = "identity-store")]
mod identity_store;
mod scim;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{Class, Failure, Lane};
use serde_json::Value;

use crate::mapping::Role;
use crate::sources::Person;

pub use self::github::{Listed, Match, TeamReader, TeamWriter};
#[cfg(feature = "identity-store")]
pub use self::identity_store::IdentityStore;
pub use self::scim::{Memberships, ScimReader, ScimWriter};

/// A group of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetGroup {
    /// The id, which does not change.
    pub id: String,
    /// The name.
    pub name: String,
    /// The id that the owner of the group set.
    pub external_id: Option<String>,
    /// The description, if the target has descriptions.
    pub description: Option<String>,
}

/// A group to create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewGroup<'a> {
    /// The name.
    pub name: &'a str,
    /// The id by which Beadle finds the group again.
    pub external_id: &'a str,
    /// The description.
    pub description: Option<&'a str>,
    /// The parent, by its name at the target.
    pub parent: Option<&'a str>,
}

/// A user of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetAccount {
    /// The id, which does not change.
    pub id: String,
    /// The user name, if the target shows it.
    pub name: Option<String>,
    /// The person, by the directory's id, if the target shows it.
    pub person: Option<String>,
    /// Names by which the directory may know the person, if the target does not show the
    /// directory's id.
    pub known_as: Vec<String>,
    /// The mail address, if the target shows it.
    pub email: Option<String>,
    /// The role in the group, if the target has roles.
    pub role: Option<Role>,
    /// The other values by SCIM path, if the target shows them.
    pub values: BTreeMap<&'static str, Value>,
}

impl TargetAccount {
    /// Returns the differences from the values that the person's account must have: path, present
    /// value, wanted value.
    pub(crate) fn differences(&self, person: &Person) -> Vec<(&'static str, Value, Value)> {
        let pairs = person.values().into_iter().filter_map(|(path, after)| {
            let before = self.values.get(path)?;
            (!same(path, before, &after)).then(|| (path, before.clone(), after))
        });
        pairs.collect()
    }

    /// Returns whether the target reports that the account may sign in.
    pub(crate) fn is_active(&self) -> bool {
        self.values.get("active") == Some(&Value::Bool(true))
    }

    /// Returns the name to print.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.id)
    }
}

/// Servers leave empty texts out, and change the case of names.
fn same(path: &str, one: &Value, other: &Value) -> bool {
    let text = |value: &Value| match value {
        Value::Null => Some(String::new()),
        Value::String(text) if path == "userName" => Some(text.to_lowercase()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    };
    one == other || text(one).is_some_and(|one| Some(one) == text(other))
}

/// The result of the search for a person's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The account of the person.
    TargetAccount(TargetAccount),
    /// No account, by this way of searching.
    Missing(String),
    /// An account that looks like the person's and belongs to another person, or may. Beadle does
    /// not use it.
    Another(String),
}

/// Reads a target.
#[async_trait]
pub trait TargetReader: Send + Sync + 'static {
    /// Returns the same reader for reads in this lane. Both remember the same.
    fn in_lane(&self, lane: Lane) -> Arc<dyn TargetReader>;
    /// Returns the group with this id; `None` if there is none.
    async fn group(&self, id: &str) -> Result<Option<TargetGroup>, Failure>;
    /// Returns the group with this name; `None` if there is none.
    async fn group_named(&self, name: &str) -> Result<Option<TargetGroup>, Failure>;
    /// Returns the group that was created with this owner's id, whatever its name is; `None` if
    /// there is none, or if the target does not tell.
    async fn group_owned_as(&self, external_id: &str) -> Result<Option<TargetGroup>, Failure>;
    /// Returns a group as of the last read of all groups.
    fn known(&self, id: &str) -> Option<TargetGroup>;
    /// Reads all groups again. Returns their number.
    async fn look(&self) -> Result<usize, Failure>;
    /// Returns all members of a group, or an error; `None` if there is no such group.
    async fn members(&self, id: &str) -> Result<Option<Vec<TargetAccount>>, Failure>;
    /// Returns the account of each of these people, who are to be in a group (if the group exists).
    async fn find(&self, group: Option<&str>, people: &[Person]) -> Vec<Result<Found, Failure>>;
    /// Reads again which account belongs to whom, if that is older than `believed`. Returns whether
    /// it did.
    async fn refresh_identities(&self, believed: Duration) -> Result<bool, Failure>;
    /// Returns the ids of the groups of a person.
    async fn groups_of(&self, person: &str) -> Result<Vec<String>, Failure>;
    /// Returns whether there is an account with this id. If the target does not tell, it counts as
    /// there.
    async fn has_account(&self, _account: &str) -> Result<bool, Failure> {
        Ok(true)
    }
    /// Reads an account as it is now; `None` if there is none.
    async fn account_now(&self, _account: &str) -> Result<Option<TargetAccount>, Failure> {
        Err(Failure::new(Class::Rejected, "the target cannot be asked for one account"))
    }
    /// Returns the other system that keeps the members of a group, as far as the target tells.
    async fn kept_by(&self, id: &str) -> Result<Option<String>, Failure>;
    /// Returns the maximum number of members that one request may change.
    fn changes_at_once(&self) -> usize;
}

/// An account that the target refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its id.
    pub account: String,
    /// The reason that the target gave.
    pub why: String,
}

/// The notes of a writer of members, which all processes share, and the accounts of the plan.
#[async_trait]
pub trait StopNote: Send + Sync {
    /// Stops the target. The writer calls this before it puts members back: a kill between the two
    /// must leave the target stopped.
    async fn put(&self, why: &str) -> Result<(), Failure>;
    /// Withdraws this note, because there was no reason.
    async fn withdraw(&self, why: &str) -> Result<(), Failure>;
    /// Notes a write of a group's members before it is sent, in place of the write before.
    async fn note_write(&self, _group: &str, _write: &str) -> Result<(), Failure> {
        Ok(())
    }
    /// Returns the noted write of a group's members, whose effect is unknown.
    async fn unread_write(&self, _group: &str) -> Result<Option<String>, Failure> {
        Ok(None)
    }
    /// Forgets the write of a group's members, because its effect is known.
    async fn forget_write(&self, _group: &str) -> Result<(), Failure> {
        Ok(())
    }
    /// Returns whether the plan wants this account in the group.
    fn wants(&self, _account: &str) -> bool {
        true
    }
    /// Returns whether the plan removes this account from the group without an approval. An account
    /// that is neither wanted nor removed stays: it waits for an approval, or its person is
    /// unknown.
    fn takes_out(&self, account: &str) -> bool {
        !self.wants(account)
    }
}

/// Writes to a target. All writes may be repeated.
#[async_trait]
pub trait TargetWriter: Send + Sync + 'static {
    /// Returns the same writer for requests in this lane. Both remember the same.
    fn in_lane(&self, lane: Lane) -> Arc<dyn TargetWriter>;
    /// Returns the reason why the target is stopped; `None` while it works as expected.
    fn stopped(&self) -> Option<String> {
        None
    }
    /// Creates a group, or returns the group that was created before with this owner's id.
    async fn create(&self, new: &NewGroup<'_>) -> Result<TargetGroup, Failure>;
    /// Renames a group in place. Returns the name that the target shows, if it differs. `waiting`:
    /// groups that wait for a name, by id, as all processes noted them.
    async fn rename(
        &self,
        group: &str,
        name: &str,
        waiting: &BTreeMap<String, String>,
    ) -> Result<Option<String>, Failure>;
    /// Sets the description of a group.
    async fn describe(&self, group: &str, external_id: &str, description: &str) -> Result<(), Failure>;
    /// Adds members, or changes their role.
    async fn add(
        &self,
        group: &str,
        accounts: &[String],
        role: Role,
        stop: &dyn StopNote,
    ) -> Result<Vec<Refused>, Failure>;
    /// Removes members.
    async fn remove(
        &self,
        group: &str,
        accounts: &[String],
        stop: &dyn StopNote,
    ) -> Result<Vec<Refused>, Failure>;
    /// Deletes a group.
    async fn delete(&self, group: &str) -> Result<(), Failure>;
    /// Creates an account for a person, or updates the account of the person.
    async fn provision(&self, person: &Person) -> Result<TargetAccount, Failure>;
    /// Sets values of an account. All other values stay.
    async fn update(&self, account: &str, values: &[(&'static str, Value)]) -> Result<(), Failure>;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
        };
        let differences = account.differences(&person);
        let wanted = [("active", json!(false), json!(true)), ("name.givenName", json!("ada"), json!("Ada"))];
        assert_eq!(differences, wanted, "the server does not show `displayName` and `emails`");
    }
}
