//! The two queues: a message for each key that can be claimed. `event` is worked on at once; messages of `sweep` are gathered,
//! so that reads are shared.
//!
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use beadle_engine::{Key, Lane, Time};
use beadle_store_dynamodb::{Due, Wake};
use futures::future::join_all;
use serde::{Deserialize, Serialize};

/// SQS holds no message back for longer.
const LONGEST: Duration = Duration::from_secs(900);
/// SQS takes so many messages in one call.
const BATCH: usize = 10;
/// Calls at once.
const AT_ONCE: usize = 8;

/// Where the queues are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Urls {
    /// For events, and what operators asked for.
    pub event: String,
    /// For sweeps.
    pub sweep: String,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// What can be claimed.
    pub key: Key,
    /// How urgent it is.
    pub lane: Lane,
    /// From when on.
    pub at: Time,
}

/// The queues.
#[derive(Clone)]
pub struct Queues {
    client: Client,
    urls: Urls,
}

impl Queues {
    /// The queues at these addresses. Nothing is asked of them yet.
    pub fn new(client: Client, urls: Urls) -> Self {
        Self { client, urls }
    }

    fn url(&self, lane: Lane) -> &str {
        match lane {
            Lane::Event | Lane::Manual => &self.urls.event,
            Lane::Sweep => &self.urls.sweep,
        }
    }

    async fn send(&self, url: &str, due: &[Due], now: Time) {
        let mut entries = Vec::with_capacity(due.len());
        for (at, due) in due.iter().enumerate() {
            let message = Message { key: due.key.clone(), lane: due.lane, at: due.at };
            let body = serde_json::to_string(&message).unwrap_or_default();
            // Whole seconds; what is left of one the worker waits.
            let delay = i32::try_from(due.at.since(now).as_secs()).unwrap_or(i32::MAX);
            let entry = SendMessageBatchRequestEntry::builder().id(at.to_string()).message_body(body);
            entries.extend(entry.delay_seconds(delay).build());
        }
        let sent = self.client.send_message_batch().queue_url(url).set_entries(Some(entries)).send().await;
        let unsent = match &sent {
            Ok(sent) => sent.failed().first().map(|failed| failed.code().to_owned()),
            Err(error) => Some(aws_sdk_sqs::error::DisplayErrorContext(error).to_string()),
        };
        if let Some(why) = unsent {
            tracing::warn!(
                keys = due.len(),
                why,
                "a worker could not be woken; the look of the next minute will"
            );
        }
    }
}

#[async_trait]
impl Wake for Queues {
    async fn wake(&self, due: Vec<Due>, now: Time) {
        // What is held for longer is sent for when it is nearer.
        let (events, sweeps): (Vec<Due>, Vec<Due>) = due
            .into_iter()
            .filter(|due| due.at.since(now) <= LONGEST)
            .partition(|due| due.lane != Lane::Sweep);
        for (lane, due) in [(Lane::Event, events), (Lane::Sweep, sweeps)] {
            let batches: Vec<&[Due]> = due.chunks(BATCH).collect();
            for some in batches.chunks(AT_ONCE) {
                join_all(some.iter().map(|batch| self.send(self.url(lane), batch, now))).await;
            }
        }
    }
}
