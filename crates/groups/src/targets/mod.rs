//! Where groups are made so.

mod github;
#[cfg(feature = "identity-store")]
mod identity_store;
mod scim;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{Class, Failure};
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
    /// Its id, which stays.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The id that its owner gave it.
    pub external_id: Option<String>,
    /// What it says about itself, where the target has that.
    pub description: Option<String>,
}

/// A group that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewGroup<'a> {
    /// Its name.
    pub name: &'a str,
    /// The id that the target is to know it by.
    pub external_id: &'a str,
    /// What it is to say about itself.
    pub description: Option<&'a str>,
    /// The group above it, as the target names it.
    pub parent: Option<&'a str>,
}

/// A user of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetAccount {
    /// Its id, which stays.
    pub id: String,
    /// What it is called, where the target shows it.
    pub name: Option<String>,
    /// The person that it is, by the directory's id, where the target shows it.
    pub person: Option<String>,
    /// Names by which the directory may know the person, where the target does not show the directory's id.
    pub known_as: Vec<String>,
    /// Its address, where the target shows it.
    pub email: Option<String>,
    /// What it is in the group, where that can be changed.
    pub role: Option<Role>,
    /// What else it says, by SCIM's paths, where the target shows it.
    pub values: BTreeMap<&'static str, Value>,
}

impl TargetAccount {
    /// What differs from what a person's account has to say: path, what it is, what it is to be.
    pub(crate) fn differences(&self, person: &Person) -> Vec<(&'static str, Value, Value)> {
        let pairs = person.values().into_iter().filter_map(|(path, after)| {
            let before = self.values.get(path)?;
            (!same(path, before, &after)).then(|| (path, before.clone(), after))
        });
        pairs.collect()
    }

    /// Whether the target says that it may sign in.
    pub(crate) fn is_active(&self) -> bool {
        self.values.get("active") == Some(&Value::Bool(true))
    }

    /// Its name for people.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.id)
    }
}

/// Servers show nothing where there is an empty text, and names in letters of their own.
fn same(path: &str, one: &Value, other: &Value) -> bool {
    let text = |value: &Value| match value {
        Value::Null => Some(String::new()),
        Value::String(text) if path == "userName" => Some(text.to_lowercase()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    };
    one == other || text(one).is_some_and(|one| Some(one) == text(other))
}

/// Whether a person has an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// This one.
    TargetAccount(TargetAccount),
    /// None, as far as this way of looking goes.
    Missing(String),
    /// One that looks like it and belongs to somebody else, or may: it is not taken for it.
    Another(String),
}

/// Reads a target.
#[async_trait]
pub trait TargetReader: Send + Sync + 'static {
    /// The group of this id; `None` where there is none.
    async fn group(&self, id: &str) -> Result<Option<TargetGroup>, Failure>;
    /// The group of this name; `None` where there is none.
    async fn group_named(&self, name: &str) -> Result<Option<TargetGroup>, Failure>;
    /// The group that was made with this id of its owner, whatever it is called; `None` where there is none, or where it
    /// cannot be told.
    async fn group_owned_as(&self, external_id: &str) -> Result<Option<TargetGroup>, Failure>;
    /// A group, as far as it is known from the last look.
    fn known(&self, id: &str) -> Option<TargetGroup>;
    /// Looks at all groups anew.
    async fn look(&self) -> Result<usize, Failure>;
    /// Everybody in a group, complete or not at all; `None` where there is no such group.
    async fn members(&self, id: &str) -> Result<Option<Vec<TargetAccount>>, Failure>;
    /// The account of each of these people, who are to be in a group (where there is one already).
    async fn find(&self, group: Option<&str>, people: &[Person]) -> Vec<Result<Found, Failure>>;
    /// Reads anew by what people are told apart, if that is known from longer ago. Whether it was.
    async fn refresh_identities(&self, believed: Duration) -> Result<bool, Failure>;
    /// The ids of the groups that a person is in.
    async fn groups_of(&self, person: &str) -> Result<Vec<String>, Failure>;
    /// Whether there is an account of this id, unless the target does not tell.
    async fn has_account(&self, _account: &str) -> Result<bool, Failure> {
        Ok(true)
    }
    /// An account as it is now, whatever is known of it; `None` where there is none.
    async fn account_now(&self, _account: &str) -> Result<Option<TargetAccount>, Failure> {
        Err(Failure::new(Class::Rejected, "the target cannot be asked for one account"))
    }
    /// What keeps the members of a group beside us, as far as the target tells.
    async fn kept_by(&self, id: &str) -> Result<Option<String>, Failure>;
    /// The most members that one request may change.
    fn changes_at_once(&self) -> usize;
}

