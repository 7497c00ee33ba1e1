//! Tests of the simulators with clients of other authors.

mod clients;

pub(crate) use beadle_contracts::{check, okta, tool};
