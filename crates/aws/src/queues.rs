//! Sends messages to the two SQS queues. Each message contains a key that a worker can claim. A
//! worker gets messages of the queue `event` immediately. SQS collects messages of the queue
//! `sweep` for a short time, so that one worker gets several messages and can combine the reads of
//! their keys.
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

/// The maximum time that SQS can delay a message.
const LONGEST: Duration = Duration::from_secs(900);
/// The maximum number of messages that one call can send to SQS.
const BATCH: usize = 10;
/// The maximum number of calls that are in progress at the same time.
const AT_ONCE: usize = 8;

/// The addresses of the two queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Urls {
    /// The queue for the lanes `event` and `manual`.
    pub event: String,
    /// The queue for the lane `sweep`.
    pub sweep: String,
}

/// The content of a message, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The key that a worker can claim.
    pub key: Key,
    /// The lane in which the key is due.
    pub lane: Lane,
    /// The earliest time at which a worker can claim the key.
    pub at: Time,
}

/// Sends messages to the two queues.
#[derive(Clone)]
pub struct Queues {
    client: Client,
    urls: Urls,
}

impl Queues {
    /// Creates a sender for the queues at these addresses. The function sends no request.
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
            // SQS can delay a message only by whole seconds. The worker waits for the remaining
            // fraction of a second.
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
                "SQS message for due keys not sent, retrying within a minute"
            );
        }
    }
}

#[async_trait]
impl Wake for Queues {
    async fn wake(&self, due: Vec<Due>, now: Time) {
        // SQS can delay a message for 15 minutes at most. If a key becomes due later than that, the
        // task that runs every minute sends the message later.
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
