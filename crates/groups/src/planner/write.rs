//! The data with which a planned change of a group is written.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::Time;
use serde_json::Value;

use crate::accounts::PersonAccount;
use crate::mapping::{GroupKey, Role};
use crate::sources::Person;

/// The age from which a read is too old to remove a member.
pub(crate) const OLDEST: Duration = Duration::from_secs(120);

/// The facts that Beadle remembers of a group after a write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The name at the target.
    pub(crate) name: String,
    /// The name of the source.
    pub(crate) from: String,
    /// The source groups, as `source/id`.
    pub(crate) sources: Vec<String>,
    /// The source groups that have members.
    pub(crate) filled: Vec<String>,
    /// The `externalId` at the target.
    pub(crate) external_id: String,
    /// The wanted description; `None` if no mapping sets one.
    pub(crate) description: Option<String>,
    /// The parent, if Beadle creates the group.
    pub(crate) parent: Option<String>,
}

/// The write of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub(crate) facts: Arc<Facts>,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Creates the group.
    Create,
    /// Takes over an existing group.
    Adopt {
        /// The id of the group.
        group: String,
        /// The name of the group.
        name: String,
        /// Keys that the group belonged to and that no mapping includes any more.
        replaces: Vec<GroupKey>,
    },
    /// Renames the group.
    Rename,
    /// Sets the description of the group.
    Describe,
    /// Remembers further sources of the group, and the name of its source.
    Remember,
    /// Creates an account for a person.
    Provision {
        /// The person.
        person: Box<Person>,
        /// The directory.
        source: String,
    },
    /// Sets values of an account.
    Update {
        /// The account and its person.
        whose: PersonAccount,
        /// The values by SCIM path.
        values: Vec<(&'static str, Value)>,
    },
    /// Adds accounts. People whose account an earlier change creates are named by person.
    Add {
        /// The accounts.
        accounts: Vec<String>,
        /// People whose account an earlier change creates: the id, and the sign-in name.
        people: Vec<(String, String)>,
        /// The role in the group.
        role: Role,
        /// All accounts that the plan wants in the group.
        wanted: Arc<BTreeSet<String>>,
        /// All accounts that the plan removes without an approval.
        out: Arc<BTreeSet<String>>,
    },
    /// Removes accounts.
    Remove {
        /// The accounts.
        accounts: Vec<String>,
        /// The time at which both sides were read.
        read: Time,
        /// The number of members at that time.
        members: usize,
        /// The accounts of people whose departure the directory confirmed when Beadle asked for
        /// each alone.
        confirmed: Vec<String>,
        /// The accounts that Beadle keeps checking when their person is in no group any more.
        watched: Vec<PersonAccount>,
        /// Whether the group has exactly its present sources after this write.
        settles: bool,
        /// All accounts that the plan wants in the group.
        wanted: Arc<BTreeSet<String>>,
        /// All accounts that the plan removes without an approval.
        out: Arc<BTreeSet<String>>,
    },
    /// Deletes the group.
    Delete,
}
