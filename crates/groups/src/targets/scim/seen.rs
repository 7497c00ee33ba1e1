//! Remembers answers of a SCIM server, so that Beadle sends fewer requests. Each sweep forgets the
//! remembered people and accounts. If a group shows only the ids of accounts, the remembered
//! answers show who owns the accounts. If a remembered account cannot sign in, Beadle asks the
//! server again before it decides that the account needs no deactivation.

use std::collections::{BTreeSet, HashMap, HashSet};

use beadle_engine::Time;
use beadle_scim::{Group, Odd};

use crate::targets::TargetAccount;

/// The remembered answers.
#[derive(Default)]
pub(super) struct Seen {
    /// The name of each group, by the group's id.
    pub(super) names: HashMap<String, String>,
    /// The last list of all groups.
    pub(super) groups: Option<Vec<Group>>,
    /// Why the last list of all groups is incomplete, or `None` if the list is complete.
    pub(super) groups_short: Option<String>,
    /// The account of each person, by the person's id.
    pub(super) people: HashMap<String, TargetAccount>,
    /// The accounts, by their ids. Each account shows who owns it.
    pub(super) accounts: HashMap<String, TargetAccount>,
    /// When Beadle last read each account, by the account's id.
    read: HashMap<String, Time>,
    /// The number of users in the last complete list.
    pub(super) users: usize,
    /// When Beadle last listed all users, and whether the list was complete.
    pub(super) listed: Option<(Time, bool)>,
    /// The ids of members that are groups.
    pub(super) nested: HashSet<String>,
    /// The members of each group after the last read or write, and the time of that read or write.
    pub(super) members: HashMap<String, (Time, BTreeSet<String>)>,
    /// The groups that wait for a name because another group still has this name. The keys are the
    /// ids of these groups, and the values are the names.
    pub(super) wanted: HashMap<String, String>,
    /// Why the target is stopped.
    pub(super) stopped: Option<String>,
    /// The number of groups to which Beadle is adding lost members again.
    pub(super) putting_back: usize,
    /// The invalid records that Beadle has already logged.
    logged: HashSet<String>,
}

impl Seen {
    /// Remembers an account that Beadle read at the time `at` or later.
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

    /// Returns whether Beadle read the account of a person at the time `since` or later.
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

    /// Forgets all people and accounts, so that Beadle asks the server for them again.
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

    /// Logs each invalid record the first time that Beadle sees the record.
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
