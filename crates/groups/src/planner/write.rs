//! How changes of a group are written: what a plan carries, and cannot do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::Time;
use serde_json::Value;

use crate::accounts::Whose;
use crate::mapping::{GroupKey, Role};
use crate::sources::Person;

/// The age from which a read is too old to remove a member.
pub(crate) const OLDEST: Duration = Duration::from_secs(120);

/// What is remembered of a group once something of it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// What it is called at the target.
    pub(crate) name: String,
    /// What its source is called.
    pub(crate) from: String,
    /// The groups that it is made of.
    pub(crate) sources: Vec<String>,
    /// Of them, the groups that have members.
    pub(crate) filled: Vec<String>,
    /// What the target is told to know it by.
    pub(crate) external_id: String,
    /// What it is to say about itself; `None`: whatever it says.
    pub(crate) description: Option<String>,
    /// The group above it, if it is made.
    pub(crate) parent: Option<String>,
}

/// How a change is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub(crate) facts: Arc<Facts>,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Makes the group.
    Create,
    /// Takes over a group that is there.
    Adopt {
        /// Its id.
        group: String,
        /// Its name.
        name: String,
        /// What it was made of, and nothing is any more.
        replaces: Vec<GroupKey>,
    },
    /// Gives it another name.
    Rename,
    /// Has it say something else about itself.
    Describe,
    /// Remembers further sources of it, and what its source is called.
    Remember,
    /// Makes an account for a person.
    Provision {
        /// The person.
        person: Box<Person>,
        /// The directory.
        source: String,
    },
    /// Gives an account these values.
    Update {
        /// The account, and whose it is.
        whose: Whose,
        /// By SCIM's paths.
        values: Vec<(&'static str, Value)>,
    },
    /// Adds accounts; people who were given theirs just before are named by person.
    Add {
        /// The accounts.
        accounts: Vec<String>,
        /// People whose account is made before: the id, and what they sign in with.
        people: Vec<(String, String)>,
        /// What they are in the group.
        role: Role,
        /// All accounts that the plan wants in the group.
        wanted: Arc<BTreeSet<String>>,
        /// All accounts that the plan takes out, and about whom nobody is asked before.
        out: Arc<BTreeSet<String>>,
    },
    /// Takes accounts out.
    Remove {
        /// The accounts.
        accounts: Vec<String>,
        /// When both sides were read.
        read: Time,
        /// The number of members at that time.
        members: usize,
        /// Of them, people of whom the directory, asked for each alone, confirmed that the access
        /// should go.
        confirmed: Vec<String>,
        /// Of them, accounts that Beadle checks when their person is in no group any more.
        watched: Vec<Whose>,
        /// Whether the group is made of its sources of now, and no others, once this is written.
        settles: bool,
        /// All accounts that the plan wants in the group.
        wanted: Arc<BTreeSet<String>>,
        /// All accounts that the plan takes out, and about whom nobody is asked before.
        out: Arc<BTreeSet<String>>,
    },
    /// Deletes the group.
    Delete,
}
