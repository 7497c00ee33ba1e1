//! Opens the clients of GitHub, Okta and the targets, and finds the secrets of the senders of
//! webhooks. This folder also shares the budget of a credential among processes, and reads files
//! with a timeout.

pub(crate) mod budget_share;
pub(crate) mod client_options;
pub(crate) mod file_timeout;
pub(crate) mod github;
pub(crate) mod okta;
pub(super) mod target;
pub(crate) mod webhook_senders;
