//! Tests the simulators with clients that other authors wrote.

mod clients;

pub(crate) use beadle_contracts::{check, okta, tool};
