//! Verifies webhooks, and finds the keys that these webhooks mark as due. The crate has no HTTP
//! client and no store. So a Lambda function with this crate starts within milliseconds.

pub mod github;
pub mod okta;
