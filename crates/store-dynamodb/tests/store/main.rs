//! Tests of the store with moto's DynamoDB. Moto handles one request at a time. A proxy in front of
//! it shows behaviour that DynamoDB is allowed to show and that moto never shows.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod between;
mod suite;
mod unreadable;
mod worked;
