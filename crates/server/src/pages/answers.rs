//! Builds answers for the pages and the API. These answers contain no values from the store.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::json;

use super::html::Html;
use super::layout;

/// Returns a page.
pub(super) fn page(status: StatusCode, title: &str, place: &str, content: Vec<Html>) -> Response {
    let text = layout::page(title, place, content);
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response()
}

/// Returns an error of the API.
pub(super) fn error(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}
