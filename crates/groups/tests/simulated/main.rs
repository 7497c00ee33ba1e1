//! Tests of the groups of a simulated directory at a simulated target. Both run in the test's
//! process.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod attributes;
#[path = "../common/mod.rs"]
mod common;
mod gone_accounts;
mod leavers;
mod log_gap;
mod plans;
mod preview;
mod unchanged;
