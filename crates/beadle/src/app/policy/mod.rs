//! Reads the policy of an organisation, stores its files, and puts a new generation in force after the
//! gate lets it pass.

pub(crate) mod accepted;
pub(crate) mod adoption;
mod affected_keys;
pub(crate) mod authors;
pub(super) mod checks;
pub(crate) mod commit;
pub(crate) mod groups;
pub(super) mod mappings;
pub(super) mod newest;
pub(crate) mod part;
pub(crate) mod reading;
pub(crate) mod refused;
pub(crate) mod source;
pub(crate) mod store;
