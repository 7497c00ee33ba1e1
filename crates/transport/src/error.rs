//! The errors of requests to a vendor.

use beadle_engine::{Class, Failure, Resource, Time, Wait};

/// The reason why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// According to Beadle's own count, the request would exceed the budget. Beadle did not send
    /// it.
    #[error(transparent)]
    Budget(#[from] Wait),
    /// The vendor refused the request because of a rate limit.
    #[error("{request}: refused until {until} by the {} limit", resource.as_str())]
    Limited {
        /// The method and the path of the request.
        request: String,
        /// The account with the used-up limit.
        resource: Resource,
        /// The time when the vendor accepts requests again.
        until: Time,
    },
    /// The vendor denied the credential, so that no request with this credential can succeed.
    #[error("{request}: {status} {message}; the credential is denied, next try at {until}")]
    Denied {
        /// The method and the path of the request.
        request: String,
        /// The HTTP status.
        status: u16,
        /// The vendor's error message, shortened.
        message: String,
        /// The time when Beadle tries the credential again.
        until: Time,
    },
    /// The network failed, so no answer arrived, or only a part of the answer.
    #[error("{request}: {why}")]
    Network {
        /// The method and the path of the request.
        request: String,
        /// The error message of the network.
        why: String,
    },
    /// No answer arrived before the deadline.
    #[error("{request}: no answer within {seconds} s")]
    Timeout {
        /// The method and the path of the request.
        request: String,
        /// The duration of the deadline, in seconds.
        seconds: u64,
    },
    /// The vendor answered with an error.
    #[error("{request}: {status} {message}")]
    Status {
        /// The method and the path of the request.
        request: String,
        /// The HTTP status.
        status: u16,
        /// The vendor's error message, shortened.
        message: String,
    },
    /// The vendor reported success, but the body of the answer cannot be parsed.
    #[error("{request}: invalid response: {why}")]
    InvalidResponse {
        /// The method and the path of the request.
        request: String,
        /// What is wrong with the body.
        why: String,
    },
    /// Beadle cannot use the credential for this request. Beadle cannot sign with the credential,
    /// or the kind of the credential is wrong. Beadle did not send the request.
    #[error("{request}: not sent: credential unusable: {why}")]
    Credential {
        /// The method and the path of the request.
        request: String,
        /// The reason why Beadle cannot use the credential.
        why: String,
    },
    /// Beadle has no token for the request, so Beadle did not send the request.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A value in the path cannot be a part of an address. Beadle did not send the request.
    #[error("{request}: not sent: {why}")]
    Unaddressable {
        /// The method and the path of the request.
        request: String,
        /// The value, and the reason why it cannot be used.
        why: String,
    },
    /// The request had to wait so long that the name in its path might be outdated. Beadle did not
    /// send the request.
    #[error("{request}: not sent: the name in its path may be outdated, Beadle plans again")]
    Late {
        /// The method and the path of the request.
        request: String,
    },
    /// The request had to wait so long that its plan is too old. Beadle did not send the request.
    #[error("{request}: not sent: the plan is too old, Beadle plans again")]
    Outdated {
        /// The method and the path of the request.
        request: String,
        /// The time when Beadle noticed that the plan is too old.
        now: Time,
    },
    /// The address of a link or a redirect is outside the configured origin.
    #[error("{request}: link or redirect not followed to {target}, which is not the configured origin")]
    ForeignOrigin {
        /// The method and the path of the request.
        request: String,
        /// The address of the link or redirect.
        target: String,
    },
}

impl TransportError {
    /// Returns what the engine does after the error.
    pub fn class(&self) -> Class {
        match self {
            Self::Budget(wait) => Class::RateLimited { until: wait.until, spares_events: wait.spares_events },
            Self::Limited { until, .. } | Self::Denied { until, .. } => {
                Class::RateLimited { until: *until, spares_events: false }
            }
            // Beadle retries the keys. If the cause was a broken credential, the keys succeed after
            // somebody repairs the credential.
            Self::Network { .. }
            | Self::Timeout { .. }
            | Self::InvalidResponse { .. }
            | Self::Credential { .. } => Class::Retry,
            Self::Status { status, .. } => match status {
                301 | 302 | 307 | 308 => Class::Conflict,
                // The resource is busy with an earlier request, or the resource changed in the
                // meantime. Beadle has to retry only this request.
                408 | 409 | 412 | 425 | 500.. => Class::Retry,
                _ => Class::Rejected,
            },
            Self::Late { .. } => Class::Conflict,
            // Beadle immediately makes a new plan, and the run does not count as a failed attempt.
            Self::Outdated { now, .. } => Class::RateLimited { until: *now, spares_events: true },
            Self::Token(error) => error.class(),
            Self::Unaddressable { .. } | Self::ForeignOrigin { .. } => Class::Rejected,
        }
    }

