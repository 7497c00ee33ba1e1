//! Opens the clients of GitHub, Okta and the targets. This folder also shares the budget of a
//! credential among processes.

pub(crate) mod budget_and_cache_options;
pub(crate) mod budget_share;
pub(crate) mod github;
pub(crate) mod okta;
pub(super) mod target;
