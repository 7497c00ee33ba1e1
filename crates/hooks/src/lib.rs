//! What webhooks say: verify them and name the keys. No client and no store, so that it starts in milliseconds.

pub mod github;
pub mod okta;
