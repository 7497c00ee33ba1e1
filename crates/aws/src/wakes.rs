//! Handles messages of the queues. Each message contains one key. The handler claims the keys that
//! are due, and runs them.

use std::sync::Arc;
use std::time::Duration;

use beadle_engine::store::prelude::*;
use beadle_engine::{Claim, Clock, Key, StoreError, Time, Worker};
use beadle_store_dynamodb::{Due, DynamoStore, Wake as _};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::invocation::{Again, Answer, Record};
use crate::queues::{Message, Queues};

/// How long the handler waits for a key that is not due yet. A message can arrive too early, and
/// clocks can differ.
const SOON: Duration = Duration::from_secs(2);
/// If less than this time remains before Lambda stops the function, the handler begins no further
/// block of keys.
const LAST_BEGIN: Duration = Duration::from_secs(30);
/// When only this time remains before Lambda stops the function, the handler returns unfinished
/// keys to the queue.
const LAST_END: Duration = Duration::from_secs(10);

/// Handles messages of the queues.
pub struct WakeHandler {
    /// The worker that runs the claimed keys.
    pub worker: Arc<Worker>,
    /// The store that contains the queue of keys.
    pub store: DynamoStore,
    /// The queues that get further messages from the handler.
    pub queues: Queues,
    /// The source of the current time.
    pub clock: Clock,
}

impl WakeHandler {
    /// Runs the keys of the messages. Returns the messages that the queue must deliver again. These
    /// are the messages that the handler could not parse, and the messages whose key it could not
    /// claim because of an error. The queue can delete all other messages, because the row of each
    /// key contains the time of its next run.
    pub async fn take(&self, records: &[Record], deadline: Time) -> Answer {
        let mut again = Vec::new();
        let mut messages: Vec<(&Record, Message)> = Vec::new();
        for record in records {
            match serde_json::from_str::<Message>(&record.body) {
                Ok(message) => messages.push((record, message)),
                Err(error) => {
                    tracing::error!(%error, message = record.message_id, "SQS message cannot be parsed, SQS delivers the message again");
                    again.push(record);
                }
            }
        }
        let cut = CancellationToken::new();
        let guard = self.cut_at(deadline, &cut);
        // A block contains only as many keys as can run at the same time. In a larger block, the
        // lease of a claimed key could end before the run of the key begins.
        let blocks = messages.chunks(self.worker.settings.concurrency.max(1));
        for (at, block) in blocks.enumerate() {
            let now = self.clock.now();
            // The handler always begins the first block. Otherwise, a function with a short time
            // limit would never run a key.
            if at > 0 && now + LAST_BEGIN >= deadline {
                let due = block.iter().map(|(_, message)| message.clone());
                let due = due.map(|Message { key, lane, at }| Due { key, lane, at }).collect();
                self.queues.wake(due, now).await;
                continue;
            }
            if let Err(error) = self.work(block, &cut).await {
                tracing::error!(%error, messages = block.len(), "store error, the keys of these messages are not claimed and SQS delivers the messages again");
                again.extend(block.iter().map(|(record, _)| *record));
            }
        }
        drop(guard);
        let again = again.iter().map(|record| Again { item_identifier: record.message_id.clone() });
        Answer { batch_item_failures: again.collect() }
    }

    /// Waits until shortly before the deadline, and then returns unfinished keys to the queue.
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
            tracing::warn!(%error, "some keys not claimed, retrying within a minute");
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

    /// Takes care of the keys that could not be claimed at the time `tried`. If a key becomes due
    /// soon, the handler waits and claims it. If a new mark has delayed a key for longer than this
    /// wait, the handler sends a message for the later time. All other keys get their message when
    /// their current run ends.
    async fn wait_for(
        &self,
        mut keys: Vec<Key>,
        mut tried: Time,
        running: &mut JoinSet<()>,
        cut: &CancellationToken,
    ) -> Result<(), StoreError> {
        let last = tried + SOON;
        // In the first round, the handler tries again to claim all keys, even keys that were
        // already due. At the first try, another worker might have had the key, or the claim might
        // have failed.
        let mut is_again = true;
        let mut later = Vec::new();
        while !keys.is_empty() {
            let now = self.clock.now();
            let (mut soon, mut latest) = (Vec::new(), now);
            for key in std::mem::take(&mut keys) {
                let Some(row) = self.store.row(&key).await? else { continue };
                let is_leased = row.lease_until.is_some_and(|until| until > now);
                // A due key that could not be claimed in two tries is paused. The handler does not
                // try a third time.
                let fits = |at: &Time| !is_leased && (is_again || *at > tried);
                let Some(at) = row.due_at().filter(fits) else { continue };
                if at <= last {
                    latest = latest.max(at);
                    soon.push(key);
                } else if row.attempts == 0 && row.run_at == at {
                    // A mark has delayed this key, and no run will send a message for the key. In
                    // all other cases, the last run of the key has already sent the message.
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
