//! Answers of a vendor, and what their headers mean.

use std::sync::Once;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use serde::de::DeserializeOwned;
use serde_json::Value;

use beadle_engine::budget::is_credible;
use beadle_engine::queue::LONGEST_HOLD;
use beadle_engine::{BudgetAccount, Resource, Time};

use crate::TransportError;
use crate::client::RateLimitHeaders;

/// The answer to a successful request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The method and the path of the request, for messages.
    pub request: String,
    /// The HTTP status: 2xx, or 304 if the read was conditional and nothing changed.
    pub status: u16,
    /// The headers of the answer.
    pub headers: HeaderMap,
    /// The complete body of the answer.
    pub body: Bytes,
}

impl Answer {
    /// Returns the body, parsed as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, TransportError> {
        serde_json::from_slice(&self.body).map_err(|error| TransportError::InvalidResponse {
            request: self.request.clone(),
            why: error.to_string(),
        })
    }

    /// Returns the time of the answer by the vendor's clock, in whole seconds. Returns `None` if
    /// the answer does not contain this time.
    pub fn date(&self) -> Option<Time> {
        date(&self.headers)
    }

    /// Returns the end of the wait that the vendor asks for with `Retry-After`. Returns `None` if
    /// the answer has no credible time.
    pub fn retry_after(&self, now: Time) -> Option<Time> {
        retry_after(&self.headers, now)
    }

    /// Returns the address of the next page from the header `Link` (RFC 8288). An answer can have
    /// several `Link` headers.
    pub fn next(&self) -> Option<&str> {
        let mut links = self.headers.get_all("link").iter().filter_map(|link| link.to_str().ok());
        links.find_map(next_link)
    }
}

/// Returns the target of the link to the next page. The target can contain commas and semicolons.
/// The header can contain the type of the link without quotes.
fn next_link(links: &str) -> Option<&str> {
    let mut rest = links;
    loop {
        let (target, after) = rest.split_once('<')?.1.split_once('>')?;
        // The parameters end where the next link begins.
        let parameters = after.split('<').next().unwrap_or_default();
        let is_next = |parameter: &str| {
            let Some((name, types)) = parameter.split_once('=') else { return false };
            let types = types.trim_matches(|letter: char| letter == '"' || letter == ',' || letter == ' ');
            name.trim().eq_ignore_ascii_case("rel")
                && types.split(' ').any(|kind| kind.eq_ignore_ascii_case("next"))
        };
        if parameters.split(';').any(is_next) {
            return Some(target.trim());
        }
        rest = after;
    }
}

pub(crate) fn number(headers: &HeaderMap, name: &str) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// Returns the time of the answer by the vendor's clock. If the answer does not contain this time,
/// returns Beadle's own time.
pub(crate) fn vendor_time(headers: &HeaderMap, now: Time) -> Time {
    date(headers).unwrap_or(now)
}

fn date(headers: &HeaderMap) -> Option<Time> {
    let date = jiff::fmt::rfc2822::parse(headers.get("date")?.to_str().ok()?).ok()?;
    Some(Time(date.timestamp().as_millisecond()))
}

/// Converts a time of the vendor's clock, in seconds, to the same moment on Beadle's clock. The
/// header `Date` has only whole seconds, so the function adds a second. Returns `None` if the time
/// is not credible.
pub(crate) fn on_our_clock(seconds: i64, headers: &HeaderMap, now: Time) -> Option<Time> {
    let at = Time::from_seconds(seconds);
    // A time is not credible if it is more than a day before or after the time of the clock.
    let ahead = |clock: Time| {
        let is_meant = is_credible(now + at.since(clock), now) && is_credible(now + clock.since(at), now);
        is_meant.then(|| at.since(clock))
    };
    // If the time is not credible compared with the header `Date`, the header itself might be
    // wrong. The function then compares the time with Beadle's own clock.
    let ahead = ahead(vendor_time(headers, now)).or_else(|| ahead(now))?;
    Some(now + (ahead + Duration::from_secs(1)).min(LONGEST_HOLD))
}

/// Returns when the wait of `Retry-After` ends (RFC 9110, 10.2.3). A proxy in front of a vendor can
/// send a date instead of seconds. Returns `None` if the header is missing or invalid, or if the
/// wait is not credible.
pub(crate) fn retry_after(headers: &HeaderMap, now: Time) -> Option<Time> {
    if let Some(seconds) = number(headers, "retry-after") {
        let seconds = u64::try_from(seconds).unwrap_or(0);
        return Some(now + Duration::from_secs(seconds)).filter(|until| is_credible(*until, now));
    }
    let date = jiff::fmt::rfc2822::parse(headers.get("retry-after")?.to_str().ok()?).ok()?;
    on_our_clock(date.timestamp().as_second(), headers, now)
}

