//! Simulated vendors for the demo, the tests and the benchmarks. Each has a state in JSON, rate
//! limits, faults that a test can inject, and a log of calls. The paths of the control calls begin
//! with `/_sim/`.

mod faults;
pub mod github;
mod keys;
mod oidc;
pub mod okta;
pub mod scim;
mod sim_state;
pub mod storm;
mod webhook_client;

pub use faults::{Fault, Lie};
pub use github::{APP_ID, APP_SLUG, Hook, Limits, LogLies, Settings, Sim, SimError, signature};
pub use oidc::{OidcClient, OidcSim};
