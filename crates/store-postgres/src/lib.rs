//! The engine's storage on PostgreSQL: one schema in one database. Several processes, on several
//! machines, can use the same schema.
//!
//! A transaction loads rows, calls the engine's rules, and writes the rows back, as in the other
//! stores.
//!
//! # Round trips
//!
//! Each call is one query or one transaction. If several small writes of a process wait at the same
//! time, they share a transaction (`writer.rs`). Deliveries and marks are one group, and the
//! reports of runs are another group. If a statement does not need the answer of another statement,
//! the store sends both statements together (`pipeline.rs`).
//!
//! | call | round trips |
//! |---|---|
//! | deliveries and marks, of all callers of a group | 2, and 2 more if a key has no row yet |
//! | a look for due keys that finds none | 1 |
//! | a claim | 3, with the look |
//! | journal entries, renewals and ends of runs, of all callers of a group | 2 |
//!
//! Suppose that the run of a key writes nothing to the vendor. The key then needs 7 round trips
//! from the claim to the end of the run: 3 for the claim, 2 for the entry of the run, and 2 for the
//! end. The key shares these round trips with the keys of the same claim and of the same groups. A
//! new connection needs one more round trip for each statement, to prepare the statement.
//!
//! # Isolation
//!
//! Transactions run at the level `READ COMMITTED` and take explicit locks. The default level of the
//! database does not matter. At this level, each statement sees everything that was committed
//! before the statement began. So after a transaction gets a lock, its next statement sees the
//! changes of the previous lock owner. The level `SERIALIZABLE` would need no locks. But if two
//! transactions read neighbouring entries of an index, this level would cancel one of the
//! transactions. Most claims read neighbouring entries.
//!
//! | lock | taken by | protects |
//! |---|---|---|
//! | the id of a delivery (its index) | new deliveries | two processes do not store one delivery twice |
//! | the row of a key, `FOR UPDATE` | marks, claims by name, renewals, the end of a run, journal entries with a lease | the row between its load and its write |
//! | due rows, `FOR UPDATE SKIP LOCKED` | claims | a claim never waits for another claim, and two claims never get the same key |
//! | the row of a lease, `FOR SHARE` | the guard, if the call has a lease | no worker can take over the key before the call is committed |
//! | the window of an instance (advisory) | every write to a hold or to a reservation | the guard's counts and each hold |
//! | the counter of the journal | every new entry of the journal | the numbers become visible in ascending order, so that a reader that continues after a number misses no entry |
//!
//! A transaction takes these locks in the order of this table. The transaction locks the rows of
//! keys in the order of the keys. So two transactions do not wait for each other. The rows of new
//! keys are an exception, because a group creates them after it has locked the existing rows. If
//! PostgreSQL reports a deadlock or a serialisation failure, the store repeats the transaction, at
//! most five times.
//!
//! A group gives up after one second if another transaction keeps one of its rows locked. The
//! requests of the group then run one by one, so that only the requests for this row wait. These
//! requests wait together, on one connection of each writer.
//!
//! # Rows that cannot be read
//!
//! The error names the row and its table. Beadle neither changes nor deletes the row. A claim skips
//! the row and takes the other keys. A list that a copy of the store or a decision needs must not
//! leave out a row, so an unreadable row makes this list fail. A list of the queue or of the holds
//! for people shows the name of the row instead.
//!
//! # Partitions
//!
//! The journal is partitioned by the numbers of its entries. Pruning creates the next partition and
//! drops old ones (`partitions.rs`).
//!
//! # A server that hangs
//!
//! The server ends statements and lock waits that take too long. The system closes a connection if
//! the other side is gone. If a call still gets no answer, it ends after 75 seconds. The store then
//! replaces all connections that it opened before the end of this call.
//!
//! # Wake-ups
//!
//! If a commit lets a worker claim a key earlier, the store sends `NOTIFY`. A [`PostgresListener`]
//! in each process receives the notification and rings the bell of the worker. The rows alone
//! decide which keys are due, so a lost notification only delays a run until the next regular
//! check. The notification is not part of the transaction, because PostgreSQL commits only one
//! transaction with notifications at a time.

mod address;
mod bodies;
mod copied;
mod failed;
mod guard;
mod hang;
mod holds;
mod inbox;
mod indexes;
mod journal;
mod listener;
mod notes;
mod open;
mod partitions;
mod pauses;
mod pipeline;
mod queue;
mod requests;
mod retry;
mod rows;
mod schema;
mod sql;
mod store;
mod tls;
mod writer;

pub use listener::PostgresListener;
pub use open::{PostgresSettings, PostgresStore};
pub use schema::SchemaVersion;
