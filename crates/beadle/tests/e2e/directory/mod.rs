//! Tests the real binary with a simulated Okta and a simulated AWS IAM Identity Center.

mod attributes;
mod commands;
mod connected;
mod doubt;
mod gated_limits;
mod gated_mappings;
mod gated_targets;
mod harmless;
#[cfg(feature = "aws")]
mod identity_store;
mod imported;
mod independent;
mod isolation;
mod limits;
mod members;
mod paused;
mod policy_mappings;
mod previews;
mod servers;
mod swapped;
mod teams;
mod unions;
pub(crate) mod world;
