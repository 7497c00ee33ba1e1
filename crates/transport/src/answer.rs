//! Answers, and what their headers say.

use bytes::Bytes;
use http::HeaderMap;
use serde::de::DeserializeOwned;

use beadle_engine::{Account, Resource, Time};

use crate::TransportError;
use crate::client::Figures;

/// A successful answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Method and path, for messages.
    pub request: String,
    /// The status: 2xx, or 304 to a conditional read.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, TransportError> {
        serde_json::from_slice(&self.body).map_err(|error| TransportError::Nonsense {
            request: self.request.clone(),
            why: error.to_string(),
        })
    }

    /// The address of the next page, from `Link` (RFC 8288), which may be one header or several.
    pub fn next(&self) -> Option<&str> {
        let links = self.headers.get_all("link").iter().filter_map(|link| link.to_str().ok());
        links.flat_map(|links| links.split(',')).find_map(|link| {
            let (target, parameters) = link.split_once(';')?;
            let next = parameters.split(';').any(|parameter| parameter.trim() == "rel=\"next\"");
            next.then(|| target.trim().trim_start_matches('<').trim_end_matches('>'))
        })
    }
}

pub(crate) fn number(headers: &HeaderMap, name: &str) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// The vendor's clock when it answered; ours when it did not say.
pub(crate) fn vendor_time(headers: &HeaderMap, now: Time) -> Time {
    let date = headers.get("date").and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    date.map_or(now, |date| Time(date.timestamp().as_millisecond()))
}

/// A moment on the vendor's clock (seconds), on ours. `Date` has whole seconds, so a second is added for safety.
pub(crate) fn on_our_clock(seconds: i64, headers: &HeaderMap, now: Time) -> Time {
    let ahead = Time::from_seconds(seconds).0 - vendor_time(headers, now).0;
    Time(now.0 + ahead.max(0) + 1000)
}

/// One of the figures that tell of the vendor's limits.
pub(crate) fn figure(headers: &HeaderMap, figures: Figures, what: &str) -> Option<i64> {
    number(headers, &format!("{}-{what}", figures.prefix))
}

/// The account that the vendor's figures report.
pub(crate) fn account(headers: &HeaderMap, figures: Figures, now: Time) -> Option<(Resource, Account)> {
    let resource = match headers.get("x-ratelimit-resource").and_then(|resource| resource.to_str().ok()) {
        Some("core") | None => Resource::Core,
        Some("graphql") => Resource::GraphQl,
        Some(_) => return None,
    };
    let amount = |what| figure(headers, figures, what).and_then(|n| u64::try_from(n).ok());
    let period = figure(headers, figures, "reset")?;
    // What is not ours of the vendor's limit is as good as spent.
    let whole = amount("limit").filter(|limit| *limit > 0)?;
    let limit = whole * figures.share / 100;
    let account = Account {
        limit,
        remaining: amount("remaining")?.saturating_sub(whole - limit),
        reset: on_our_clock(period, headers, now),
        period,
    };
    Some((resource, account))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_reset_is_translated_to_our_clock() {
        // The vendor's clock is an hour ahead of ours.
        let headers = headers(&[
            ("date", "Thu, 01 Jan 1970 02:00:00 GMT"),
            ("x-ratelimit-limit", "5000"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "7260"),
        ]);
        let now = Time::from_seconds(3600);
        let (resource, account) = account(&headers, Figures::GITHUB, now).unwrap();
        assert_eq!(resource, Resource::Core);
        assert_eq!(account.reset, Time::from_seconds(3600 + 60 + 1));
    }

    #[test]
    fn of_okta_s_figures_a_half_is_ours() {
        let headers = headers(&[
            ("x-rate-limit-limit", "600"),
            ("x-rate-limit-remaining", "400"),
            ("x-rate-limit-reset", "60"),
        ]);
        let (_, account) = account(&headers, Figures::OKTA, Time::from_seconds(0)).unwrap();
        assert_eq!((account.limit, account.remaining), (300, 100));
    }

    #[test]
    fn the_next_page_is_found_among_links() {
        let link = "<https://x/a?page=1>; rel=\"prev\", <https://x/a?page=3&q=1>; rel=\"next\"";
        let answer =
            Answer { request: String::new(), status: 200, headers: headers(&[]), body: Bytes::new() };
        assert_eq!(answer.next(), None);
        let mut answer = answer;
        answer.headers.insert("link", link.parse().unwrap());
        assert_eq!(answer.next(), Some("https://x/a?page=3&q=1"));
    }
}
