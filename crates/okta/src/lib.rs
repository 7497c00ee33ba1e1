//! Reads the parts of Okta's management API that Beadle needs: groups, their members, users, and
//! the System Log. This crate does not write to Okta.
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
