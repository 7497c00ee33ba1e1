//! Simulated vendors for the demo, the tests and the benchmarks. Each has its state as JSON, its limits, faults on demand
//! and a log of calls, below `/_sim/` of its own address.

mod faults;
pub mod github;
mod keys;
pub mod okta;
pub mod scim;
mod sim_state;

pub use faults::{Fault, Lie};
pub use github::{APP_ID, APP_SLUG, Hook, Limits, LogLies, Settings, Sim, SimError, signature};
