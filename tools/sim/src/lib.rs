//! Simulated vendors for the demo, the tests and the benchmarks. Each has a state as JSON, limits,
//! faults on demand, and a log of calls. The paths of their control begin with `/_sim/`.

mod faults;
pub mod github;
mod keys;
pub mod okta;
pub mod scim;
mod sim_state;

pub use faults::{Fault, Lie};
pub use github::{APP_ID, APP_SLUG, Hook, Limits, LogLies, Settings, Sim, SimError, signature};
