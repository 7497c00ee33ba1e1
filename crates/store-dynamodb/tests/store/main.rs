//! The store against moto's DynamoDB, served one request after the other, and behind a proxy that does what moto never does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod between;
mod suite;
mod worked;
