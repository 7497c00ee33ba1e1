//! Remembers answers of a SCIM server, to save questions. Each sweep forgets people and accounts.
//! If a group shows only ids of accounts, the memory tells whose accounts they are. Before Beadle
//! leaves an account active, it asks the server whether the account may sign in.

use std::collections::{BTreeSet, HashMap, HashSet};

use beadle_engine::Time;
use beadle_scim::{Group, Odd};

use crate::targets::TargetAccount;

/// The remembered answers.
#[derive(Default)]
pub(super) struct Seen {
    /// Names by group id.
    pub(super) names: HashMap<String, String>,
    /// The last list of all groups.
    pub(super) groups: Option<Vec<Group>>,
    /// The reason why that list is incomplete.
    pub(super) groups_short: Option<String>,
    /// Accounts by the id of the person.
    pub(super) people: HashMap<String, TargetAccount>,
    /// People by the id of the account.
    pub(super) accounts: HashMap<String, TargetAccount>,
    /// The time of the last read of each account, by its id.
    read: HashMap<String, Time>,
    /// The number of users in the last complete list.
    pub(super) users: usize,
    /// The time of the last list of all users, and whether it was complete.
    pub(super) listed: Option<(Time, bool)>,
    /// Members that are groups.
    pub(super) nested: HashSet<String>,
    /// The members of a group at the last read or write, and its time.
    pub(super) members: HashMap<String, (Time, BTreeSet<String>)>,
    /// Wanted names that other groups still have.
    pub(super) wanted: HashMap<String, String>,
    /// The reason why the target is stopped.
    pub(super) stopped: Option<String>,
    /// The number of groups whose members are being put back.
    pub(super) putting_back: usize,
    /// Invalid records that were logged.
    logged: HashSet<String>,
}

impl Seen {
    /// Remembers an account that was read at `at` or later.
    pub(super) fn remember(&mut self, account: &TargetAccount, at: Time) {
        let before = self.accounts.get(&account.id).and_then(|known| known.person.clone());
        if let Some(before) = before.filter(|before| account.person.as_ref() != Some(before)) {
            self.people.remove(&before);
        }
        if let Some(person) = &account.person {
            self.people.insert(person.clone(), account.clone());
        }
        self.accounts.insert(account.id.clone(), account.clone());
        self.read.insert(account.id.clone(), at);
    }

    /// Returns whether the account of a person was read at `since` or later.
    pub(super) fn knows(&self, person: &str, since: Time) -> bool {
        let read = self.people.get(person).and_then(|account| self.read.get(&account.id));
        read.is_some_and(|at| *at >= since)
    }

    /// Forgets a deleted account.
    pub(super) fn forget(&mut self, account: &str) {
        self.people.retain(|_, known| known.id != account);
        self.accounts.remove(account);
        self.read.remove(account);
    }

    /// Forgets people and accounts, so that the next question asks the server.
    pub(super) fn forget_people(&mut self) {
        self.people.clear();
        self.accounts.clear();
        self.nested.clear();
        self.read.clear();
        self.listed = None;
    }

    pub(super) fn is_known(&self, member: &str) -> bool {
        self.accounts.contains_key(member) || self.nested.contains(member)
    }

    /// Logs each invalid record once.
    pub(super) fn log_odd(&mut self, kind: &str, odd: &[Odd]) {
        for record in odd {
            if self.logged.insert(format!("{kind}/{}", record.id)) {
                tracing::warn!(
                    kind,
                    id = record.id,
                    why = record.why,
                    "invalid record of the target skipped"
                );
            }
        }
    }
}
