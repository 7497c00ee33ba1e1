//! The operator listener: `/readyz`, `/metrics`. On loopback unless the configuration says otherwise.

use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use beadle_engine::{Budgets, Clock, Store, WorkerCounts};
use http::{HeaderMap, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::metrics::Metrics;

/// What operators may ask.
pub struct Operator {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Clock,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// What the worker did.
    pub counts: Arc<WorkerCounts>,
    /// The credentials' budgets, of organisations that are open by now.
    pub budgets: Arc<RwLock<Vec<Budgets>>>,
    /// The bearer token that callers must show; required wherever the listener is not on loopback.
    pub token: Option<SecretString>,
}

impl Operator {
    /// The operator listener's routes.
    pub fn router(self: Arc<Self>) -> axum::Router {
        axum::Router::new().route("/readyz", get(ready)).route("/metrics", get(metrics)).with_state(self)
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let shown = headers.get(header::AUTHORIZATION).map(http::HeaderValue::as_bytes).unwrap_or_default();
        let wanted = format!("Bearer {}", token.expose_secret());
        shown.ct_eq(wanted.as_bytes()).into()
    }
}

const UNAUTHORISED: (StatusCode, &str) =
    (StatusCode::UNAUTHORIZED, "show the operator token as a bearer token\n");

async fn ready(State(operator): State<Arc<Operator>>, headers: HeaderMap) -> Response {
    if !operator.admits(&headers) {
        return UNAUTHORISED.into_response();
    }
    match operator.store.ready().await {
        Ok(()) => "ready\n".into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

async fn metrics(State(operator): State<Arc<Operator>>, headers: HeaderMap) -> Response {
    if !operator.admits(&headers) {
        return UNAUTHORISED.into_response();
    }
    let now = operator.clock.now();
    let figures = async { Ok((operator.store.depth(now).await?, operator.store.holds().await?.len())) };
    let (depth, held) = match figures.await {
        Ok(figures) => figures,
        Err(error) => {
            let error: beadle_engine::StoreError = error;
            return (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response();
        }
    };
    let budgets = operator.budgets.read().unwrap_or_else(PoisonError::into_inner).clone();
    match operator.metrics.scrape(&depth, held, now, &operator.counts, &budgets) {
        Ok(text) => {
            ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
                .into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
