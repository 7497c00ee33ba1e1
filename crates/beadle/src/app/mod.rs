//! Opens and owns the parts that the configuration names: store, clients, organisations, targets,
//! reconcilers.
//!
//! [`application`] is the entry. Every command, `beadle serve` and the worker function on AWS
//! create one [`application::App`] and take their parts from it.

pub(crate) mod application;
pub(crate) mod budget_share;
pub(crate) mod directories;
pub(crate) mod file_reader;
pub(crate) mod github_clients;
pub(crate) mod github_organisation;
pub(crate) mod group_target;
pub(crate) mod okta_client;
pub(crate) mod open_options;
pub(crate) mod partial_targets;
pub(crate) mod reconciler_registry;
pub(crate) mod senders;
pub(crate) mod served_organisation;
pub(crate) mod service;
pub(crate) mod store;
pub(crate) mod store_location;
mod target_connection;
