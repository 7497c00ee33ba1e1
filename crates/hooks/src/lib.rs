//! Verifies webhooks and finds the keys that they make due. The crate has no HTTP client and no
//! store, so that a Lambda function that uses it starts within milliseconds.

pub mod github;
pub mod okta;
