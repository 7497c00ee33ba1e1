//! Groups of a simulated directory at a simulated target, both in this process.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../common/mod.rs"]
mod common;
mod gone_accounts;
mod leavers;
mod log_gap;
mod plans;
mod unchanged;
