//! The two HTTP listeners of Beadle: the public listener (webhooks, `/healthz`) and the operator
//! listener (`/readyz`, `/metrics`, `/tasks`, `/reload`, the pages and the API). `beadle init` has
//! a third listener, which serves the operator's browser.

pub mod app_setup;
pub mod condition;
#[cfg(test)]
mod documented;
#[cfg(test)]
mod exchange;
pub mod inflight;
pub mod intake;
pub mod listener;
pub mod metrics;
pub mod operator;
pub mod pages;
pub mod reloads;
pub mod router_switch;
pub mod sign_in;

pub use app_setup::{AppForm, AppSetup, ReturnedCode};
pub use condition::{Condition, InstanceCondition};
pub use intake::{Intake, IntakeLimits, Senders};
pub use listener::serve;
pub use metrics::Metrics;
pub use operator::Operator;
pub use pages::{Access, Facts, Live, Pages};
pub use reloads::{ReloadRequest, Reloads};
pub use router_switch::RouterSwitch;
pub use sign_in::SignIn;
