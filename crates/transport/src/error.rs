//! What can go wrong between us and a vendor.

use beadle_engine::{Class, Failure, Resource, Time, Wait};

/// A request that did not succeed, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// Our own account of the budget says no; nothing was sent.
    #[error(transparent)]
    Budget(#[from] Wait),
    /// The vendor said no.
    #[error("{request}: refused until {until} by the {} limit", resource.as_str())]
    Limited {
        /// Method and path.
        request: String,
        /// Which limit.
        resource: Resource,
        /// When it takes calls again.
        until: Time,
    },
    /// The vendor does not take the credential, whatever is asked with it.
    #[error("{request}: {status} {message}; the credential is denied, next try at {until}")]
    Denied {
        /// Method and path.
        request: String,
        /// The status.
        status: u16,
        /// The vendor's message, shortened.
        message: String,
        /// When it is tried again.
        until: Time,
    },
    /// No answer, or not a whole one.
    #[error("{request}: {why}")]
    Network {
        /// Method and path.
        request: String,
        /// What happened.
        why: String,
    },
    /// No answer within the deadline.
    #[error("{request}: no answer within {seconds} s")]
    Timeout {
        /// Method and path.
        request: String,
        /// The deadline.
        seconds: u64,
    },
    /// An answer that is no success.
    #[error("{request}: {status} {message}")]
    Status {
        /// Method and path.
        request: String,
        /// The status.
        status: u16,
        /// What the vendor said, shortened.
        message: String,
    },
    /// An answer of success that is not what the vendor documents.
    #[error("{request}: invalid response: {why}")]
    InvalidResponse {
        /// Method and path.
        request: String,
        /// The problem.
        why: String,
    },
    /// The credential cannot be used for the request: it cannot sign, or it is of the wrong kind.
    /// Nothing was sent.
    #[error("{request}: not sent: credential unusable: {why}")]
    Credential {
        /// Method and path.
        request: String,
        /// The problem.
        why: String,
    },
    /// A value of the path cannot be put into an address. Nothing was sent.
    #[error("{request}: not sent: {why}")]
    Unaddressable {
        /// Method and path.
        request: String,
        /// The value, and the reason.
        why: String,
    },
    /// The request had to wait for so long that what it names may have another name. Nothing was sent.
    #[error("{request}: not sent: the name was looked up too long ago")]
    Late {
        /// Method and path.
        request: String,
    },
    /// The request had to wait for longer than its plan is valid. Nothing was sent.
    #[error("{request}: not sent: the plan is too old, Beadle plans again")]
    Outdated {
        /// Method and path.
        request: String,
        /// The time at which that was noticed.
        now: Time,
    },
    /// A link or redirect to somewhere else than the configured origin.
    #[error("{request}: not followed to {target}, which is not the configured origin")]
    ForeignOrigin {
        /// Method and path.
        request: String,
        /// Where it would have led.
        target: String,
    },
}

impl TransportError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Budget(wait) => Class::RateLimited { until: wait.until, spares_events: wait.spares_events },
            Self::Limited { until, .. } | Self::Denied { until, .. } => {
                Class::RateLimited { until: *until, spares_events: false }
            }
            // After the repair of a credential, the keys go on by themselves.
            Self::Network { .. }
            | Self::Timeout { .. }
            | Self::InvalidResponse { .. }
            | Self::Credential { .. } => Class::Retry,
            Self::Status { status, .. } => match status {
                301 | 302 | 307 | 308 => Class::Conflict,
                // Busy with what was asked before, or changed meanwhile: this one thing is tried again.
                408 | 409 | 412 | 425 | 500.. => Class::Retry,
                _ => Class::Rejected,
            },
            Self::Late { .. } => Class::Conflict,
            // Another plan is made at once, and the key is not to blame.
            Self::Outdated { now, .. } => Class::RateLimited { until: *now, spares_events: true },
            Self::Unaddressable { .. } | Self::ForeignOrigin { .. } => Class::Rejected,
        }
    }

    /// Whether it was not sent because it waited for too long.
    pub fn is_late(&self) -> bool {
        matches!(self, Self::Late { .. })
    }

    /// Whether our own deadline passed.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }

    /// Whether a value cannot be put into an address: no resource has this name.
    pub fn is_unaddressable(&self) -> bool {
        matches!(self, Self::Unaddressable { .. })
    }

    /// Until when it was refused for a budget.
    pub fn limited_until(&self) -> Option<Time> {
        match self {
            Self::Limited { until, .. } => Some(*until),
            Self::Budget(wait) => Some(wait.until),
            _ => None,
        }
    }

    /// Whether only our own pace asks to wait, as it does in every long work.
    pub fn is_pacing(&self) -> bool {
        matches!(self, Self::Budget(Wait { resource: Resource::Secondary, spares_events: true, .. }))
    }

    /// The answer's status, if there was one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        Self::new(error.class(), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_pace_is_told_from_a_limit_that_a_vendor_named() {
        let wait = |resource, spares_events| {
            let credential = "acme".to_owned();
            TransportError::Budget(Wait { credential, resource, until: Time(1), spares_events })
        };
        assert!(wait(Resource::Secondary, true).is_pacing());
        // The vendor refused: nobody may call.
        assert!(!wait(Resource::Secondary, false).is_pacing());
        assert!(!wait(Resource::Core, true).is_pacing());
    }
}
