//! The errors of a store.

/// The reason why a call of a store failed. A failed call stores nothing.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum StoreError {
    /// The store cannot write now, because the disk is full, read-only or busy. A retry may
    /// succeed.
    #[error("{doing}: {why}")]
    Unavailable {
        /// A description of what the call was doing.
        doing: &'static str,
        /// The error message of the disk or the database.
        why: String,
    },
    /// This version of Beadle cannot use the stored data. A retry cannot succeed.
    #[error("{doing}: {why}; another version of Beadle wrote this data, or the data is damaged")]
    Corrupt {
        /// A description of what the call was doing.
        doing: &'static str,
        /// A description of what is wrong with the data.
        why: String,
    },
}
