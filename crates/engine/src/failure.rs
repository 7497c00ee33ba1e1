//! What went wrong, in the terms the engine acts on.

use std::fmt;

use crate::clock::Time;

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The other side or the network failed: try again later.
    Retry,
    /// A budget is used up: try again at `until`. With `spares_events`, only work outside the reserve has to wait.
    RateLimited {
        /// When the vendor, or our budget, takes calls again.
        until: Time,
        /// Whether event and manual work may go on meanwhile.
        spares_events: bool,
    },
    /// Something changed between the read and the write: read again.
    Conflict,
    /// The vendor refused: the user can mend it (a permission, a name, a plan's feature).
    Rejected,
    /// A defect of ours, or a store that cannot go on.
    Fatal,
}

impl Class {
    /// Whether a request that failed like this certainly changed nothing at the vendor. After a
    /// lost answer, a time-out or a 5xx answer that is not known.
    pub fn changed_nothing(self) -> bool {
        match self {
            Self::Rejected | Self::Conflict | Self::RateLimited { .. } => true,
            Self::Retry | Self::Fatal => false,
        }
    }
}

/// A failure with its class and a text that says what was being done and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// What to do about it.
    pub class: Class,
    /// What was being done, what went wrong, what to do next.
    pub text: String,
    /// Whether a part of what was to be done was done before. The class is about the rest.
    pub is_partial: bool,
}

impl Failure {
    /// A failure of `class`.
    pub fn new(class: Class, text: impl fmt::Display) -> Self {
        Self { class, text: text.to_string(), is_partial: false }
    }

    /// Says that a part of what was to be done was done before.
    #[must_use]
    pub fn after_a_part(mut self) -> Self {
        self.is_partial = true;
        self
    }

    /// Whether another plan at once is all that is needed: there is nothing to wait for.
    pub fn asks_for_another_plan(&self, now: Time) -> bool {
        matches!(self.class, Class::RateLimited { until, .. } if until <= now)
    }

    /// Says what was being done when it happened.
    #[must_use]
    pub fn during(mut self, what: impl fmt::Display) -> Self {
        self.text = format!("{what}: {}", self.text);
        self
    }
}

impl From<crate::StoreError> for Failure {
    fn from(error: crate::StoreError) -> Self {
        let class = match error {
            crate::StoreError::Unavailable { .. } => Class::Retry,
            crate::StoreError::Corrupt { .. } => Class::Fatal,
        };
        Self::new(class, error)
    }
}
