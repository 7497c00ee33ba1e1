//! Sends the messages of a queue to a function, as Lambda's event source mapping does. The pump
//! emulates batches, batching windows, concurrent invocations and partial failures. If the pump
//! does not delete a message, the queue delivers the message again after the visibility timeout of
//! the message.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html>

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::{Invoked, Lambdas};

/// The settings of a pump: a queue, and the function that gets its messages.
#[derive(Clone, Debug)]
pub struct Source {
    /// The address of the queue.
    pub queue: String,
    /// The name of the function.
    pub function: String,
    /// The maximum number of messages in one invocation.
    pub batch: usize,
    /// How long the pump collects messages for one invocation.
    pub window: Duration,
    /// The maximum number of concurrent invocations.
    pub concurrency: usize,
}

/// A running pump. The pump stops when this value is dropped.
pub struct Pump(JoinHandle<()>);

impl Drop for Pump {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Pump {
    /// Starts a pump.
    pub fn start(client: Client, lambdas: Arc<Lambdas>, source: Source) -> Self {
        Self(tokio::spawn(async move {
            let turns = Arc::new(Semaphore::new(source.concurrency));
            loop {
                let turn = turns.clone().acquire_owned().await.unwrap();
                let batch = gather(&client, &source).await;
                if batch.is_empty() {
                    continue;
                }
                let (client, lambdas, source) = (client.clone(), lambdas.clone(), source.clone());
                tokio::spawn(async move {
                    feed(&client, &lambdas, &source, batch).await;
                    drop(turn);
                });
            }
        }))
    }
}

/// Returns a batch of messages. The batch ends when it is full, or when the batching window after
/// the first message is over.
async fn gather(client: &Client, source: &Source) -> Vec<Message> {
    let mut batch: Vec<Message> = Vec::new();
    let mut until: Option<Instant> = None;
    while batch.len() < source.batch && until.is_none_or(|until| Instant::now() < until) {
        let wanted = i32::try_from((source.batch - batch.len()).min(10)).unwrap();
        let asked = client.receive_message().queue_url(&source.queue).max_number_of_messages(wanted);
        let received = asked.wait_time_seconds(0).send().await;
        let mut messages = received.ok().and_then(|received| received.messages).unwrap_or_default();
        if messages.is_empty() {
            if until.is_none_or(|until| until <= Instant::now()) && !batch.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            if batch.is_empty() {
                return batch;
            }
            continue;
        }
        until = until.or_else(|| Some(Instant::now() + source.window));
        batch.append(&mut messages);
        if source.window.is_zero() {
            break;
        }
    }
    batch
}

async fn feed(client: &Client, lambdas: &Lambdas, source: &Source, batch: Vec<Message>) {
    let records: Vec<Value> = batch
        .iter()
        .map(|message| {
            json!({
                "messageId": message.message_id, "receiptHandle": message.receipt_handle, "body": message.body,
                "attributes": {}, "messageAttributes": {}, "md5OfBody": message.md5_of_body,
                "eventSource": "aws:sqs", "eventSourceARN": source.queue, "awsRegion": crate::moto::REGION,
            })
        })
        .collect();
    let answer = match lambdas.invoke(&source.function, &json!({ "Records": records })).await {
        Invoked::Answer(answer) => answer,
        // The pump deletes no message, so the queue delivers the whole batch again.
        Invoked::Failed(_) => return,
    };
    let failures = answer["batchItemFailures"].as_array().cloned().unwrap_or_default();
    let again: HashSet<&str> =
        failures.iter().filter_map(|failure| failure["itemIdentifier"].as_str()).collect();
    let known: HashSet<&str> = batch.iter().filter_map(Message::message_id).collect();
    if again.len() < failures.len() || !again.is_subset(&known) {
        // If an answer has an empty or unknown id, Lambda treats the whole batch as failed.
        return;
    }
    let done: Vec<&Message> =
        batch.iter().filter(|message| !again.contains(message.message_id().unwrap_or_default())).collect();
    for some in done.chunks(10) {
        let entries = some.iter().enumerate().map(|(at, message)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(at.to_string());
            entry.receipt_handle(message.receipt_handle().unwrap_or_default()).build().unwrap()
        });
        let entries = Some(entries.collect());
        // If the pump does not delete a message, the queue delivers the message again.
        let _ = client.delete_message_batch().queue_url(&source.queue).set_entries(entries).send().await;
    }
}
