//! Opens the organisations of the configuration, and lists the installations of the App. An
//! installation can add an organisation.

pub(crate) mod github;
mod installation_list_limits;
pub(crate) mod installation_reconciler;
pub(crate) mod installations;
pub(crate) mod served_organisation;
