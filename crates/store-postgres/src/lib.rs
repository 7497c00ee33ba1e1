//! The engine's storage on PostgreSQL: one schema in one database. Several processes, on several
//! machines, can use the same schema.
//!
//! Each call is one query or one transaction. A transaction loads rows, calls the engine's rules,
//! and writes the rows back, as in the other stores.
//!
//! # Isolation
//!
//! Transactions run at the level `READ COMMITTED`, whatever the default of the database is, and
//! take explicit locks. At this level, each statement sees everything that was committed before the
//! statement began. A statement that follows a lock therefore sees the changes of the transaction
//! that had the lock before. The level `SERIALIZABLE` would need no locks, but it would cancel one
//! of two transactions that read neighbouring entries of an index, and most claims do.
//!
//! | lock | taken by | protects |
//! |---|---|---|
//! | the row of a key, `FOR UPDATE` | marks, claims by name, renewals, the end of a run | the row between its load and its write |
//! | due rows, `FOR UPDATE SKIP LOCKED` | claims | a claim never waits for another claim, and two claims never get the same key |
//! | the row of a lease, `FOR SHARE` | the guard and the journal, if the call has a lease | no worker can take over the key before the call is committed |
//! | the window of an instance (advisory) | every write to a hold or to a reservation | the guard's counts and each hold |
//! | the counter of the journal | every new entry of the journal | the numbers become visible in ascending order, so that a reader that continues after a number misses no entry |
//!
//! A transaction takes these locks in the order of the table, and rows of keys in the order of the
//! keys. Two transactions therefore do not wait for each other. If PostgreSQL reports a deadlock or
//! a serialisation failure anyway, the store repeats the transaction, at most five times.
//!
//! # Partitions
//!
//! The journal is partitioned by the numbers of its entries. Pruning creates the next partition and
//! drops old ones (`partitions.rs`).
//!
//! # A server that hangs
//!
//! The server ends statements and lock waits that take too long. The system closes connections whose
//! other side is gone. A call that gets no answer anyway ends after 75 seconds, and the connections of
//! this time are replaced.
//!
//! # Wake-ups
//!
//! After a commit that made a key claimable earlier, the store sends `NOTIFY`. A
//! [`PostgresListener`] in each process receives it and rings the bell of the worker. The rows alone
//! decide which keys are due, so a lost notification only delays a run until the next regular look.
//! The notification is not part of the transaction: PostgreSQL lets only one transaction at a time
//! commit while it sends a notification.

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
mod queue;
mod retry;
mod rows;
mod schema;
mod sql;
mod store;
mod tls;

pub use listener::PostgresListener;
pub use open::{PostgresSettings, PostgresStore};
pub use schema::SchemaVersion;
