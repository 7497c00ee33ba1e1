//! The storage that the engine needs: one trait for each part, and [`Store`] for all parts
//! together.
//!
//! Each database has its own implementation of the traits, such as SQLite and DynamoDB. The tests
//! in the module `testing` (feature `testing`) check every implementation. As soon as a call has
//! returned, all data that the call wrote is durable. `now` is the time of the caller's clock, so
//! that tests can set the time.

mod damaged;
mod error;
mod guard;
mod history;
mod hold_list;
mod inbox;
mod journal;
mod listing;
mod maintenance;
mod metadata;
mod queue;
mod row_list;
mod unreadable;

pub use damaged::Damaged;
pub use error::StoreError;
pub use guard::GuardStore;
pub use history::{History, is_called};
pub use hold_list::HoldList;
pub use inbox::{DeliveryRow, Inbox};
pub use journal::Journal;
pub use listing::Listing;
pub use maintenance::{Maintenance, Retention, StoreRecord};
pub use metadata::MetadataStore;
pub use queue::{Depth, Pause, Queue};
pub use row_list::RowList;
pub use unreadable::{json_reason, without_reason};

/// The traits of a store. Code imports the traits if it uses a concrete store type and not `dyn
/// Store`.
pub mod prelude {
    pub use super::{GuardStore, Inbox, Journal, Maintenance, MetadataStore, Queue};
}

/// A store with all parts that the engine needs.
pub trait Store: Inbox + Queue + GuardStore + Journal + MetadataStore + Maintenance {}

impl<T: Inbox + Queue + GuardStore + Journal + MetadataStore + Maintenance> Store for T {}
