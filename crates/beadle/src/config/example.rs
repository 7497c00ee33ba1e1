//! The commented example.

/// A file to begin with.
pub(crate) const EXAMPLE: &str = include_str!("../../../../examples/beadle.toml");
