//! How a worker takes messages: it claims the keys that they are for, where they are due, and works them off.

use std::sync::Arc;
use std::time::Duration;

use beadle_engine::store::prelude::*;
use beadle_engine::{Claim, Clock, Key, StoreError, Time, Worker};
use beadle_store_dynamodb::{Due, DynamoStore, Wake as _};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::invocation::{Again, Answer, Record};
use crate::queues::{Message, Queues};

/// What becomes due within this is waited for: messages come a little early, and clocks differ.
const SOON: Duration = Duration::from_secs(2);
/// So long before its end a function begins nothing new.
const LAST_BEGIN: Duration = Duration::from_secs(30);
/// So long before its end it hands back what it has not ended.
const LAST_END: Duration = Duration::from_secs(10);

/// Takes messages.
pub struct WakeHandler {
    /// Works claimed keys off.
    pub worker: Arc<Worker>,
    /// Where the keys are.
    pub store: DynamoStore,
    /// Where messages are sent.
    pub queues: Queues,
    /// Time.
    pub clock: Clock,
}

impl WakeHandler {
    /// Works off what the messages are for. A message is done with when its key's row says how it goes on; delivered again is
    /// only what could not be read or claimed.
    pub async fn take(&self, records: &[Record], deadline: Time) -> Answer {
        let mut again = Vec::new();
        let mut messages: Vec<(&Record, Message)> = Vec::new();
        for record in records {
            match serde_json::from_str::<Message>(&record.body) {
                Ok(message) => messages.push((record, message)),
                Err(error) => {
                    tracing::error!(%error, message = record.message_id, "a message is none of Beadle's");
                    again.push(record);
                }
            }
        }
        let cut = CancellationToken::new();
        let guard = self.cut_at(deadline, &cut);
        // Blocks of what is worked on at once, so that no lease waits for its turn.
        let blocks = messages.chunks(self.worker.settings.concurrency.max(1));
        for (at, block) in blocks.enumerate() {
            let now = self.clock.now();
            // The first is begun however little time a function has: else nothing ever would be.
            if at > 0 && now + LAST_BEGIN >= deadline {
                let due = block.iter().map(|(_, message)| message.clone());
                let due = due.map(|Message { key, lane, at }| Due { key, lane, at }).collect();
                self.queues.wake(due, now).await;
                continue;
            }
            if let Err(error) = self.work(block, &cut).await {
                tracing::error!(%error, messages = block.len(), "keys could not be claimed; their messages come again");
                again.extend(block.iter().map(|(record, _)| *record));
            }
        }
        drop(guard);
        let again = again.iter().map(|record| Again { item_identifier: record.message_id.clone() });
        Answer { batch_item_failures: again.collect() }
    }

    /// Hands back what is not ended by then.
    fn cut_at(&self, deadline: Time, cut: &CancellationToken) -> tokio_util::task::AbortOnDropHandle<()> {
        let (cut, left) = (cut.clone(), deadline.since(self.clock.now()).saturating_sub(LAST_END));
        let clock = self.clock.clone();
        tokio_util::task::AbortOnDropHandle::new(tokio::spawn(async move {
            clock.sleep(left).await;
            cut.cancel();
        }))
    }

    async fn work(&self, block: &[(&Record, Message)], cut: &CancellationToken) -> Result<(), StoreError> {
        let mut keys: Vec<Key> = block.iter().map(|(_, message)| message.key.clone()).collect();
        keys.sort_unstable();
        keys.dedup();
        let latest = block.iter().map(|(_, message)| message.at).max();
        if let Some(wait) = latest.map(|at| at.since(self.clock.now())).filter(|wait| *wait <= SOON) {
            self.clock.sleep(wait).await;
        }
        let tried = self.clock.now();
        let claims = self.store.claim_named(&keys, tried).await?;
        keys.retain(|key| !claims.iter().any(|claim| claim.lease.key == *key));
        let mut running = JoinSet::new();
        self.begin(claims, &mut running, cut);
        if let Err(error) = self.wait_for(keys, tried, &mut running, cut).await {
            tracing::warn!(%error, "what becomes due at once is left to the look of the next minute");
        }
        while running.join_next().await.is_some() {}
        Ok(())
    }

    fn begin(&self, claims: Vec<Claim>, running: &mut JoinSet<()>, cut: &CancellationToken) {
        for claim in claims {
            let (worker, cut) = (self.worker.clone(), cut.clone());
            running.spawn(async move { worker.work(claim, cut).await });
        }
    }

    /// Begins with those of these keys, which could not be claimed at `tried`, that become due at once by this clock; those that
    /// a mark put off are sent for when they are due. The end of what is worked on tells of it.
    async fn wait_for(
        &self,
        mut keys: Vec<Key>,
        mut tried: Time,
        running: &mut JoinSet<()>,
        cut: &CancellationToken,
    ) -> Result<(), StoreError> {
        let last = tried + SOON;
        // Once more also those that could be claimed: somebody may have been at it, or a write have failed.
        let mut is_again = true;
        let mut later = Vec::new();
        while !keys.is_empty() {
            let now = self.clock.now();
            let (mut soon, mut latest) = (Vec::new(), now);
            for key in std::mem::take(&mut keys) {
                let Some(row) = self.store.row(&key).await? else { continue };
                let is_leased = row.lease_until.is_some_and(|until| until > now);
                // One that could be claimed twice is paused.
                let fits = |at: &Time| !is_leased && (is_again || *at > tried);
                let Some(at) = row.due_at().filter(fits) else { continue };
                if at <= last {
                    latest = latest.max(at);
                    soon.push(key);
                } else if row.attempts == 0 && row.run_at == at {
                    // A mark put it off, which nobody is told of; of every other wait the end of its run told.
                    later.push(Due { key, lane: row.lane, at });
                }
            }
            is_again = false;
            if soon.is_empty() {
                break;
            }
            self.clock.sleep(latest.since(now)).await;
            tried = self.clock.now();
            let claims = self.store.claim_named(&soon, tried).await?;
            soon.retain(|key| !claims.iter().any(|claim| claim.lease.key == *key));
            keys = soon;
            self.begin(claims, running, cut);
        }
        self.queues.wake(later, self.clock.now()).await;
        Ok(())
    }
}
