//! Failures. The class of a failure decides what the engine does next.

use std::fmt;

use crate::clock::Time;

/// What the engine does after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The vendor or the network failed. Beadle retries later.
    Retry,
    /// A budget is used up. Beadle retries at `until`.
    RateLimited {
        /// The time when calls are allowed again, according to the vendor or to Beadle's own count
        /// of the budget.
        until: Time,
        /// True if only sweeps have to wait, while events and operators may still use the reserve.
        spares_events: bool,
    },
    /// Something changed between the read and the write. Beadle reads again.
    Conflict,
    /// The vendor refused the request. A person must repair the cause. Examples are a missing
    /// permission, a wrong name, or a feature that the account's plan does not include.
    Rejected,
    /// Beadle has a defect, or the store does not work.
    Fatal,
}

impl Class {
    /// Returns whether a request that failed in this way certainly had no effect at the vendor.
    /// After a lost answer, a timeout or a 5xx answer, the effect is unknown.
    pub fn changed_nothing(self) -> bool {
        match self {
            Self::Rejected | Self::Conflict | Self::RateLimited { .. } => true,
            Self::Retry | Self::Fatal => false,
        }
    }
}

/// A failure: its class, and a text for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// The class, which decides what the engine does next.
    pub class: Class,
    /// What Beadle tried to do, what went wrong, and what the user can do.
    pub text: String,
    /// True if an earlier part of the same action succeeded. The class then describes only the
    /// failed part.
    pub is_partial: bool,
    /// True if the limit that this request waits for does not apply to other requests. A run then
    /// goes on with the changes of other aspects.
    pub spares_others: bool,
}

impl Failure {
    /// Creates a failure of a class.
    pub fn new(class: Class, text: impl fmt::Display) -> Self {
        Self { class, text: text.to_string(), is_partial: false, spares_others: false }
    }

    /// Records that an earlier part of the same action succeeded before this failure.
    #[must_use]
    pub fn after_a_part(mut self) -> Self {
        self.is_partial = true;
        self
    }

    /// Returns whether Beadle must plan again immediately, because it has no reason to wait.
    pub fn asks_for_another_plan(&self, now: Time) -> bool {
        matches!(self.class, Class::RateLimited { until, .. } if until <= now)
    }

    /// Puts a description of the failed action before the text.
    #[must_use]
    pub fn during(mut self, what: impl fmt::Display) -> Self {
        self.text = format!("{what}: {}", self.text);
        self
    }
}

impl From<crate::StoreError> for Failure {
    fn from(error: crate::StoreError) -> Self {
        let class = match error {
            // During an upgrade, a process of the newer version can claim the key for the next try.
            crate::StoreError::Unavailable { .. } | crate::StoreError::Newer { .. } => Class::Retry,
            crate::StoreError::Corrupt { .. } => Class::Fatal,
        };
        Self::new(class, error)
    }
}
