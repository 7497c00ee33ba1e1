//! The place of the state: a file, or a table.

pub(crate) use beadle_config::StoreLocation;
