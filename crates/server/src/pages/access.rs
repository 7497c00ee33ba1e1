//! Defines the rules for readers of the pages, and the headers that restrict what a browser does
//! with a page.

use std::net::IpAddr;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

/// The content security policy of most pages. With this policy, a browser loads style sheets only
/// from this listener, and sends forms only to this listener. The browser loads no scripts, no
/// images and no frames.
const CONTENT: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The content security policy of a page that replaces its values when they change. The page also
/// runs a script of this listener. The script can send requests only to this listener. No other
/// page runs a script.
const LIVE_CONTENT: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The headers of every answer. If a browser follows a link to another website, the browser does
/// not tell the website the address of the page. The address might contain the name of a private
/// repository.
const HEADERS: [(&str, &str); 7] = [
    ("content-security-policy", CONTENT),
    ("x-frame-options", "DENY"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
];

const NOT_LOOPBACK: &str = "the pages are served only on a loopback address: set `server.operator` to an address such as \
     `127.0.0.1:8081`, and put an authenticating proxy on the same machine in front of it\n";
const UNAUTHORISED: &str = "operator token missing or wrong: send `Authorization: Bearer TOKEN`\n";
const FOREIGN_HOST: &str = "the header `Host` must name this machine: open `http://127.0.0.1:PORT/`, or let the proxy send \
     the address of the listener as `Host`\n";

/// The kind of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A page for a browser.
    Page,
    /// JSON for a program.
    Json,
}

/// The rules for callers of the pages and the API.
pub struct Access {
    /// The bearer token that callers must send. `None` if callers need no token.
    token: Option<SecretString>,
    /// True if the listener accepts connections only from the same machine.
    is_loopback: bool,
}

impl Access {
    /// Creates the rules of a listener at `address`.
    pub fn new(token: Option<SecretString>, address: IpAddr) -> Self {
        Self { token, is_loopback: address.is_loopback() }
    }

    /// Returns a refusal if the caller is not allowed to read. Otherwise, returns `None`.
    pub(super) fn refusal(&self, headers: &HeaderMap, wanted: Wanted) -> Option<Response> {
        if wanted == Wanted::Page && !self.is_loopback {
            return Some((StatusCode::FORBIDDEN, NOT_LOOPBACK).into_response());
        }
        match &self.token {
            Some(_) => {
                let is_missing = !self.shows_token(headers);
                is_missing.then(|| (StatusCode::UNAUTHORIZED, UNAUTHORISED).into_response())
            }
            // This caller needs no token. The host name of a website could resolve to the address
            // of this machine. The website could then read the answers in the operator's browser.
            // So the function checks the host name in the header.
            None if names_this_machine(headers) => None,
            None => Some((StatusCode::FORBIDDEN, FOREIGN_HOST).into_response()),
        }
    }
}

impl Access {
    /// Returns whether the caller sends the operator token. Returns `false` if no token is
    /// configured.
    pub(super) fn shows_token(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return false };
        let shown = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
        let expected = format!("Bearer {}", token.expose_secret());
        shown.ct_eq(expected.as_bytes()).into()
    }
}

/// Returns whether the request was sent to an address of this machine.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
    let Ok(authority) = host.parse::<http::uri::Authority>() else { return false };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Allows the browser to send the header `Origin` together with the forms of a page. Without a
/// referrer, the value of `Origin` would be `null`. Other websites still do not get the address of
/// the page.
pub(super) fn allow_forms(headers: &mut HeaderMap) {
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
}

/// Marks an answer that is a page with a script. Such a page replaces its values when they change.
#[derive(Clone, Copy, Debug)]
pub(super) struct HasScript;

/// Adds headers to an answer. These headers restrict what the browser does with the answer.
pub(super) fn harden(response: &mut Response) {
    let has_script = response.extensions().get::<HasScript>().is_some();
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if has_script {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(LIVE_CONTENT));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(access: &Access, wanted: Wanted, headers: &[(HeaderName, &'static str)]) -> Option<u16> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        access.refusal(&headers.collect::<HeaderMap>(), wanted).map(|refused| refused.status().as_u16())
    }

    #[test]
    fn without_a_token_only_requests_to_this_machine_may_read() {
        let access = Access::new(None, IpAddr::from([127, 0, 0, 1]));
        for (host, expected) in [
            ("127.0.0.1:8081", None),
            ("127.0.0.2", None),
            ("localhost:8081", None),
            ("LOCALHOST", None),
            ("[::1]:8081", None),
            ("evil.example", Some(403)),
            ("127.0.0.1.evil.example:8081", Some(403)),
            ("localhost.evil.example", Some(403)),
            ("10.0.0.1:8081", Some(403)),
            ("127.0.0.1@evil.example", Some(403)),
            ("", Some(403)),
        ] {
            for wanted in [Wanted::Page, Wanted::Json] {
                assert_eq!(status(&access, wanted, &[(header::HOST, host)]), expected, "{host}");
            }
        }
        assert_eq!(status(&access, Wanted::Page, &[]), Some(403), "no host");
    }

    #[test]
    fn a_configured_token_is_required() {
        let access = Access::new(Some(SecretString::from("secret")), IpAddr::from([127, 0, 0, 1]));
        let host = (header::HOST, "127.0.0.1:8081");
        for wanted in [Wanted::Page, Wanted::Json] {
            assert_eq!(status(&access, wanted, std::slice::from_ref(&host)), Some(401));
            let wrong = (header::AUTHORIZATION, "Bearer other");
            assert_eq!(status(&access, wanted, &[host.clone(), wrong]), Some(401));
            let right = (header::AUTHORIZATION, "Bearer secret");
            assert_eq!(status(&access, wanted, &[host.clone(), right]), None);
        }
    }

    #[test]
    fn on_another_address_there_are_no_pages() {
        let access = Access::new(Some(SecretString::from("secret")), IpAddr::from([0, 0, 0, 0]));
        let right = [(header::AUTHORIZATION, "Bearer secret")];
        assert_eq!(status(&access, Wanted::Page, &right), Some(403));
        assert_eq!(status(&access, Wanted::Json, &right), None);
        assert_eq!(status(&access, Wanted::Json, &[]), Some(401));
    }
}
