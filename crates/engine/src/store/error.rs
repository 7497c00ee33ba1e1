//! The errors of a store.

/// The reason why a call of a store failed. A failed call stores nothing.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum StoreError {
    /// The store cannot write now, because the disk is full, read-only or busy. A retry can
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
    /// A newer version wrote a value that this version of Beadle cannot read. Beadle must not
    /// ignore this value. The value stays as it is. A process of the newer version can do the work.
    #[error(
        "{doing}: this version of Beadle cannot read {what}, because a newer version wrote it, or because it is \
         damaged: use the newest version of Beadle that has used this store"
    )]
    Newer {
        /// A description of what the call was doing.
        doing: &'static str,
        /// The name of the value.
        what: String,
    },
}
