//! Lets several processes share one credential. Each process stores a report for the other
//! processes: how much of the budget it used, and which refusals it got. So two service processes,
//! or the shards of a sweep, stay within the limits together.

use std::time::Duration;

use beadle_engine::budget::is_credible;
use beadle_engine::{BudgetAccount, Metadata, Note, Resource, Store, StoreError, Time};
use serde::{Deserialize, Serialize};

use crate::Client;

/// How often a process reads the reports of the other processes.
pub const LOOK: Duration = Duration::from_secs(1);
/// If a process writes no report for a quarter of the period, the other processes assume that the
/// process has ended. The constant is the divisor of the period.
const GONE: u32 = 4;
/// How many times within a period a process repeats a report that has not changed.
const SIGNS_OF_LIFE: u32 = 12;

/// The report of one process about its use of a credential. The other processes read this report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProcessUsage {
    /// The time when the process wrote the report.
    pub at: Time,
    /// The vendor's accounts, with the figures of the last answers.
    pub accounts: Vec<(Resource, BudgetAccount)>,
    /// The accounts that the vendor refused, each with the end of the refusal.
    pub refusals: Vec<(Resource, Time)>,
    /// The points that the process used for REST requests within the period.
    pub rest: u32,
    /// The points that the process used for GraphQL requests within the period.
    pub graphql: u32,
    /// The number of requests that created content within 60 periods.
    #[serde(default)]
    pub created: u32,
    /// True if the process has ended. The points that the process used still count until the period
    /// is over.
    pub ended: bool,
}

impl Metadata for ProcessUsage {
    const KIND: &'static str = "process";
}

impl ProcessUsage {
    /// Returns the note that stores the report of a process. If `process` is empty, the note's name
    /// is the prefix of the reports of all processes.
    pub fn note(credential: &str, process: &str) -> Note<Self> {
        Note::of(&[credential, process])
    }
}

/// Reports the usage of this process to the other processes, and reads their reports.
pub struct Sharing {
    client: Client,
    /// The name of this process. Each process gets a new name, and the name is not a secret.
    process: String,
    said: ProcessUsage,
    /// True if this process has not reported yet. Another process might be starting at the same
    /// moment. The two processes then do not know of each other.
    new: bool,
}

impl Sharing {
    /// Creates the exchange of reports for a client. `process` is the name of this process.
    pub fn new(client: Client, process: &str) -> Self {
        Self { client, process: process.to_owned(), said: ProcessUsage::default(), new: true }
    }

    /// Returns the note that stores the report of a process that uses the same credential.
    fn note(&self, process: &str) -> Note<ProcessUsage> {
        ProcessUsage::note(self.client.budgets().credential(), process)
    }

    /// Writes the report of this process, and reads the reports of the other processes. Returns the
    /// number of processes that use the credential.
    pub async fn look(&mut self, store: &dyn Store) -> Result<u32, StoreError> {
        let now = self.client.clock().now();
        let (rest, graphql) = self.client.spent(now);
        let (budgets, window) = (self.client.budgets(), self.client.window());
        let refusals = budgets.refusals().into_iter().filter(|(_, until)| *until > now).collect();
        let accounts = budgets.accounts();
        let created = self.client.created(now);
        let new = ProcessUsage { at: self.said.at, accounts, refusals, rest, graphql, created, ended: false };
        if new != self.said || self.said.at + window / SIGNS_OF_LIFE <= now || self.said.at > now {
            self.said = ProcessUsage { at: now, ..new };
            self.note(&self.process).put(store, &self.said).await?;
        }
        let (mut processes, mut others, mut created) = (1, (0, 0), 0);
        for (process, said) in self.note("").list(store).await? {
            if process == self.process {
                continue;
            }
            let counts_for = if said.created > 0 { self.client.hour() } else { window };
            // The report is old, or its time is far in the future because a clock was ahead.
            if said.at + counts_for <= now || said.at > now + window {
                self.note(&process).forget(store).await?;
                continue;
            }
            created = said.created.saturating_add(created);
            if said.at + window <= now {
                continue;
            }
            processes += u32::from(!said.ended && said.at + window / GONE > now);
            others = (others.0 + said.rest, others.1 + said.graphql);
            // A figure that is not credible comes from a wrong clock or a wrong header. This figure
            // must not stop this process.
            for (resource, account) in said.accounts.into_iter().filter(|of| is_credible(of.1.reset, now)) {
                self.client.budgets().report(resource, account, now);
            }
            for (resource, until) in said.refusals {
                self.client.budgets().heard_of_refusal(resource, until, now);
            }
        }
        // One more process might have started and not reported yet, so the first read adds one
        // process.
        let is_new = std::mem::take(&mut self.new);
        let processes = processes + u32::from(is_new);
        self.client.share(processes, others, created, is_new);
        Ok(processes)
    }

    /// Reports that this process no longer uses the credential.
    pub async fn leave(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let now = self.client.clock().now();
        let (rest, graphql) = self.client.spent(now);
        let created = self.client.created(now);
        let said = std::mem::take(&mut self.said);
        let said = ProcessUsage { at: now, rest, graphql, created, ended: true, ..said };
        self.note(&self.process).put(store, &said).await
    }
}
