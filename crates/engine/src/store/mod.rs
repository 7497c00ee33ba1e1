//! The engine's storage: one trait for each part, and [`Store`] for all of them.
//!
//! SQLite, DynamoDB and PostgreSQL are implementations. The suite in the module `testing` (feature
//! `testing`) holds them to the traits. Every write is durable when it returns. `now` is the
//! caller's clock, so that tests can set it.

mod error;
mod guard;
mod inbox;
mod journal;
mod listing;
mod maintenance;
mod metadata;
mod queue;

pub use error::StoreError;
pub use guard::GuardStore;
pub use inbox::{DeliveryRow, Inbox};
pub use journal::Journal;
pub use listing::Listing;
pub use maintenance::{Maintenance, Retention, StoreRecord};
pub use metadata::MetadataStore;
pub use queue::{Depth, Pause, Queue};

/// The traits of a store, for callers that hold a store by its type and not as `dyn Store`.
pub mod prelude {
    pub use super::{GuardStore, Inbox, Journal, Maintenance, MetadataStore, Queue};
}

/// Everything that the engine needs stored.
pub trait Store: Inbox + Queue + GuardStore + Journal + MetadataStore + Maintenance {}

impl<T: Inbox + Queue + GuardStore + Journal + MetadataStore + Maintenance> Store for T {}