/// Logs that Beadle ignores a vendor's figures. A process logs this line only once.
fn say_absurd(reset: i64) {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        tracing::warn!(
            reset,
            "rate limit headers have a reset time more than a day away, Beadle ignores these headers"
        );
    });
}

/// Returns a figure from the vendor's rate-limit headers, such as `remaining`.
pub(crate) fn figure(headers: &HeaderMap, rate_limit_headers: RateLimitHeaders, what: &str) -> Option<i64> {
    number(headers, &format!("{}-{what}", rate_limit_headers.prefix))
}

/// Returns the account that the headers of an answer describe, and the figures of this account.
pub(crate) fn account(
    headers: &HeaderMap,
    rate_limit_headers: RateLimitHeaders,
    now: Time,
) -> Option<(Resource, BudgetAccount)> {
    let resource = match headers.get("x-ratelimit-resource").and_then(|resource| resource.to_str().ok()) {
        Some("core") | None => Resource::Core,
        Some("graphql") => Resource::GraphQl,
        Some(_) => return None,
    };
    let amount = |what| figure(headers, rate_limit_headers, what).and_then(|n| u64::try_from(n).ok());
    let period = figure(headers, rate_limit_headers, "reset")?;
    // This credential may use only a share of the vendor's limit. Beadle treats the part of the
    // limit above this share as already used.
    let whole = amount("limit").filter(|limit| *limit > 0)?;
    let limit = whole.saturating_mul(rate_limit_headers.share) / 100;
    let Some(reset) = on_our_clock(period, headers, now) else {
        say_absurd(period);
        return None;
    };
    let account =
        BudgetAccount { limit, remaining: amount("remaining")?.saturating_sub(whole - limit), reset, period };
    Some((resource, account))
}

/// Returns one entry of the list `errors` as text: the field, and the message or the code. GitHub
/// sends a message only with the code `custom`. See
/// <https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api>.
fn fault(error: &Value) -> String {
    let word = |name: &str| error[name].as_str().filter(|word| !word.is_empty());
    let Some(what) = error.as_str().or_else(|| word("message")).or_else(|| word("code")) else {
        return error.to_string();
    };
    match word("field") {
        Some(field) if !what.contains(field) => format!("{field}: {what}"),
        _ => what.to_owned(),
    }
}

