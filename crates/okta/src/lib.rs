//! Okta's management API, as far as Beadle reads it: groups, their members, users, the System Log. Nothing here writes.
//!
//! <https://developer.okta.com/docs/api/openapi/okta-management/management/tag/Group/>

mod api;
mod auth;
mod filter;
mod list;
mod log;
mod model;

pub use api::Okta;
pub use auth::Credential;
pub use log::{LogPage, Since};
pub use model::{Group, Profile, Status, User};
