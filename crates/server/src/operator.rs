//! The operator listener: `/readyz`, `/metrics`, `/tasks`. It listens on loopback by default.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use beadle_engine::{Budgets, Clock, Depth, Driver, Store, StoreError, TaskRecord, Time, WorkerCounts};
use http::{HeaderMap, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::metrics::Metrics;

/// The time limit for an answer of the store. Callers give up not much later.
const PATIENCE: Duration = Duration::from_secs(2);

/// The state that the operator listener shows.
pub struct Operator {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Clock,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The counts of the worker.
    pub counts: Arc<WorkerCounts>,
    /// The budgets of the credentials, for organisations that are open.
    pub budgets: Arc<RwLock<Vec<Budgets>>>,
    /// The background tasks.
    pub driver: Driver,
    /// The bearer token that callers must send. It is required if the listener is not on loopback.
    pub token: Option<SecretString>,
}

impl Operator {
    /// Returns the routes of the operator listener.
    pub fn router(self: Arc<Self>) -> axum::Router {
        axum::Router::new()
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .route("/tasks", get(tasks))
            .route("/tasks/{name}/run", post(run_task))
            .with_state(self)
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let shown = headers.get(header::AUTHORIZATION).map(http::HeaderValue::as_bytes).unwrap_or_default();
        let wanted = format!("Bearer {}", token.expose_secret());
        shown.ct_eq(wanted.as_bytes()).into()
    }
}

const UNAUTHORISED: (StatusCode, &str) =
    (StatusCode::UNAUTHORIZED, "operator token missing or wrong: send `Authorization: Bearer TOKEN`\n");

const FROM_A_PAGE: (StatusCode, &str) =
    (StatusCode::FORBIDDEN, "a page in a browser cannot run a background task: use `beadle tasks run`\n");

/// Returns whether the request comes from a page in a browser. Such a page can reach loopback, where
/// no token is required.
fn is_from_a_page(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN)
}

async fn ready(State(operator): State<Arc<Operator>>, headers: HeaderMap) -> Response {
    if !operator.admits(&headers) {
        return UNAUTHORISED.into_response();
    }
    if let Err(refused) = in_time(operator.store.ready()).await {
        return refused.into_response();
    }
    // The service still accepts webhooks, so it is ready, and names what fails.
    let failing = operator.driver.status().into_iter().filter_map(|task| failure_line(&task));
    let lines = std::iter::once("ready".to_owned()).chain(failing);
    lines.fold(String::new(), |text, line| text + &line + "\n").into_response()
}

/// Returns the name of a failing task and the first line of its failure.
fn failure_line(task: &TaskRecord) -> Option<String> {
    let why = task.failure.as_ref()?;
    Some(format!("{}: {}", task.name, why.lines().next().unwrap_or_default()))
}

/// Answers with the records of all background tasks.
async fn tasks(State(operator): State<Arc<Operator>>, headers: HeaderMap) -> Response {
    if !operator.admits(&headers) {
        return UNAUTHORISED.into_response();
    }
    Json(operator.driver.status()).into_response()
}

/// Runs a background task, and answers with its record after the run.
async fn run_task(
    State(operator): State<Arc<Operator>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    if !operator.admits(&headers) {
        return UNAUTHORISED.into_response();
    }
    if is_from_a_page(&headers) {
        return FROM_A_PAGE.into_response();
    }
    match operator.driver.activate(&name).await {
        Ok(record) => Json(record).into_response(),
        Err(unknown) => (StatusCode::NOT_FOUND, format!("{unknown}\n")).into_response(),
    }
}

/// The status and the text of a refusal.
type Refused = (StatusCode, String);

/// Returns the answer of the store, or a refusal with the reason why there is none.
async fn in_time<T>(asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, Refused> {
    let why = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => format!("{error}\n"),
        Err(_) => format!("the store did not answer within {} s\n", PATIENCE.as_secs()),
    };
    Err((StatusCode::SERVICE_UNAVAILABLE, why))
}

/// Returns the state of the queue, and the number of held changes. The store leaves out paused keys,
/// because they can be all repositories of an organisation.
async fn figures(store: &dyn Store, now: Time) -> Result<(Depth, usize), StoreError> {
    Ok((store.depth(now).await?, store.holds().await?.len()))
}

async fn metrics(State(operator): State<Arc<Operator>>, headers: HeaderMap) -> Response {
    if !operator.admits(&headers) {
        return UNAUTHORISED.into_response();
    }
    let now = operator.clock.now();
    let (depth, held) = match in_time(figures(operator.store.as_ref(), now)).await {
        Ok(figures) => figures,
        Err(refused) => return refused.into_response(),
    };
    let budgets = operator.budgets.read().unwrap_or_else(PoisonError::into_inner).clone();
    match operator.metrics.scrape(&depth, held, now, &operator.counts, &budgets, &operator.driver.status()) {
        Ok(text) => {
            ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
                .into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_in_a_browser_is_recognised_by_its_origin() {
        let mut headers = HeaderMap::new();
        assert!(!is_from_a_page(&headers), "the command sends no origin");
        headers.insert(header::ORIGIN, http::HeaderValue::from_static("https://elsewhere.example"));
        assert!(is_from_a_page(&headers));
    }
}
