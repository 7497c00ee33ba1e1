//! Processes that use one credential tell each other, through the store, what they spend and what they were refused. Two
//! service processes, or the shards of a sweep, stay under one limit together.

use std::time::Duration;

use beadle_engine::budget::is_credible;
use beadle_engine::{BudgetAccount, Resource, Store, StoreError, Time, note};
use serde::{Deserialize, Serialize};

use crate::Client;

/// How often a process looks at what the others say.
pub const LOOK: Duration = Duration::from_secs(1);
/// A process that said nothing for a quarter of the window is gone.
const GONE: u32 = 4;
/// So many times in a window a process says something, also when nothing changed.
const SIGNS_OF_LIFE: u32 = 12;

/// What a process says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Said {
    at: Time,
    accounts: Vec<(Resource, BudgetAccount)>,
    refusals: Vec<(Resource, Time)>,
    /// Points spent in the window.
    rest: u32,
    graphql: u32,
    /// It has ended; what it spent counts until the window is over.
    ended: bool,
}

/// One process among those that use a credential.
pub struct Sharing {
    client: Client,
    /// Names its note; it is no secret, and new with every process.
    name: String,
    prefix: String,
    said: Said,
    /// Nobody can have seen this process yet: another may be beginning at the same moment.
    new: bool,
}

impl Sharing {
    /// For a client, in a process that is called `process` among the others.
    pub fn new(client: Client, process: &str) -> Self {
        let prefix = note("process", &[client.budgets().credential(), ""]);
        Self { client, name: format!("{prefix}{process}"), prefix, said: Said::default(), new: true }
    }

    /// Says what this process spent, and heeds what the others did. Gives how many processes there are.
    pub async fn look(&mut self, store: &dyn Store) -> Result<u32, StoreError> {
        let now = self.client.clock().now();
        let (rest, graphql) = self.client.spent(now);
        let (budgets, window) = (self.client.budgets(), self.client.window());
        let refusals = budgets.refusals().into_iter().filter(|(_, until)| *until > now).collect();
        let accounts = budgets.accounts();
        let new = Said { at: self.said.at, accounts, refusals, rest, graphql, ended: false };
        if new != self.said || self.said.at + window / SIGNS_OF_LIFE <= now || self.said.at > now {
            self.said = Said { at: now, ..new };
            let text = serde_json::to_string(&self.said).unwrap_or_default();
            store.put(&self.name, &text).await?;
        }
        let (mut processes, mut others) = (1, (0, 0));
        for (name, text) in store.notes(&self.prefix).await? {
            let Ok(said) = serde_json::from_str::<Said>(&text) else { continue };
            if name == self.name {
                continue;
            }
            // A clock that was ahead may have written it.
            if said.at + window <= now || said.at > now + window {
                store.forget(&name).await?;
                continue;
            }
            processes += u32::from(!said.ended && said.at + window / GONE > now);
            others = (others.0 + said.rest, others.1 + said.graphql);
            // A note of a wrong clock, or of a vendor's wrong header, stops nobody here.
            for (resource, account) in said.accounts.into_iter().filter(|of| is_credible(of.1.reset, now)) {
                self.client.budgets().report(resource, account, now);
            }
            for (resource, until) in said.refusals {
                self.client.budgets().heard_of_refusal(resource, until, now);
            }
        }
        // Until the next look there may be one more.
        let is_new = std::mem::take(&mut self.new);
        let processes = processes + u32::from(is_new);
        self.client.share(processes, others, is_new);
        Ok(processes)
    }

    /// This process uses the credential no longer.
    pub async fn leave(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let now = self.client.clock().now();
        let (rest, graphql) = self.client.spent(now);
        let said = Said { at: now, rest, graphql, ended: true, ..std::mem::take(&mut self.said) };
        store.put(&self.name, &serde_json::to_string(&said).unwrap_or_default()).await
    }
}
