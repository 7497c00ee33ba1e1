//! The events that make AWS invoke the worker: messages of a queue, or the schedule that runs every
//! minute.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The task of the worker in one invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Handle these messages of a queue.
    Messages(Vec<Record>),
    /// Do the work that is due every minute.
    Minute,
}

/// A message of a queue, in Lambda's format.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The id of the message. If the queue must deliver the message again, the answer contains this
    /// id.
    pub message_id: String,
    /// The text of the message.
    pub body: String,
}

/// The answer of the function. The answer lists the messages that the queue must deliver again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The messages that the queue must deliver again.
    pub batch_item_failures: Vec<Again>,
}

/// A message that must be delivered again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Again {
    /// The id of the message.
    pub item_identifier: String,
}

/// The error for an event that is neither a list of messages nor the schedule.
#[derive(Debug, thiserror::Error)]
#[error(
    "invalid event: it must be messages of a queue or {{\"beadle\":\"minute\"}}, found an event with the keys: {0}"
)]
pub struct Unknown(String);

impl TryFrom<Value> for Invocation {
    type Error = Unknown;

    fn try_from(event: Value) -> Result<Self, Unknown> {
        if event["beadle"] == "minute" {
            return Ok(Self::Minute);
        }
        if let Ok(records) = Vec::<Record>::deserialize(&event["Records"]) {
            return Ok(Self::Messages(records));
        }
        let keys = event.as_object().map(|event| event.keys().cloned().collect::<Vec<_>>().join(", "));
        Err(Unknown(keys.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_must_be_messages_or_the_schedule_of_every_minute() {
        let record = json!({ "messageId": "m", "body": "b", "receiptHandle": "r", "eventSource": "aws:sqs" });
        let event = json!({ "Records": [record] });
        let record = Record { message_id: "m".into(), body: "b".into() };
        assert_eq!(Invocation::try_from(event).unwrap(), Invocation::Messages(vec![record]));
        assert_eq!(Invocation::try_from(json!({ "beadle": "minute" })).unwrap(), Invocation::Minute);
        let wrong = Invocation::try_from(json!({ "detail-type": "x" })).unwrap_err().to_string();
        assert!(wrong.contains("detail-type"), "{wrong}");
    }
}
