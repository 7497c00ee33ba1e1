//! The engine's storage on DynamoDB: one table, one index.
//!
//! | what | `pk` | `sk` | in the index as (`g`, `gs`) |
//! |---|---|---|---|
//! | a key of the queue | `row#KEY` | `row` | `due#LANE#SHARD`, when; or `parked#SHARD`, since |
//! | a delivery | `delivery#SOURCE#ID` | `head` | `delivery#SHARD`, when it came; `unmarked#SHARD` until its keys are marked |
//! | its body, in parts | the same | `body#TOKEN#N` | the first one: `body#SHARD`, when it came |
//! | an entry of the journal | `journal#KEY` | its number | `journal#SHARD`, its number |
//! | an intent without a result | `intent` | its number | |
//! | a hold | `hold` | its digest | `hold#KEY`, its digest |
//! | an instance's window | `window` | the instance | |
//! | notes, pauses, counters | `note`, `pause`, `counter` | the name | |
//!
//! Every change of an item that others may change is a conditional write: it is read (consistently), changed by the engine's
//! pure functions, and written only where its version is the one that was read. A write carries a token of its own, so that
//! one whose answer was lost, and which is tried again, is known to be ours.
//!
//! The store assumes that writes to one item are linearizable, and that a consistent read sees every answered write. The index is
//! eventually consistent: what it leaves out for a moment is found by the next look, and what it shows too long is read
//! consistently before it is claimed. Leases are compared with the caller's clock: clocks that differ by more than a lease's
//! length (60 s) could let two work on one key; every write to a vendor is idempotent, and the lease is checked before it.

mod guard;
mod holds;
mod inbox;
mod items;
mod journal;
mod notes;
mod queue;
mod rows;
mod store;
mod table;
mod wake;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use beadle_engine::Timing;

pub use wake::{Due, Wake};

/// Into so many parts what would be one hot partition of the index is divided.
const SHARDS: u64 = 4;

/// The settings of a store in a table.
#[derive(Clone, Copy, Debug)]
pub struct DynamoSettings {
    /// The timing of the queue.
    pub timing: Timing,
    /// The time for which bodies of deliveries are kept. DynamoDB deletes them after that.
    pub bodies: Duration,
    /// The time for which ids of deliveries are kept.
    pub ids: Duration,
    /// The time for which the journal is kept.
    pub journal: Duration,
}

impl Default for DynamoSettings {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self { timing: Timing::default(), bodies: 8 * DAY, ids: 30 * DAY, journal: 400 * DAY }
    }
}

/// A store in one table.
#[derive(Clone)]
pub struct DynamoStore {
    client: Client,
    table: String,
    settings: DynamoSettings,
    wake: Option<Arc<dyn Wake>>,
}

impl DynamoStore {
    /// A store in this table. Nothing is asked of it yet.
    pub fn new(client: Client, table: &str, settings: DynamoSettings) -> Self {
        Self { client, table: table.to_owned(), settings, wake: None }
    }

    /// The same store, which tells `wake` of what can be claimed.
    #[must_use]
    pub fn telling(self, wake: Arc<dyn Wake>) -> Self {
        Self { wake: Some(wake), ..self }
    }
}
