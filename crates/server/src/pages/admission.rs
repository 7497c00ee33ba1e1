//! Decides which requests Beadle accepts if the pages have a sign-in.

use axum::response::Response;
use http::{HeaderMap, Method, StatusCode};

use super::access::{Access, Wanted};
use super::answers;
use super::html::text;
use super::layout::STYLE_PATH;
use super::link::Link;
use super::live_stream::LIVE_PATH;
use super::parts::{link, paragraph};
use crate::sign_in::{Denied, RETURN_PATH, SignIn, Visitor};

/// The path of the address that begins a sign-in.
pub(super) const SIGN_IN_PATH: &str = "/sign-in";

/// The header of the requests that an open page sends by itself, without an action of a person.
/// Such a request does not extend the session.
const OPEN_PAGE: &str = "x-beadle-open-page";

/// The decision whether Beadle handles a request.
pub(super) enum Admission {
    /// Beadle handles the request. If a signed-in person sent the request, this value contains the
    /// visitor.
    Admitted(Option<Visitor>),
    /// Beadle refuses the request with this answer.
    Refused(Box<Response>),
}

impl Admission {
    fn refused(response: Response) -> Self {
        Self::Refused(Box::new(response))
    }
}

/// Decides whether Beadle handles a request. A program with the operator token is allowed to read.
/// Every other request needs a session, except the requests that sign a person in or load the style
/// sheet. If a request can change something, it must come from a page of this listener.
pub(super) async fn admit(
    sign_in: &SignIn,
    access: &Access,
    (method, path, headers): (&Method, &str, &HeaderMap),
    wanted: Wanted,
) -> Admission {
    let is_reading = method == Method::GET || method == Method::HEAD;
    if is_reading && access.shows_token(headers) {
        return Admission::Admitted(None);
    }
    if !sign_in.is_own_host(headers) {
        let why = "the header `Host` must name the address of `server.sign_in.url`";
        return Admission::refused(refusal(wanted, (StatusCode::FORBIDDEN, "Wrong address"), why));
    }
    if !is_reading && !sign_in.is_own_origin(headers) {
        let why = "the header `Origin` must name the address of `server.sign_in.url`";
        return Admission::refused(refusal(wanted, (StatusCode::FORBIDDEN, "Wrong address"), why));
    }
    if is_reading && [SIGN_IN_PATH, RETURN_PATH, STYLE_PATH].contains(&path) {
        return Admission::Admitted(None);
    }
    let visitor = if path == LIVE_PATH || headers.contains_key(OPEN_PAGE) {
        sign_in.onlooker(headers).await
    } else {
        sign_in.visitor(headers).await
    };
    match visitor {
        Ok(Some(visitor)) => Admission::Admitted(Some(visitor)),
        Ok(None) => Admission::refused(nobody(wanted)),
        Err(denied) => {
            let why = match denied {
                Denied::Unknown(why) => why,
                Denied::Ended | Denied::Role(_) | Denied::Stale => return Admission::refused(nobody(wanted)),
            };
            let status = (StatusCode::SERVICE_UNAVAILABLE, "Role unknown");
            Admission::refused(refusal(wanted, status, &why))
        }
    }
}

/// Returns the answer to a request without a session.
pub(super) fn nobody(wanted: Wanted) -> Response {
    let (status, why) = (StatusCode::UNAUTHORIZED, "nobody is signed in");
    match wanted {
        Wanted::Json => answers::error(status, why),
        Wanted::Page => {
            let link = link(&Link::to(SIGN_IN_PATH), "Sign in");
            answers::page(status, "Sign in", SIGN_IN_PATH, vec![paragraph([link])])
        }
    }
}

fn refusal(wanted: Wanted, (status, title): (StatusCode, &'static str), why: &str) -> Response {
    match wanted {
        Wanted::Json => answers::error(status, why),
        Wanted::Page => answers::page(status, title, SIGN_IN_PATH, vec![paragraph([text(why)])]),
    }
}
