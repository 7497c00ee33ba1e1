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
    /// Returns whether a request that the vendor received certainly had no effect. After a lost
    /// answer, a timeout or a 5xx answer, the effect is unknown.
    fn changed_nothing(self) -> bool {
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
    /// continues with the changes of other aspects.
    pub spares_others: bool,
    /// True if Beadle did not send the request, so the vendor does not know of it. The class still
    /// decides what the engine does next.
    pub not_sent: bool,
}

impl Failure {
    /// Creates a failure of a class.
    pub fn new(class: Class, text: impl fmt::Display) -> Self {
        Self { class, text: text.to_string(), is_partial: false, spares_others: false, not_sent: false }
    }

    /// Returns whether the action certainly had no effect at the vendor. Do not use the class for
    /// this decision, because the class does not show whether Beadle sent the request.
    pub fn changed_nothing(&self) -> bool {
        (self.not_sent || self.class.changed_nothing()) && !self.is_partial
    }

    /// Returns whether this run can send no request, although a later run can succeed. For example,
    /// Beadle gets no token for its requests.
    pub(crate) fn stops_every_request(&self) -> bool {
        self.not_sent && self.class == Class::Retry
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_was_not_sent_changed_nothing_whatever_its_class() {
        let until = Time(1);
        for (class, is_certain) in [
            (Class::Retry, false),
            (Class::Fatal, false),
            (Class::Conflict, true),
            (Class::Rejected, true),
            (Class::RateLimited { until, spares_events: false }, true),
        ] {
            let sent = Failure::new(class, "PUT /x");
            assert_eq!(sent.changed_nothing(), is_certain, "{class:?}");
            let not_sent = Failure { not_sent: true, ..sent.clone() };
            assert!(not_sent.changed_nothing(), "{class:?}");
            for failure in [sent, not_sent] {
                assert!(!failure.after_a_part().changed_nothing(), "an earlier part succeeded: {class:?}");
            }
        }
    }
}
