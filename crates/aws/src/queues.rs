//! The two queues, with a message for each key that can be claimed. A worker handles messages of
//! `event` at once. Messages of `sweep` are collected first, so that their runs share reads.
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

/// The maximum delay of a message at SQS.
const LONGEST: Duration = Duration::from_secs(900);
/// The maximum number of messages in one call of SQS.
const BATCH: usize = 10;
/// The number of calls at the same time.
const AT_ONCE: usize = 8;

/// The addresses of the queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Urls {
    /// The queue for events and for requests of operators.
    pub event: String,
    /// The queue for sweeps.
    pub sweep: String,
}

/// The content of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The key that can be claimed.
    pub key: Key,
    /// The lane of the key.
    pub lane: Lane,
    /// The time from which the key can be claimed.
    pub at: Time,
}

/// The queues.
#[derive(Clone)]
pub struct Queues {
    client: Client,
    urls: Urls,
}

impl Queues {
    /// Creates the queues at these addresses. Sends no request yet.
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
            // SQS delays by whole seconds. The worker waits for the rest.
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
            tracing::warn!(keys = due.len(), why, "wake-up message not sent, retrying within a minute");
        }
    }
}

#[async_trait]
impl Wake for Queues {
    async fn wake(&self, due: Vec<Due>, now: Time) {
        // A key with a longer wait gets its message later, from the task of every minute.
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
