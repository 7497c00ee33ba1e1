//! Simulated vendors for the demo, the tests and the benchmarks. Each has its state as JSON, its limits, faults on demand
//! and a log of calls, below `/_sim/` of its own address.

pub mod github;

pub use github::{APP_ID, APP_SLUG, Fault, Hook, Limits, Settings, Sim, SimError, signature};
