//! Which part of a list a call returns.

use crate::clock::Time;

/// The part of a list to return.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Only entries with a greater sequence number; of deliveries, the number of rows to skip.
    pub after: u64,
    /// Only at or after this time.
    pub since: Option<Time>,
    /// Only of this key.
    pub key: Option<String>,
    /// The maximum number of rows.
    pub limit: u32,
}
