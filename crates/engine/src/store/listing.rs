//! The choice of the entries that a list contains.

use crate::clock::Time;

/// Conditions for the entries of a list, and the maximum number of entries.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// A list of journal entries contains only entries with a number that is greater than this
    /// number. A list of deliveries skips this number of rows.
    pub after: u64,
    /// If this is set, the list contains only entries of this time or later.
    pub since: Option<Time>,
    /// If this is set, the list contains only entries of this key.
    pub key: Option<String>,
    /// The maximum number of rows in the list.
    pub limit: u32,
}
