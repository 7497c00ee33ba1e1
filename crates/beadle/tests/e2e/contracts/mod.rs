//! Clients that others wrote, and what they and Beadle are held to.

mod clients;

pub(crate) use beadle_contracts::{check, okta, tool};
