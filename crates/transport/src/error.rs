//! The errors of requests to a vendor.

use beadle_engine::{Class, Failure, Resource, Time, Wait};

/// A request without success.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// Beadle's own account of the budget refused the request. Nothing was sent.
    #[error(transparent)]
    Budget(#[from] Wait),
    /// The vendor refused the request for a limit.
    #[error("{request}: refused until {until} by the {} limit", resource.as_str())]
    Limited {
        /// The method and the path.
        request: String,
        /// The limit.
        resource: Resource,
        /// The time at which the vendor accepts calls again.
        until: Time,
    },
    /// The vendor denied the credential itself.
    #[error("{request}: {status} {message}; the credential is denied, next try at {until}")]
    Denied {
        /// The method and the path.
        request: String,
        /// The status.
        status: u16,
        /// The vendor's message, shortened.
        message: String,
        /// The time of the next try.
        until: Time,
    },
    /// There was no answer, or only a part of it.
    #[error("{request}: {why}")]
    Network {
        /// The method and the path.
        request: String,
        /// The problem.
        why: String,
    },
    /// There was no answer within the deadline.
    #[error("{request}: no answer within {seconds} s")]
    Timeout {
        /// The method and the path.
        request: String,
        /// The deadline, in seconds.
        seconds: u64,
    },
    /// The vendor answered with an error.
    #[error("{request}: {status} {message}")]
    Status {
        /// The method and the path.
        request: String,
        /// The status.
        status: u16,
        /// The vendor's message, shortened.
        message: String,
    },
    /// The vendor answered with success, and the body is invalid.
    #[error("{request}: invalid response: {why}")]
    InvalidResponse {
        /// The method and the path.
        request: String,
        /// The problem.
        why: String,
    },
    /// The credential cannot be used for the request: it cannot sign, or it is of the wrong kind.
    /// Nothing was sent.
    #[error("{request}: not sent: credential unusable: {why}")]
    Credential {
        /// The method and the path.
        request: String,
        /// The problem.
        why: String,
    },
    /// A value of the path cannot be a part of an address. Nothing was sent.
    #[error("{request}: not sent: {why}")]
    Unaddressable {
        /// The method and the path.
        request: String,
        /// The value, and the reason.
        why: String,
    },
    /// The request waited so long that the name in its path may be outdated. Nothing was sent.
    #[error("{request}: not sent: the name in its path may be outdated, Beadle plans again")]
    Late {
        /// The method and the path.
        request: String,
    },
    /// The request waited longer than its plan is valid. Nothing was sent.
    #[error("{request}: not sent: the plan is too old, Beadle plans again")]
    Outdated {
        /// The method and the path.
        request: String,
        /// The time at which that was noticed.
        now: Time,
    },
    /// A link or redirect leads to another place than the configured origin.
    #[error("{request}: link or redirect not followed to {target}, which is not the configured origin")]
    ForeignOrigin {
        /// The method and the path.
        request: String,
        /// The target of the link or redirect.
        target: String,
    },
}

impl TransportError {
    /// Returns the treatment of the error.
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
                // Busy with an earlier request, or changed meanwhile: this request alone is
                // retried.
                408 | 409 | 412 | 425 | 500.. => Class::Retry,
                _ => Class::Rejected,
            },
            Self::Late { .. } => Class::Conflict,
            // Beadle makes another plan at once, and the key is not at fault.
            Self::Outdated { now, .. } => Class::RateLimited { until: *now, spares_events: true },
            Self::Unaddressable { .. } | Self::ForeignOrigin { .. } => Class::Rejected,
        }
    }

    /// Returns whether the request was not sent because it waited too long.
    pub fn is_late(&self) -> bool {
        matches!(self, Self::Late { .. })
    }

    /// Returns whether Beadle's own deadline passed.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }

    /// Returns whether a value cannot be a part of an address: no resource has this name.
    pub fn is_unaddressable(&self) -> bool {
        matches!(self, Self::Unaddressable { .. })
    }

    /// Returns the end of the wait for a budget.
    pub fn limited_until(&self) -> Option<Time> {
        match self {
            Self::Limited { until, .. } => Some(*until),
            Self::Budget(wait) => Some(wait.until),
            _ => None,
        }
    }

    /// Returns whether only Beadle's own pace asks to wait, as it does in every long job.
    pub fn is_pacing(&self) -> bool {
        matches!(self, Self::Budget(Wait { resource: Resource::Secondary, spares_events: true, .. }))
    }

    /// Returns the answer's status, if there was an answer.
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
