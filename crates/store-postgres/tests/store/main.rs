//! Tests of the store with a real PostgreSQL server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod between;
mod cluster;
mod damaged;
mod groups;
mod suite;
mod versions;
