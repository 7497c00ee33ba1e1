//! The errors of a store.

/// The reason why a store did not carry out a call. The store keeps nothing of the call.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum StoreError {
    /// The store cannot write now: the disk is full, read-only or busy. A retry may help.
    #[error("{doing}: {why}")]
    Unavailable {
        /// The call.
        doing: &'static str,
        /// The store's error.
        why: String,
    },
    /// The stored data is not what this version writes. No retry helps.
    #[error("{doing}: {why}; this file was written by another version of Beadle, or is damaged")]
    Corrupt {
        /// The call.
        doing: &'static str,
        /// The problem.
        why: String,
    },
}
