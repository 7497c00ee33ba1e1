//! Failures, in the terms on which the engine acts.

use std::fmt;

use crate::clock::Time;

/// The treatment of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The vendor or the network failed: retry later.
    Retry,
    /// A budget is used up: retry at `until`. With `spares_events`, only work outside the reserve
    /// has to wait.
    RateLimited {
        /// The time at which the vendor, or Beadle's own budget, accepts calls again.
        until: Time,
        /// Whether event and manual work may go on until then.
        spares_events: bool,
    },
    /// Something changed between the read and the write: read again.
    Conflict,
    /// The vendor refused: the user can repair it, with a permission, a name or a plan's feature.
    Rejected,
    /// A defect of Beadle, or a store that cannot go on.
    Fatal,
}

impl Class {
    /// Returns whether a failed request of this class certainly changed nothing at the vendor.
    /// After a lost answer, a timeout or a 5xx answer nobody knows.
    pub fn changed_nothing(self) -> bool {
        match self {
            Self::Rejected | Self::Conflict | Self::RateLimited { .. } => true,
            Self::Retry | Self::Fatal => false,
        }
    }
}

/// A failure with its class, and a text with the action and the next step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// The treatment.
    pub class: Class,
    /// The action, the problem and the next step.
    pub text: String,
    /// Whether a part of the action succeeded before. The class is about the rest.
    pub is_partial: bool,
}

impl Failure {
    /// Creates a failure of a class.
    pub fn new(class: Class, text: impl fmt::Display) -> Self {
        Self { class, text: text.to_string(), is_partial: false }
    }

    /// Records that a part of the action succeeded before.
    #[must_use]
    pub fn after_a_part(mut self) -> Self {
        self.is_partial = true;
        self
    }

    /// Returns whether another plan at once is enough: there is nothing to wait for.
    pub fn asks_for_another_plan(&self, now: Time) -> bool {
        matches!(self.class, Class::RateLimited { until, .. } if until <= now)
    }

    /// Adds the action to the text.
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
