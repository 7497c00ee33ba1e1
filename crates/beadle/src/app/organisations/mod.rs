//! Opens the organisations of the configuration, and lists the installations of the App. An
//! installation can add an organisation.

mod installation_list_limits;
pub(crate) mod installation_list_reconciler;
pub(crate) mod installations;
pub(crate) mod open_organisation;
pub(crate) mod served_organisation;
