//! The inbox: the durable record of accepted deliveries.

use async_trait::async_trait;
use serde::Serialize;

use super::error::StoreError;
use super::listing::Listing;
use crate::clock::Time;
use crate::delivery::{Accepted, Delivery, Mark};
use crate::key::Key;

/// A delivery without its body, for lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeliveryRow {
    /// The sender and the kind of the sender's hook, such as `github` or `okta`.
    pub source: String,
    /// The id that the sender gave to the delivery.
    pub id: String,
    /// The event of the delivery, such as `repository.created`.
    pub event: String,
    /// The person or program that caused the event, as named by the sender of the delivery.
    pub actor: Option<String>,
    /// The configured organisation or directory of the delivery.
    pub instance: String,
    /// The time when Beadle received the delivery.
    pub received: Time,
    /// The keys that the delivery made due.
    pub keys: Vec<Key>,
}

impl DeliveryRow {
    /// Returns the same delivery together with its body.
    pub fn with_body(&self, body: Vec<u8>) -> Delivery {
        Delivery {
            source: self.source.clone(),
            id: self.id.clone(),
            event: self.event.clone(),
            actor: self.actor.clone(),
            instance: self.instance.clone(),
            received: self.received,
            body,
        }
    }
}

/// Stores deliveries.
#[async_trait]
pub trait Inbox: Send + Sync + 'static {
    /// Stores a delivery and makes its keys due, in one transaction. If the id of the delivery is
    /// already stored, the call changes nothing. A key with an unreadable row is skipped. If the
    /// rows of all keys are unreadable, the store keeps nothing and returns an error that names one
    /// of the rows. The sender then sends the delivery again. A store that cannot do all of this in
    /// one transaction keeps the delivery, and later tries again to make its keys due.
    async fn accept(&self, delivery: Delivery, marks: Vec<Mark>) -> Result<Accepted, StoreError>;
    /// Lists deliveries, with the newest delivery first.
    async fn deliveries(&self, listing: Listing) -> Result<Vec<DeliveryRow>, StoreError>;
    /// Returns the body of a delivery; `None` if the body is not stored, or has been deleted.
    async fn body(&self, source: &str, id: &str) -> Result<Option<Vec<u8>>, StoreError>;
}
