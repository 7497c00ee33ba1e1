//! The person who decided something, and the reason, for the journal.

/// The person who decided something, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DecidedBy {
    /// The name of the person.
    pub(crate) name: String,
    /// The reason, if the person gave one.
    pub(crate) reason: Option<String>,
}

impl DecidedBy {
    /// Returns a person who gave no reason.
    pub(crate) fn without_reason(name: &str) -> Self {
        Self { name: name.to_owned(), reason: None }
    }
}
