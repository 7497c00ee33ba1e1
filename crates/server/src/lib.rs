//! The two HTTP listeners of Beadle: the public listener (webhooks, `/healthz`) and the operator
//! listener (`/readyz`, `/metrics`, `/tasks`, `/reload`). The setup has a third one, for the browser
//! of the operator.

pub mod app_setup;
#[cfg(test)]
mod exchange;
pub mod inflight;
pub mod intake;
pub mod listener;
pub mod metrics;
pub mod operator;
pub mod reloads;
pub mod router_switch;

pub use app_setup::{AppForm, AppSetup, ReturnedCode};
pub use intake::{Intake, IntakeLimits, Senders};
pub use listener::serve;
pub use metrics::Metrics;
pub use operator::Operator;
pub use reloads::{ReloadRequest, Reloads};
pub use router_switch::RouterSwitch;
