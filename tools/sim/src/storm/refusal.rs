//! How a vendor refuses a request because of a rate limit.
//!
//! <https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit>

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::witness::Refused;

/// A refusal. The status is the status of a REST answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refusal {
    /// The answer contains a wait in seconds.
    RetryAfter(u16, u64),
    /// The answer contains a date. The date is this number of seconds in the future.
    RetryAt(u16, u64),
    /// The answer contains no time.
    Unnamed(u16),
    /// The budget is used up. The answer contains the time of the reset, in seconds from now.
    UsedUp(u64),
}

impl Refusal {
    /// Returns a random refusal. Only GitHub uses the status 403 for a limit, and only GitHub has
    /// special headers for the reset of its budget.
    pub(super) fn choose(random: &mut StdRng, is_github: bool) -> Self {
        let status = if is_github && random.random_bool(0.5) { 403 } else { 429 };
        match random.random_range(0..if is_github { 4 } else { 3 }) {
            0 => Self::RetryAfter(status, random.random_range(1..1_800)),
            1 => Self::RetryAt(status, random.random_range(1..1_800)),
            2 => Self::Unnamed(status),
            _ => Self::UsedUp(random.random_range(1..3_600)),
        }
    }

    /// Returns the wait in the answer.
    pub(super) fn named(self) -> Option<Duration> {
        match self {
            Self::RetryAfter(_, seconds) | Self::RetryAt(_, seconds) | Self::UsedUp(seconds) => {
                Some(Duration::from_secs(seconds))
            }
            Self::Unnamed(_) => None,
        }
    }

    /// Returns the account that the refusal blocks.
    pub(super) fn account(self, is_graphql: bool) -> Refused {
        match self {
            Self::UsedUp(_) if is_graphql => Refused::GraphQl,
            Self::UsedUp(_) => Refused::Rest,
            _ => Refused::All,
        }
    }

    /// Returns the answer. `now` is the time by the vendor's clock, in seconds.
    pub(super) fn answer(self, is_graphql: bool, now: i64) -> (u16, HeaderMap, Bytes) {
        let later = |seconds: u64| now + i64::try_from(seconds).unwrap_or_default();
        let mut headers = HeaderMap::new();
        let mut add = |name: &'static str, value: String| {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        let (status, text) = match self {
            Self::RetryAfter(status, _) | Self::RetryAt(status, _) | Self::Unnamed(status) => {
                (status, "You have exceeded a secondary rate limit. Please wait a few minutes.")
            }
            Self::UsedUp(_) => (403, "API rate limit exceeded for installation."),
        };
        match self {
            Self::RetryAfter(_, seconds) => add("retry-after", seconds.to_string()),
            Self::RetryAt(_, seconds) => {
                add("date", date(now));
                add("retry-after", date(later(seconds)));
            }
            Self::Unnamed(_) => {}
            Self::UsedUp(seconds) => {
                add("date", date(now));
                add("x-ratelimit-limit", "5000".to_owned());
                add("x-ratelimit-remaining", "0".to_owned());
                add("x-ratelimit-reset", later(seconds).to_string());
                add("x-ratelimit-resource", if is_graphql { "graphql" } else { "core" }.to_owned());
            }
        }
        // GitHub can also refuse a GraphQL request with the status 200.
        let is_used_up = matches!(self, Self::UsedUp(_));
        let status = if is_graphql && (is_used_up || status == 429) { 200 } else { status };
        let body = if is_graphql && is_used_up {
            json!({ "errors": [{ "type": "RATE_LIMITED", "message": text }] })
        } else {
            json!({ "message": text })
        };
        (status, headers, Bytes::from(body.to_string()))
    }
}

/// Returns a time in the form of HTTP's headers.
fn date(seconds: i64) -> String {
    let at = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_names_the_wait() {
        let (status, headers, _) = Refusal::RetryAt(429, 60).answer(false, 1_800_000_000);
        assert_eq!(status, 429);
        assert_eq!(headers["date"], "Fri, 15 Jan 2027 08:00:00 GMT");
        assert_eq!(headers["retry-after"], "Fri, 15 Jan 2027 08:01:00 GMT");
        let (status, headers, _) = Refusal::UsedUp(60).answer(true, 1_800_000_000);
        assert_eq!((status, &headers["x-ratelimit-reset"]), (200, &HeaderValue::from_static("1800000060")));
        let (_, headers, _) = Refusal::Unnamed(403).answer(false, 1_800_000_000);
        assert!(headers.is_empty());
    }
}
