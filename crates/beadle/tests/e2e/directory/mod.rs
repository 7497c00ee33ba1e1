//! The real binary between a simulated Okta and a simulated AWS IAM Identity Center.

mod commands;
mod doubt;
mod independent;
mod isolation;
mod limits;
mod teams;
mod world;
