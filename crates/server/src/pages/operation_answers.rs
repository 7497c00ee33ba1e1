//! Carries out the operations of signed-in people, and answers with the results.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use beadle_engine::parse_span;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use super::access::Wanted;
use super::admission::nobody;
use super::answers;
use super::html::{Html, text};
use super::link::Link;
use super::operation_forms::undo_again_link;
use super::parts::{link, list, paragraph};
use super::requests::{Form, Sender, field, invalid, status, token};
use crate::sign_in::{DecisionRefusal, Operation, OperationDone, SignIn};

/// The result of reading a request.
pub(super) type Read<T> = Result<T, DecisionRefusal>;

/// Carries out the operation of a form, and shows the result. The answer contains a link to the
/// page at the path `place`.
pub(super) async fn operate(
    sign_in: &SignIn,
    sender: Sender,
    place: &'static str,
    (form, operation): (&Form, Read<Operation>),
) -> Response {
    let Some(Extension(visitor)) = sender else { return nobody(Wanted::Page) };
    let done = match operation {
        Ok(operation) => sign_in.operate(&visitor, operation, &field(form, "token")).await,
        Err(refusal) => Err(refusal),
    };
    match done {
        Ok(OperationDone { done, undo }) => {
            let content = vec![list(done.into_iter().map(text)), undo_again_link(&undo), back(place)];
            answers::page(StatusCode::OK, "Done", place, content)
        }
        Err(refusal) => refusal_page(&refusal, place),
    }
}

fn back(place: &'static str) -> Html {
    paragraph([link(&Link::to(place), "Back")])
}

/// Returns the page about a refused operation.
pub(super) fn refusal_page(refusal: &DecisionRefusal, place: &'static str) -> Response {
    let content = vec![paragraph([text(refusal.why())]), back(place)];
    answers::page(status(refusal), "Not done", place, content)
}

/// Carries out the operation of a request to the API.
pub(super) async fn operate_for_program(
    sign_in: &SignIn,
    sender: Sender,
    headers: &HeaderMap,
    operation: Read<Operation>,
) -> Response {
    let Some(Extension(visitor)) = sender else { return nobody(Wanted::Json) };
    let done = match operation {
        Ok(operation) => sign_in.operate(&visitor, operation, &token(headers)).await,
        Err(refusal) => Err(refusal),
    };
    match done {
        Ok(done) => Json(done).into_response(),
        Err(refusal) => answers::error(status(&refusal), refusal.why()),
    }
}

/// Reads the body of a request to the API. `parts` describes the body.
pub(super) fn json<T: DeserializeOwned>(body: &[u8], parts: &str) -> Read<T> {
    serde_json::from_slice(body).map_err(|_| invalid(&format!("the body must be JSON with {parts}")))
}

/// Returns the length of a pause.
pub(super) fn span(value: &str) -> Read<Duration> {
    parse_span(value).map_err(|why| invalid(&why))
}
