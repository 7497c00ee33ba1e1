//! The data that Beadle needs to write a planned change of a group.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Instructions, Time};
use beadle_scim::Attribute;
use serde_json::Value;

use crate::accounts::PersonAccount;
use crate::mapping::{GroupKey, Role};
use crate::sources::Person;

/// The maximum age of a read that can cause the removal of a member.
pub(crate) const OLDEST: Duration = Duration::from_secs(120);

/// The facts that Beadle remembers about a group after a write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The name at the target.
    pub(crate) name: String,
    /// The name of the source group.
    pub(crate) from: String,
    /// The source groups, as `source/id`.
    pub(crate) sources: Vec<String>,
    /// The source groups that have members.
    pub(crate) filled: Vec<String>,
    /// The `externalId` at the target.
    pub(crate) external_id: String,
    /// The description that the group must have, or `None` if no mapping sets a description.
    pub(crate) description: Option<String>,
    /// The settings that the group must have, by name.
    pub(crate) settings: BTreeMap<&'static str, Value>,
    /// The name of the parent group. Beadle uses this name only when it creates the group.
    pub(crate) parent: Option<String>,
}

/// The values that a planned change writes, and the facts that Beadle remembers after the write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub(crate) facts: Arc<Facts>,
    pub(crate) what: What,
}

impl Instructions for Write {
    /// Returns `None`, because the plan of a group shows every value of a change: each person and
    /// each setting.
    fn unshown(&self) -> Option<String> {
        None
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Creates the group.
    Create,
    /// Takes over an existing group that Beadle did not create.
    Adopt {
        /// The id of the group.
        group: String,
        /// The name of the group.
        name: String,
        /// Former identities of this group. Beadle remembers them, but no mapping includes them any
        /// more.
        replaces: Vec<GroupKey>,
    },
    /// Renames the group.
    Rename,
    /// Sets the description of the group.
    Describe,
    /// Sets settings of the group.
    Configure(Vec<(&'static str, Value)>),
    /// Remembers further source groups, or a new name of the source group. Writes nothing to the
    /// target.
    Remember,
    /// Creates an account for a person.
    Provision {
        /// The person.
        person: Box<Person>,
        /// The directory of the person.
        source: String,
    },
    /// Sets values of an account.
    Update {
        /// The account, and the person who owns it.
        whose: PersonAccount,
        /// The new values by SCIM path.
        values: Vec<(&'static str, Value)>,
    },
    /// Sets mapped attributes of an account.
    SetAttributes {
        /// The id of the account.
        account: String,
        /// The new values. The value null removes an attribute.
        values: Vec<(Attribute, Value)>,
    },
    /// Adds accounts to the group, or changes their role. If an earlier change of the plan creates
    /// an account, the account has no id yet. This change then contains the person instead of the
    /// account's id.
    Add {
        /// The ids of existing accounts.
        accounts: Vec<String>,
        /// The people for whom an earlier change creates an account: the id and the sign-in name of
        /// each person.
        people: Vec<(String, String)>,
        /// The role in the group.
        role: Role,
        /// The ids of all accounts that should be in the group after the whole plan.
        wanted: Arc<BTreeSet<String>>,
        /// The ids of all accounts that the plan removes from the group without an approval.
        out: Arc<BTreeSet<String>>,
    },
    /// Removes accounts from the group.
    Remove {
        /// The ids of the accounts.
        accounts: Vec<String>,
        /// The time at which Beadle read the directory and the target. If this read is too old,
        /// Beadle does not write the removal.
        read: Time,
        /// The number of members at the time of the read.
        members: usize,
        /// The ids of the accounts whose owners must lose their access. For each owner, the
        /// directory confirmed this in a separate answer.
        confirmed: Vec<String>,
        /// The accounts that Beadle keeps checking after the person has left the last group.
        watched: Vec<PersonAccount>,
        /// True if this write removes the last members of the former source groups. Beadle then
        /// forgets these source groups after the write.
        settles: bool,
        /// The ids of all accounts that should be in the group after the whole plan.
        wanted: Arc<BTreeSet<String>>,
        /// The ids of all accounts that the plan removes from the group without an approval.
        out: Arc<BTreeSet<String>>,
    },
    /// Deletes the group.
    Delete,
}
