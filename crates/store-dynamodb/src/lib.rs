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
//! If several processes can change an item, each change is a conditional write. The store reads the
//! item consistently and changes it with the engine's pure functions. The store then writes the
//! item only if the version in the table has not changed since the read. Each write has a unique
//! token. If the answer to a write is lost, the store repeats the write. The store then recognises
//! the first write by the token.
//!
//! The store assumes two facts: writes to one item are linearizable, and a consistent read sees
//! every write that DynamoDB has confirmed. The index is eventually consistent. If an entry is
//! missing in the index, a later read of the index finds the entry. Before the store claims a key,
//! it reads the row of the key consistently. The store compares leases with the clock of the
//! caller. If clocks differ by more than the duration of a lease (60 s), two workers could work on
//! one key. The worst result is a repeated write. Every write to a vendor is idempotent, and the
//! store checks the lease before each write.

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
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use beadle_engine::Timing;
use beadle_engine::store::Damaged;

pub use wake::{Due, Wake};

/// The number of parts of each list in the index. If a list had only one part, its partition would
/// get too many requests.
const SHARDS: u64 = 4;

/// The settings of a store in one table.
#[derive(Clone, Copy, Debug)]
pub struct DynamoSettings {
    /// The durations that the queue uses.
    pub timing: Timing,
    /// How long the bodies of deliveries are kept. After that time, DynamoDB deletes the bodies.
    pub bodies: Duration,
    /// How long the ids of deliveries are kept.
    pub ids: Duration,
    /// How long the entries of the journal are kept.
    pub journal: Duration,
}

impl Default for DynamoSettings {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self { timing: Timing::default(), bodies: 8 * DAY, ids: 30 * DAY, journal: 400 * DAY }
    }
}

/// A store that keeps all data in one table.
#[derive(Clone)]
pub struct DynamoStore {
    client: Client,
    table: String,
    settings: DynamoSettings,
    wake: Option<Arc<dyn Wake>>,
    damaged: Arc<Damaged>,
    /// True if the role has no permission to read several items with one request.
    reads_each: Arc<AtomicBool>,
}

impl DynamoStore {
    /// Creates a store that uses this table. The function sends no request.
    pub fn new(client: Client, table: &str, settings: DynamoSettings) -> Self {
        let (damaged, reads_each) = (Arc::default(), Arc::default());
        Self { client, table: table.to_owned(), settings, wake: None, damaged, reads_each }
    }

    /// Sets `wake`, and returns the store. The store then tells `wake` which keys can be claimed.
    #[must_use]
    pub fn with_wake(self, wake: Arc<dyn Wake>) -> Self {
        Self { wake: Some(wake), ..self }
    }
}
