//! The public listener verifies and stores webhooks. The listener answers with 2xx only after the
//! delivery is stored durably.

mod delivery_span;
mod github;
mod okta;

use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use beadle_engine::journal::RefusedWebhook;
use beadle_engine::{Accepted, Clock, Delivery, Detail, Entry, EntryKind, Mark, Store, StoreError, Time};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::inflight::{InFlight, SMALL, Taken};
use crate::metrics::Metrics;

/// The maximum number of unknown senders in the journal. A limit is necessary, because anybody can
/// install a public App, and the deliveries of such an App have a valid signature.
const REMEMBERED: usize = 100;

/// The limits that protect the intake from large bodies and slow senders.
#[derive(Clone, Copy, Debug)]
pub struct IntakeLimits {
    /// The maximum size of one body, in bytes. GitHub sends bodies of up to 25 MB.
    pub body: u64,
    /// The maximum total size in bytes of all bodies that the intake receives or stores at the same
    /// time.
    pub in_flight: u64,
    /// The time limit for receiving a whole body.
    pub slow: Duration,
    /// The maximum time that Beadle waits for more data in the middle of a body. After that time,
    /// the memory of the body becomes free for other bodies.
    pub silence: Duration,
    /// The maximum time that a request waits for enough free memory for its body.
    pub patience: Duration,
    /// The time limit for storing a delivery. GitHub gives up after 10 seconds. If the store hangs,
    /// the intake must still free the memory of the bodies.
    pub storing: Duration,
}

impl Default for IntakeLimits {
    fn default() -> Self {
        Self {
            body: 25 * 1024 * 1024,
            in_flight: 128 * 1024 * 1024,
            slow: Duration::from_secs(9),
            silence: Duration::from_secs(3),
            patience: Duration::from_secs(5),
            storing: Duration::from_secs(8),
        }
    }
}

/// The senders whose webhooks Beadle accepts.
#[derive(Default)]
pub struct Senders {
    /// The GitHub organisations that are allowed to send webhooks.
    pub github: Vec<beadle_hooks::github::Sender>,
    /// The Okta directories that are allowed to send event hooks.
    pub okta: Vec<beadle_hooks::okta::Sender>,
}

/// The public listener, which accepts webhooks.
pub struct Intake {
    senders: Senders,
    store: Arc<dyn Store>,
    clock: Clock,
    bell: Arc<Notify>,
    metrics: Arc<Metrics>,
    limits: IntakeLimits,
    room: InFlight,
    /// The unknown senders that are already in the journal, so that each sender gets only one
    /// entry.
    refused: Mutex<HashSet<String>>,
    /// The time of the latest log line about an invalid signature or secret.
    said: Mutex<Option<Time>>,
}

impl Intake {
    /// Creates an intake that accepts the webhooks of `senders`. The intake notifies `bell`
    /// whenever a webhook makes a key due.
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

    /// Returns the routes of the public listener.
    pub fn router(self: Arc<Self>) -> axum::Router {
        axum::Router::new()
            .route("/hooks/github", post(github::deliver))
            .route("/hooks/okta", get(okta::verify).post(okta::deliver))
            .route("/healthz", get(async || "ok\n"))
            .with_state(self)
    }

    /// Returns the length of the body from `Content-Length`. If the body is too large, returns an
    /// error, so that the intake does not read the body.
    fn declared(&self, headers: &HeaderMap) -> Result<u64, Problem> {
        let declared = match header(headers, "content-length") {
            Some(length) => length.parse::<u64>().map_err(|_| {
                Problem::Refused(StatusCode::BAD_REQUEST, "Content-Length must be a number".into())
            })?,
            None => self.limits.body,
        };
        if declared > self.limits.body { Err(self.too_large()) } else { Ok(declared) }
    }

    /// Waits for free memory, then receives the body and returns it. A large body gets the rest of its
    /// memory only after its first part has arrived. Otherwise, a few senders that announce large
    /// bodies and send nothing could occupy all of the memory.
    async fn body(&self, body: Body, declared: u64, patience: Duration) -> Result<(Vec<u8>, Taken), Problem> {
        let take = async |bytes| self.room.take(bytes, declared, patience).await.ok_or(Problem::Busy);
        let needed = self.room.needed(declared);
        let mut room = take(needed.min(SMALL)).await?;
        // The buffer grows with the received data, because a sender can announce a large body and
        // then send only a small one.
        let first = usize::try_from(declared.min(SMALL)).unwrap_or(usize::MAX);
        let mut arriving = Arriving { body, bytes: Vec::with_capacity(first), has_ended: false };
        self.receive(&mut arriving, SMALL, declared).await?;
        if !arriving.has_ended && needed > SMALL {
            room.add(take(needed - SMALL).await?);
        }
        self.receive(&mut arriving, u64::MAX, declared).await?;
        Ok((arriving.bytes, room))
    }