/// Returns the vendor's error message, shortened to one line.
pub(crate) fn message(body: &[u8]) -> String {
    let said = serde_json::from_slice::<Value>(body).ok();
    let mut text = match &said {
        Some(said) => {
            // GitHub, Okta, SCIM servers and OAuth servers send their error messages under these
            // keys.
            let words = ["message", "errorSummary", "detail", "error_description", "error"];
            let word = words.iter().find_map(|word| said[word].as_str());
            let mut text = word.unwrap_or_default().to_owned();
            for cause in said["errorCauses"].as_array().into_iter().flatten() {
                text = format!("{text}; {}", cause["errorSummary"].as_str().unwrap_or_default());
            }
            let errors: Vec<String> = match &said["errors"] {
                Value::Array(errors) => errors.iter().map(fault).collect(),
                // Some of GitHub's answers have one text instead of the list.
                Value::String(error) => vec![error.clone()],
                _ => Vec::new(),
            };
            for error in errors {
                text = format!("{text}; {error}");
            }
            text
        }
        None => String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned(),
    };
    text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((at, _)) = text.char_indices().nth(300) {
        text.truncate(at);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn an_error_message_names_the_field_and_the_cause() {
        for (body, expected) in [
            (
                r#"{"message":"Validation Failed","errors":[{"resource":"Label","code":"already_exists","field":"name"}]}"#,
                "Validation Failed; name: already_exists",
            ),
            (
                r#"{"message":"Validation Failed","errors":[{"resource":"Hook","code":"custom","field":"url","message":"is not reachable"}]}"#,
                "Validation Failed; url: is not reachable",
            ),
            (
                r#"{"message":"Invalid request.","errors":["No subschema in \"anyOf\" matched."]}"#,
                "Invalid request.; No subschema in \"anyOf\" matched.",
            ),
            (
                r#"{"message":"Validation Failed","errors":"Could not add the rule"}"#,
                "Validation Failed; Could not add the rule",
            ),
            (
                r#"{"errors":[{"message":"Name must be unique","field":"name"}],"message":"Validation Failed"}"#,
                "Validation Failed; name: Name must be unique",
            ),
            (r#"{"message":"Validation Failed","errors":[{"n":1}]}"#, "Validation Failed; {\"n\":1}"),
            (r#"{"message":"Not Found"}"#, "Not Found"),
        ] {
            assert_eq!(message(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn a_reset_is_translated_to_our_clock() {
        // The vendor's clock is an hour ahead of Beadle's clock.
        let headers = headers(&[
            ("date", "Thu, 01 Jan 1970 02:00:00 GMT"),
            ("x-ratelimit-limit", "5000"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "7260"),
        ]);
        let now = Time::from_seconds(3600);
        let (resource, account) = account(&headers, RateLimitHeaders::GITHUB, now).unwrap();
        assert_eq!(resource, Resource::Core);
        assert_eq!(account.reset, Time::from_seconds(3600 + 60 + 1));
    }

    #[test]
    fn a_reset_that_no_vendor_can_mean_is_ignored() {
        let now = Time::from_seconds(1_800_000_000);
        let of = |date: &'static str, reset: &'static str| {
            let rate_limit_headers = [("x-ratelimit-limit", "5000"), ("x-ratelimit-remaining", "0")];
            let headers = headers(&[
                ("date", date),
                ("x-ratelimit-reset", reset),
                rate_limit_headers[0],
                rate_limit_headers[1],
            ]);
            account(&headers, RateLimitHeaders::GITHUB, now).map(|(_, account)| account.reset)
        };
        let date = "Fri, 15 Jan 2027 08:00:00 GMT";
        assert_eq!(of(date, "1800000060"), Some(now + Duration::from_secs(61)));
        assert_eq!(of(date, "2115360000"), None, "in ten years");
        assert_eq!(of(date, "1800000060000"), None, "milliseconds");
        assert_eq!(of(date, "9223372036854775807"), None);
        let epoch = "Thu, 01 Jan 1970 00:00:00 GMT";
        assert_eq!(of(epoch, "1800000060"), Some(now + Duration::from_secs(61)), "our clock is right");
        let ahead = "Fri, 15 Jan 2038 08:00:00 GMT";
        assert_eq!(of(ahead, "1800000060"), Some(now + Duration::from_secs(61)), "here, too");
        assert_eq!(of(date, "1799999940"), Some(now + Duration::from_secs(1)), "a moment ago");
        assert_eq!(of(date, "60"), None, "years ago");
        let after = |seconds| retry_after(&headers(&[("retry-after", seconds)]), now);
        assert_eq!(after("60"), Some(now + Duration::from_secs(60)));
        assert_eq!(after("-1"), Some(now));
        assert_eq!(after("315360000"), None, "ten years");
        assert_eq!(after("Fri, 15 Jan 2027 08:01:00 GMT"), Some(now + Duration::from_secs(61)));
        assert_eq!(after("Fri, 15 Jan 2027 07:59:00 GMT"), Some(now + Duration::from_secs(1)), "over");
        assert_eq!(after("Fri, 15 Jan 2038 08:00:00 GMT"), None, "in ten years");
        assert_eq!(after("soon"), None);
    }

    #[test]
    fn of_okta_s_figures_a_half_is_ours() {
        let headers = headers(&[
            ("x-rate-limit-limit", "600"),
            ("x-rate-limit-remaining", "400"),
            ("x-rate-limit-reset", "60"),
        ]);
        let (_, account) = account(&headers, RateLimitHeaders::OKTA, Time::from_seconds(0)).unwrap();
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

    #[test]
    fn every_form_of_a_link_to_the_next_page_is_found() {
        for (links, next) in [
            ("<https://x/a?after=1,2;3>; rel=\"next\"", Some("https://x/a?after=1,2;3")),
            ("<https://x/a>;rel=next", Some("https://x/a")),
            (
                "<https://x/a>; title=\"b\"; Rel=\"last Next\" , <https://x/b>; rel=\"first\"",
                Some("https://x/a"),
            ),
            ("<https://x/a>; rel=prev,<https://x/b>; rel=next,", Some("https://x/b")),
            ("<https://x/a>; rel=\"prev next-archive\"", None),
            ("<https://x/a>", None),
            ("<https://x/a; rel=\"next\"", None),
            ("rel=\"next\"", None),
            ("", None),
        ] {
            assert_eq!(next_link(links), next, "{links}");
        }
    }
}
