//! The real binary between a simulated Okta and a simulated AWS IAM Identity Center.

mod limits;
mod world;
