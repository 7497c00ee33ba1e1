//! Processes that use one credential share their usage and the vendor's refusals through the store.
//! So two service processes, or the shards of a sweep, stay under one limit together.

use std::time::Duration;

use beadle_engine::budget::is_credible;
use beadle_engine::{BudgetAccount, Metadata, Note, Resource, Store, StoreError, Time};
use serde::{Deserialize, Serialize};

use crate::Client;

/// The time between two reads of the other processes' spending.
pub const LOOK: Duration = Duration::from_secs(1);
/// A process without a report for a quarter of the window is gone.
const GONE: u32 = 4;
/// The number of reports in a window without a change.
const SIGNS_OF_LIFE: u32 = 12;

/// The use of a credential by one process, as the process stores it for the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProcessUsage {
    /// The time of the report.
    pub at: Time,
    /// The vendor's budgets, as the last answers named them.
    pub accounts: Vec<(Resource, BudgetAccount)>,
    /// The ends of the vendor's refusals.
    pub refusals: Vec<(Resource, Time)>,
    /// REST points spent in the window.
    pub rest: u32,
    /// GraphQL points spent in the window.
    pub graphql: u32,
    /// Whether the process has ended. Its spent points count until the window is over.
    pub ended: bool,
}

impl Metadata for ProcessUsage {
    const KIND: &'static str = "process";
}

impl ProcessUsage {
    /// Returns the note of a process that uses a credential. With an empty `process` it begins the
    /// names of all.
    pub fn note(credential: &str, process: &str) -> Note<Self> {
        Note::of(&[credential, process])
    }
}

/// One process among the users of a credential.
pub struct Sharing {
    client: Client,
    /// The name of this process, new with every process. It is not a secret.
    process: String,
    said: ProcessUsage,
    /// No other process can have seen this one yet: another may be starting at the same moment.
    new: bool,
}

impl Sharing {
    /// Creates the sharing of a client, in a process of this name.
    pub fn new(client: Client, process: &str) -> Self {
        Self { client, process: process.to_owned(), said: ProcessUsage::default(), new: true }
    }

    /// Returns the note of a process that uses the same credential.
    fn note(&self, process: &str) -> Note<ProcessUsage> {
        ProcessUsage::note(self.client.budgets().credential(), process)
    }

    /// Reports the usage of this process, and takes over the usage of the others. Returns the
    /// number of processes.
    pub async fn look(&mut self, store: &dyn Store) -> Result<u32, StoreError> {
        let now = self.client.clock().now();
        let (rest, graphql) = self.client.spent(now);
        let (budgets, window) = (self.client.budgets(), self.client.window());
        let refusals = budgets.refusals().into_iter().filter(|(_, until)| *until > now).collect();
        let accounts = budgets.accounts();
        let new = ProcessUsage { at: self.said.at, accounts, refusals, rest, graphql, ended: false };
        if new != self.said || self.said.at + window / SIGNS_OF_LIFE <= now || self.said.at > now {
            self.said = ProcessUsage { at: now, ..new };
            self.note(&self.process).put(store, &self.said).await?;
        }
        let (mut processes, mut others) = (1, (0, 0));
        for (process, said) in self.note("").list(store).await? {
            if process == self.process {
                continue;
            }
            // A clock that was ahead may have written the note.
            if said.at + window <= now || said.at > now + window {
                self.note(&process).forget(store).await?;
                continue;
            }
            processes += u32::from(!said.ended && said.at + window / GONE > now);
            others = (others.0 + said.rest, others.1 + said.graphql);
            // A note of a wrong clock, or of a vendor's wrong header, stops no process here.
            for (resource, account) in said.accounts.into_iter().filter(|of| is_credible(of.1.reset, now)) {
                self.client.budgets().report(resource, account, now);
            }
            for (resource, until) in said.refusals {
                self.client.budgets().heard_of_refusal(resource, until, now);
            }
        }
        // Until the next look there may be one more process.
        let is_new = std::mem::take(&mut self.new);
        let processes = processes + u32::from(is_new);
        self.client.share(processes, others, is_new);
        Ok(processes)
    }

    /// Reports that this process no longer uses the credential.
    pub async fn leave(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let now = self.client.clock().now();
        let (rest, graphql) = self.client.spent(now);
        let said = ProcessUsage { at: now, rest, graphql, ended: true, ..std::mem::take(&mut self.said) };
        self.note(&self.process).put(store, &said).await
    }
}
