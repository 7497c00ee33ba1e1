//! Reads the requests of signed-in people, and answers them.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use http::{HeaderMap, StatusCode};

use crate::sign_in::{DecisionRefusal, SignIn, Visitor};

/// The maximum size of a body, in bytes.
pub(super) const LARGEST: usize = 16 * 1024;
/// The header that contains the token of a program's session.
const TOKEN_HEADER: &str = "x-beadle-token";

/// The sign-in of the pages.
pub(super) type Shared = State<Arc<SignIn>>;
/// The person who sent a request. `None` if a program sent the request with the operator token.
pub(super) type Sender = Option<Extension<Visitor>>;
/// Returns the person who sent a request.
pub(super) fn visitor(sender: Sender) -> Option<Visitor> {
    sender.map(|Extension(visitor)| visitor)
}

/// The fields of a form.
pub(super) type Form = HashMap<String, String>;

/// Returns the fields of a form.
pub(super) fn form(body: &[u8]) -> Form {
    form_urlencoded::parse(body).into_owned().collect()
}

/// Returns the value of a field. If the form does not contain the field, returns an empty text.
pub(super) fn field(form: &Form, name: &str) -> String {
    form.get(name).cloned().unwrap_or_default()
}

/// Splits the value of a field at the commas.
pub(super) fn fields(form: &Form, name: &str) -> Vec<String> {
    let values = form.get(name).map_or("", String::as_str).split(',').map(str::trim);
    values.filter(|value| !value.is_empty()).map(str::to_owned).collect()
}

/// Returns the token of a program's session.
pub(super) fn token(headers: &HeaderMap) -> String {
    let token = headers.get(TOKEN_HEADER).and_then(|token| token.to_str().ok());
    token.unwrap_or_default().to_owned()
}

/// Returns a refusal for a request that has an invalid value.
pub(super) fn invalid(why: &str) -> DecisionRefusal {
    DecisionRefusal::Invalid(why.to_owned())
}

/// Returns the status of the answer to a refused request.
pub(super) fn status(refusal: &DecisionRefusal) -> StatusCode {
    match refusal {
        DecisionRefusal::Invalid(_) => StatusCode::BAD_REQUEST,
        DecisionRefusal::Forbidden(_) => StatusCode::FORBIDDEN,
        DecisionRefusal::NotFound(_) => StatusCode::NOT_FOUND,
        DecisionRefusal::Conflict(_) | DecisionRefusal::Partial(_) => StatusCode::CONFLICT,
        DecisionRefusal::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
        DecisionRefusal::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
