//! The choice of the entries that a list contains.

use crate::clock::Time;

/// Conditions for the entries of a list, and the maximum number of entries.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// In the journal: the list contains only entries with a greater number. For deliveries: the
    /// number of rows to skip.
    pub after: u64,
    /// If this is set, the list contains only entries of this time or later.
    pub since: Option<Time>,
    /// If this is set, the list contains only entries of this key.
    pub key: Option<String>,
    /// The maximum number of rows in the list.
    pub limit: u32,
}
