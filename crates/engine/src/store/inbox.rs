//! The inbox: the durable record of accepted deliveries.

use async_trait::async_trait;
use serde::Serialize;

use super::error::StoreError;
use super::listing::Listing;
use crate::clock::Time;
use crate::delivery::{Accepted, Delivery, Mark};
use crate::key::Key;

/// A delivery as it is listed: without its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeliveryRow {
    /// The hook that received the delivery.
    pub source: String,
    /// The sender's id.
    pub id: String,
    /// The event.
    pub event: String,
    /// The actor that the sender named.
    pub actor: Option<String>,
    /// The configured instance.
    pub instance: String,
    /// The time of arrival.
    pub received: Time,
    /// The keys that the delivery marked.
    pub keys: Vec<Key>,
}

impl DeliveryRow {
    /// Returns the delivery with its body.
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

/// Keeps deliveries.
#[async_trait]
pub trait Inbox: Send + Sync + 'static {
    /// Keeps a delivery and makes its keys due, in one transaction. A known id changes nothing.
    async fn accept(&self, delivery: Delivery, marks: Vec<Mark>) -> Result<Accepted, StoreError>;
    /// Lists deliveries, newest first.
    async fn deliveries(&self, listing: Listing) -> Result<Vec<DeliveryRow>, StoreError>;
    /// Returns the body of a delivery, while it is kept.
    async fn body(&self, source: &str, id: &str) -> Result<Option<Vec<u8>>, StoreError>;
}
