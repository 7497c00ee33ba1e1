pub(crate) mod budget_share;
pub(crate) mod client_options;
pub(crate) mod file_timeout;
pub(crate) mod github;
pub(crate) mod okta;
pub(crate) mod senders;
pub(super) mod target;
