//! Tests of the store with a real PostgreSQL server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod between;
mod cluster;
mod suite;
mod versions;
