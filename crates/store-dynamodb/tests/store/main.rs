//! The store on moto's DynamoDB, which serves one request after the other, and behind a proxy that
//! does what DynamoDB may do and moto never does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod between;
mod suite;
mod worked;
