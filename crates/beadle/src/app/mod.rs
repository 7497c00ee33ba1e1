//! Opens and owns the configured parts: store, clients, organisations, targets and reconcilers.
//!
//! [`application`] is the module to read first. Every command, `beadle serve` and the worker
//! function on AWS create one [`application::App`], and get the other parts from this application.
//! Each folder is one aspect of the application, and its `mod.rs` describes the aspect.

pub(crate) mod application;
pub(crate) mod connections;
pub(crate) mod file_timeout;
pub(crate) mod gate;
pub(crate) mod groups;
pub(crate) mod operations;
pub(crate) mod organisations;
pub(crate) mod pages;
pub(crate) mod policy;
pub(crate) mod service;
pub(crate) mod sign_in;
pub(crate) mod store;