    /// Returns whether Beadle did not send the request. The result is also `true` for an error
    /// about a redirect: Beadle sent the first request, but that request was only a read.
    fn is_not_sent(&self) -> bool {
        match self {
            Self::Budget(_)
            | Self::Credential { .. }
            | Self::Token(_)
            | Self::Unaddressable { .. }
            | Self::Late { .. }
            | Self::Outdated { .. }
            | Self::ForeignOrigin { .. } => true,
            Self::Limited { .. }
            | Self::Denied { .. }
            | Self::Network { .. }
            | Self::Timeout { .. }
            | Self::Status { .. }
            | Self::InvalidResponse { .. } => false,
        }
    }

    /// Returns whether Beadle did not send the request because its path is possibly outdated.
    pub fn is_late(&self) -> bool {
        matches!(self, Self::Late { .. })
    }

    /// Returns whether the request failed because no answer arrived before Beadle's deadline.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }

    /// Returns whether a value in the path cannot be a part of an address. No resource can have
    /// this value as its name.
    pub fn is_unaddressable(&self) -> bool {
        matches!(self, Self::Unaddressable { .. })
    }

    /// Returns the end of the wait, if the request must wait for a budget. Returns `None` for
    /// errors of other kinds.
    pub fn limited_until(&self) -> Option<Time> {
        match self {
            Self::Limited { until, .. } => Some(*until),
            Self::Budget(wait) => Some(wait.until),
            _ => None,
        }
    }

    /// Returns whether the request only has to wait for its turn in Beadle's own pace. Every long
    /// job waits for its turn.
    pub fn is_pacing(&self) -> bool {
        matches!(self, Self::Budget(Wait { resource: Resource::Secondary, spares_events: true, .. }))
    }

    /// Returns the HTTP status of the answer to the request. Returns `None` if there was no answer.
    /// If the vendor refused to give a token, its answer does not count as the answer to the
    /// request that needed the token.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// The reason why Beadle has no token for a request.
///
/// The vendor answered another request: the request for the token. A caller must not read this
/// answer as the answer about a resource. Otherwise, a 404 would mean that the resource does not
/// exist, and a plan could create or remove something for that reason. So this type shows no
/// status. [`Client::token`](crate::Client::token) creates the values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TokenError(Box<TransportError>);

impl TokenError {
    pub(crate) fn new(error: TransportError) -> Self {
        Self(Box::new(error))
    }

    /// Returns what the engine does after the error. The error is never [`Class::Rejected`] or
    /// [`Class::Conflict`], because some callers read these classes as facts about the resource:
    /// it does not exist, or it changed.
    fn class(&self) -> Class {
        match self.0.class() {
            Class::Rejected | Class::Conflict => Class::Retry,
            class => class,
        }
    }
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        let spares_others = matches!(&error, TransportError::Budget(wait) if wait.spares_others);
        let not_sent = error.is_not_sent();
        Self { spares_others, not_sent, ..Self::new(error.class(), error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_a_request_for_a_token_says_nothing_about_another_request() {
        let request = || "POST app/installations/1/access_tokens".to_owned();
        let status =
            |status| TransportError::Status { request: request(), status, message: "Not Found".to_owned() };
        for refused in [
            status(301),
            status(400),
            status(401),
            status(403),
            status(404),
            status(409),
            status(410),
            status(422),
            status(500),
            TransportError::Unaddressable { request: request(), why: "empty".to_owned() },
            TransportError::Timeout { request: request(), seconds: 10 },
            TransportError::Late { request: request() },
        ] {
            let text = refused.to_string();
            let error = TransportError::from(TokenError::new(refused));
            assert_eq!(error.status(), None, "{text}");
            assert!(!error.is_unaddressable() && !error.is_timeout() && !error.is_late(), "{text}");
            assert_eq!(error.class(), Class::Retry, "{text}");
            assert_eq!(error.to_string(), text);
            let failure = Failure::from(error);
            assert!(failure.not_sent && failure.changed_nothing(), "{text}");
        }
        let until = Time(7);
        let denied =
            TransportError::Denied { request: request(), status: 404, message: String::new(), until };
        let class = TransportError::from(TokenError::new(denied)).class();
        assert_eq!(class, Class::RateLimited { until, spares_events: false }, "the other keys wait too");
    }

    #[test]
    fn our_own_pace_is_told_from_a_limit_that_a_vendor_named() {
        let wait = |resource, spares_events| {
            let credential = "acme".to_owned();
            let until = Time(1);
            TransportError::Budget(Wait { credential, resource, until, spares_events, spares_others: false })
        };
        assert!(wait(Resource::Secondary, true).is_pacing());
        // In the next two cases, the vendor's limit is used up, so Beadle's own pace is not the
        // only reason for the wait.
        assert!(!wait(Resource::Secondary, false).is_pacing());
        assert!(!wait(Resource::Core, true).is_pacing());
    }
}