    /// Receives data until `arriving` has at least `until` bytes or has ended.
    async fn receive(&self, arriving: &mut Arriving, until: u64, declared: u64) -> Result<(), Problem> {
        let late =
            |_| Problem::Refused(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time".into());
        tokio::time::timeout(self.limits.slow, self.read(arriving, until, declared)).await.map_err(late)?
    }

    async fn read(&self, arriving: &mut Arriving, until: u64, declared: u64) -> Result<(), Problem> {
        let began = Instant::now();
        let silent =
            |_| Problem::Refused(StatusCode::REQUEST_TIMEOUT, "the sender paused for too long".into());
        while !arriving.has_ended && arriving.received() < until {
            // The rest of a large body must arrive at the rate that the limit `slow` needs, because it
            // occupies much memory.
            let thousandths = arriving.received().min(declared) * 1000 / declared.max(1);
            let share = self.limits.slow * u32::try_from(thousandths).unwrap_or(1000) / 1000;
            let due = share + self.limits.silence;
            let is_rest = until > SMALL && declared > SMALL;
            let wait = if is_rest { due.saturating_sub(began.elapsed()) } else { self.limits.silence };
            let frame = tokio::time::timeout(wait.min(self.limits.silence), arriving.body.frame()).await;
            let cut = |_| Problem::Refused(StatusCode::BAD_REQUEST, "the body is incomplete".into());
            let Some(frame) = frame.map_err(silent)? else {
                arriving.has_ended = true;
                break;
            };
            if let Ok(data) = frame.map_err(cut)?.into_data() {
                if arriving.received() + data.len() as u64 > self.limits.body {
                    return Err(self.too_large());
                }
                arriving.bytes.extend_from_slice(&data);
            }
        }
        Ok(())
    }

    /// Stores a delivery, and makes its keys due.
    async fn accept(&self, delivery: Delivery, marks: Vec<Mark>) -> Result<Accepted, Problem> {
        let limit = self.limits.storing;
        let Ok(accepted) = tokio::time::timeout(limit, self.store.accept(delivery, marks)).await else {
            let why = format!("no answer within {} s", limit.as_secs());
            return Err(StoreError::Unavailable { doing: "storing a delivery", why }.into());
        };
        Ok(accepted?)
    }

    fn too_large(&self) -> Problem {
        let why = format!("a body must have at most {} bytes", self.limits.body);
        Problem::Refused(StatusCode::PAYLOAD_TOO_LARGE, why)
    }

    /// Logs an invalid signature or secret. Writes at most one of these log lines in a minute. The
    /// usual cause is a wrong secret in a new webhook.
    fn say_bad_signature(&self, why: &str) {
        let now = self.clock.now();
        let mut said = self.said.lock();
        if said.is_none_or(|said| now.since(said) > Duration::from_secs(60)) {
            *said = Some(now);
            tracing::warn!(why, "webhook signature or secret invalid");
        }
    }

    /// Adds an unknown sender to the journal, so that an operator can find this sender. Each sender
    /// gets only one entry. After [`REMEMBERED`] senders, Beadle adds no further sender.
    async fn remember(&self, who: &str) {
        let is_new = {
            let mut refused = self.refused.lock();
            refused.len() < REMEMBERED && refused.insert(who.to_owned())
        };
        if !is_new {
            return;
        }
        tracing::warn!(who, "webhook refused, its sender is not configured");
        let entry = Entry {
            seq: 0,
            at: self.clock.now(),
            kind: EntryKind::Refused,
            key: "-".into(),
            subject: who.to_owned(),
            intent: None,
            trace: beadle_engine::trace::current_id(),
            detail: Detail::Refused(RefusedWebhook { status: 403 }),
        };
        if let Err(error) = self.store.journal(None, vec![entry], self.clock.now()).await {
            tracing::error!(%error, "journal entry of a refused webhook not written");
        }
    }
}

/// A body that arrives.
struct Arriving {
    body: Body,
    bytes: Vec<u8>,
    /// True if the whole body has arrived.
    has_ended: bool,
}

impl Arriving {
    fn received(&self) -> u64 {
        self.bytes.len() as u64
    }
}

/// The reason for an answer that is not 2xx.
enum Problem {
    Refused(StatusCode, String),
    NotConfigured(String, String),
    Busy,
    NotStored,
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "delivery not stored, answered with 503");
        Self::NotStored
    }
}

impl Intake {
    /// Returns the answer to a delivery, and counts it in the metrics.
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
                    // Beadle does not read the rest of the body. So the client cannot send another
                    // request on this connection.
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                response
            }
            Err(Problem::NotConfigured(who, why)) => {
                self.remember(&who).await;
                answer(StatusCode::FORBIDDEN, &why)
            }
            Err(Problem::Busy) => later("too many bodies at the same time"),
            Err(Problem::NotStored) => later("the delivery could not be stored"),
        };
        self.metrics.delivery(response.status(), self.clock.now().since(started));
        response
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The body of an answer.
#[derive(Serialize)]
struct Answered<'a> {
    result: &'a str,
}

fn answer(status: StatusCode, result: &str) -> Response {
    (status, Json(Answered { result })).into_response()
}

fn later(why: &str) -> Response {
    let mut response = answer(StatusCode::SERVICE_UNAVAILABLE, why);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
    response
}

#[cfg(test)]
mod tests;
