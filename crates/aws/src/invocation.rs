//! What the worker is invoked with: messages of a queue, or a task by the clock.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the worker is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Messages.
    Messages(Vec<Record>),
    /// What is done once a minute.
    Minute,
}

/// A message, as Lambda hands it over.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Its id: named in the answer where it is to be delivered again.
    pub message_id: String,
    /// What it says.
    pub body: String,
}

/// The answer to messages: those that are to be delivered again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// One for each.
    pub batch_item_failures: Vec<Again>,
}

/// A message that is to be delivered again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Again {
    /// Its id.
    pub item_identifier: String,
}

/// What the worker was invoked with is neither.
#[derive(Debug, thiserror::Error)]
#[error("the worker takes messages of its queues, or {{\"beadle\":\"minute\"}}; this has the keys: {0}")]
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
    fn an_event_is_messages_or_the_minute() {
        let record = json!({ "messageId": "m", "body": "b", "receiptHandle": "r", "eventSource": "aws:sqs" });
        let event = json!({ "Records": [record] });
        let record = Record { message_id: "m".into(), body: "b".into() };
        assert_eq!(Invocation::try_from(event).unwrap(), Invocation::Messages(vec![record]));
        assert_eq!(Invocation::try_from(json!({ "beadle": "minute" })).unwrap(), Invocation::Minute);
        let wrong = Invocation::try_from(json!({ "detail-type": "x" })).unwrap_err().to_string();
        assert!(wrong.contains("detail-type"), "{wrong}");
    }
}
