//! Tests of the store with moto's DynamoDB. Moto handles one request at a time. Some behaviour is
//! allowed for DynamoDB, but moto never shows it. A proxy between the store and moto simulates this
//! behaviour.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod between;
mod suite;
mod unreadable;
mod worked;
