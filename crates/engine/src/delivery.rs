//! Authenticated webhook requests, and what they mark.

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::key::{Key, Lane};

/// One authenticated webhook request, as it is kept in the inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Who sent it, and to which hook: `github`, `okta`.
    pub source: String,
    /// The id its sender gave it; together with `source` it is unique.
    pub id: String,
    /// The sender's name for the event, such as `repository.created`.
    pub event: String,
    /// Who caused it, as the sender says. For the journal only.
    pub actor: Option<String>,
    /// The configured instance it belongs to; `-` where it names none.
    pub instance: String,
    /// When it was received.
    pub received: Time,
    /// The body as received. Request headers are never kept.
    pub body: Vec<u8>,
}

/// A key made due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// What is due.
    pub key: Key,
    /// How urgently.
    pub lane: Lane,
    /// Where to look it up faster, as the vendor calls it (GitHub's node id). Never trusted: what is read is checked
    /// against the key.
    pub hint: Option<String>,
}

impl Mark {
    /// A mark without a hint.
    pub fn new(key: Key, lane: Lane) -> Self {
        Self { key, lane, hint: None }
    }
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is on disk, and its keys are due.
    Stored,
    /// Its id was known already; nothing was enqueued.
    Duplicate,
}