/// An account that a target does not take, alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its id.
    pub account: String,
    /// What the target said.
    pub why: String,
}

/// What a writer of members notes for every process, and knows of the plan: first of all the note
/// that nothing is written to a target any more.
#[async_trait]
pub trait StopNote: Send + Sync {
    /// Stops the target. The writer calls it before it mends anything: a kill between the two must
    /// leave the target stopped.
    async fn put(&self, why: &str) -> Result<(), Failure>;
    /// Takes this note back: there was no reason.
    async fn withdraw(&self, why: &str) -> Result<(), Failure>;
    /// Notes a write of a group's members before it is made, in place of the write before.
    async fn note_write(&self, _group: &str, _write: &str) -> Result<(), Failure> {
        Ok(())
    }
    /// The noted write of a group's members: nobody knows what it did.
    async fn unread_write(&self, _group: &str) -> Result<Option<String>, Failure> {
        Ok(None)
    }
    /// Forgets the write of a group's members: what it did is known.
    async fn forget_write(&self, _group: &str) -> Result<(), Failure> {
        Ok(())
    }
    /// Whether the plan wants this account in the group.
    fn wants(&self, _account: &str) -> bool {
        true
    }
    /// Whether the plan takes this account out of the group, and nobody is asked before. Whoever is
    /// neither wanted nor taken out stays as they are: they wait for an approval, or nobody knows
    /// who they are.
    fn takes_out(&self, account: &str) -> bool {
        !self.wants(account)
    }
}

/// Writes to a target. Doing it twice does no harm.
#[async_trait]
pub trait TargetWriter: Send + Sync + 'static {
    /// Why nothing is written to it any more; `None` while it does what it is asked.
    fn stopped(&self) -> Option<String> {
        None
    }
    /// Makes a group, or finds the one that was made before with this id of its owner.
    async fn create(&self, new: &NewGroup<'_>) -> Result<TargetGroup, Failure>;
    /// Gives it another name, in place. Returns the name that the target shows, where that is
    /// another one. `waiting`: groups that wait for a name, by id, as any process noted them.
    async fn rename(
        &self,
        group: &str,
        name: &str,
        waiting: &BTreeMap<String, String>,
    ) -> Result<Option<String>, Failure>;
    /// Has it say something else about itself.
    async fn describe(&self, group: &str, external_id: &str, description: &str) -> Result<(), Failure>;
    /// Adds members, or gives them another role.
    async fn add(
        &self,
        group: &str,
        accounts: &[String],
        role: Role,
        stop: &dyn StopNote,
    ) -> Result<Vec<Refused>, Failure>;
    /// Takes members out.
    async fn remove(
        &self,
        group: &str,
        accounts: &[String],
        stop: &dyn StopNote,
    ) -> Result<Vec<Refused>, Failure>;
    /// Deletes it.
    async fn delete(&self, group: &str) -> Result<(), Failure>;
    /// Makes an account for a person, or brings the one that they have up to date.
    async fn provision(&self, person: &Person) -> Result<TargetAccount, Failure>;
    /// Gives an account these values; what else it has stays.
    async fn update(&self, account: &str, values: &[(&'static str, Value)]) -> Result<(), Failure>;
}
