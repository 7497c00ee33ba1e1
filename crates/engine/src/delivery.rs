//! Authenticated webhook requests, and the keys that they mark.

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::key::{Key, Lane};

/// One authenticated webhook request, as the inbox keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The sender and its hook: `github`, `okta`.
    pub source: String,
    /// The sender's id of the delivery. With `source`, it is unique.
    pub id: String,
    /// The sender's name for the event, such as `repository.created`.
    pub event: String,
    /// The actor that the sender names. For the journal only.
    pub actor: Option<String>,
    /// The configured instance; `-` if the delivery names none.
    pub instance: String,
    /// The time of arrival.
    pub received: Time,
    /// The body as received. Request headers are never kept.
    pub body: Vec<u8>,
}

/// A mark: it makes a key due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The key.
    pub key: Key,
    /// The urgency.
    pub lane: Lane,
    /// The vendor's name for a faster lookup, such as GitHub's node id. It is never trusted: each
    /// answer is checked against the key.
    pub hint: Option<String>,
}

impl Mark {
    /// Creates a mark without a hint.
    pub fn new(key: Key, lane: Lane) -> Self {
        Self { key, lane, hint: None }
    }
}

/// The result of accepting a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// The delivery is on disk, and its keys are due.
    Stored,
    /// The id was known already. Nothing was enqueued.
    Duplicate,
}
