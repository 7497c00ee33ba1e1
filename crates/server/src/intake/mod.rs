//! The public side: verify, store, answer. An answer of 2xx means that the delivery is on disk.

mod github;
mod okta;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use beadle_engine::journal::RefusedWebhook;
use beadle_engine::{Accepted, Clock, Detail, Entry, EntryKind, Store, StoreError, Time};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::json;
use tokio::sync::Notify;

use crate::inflight::{InFlight, Taken};
use crate::metrics::Metrics;

/// What the intake takes.
#[derive(Clone, Copy, Debug)]
pub struct IntakeLimits {
    /// The largest body. GitHub sends up to 25 MB.
    pub body: u64,
    /// All bodies that are being received or stored at once.
    pub in_flight: u64,
    /// How long a sender may take for its body.
    pub slow: Duration,
    /// How long a sender may send nothing: its room is for others.
    pub silence: Duration,
    /// How long a request waits for room.
    pub patience: Duration,
}

impl Default for IntakeLimits {
    fn default() -> Self {
        Self {
            body: 25 * 1024 * 1024,
            in_flight: 128 * 1024 * 1024,
            slow: Duration::from_secs(9),
            silence: Duration::from_secs(3),
            patience: Duration::from_secs(5),
        }
    }
}

/// Who may send what.
#[derive(Default)]
pub struct Senders {
    /// Organisations of GitHub.
    pub github: Vec<beadle_hooks::github::Sender>,
    /// Directories of Okta.
    pub okta: Vec<beadle_hooks::okta::Sender>,
}

/// The public side.
pub struct Intake {
    senders: Senders,
    store: Arc<dyn Store>,
    clock: Clock,
    bell: Arc<Notify>,
    metrics: Arc<Metrics>,
    limits: IntakeLimits,
    room: InFlight,
    /// Who was refused as not configured, so that each is written to the journal once.
    refused: Mutex<HashSet<String>>,
    /// When a bad signature was last said.
    said: Mutex<Option<Time>>,
}

impl Intake {
    /// An intake that takes webhooks of `senders` and rings `bell` for each that made something due.
    pub fn new(
        senders: Senders,
        store: Arc<dyn Store>,
        clock: Clock,
        bell: Arc<Notify>,
        metrics: Arc<Metrics>,
        limits: IntakeLimits,
    ) -> Self {
        let room = InFlight::new(limits.in_flight);
        Self {
            senders,
            store,
            clock,
            bell,
            metrics,
            limits,
            room,
            refused: Mutex::default(),
            said: Mutex::default(),
        }
    }

    /// The public listener's routes.
    pub fn router(self: Arc<Self>) -> axum::Router {
        axum::Router::new()
            .route("/hooks/github", post(github::deliver))
            .route("/hooks/okta", get(okta::verify).post(okta::deliver))
            .route("/healthz", get(async || "ok\n"))
            .with_state(self)
    }

    /// How long the body is, as the sender declares it; too long a one is refused before it is read.
    fn declared(&self, headers: &HeaderMap) -> Result<u64, Problem> {
        let declared = match header(headers, "content-length") {
            Some(length) => length.parse::<u64>().map_err(|_| {
                Problem::Refused(StatusCode::BAD_REQUEST, "Content-Length is no number".into())
            })?,
            None => self.limits.body,
        };
        if declared > self.limits.body { Err(self.too_large()) } else { Ok(declared) }
    }

    /// The body, once there is room for it.
    async fn body(&self, body: Body, declared: u64, patience: Duration) -> Result<(Vec<u8>, Taken), Problem> {
        let room = self.room.take(declared, patience).await.ok_or(Problem::Busy)?;
        let read = tokio::time::timeout(self.limits.slow, self.read(body, declared)).await;
        let body = read.map_err(|_| {
            Problem::Refused(StatusCode::REQUEST_TIMEOUT, "the body took too long to arrive".into())
        })??;
        Ok((body, room))
    }

    async fn read(&self, mut body: Body, declared: u64) -> Result<Vec<u8>, Problem> {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        // A sender may declare much and send little: what it declares is not allocated ahead.
        let mut bytes = Vec::with_capacity(size(declared.min(64 * 1024)));
        let silent = |_| Problem::Refused(StatusCode::REQUEST_TIMEOUT, "the sender fell silent".into());
        while let Some(frame) =
            tokio::time::timeout(self.limits.silence, body.frame()).await.map_err(silent)?
        {
            let cut = |_| Problem::Refused(StatusCode::BAD_REQUEST, "the body was cut off".into());
            if let Ok(data) = frame.map_err(cut)?.into_data() {
                if bytes.len() + data.len() > size(self.limits.body) {
                    return Err(self.too_large());
                }
                bytes.extend_from_slice(&data);
            }
        }
        Ok(bytes)
    }

    fn too_large(&self) -> Problem {
        let why = format!("a body may have {} bytes", self.limits.body);
        Problem::Refused(StatusCode::PAYLOAD_TOO_LARGE, why)
    }

    /// A wrong secret is the likeliest mistake of a new webhook; it is said, and not for every request.
    fn say_bad_signature(&self, why: &str) {
        let now = self.clock.now();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|said| now.since(said) > Duration::from_secs(60)) {
            *said = Some(now);
            tracing::warn!(why, "a webhook was refused; is its secret the configured one?");
        }
    }

    /// Who is not configured is remembered, so that an operator can see whose webhooks come to nobody.
    async fn remember(&self, who: &str) {
        let new = self.refused.lock().unwrap_or_else(PoisonError::into_inner).insert(who.to_owned());
        if !new {
            return;
        }
        tracing::warn!(who, "a webhook with a valid signature is for nobody configured here");
        let entry = Entry {
            seq: 0,
            at: self.clock.now(),
            kind: EntryKind::Refused,
            key: "-".into(),
            subject: who.to_owned(),
            intent: None,
            detail: Detail::Refused(RefusedWebhook { status: 403 }),
        };
        if let Err(error) = self.store.journal(None, vec![entry], self.clock.now()).await {
            tracing::error!(%error, "could not write a refusal to the journal");
        }
    }
}

/// Why a request is not answered 2xx.
enum Problem {
    Refused(StatusCode, String),
    NotConfigured(String, String),
    Busy,
    NotStored,
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a delivery was not stored and was answered 503");
        Self::NotStored
    }
}

impl Intake {
    /// The answer to a delivery.
    async fn respond(&self, received: Result<Accepted, Problem>, started: Time) -> Response {
        let response = match received {
            Ok(Accepted::Stored) => answer(StatusCode::ACCEPTED, "stored"),
            Ok(Accepted::Duplicate) => answer(StatusCode::OK, "already stored"),
            Err(Problem::Refused(status, why)) => {
                if status == StatusCode::UNAUTHORIZED {
                    self.say_bad_signature(&why);
                }
                let mut response = answer(status, &why);
                if matches!(status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
                    // The rest of the body is not read, so the connection cannot go on.
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                response
            }
            Err(Problem::NotConfigured(who, why)) => {
                self.remember(&who).await;
                answer(StatusCode::FORBIDDEN, &why)
            }
            Err(Problem::Busy) => later("too many bodies are being received"),
            Err(Problem::NotStored) => later("the delivery could not be stored"),
        };
        self.metrics.delivery(response.status(), self.clock.now().since(started));
        response
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn answer(status: StatusCode, result: &str) -> Response {
    (status, Json(json!({ "result": result }))).into_response()
}

fn later(why: &str) -> Response {
    let mut response = answer(StatusCode::SERVICE_UNAVAILABLE, why);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
    response
}
