//! Reads the policy of an organisation, stores its files, and puts a new generation in force after the
//! gate lets it pass.

pub(crate) mod accepted;
pub(crate) mod adoption;
mod affected_keys;
pub(crate) mod authors;
pub(crate) mod commit_states;
pub(crate) mod group_preview;
pub(super) mod mappings;
pub(crate) mod mode_check;
pub(super) mod newest_state;
pub(super) mod pull_request_checks;
pub(crate) mod reconciler;
pub(crate) mod repository;
pub(crate) mod source;
pub(crate) mod store;
