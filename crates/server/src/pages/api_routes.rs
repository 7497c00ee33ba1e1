//! The routes of the API that return the values of the pages as JSON.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use serde::Serialize;
use serde_json::json;

use super::asked::{Asked, Refused};
use super::{Route, Shared};

/// The description of the API.
pub(super) const DESCRIPTION: &str = include_str!("assets/openapi.json");

/// Returns the values as JSON. If there are no values, returns the reason.
fn answer<V: Serialize>(loaded: Result<V, Refused>) -> Response {
    match loaded {
        Ok(view) => Json(view).into_response(),
        Err(refused) => {
            let status = match refused {
                Refused::Invalid(_) => StatusCode::BAD_REQUEST,
                Refused::NotFound(_) => StatusCode::NOT_FOUND,
                Refused::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            (status, Json(json!({ "error": refused.why() }))).into_response()
        }
    }
}

/// Returns the routes of the API.
pub(super) fn api() -> Vec<Route> {
    let description = ([(header::CONTENT_TYPE, "application/json")], DESCRIPTION);
    vec![
        ("/api/v1/overview", get(|State(pages): Shared| async move { answer(pages.overview().await) })),
        (
            "/api/v1/repositories",
            get(|State(pages): Shared, Query(asked): Query<Asked>| async move {
                answer(pages.repositories(&asked).await)
            }),
        ),
        (
            "/api/v1/repositories/{organisation}/{name}",
            get(|State(pages): Shared, Path((owner, name)): Path<(String, String)>| async move {
                answer(pages.repository(&owner, &name).await)
            }),
        ),
        (
            "/api/v1/groups",
            get(|State(pages): Shared, Query(asked): Query<Asked>| async move {
                answer(pages.groups(&asked).await)
            }),
        ),
        (
            "/api/v1/group",
            get(|State(pages): Shared, Query(asked): Query<Asked>| async move {
                answer(pages.group(&asked).await)
            }),
        ),
        (
            "/api/v1/holds",
            get(|State(pages): Shared, Query(asked): Query<Asked>| async move {
                answer(pages.holds(&asked).await)
            }),
        ),
        (
            "/api/v1/journal",
            get(|State(pages): Shared, Query(asked): Query<Asked>| async move {
                answer(pages.journal(&asked).await)
            }),
        ),
        (
            "/api/v1/deliveries",
            get(|State(pages): Shared, Query(asked): Query<Asked>| async move {
                answer(pages.deliveries(&asked).await)
            }),
        ),
        ("/api/v1/queue", get(|State(pages): Shared| async move { answer(pages.queue().await) })),
        ("/api/v1/tasks", get(|State(pages): Shared| async move { answer(Ok(pages.tasks().await)) })),
        (
            "/api/v1/policy",
            get(|State(pages): Shared, Query(asked): Query<Asked>| async move {
                answer(pages.policies(&asked).await)
            }),
        ),
        (
            "/api/v1/policy/previews",
            get(|State(pages): Shared, Query(asked): Query<Asked>| async move {
                answer(pages.previews(&asked).await)
            }),
        ),
        ("/api/v1/openapi.json", get(move || async move { description.into_response() })),
    ]
}
