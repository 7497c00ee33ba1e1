//! Opens what the configuration names, and owns it: store, clients, organisations, targets, reconcilers.

pub(crate) mod budget_share;
pub(crate) mod directory;
pub(crate) mod reading;
pub(crate) mod registry;
pub(crate) mod service;
pub(crate) mod store_location;
pub(crate) mod unavailable;
pub(crate) mod wiring;
