//! Deliveries, which are authenticated webhook requests, and the keys that they make due.

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::key::{Key, Lane};
use crate::trace::TraceContext;

/// One delivery, as the inbox stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The sender and the kind of its hook, such as `github` or `okta`.
    pub source: String,
    /// The id that the sender gave to the delivery. The id is unique together with `source`.
    pub id: String,
    /// The sender's name for the event, such as `repository.created`.
    pub event: String,
    /// The sender's name for the person or program that caused the event. Beadle only writes it to
    /// the journal.
    pub actor: Option<String>,
    /// The configured organisation or directory of the delivery; `-` if the delivery names none.
    pub instance: String,
    /// The time when Beadle received the delivery.
    pub received: Time,
    /// The body, exactly as received. Beadle never stores the headers of the request.
    pub body: Vec<u8>,
}

/// A request to make a key due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The key that becomes due.
    pub key: Key,
    /// The lane that the mark gives to the key.
    pub lane: Lane,
    /// The vendor's name for the thing, such as GitHub's node id. The hint makes the lookup faster.
    /// Beadle never trusts the hint, and checks that each answer belongs to the key.
    pub hint: Option<String>,
    /// The span that made the key due, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
}

impl Mark {
    /// Creates a mark that has no hint.
    pub fn new(key: Key, lane: Lane) -> Self {
        Self { key, lane, hint: None, trace: None }
    }
}

/// What the inbox did with a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// The delivery is stored durably, and its keys are due.
    Stored,
    /// The inbox already knew the id of the delivery. No key became due.
    Duplicate,
}
