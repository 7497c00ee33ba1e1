//! Verifies webhooks and names the keys that they make due. The crate has no client and no store,
//! so that a Lambda function starts in milliseconds.

pub mod github;
pub mod okta;
