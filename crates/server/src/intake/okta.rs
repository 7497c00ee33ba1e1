//! `/hooks/okta`: `GET` is the verification of the address by Okta, `POST` is a delivery.
//!
//! <https://developer.okta.com/docs/guides/event-hook-implementation/>

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use beadle_engine::Accepted;
use beadle_hooks::okta::{self, HookRefusal};
use futures::future::try_join_all;
use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::{Intake, Problem, answer, header};

/// The time limit for free room. Okta waits 3 s for an answer and retries only once.
const PATIENCE: Duration = Duration::from_secs(1);
/// The maximum length of a challenge in bytes. Challenges of Okta are shorter.
const LONGEST: usize = 1024;

impl From<HookRefusal> for Problem {
    fn from(refusal: HookRefusal) -> Self {
        let status = match refusal {
            HookRefusal::Unproved => StatusCode::UNAUTHORIZED,
            HookRefusal::Body(_) => StatusCode::BAD_REQUEST,
        };
        Self::Refused(status, refusal.to_string())
    }
}

/// Answers the verification of the address with the challenge of the request. This request needs no
/// secret, and the answer has nothing else.
pub(super) async fn verify(headers: HeaderMap) -> Response {
    match header(&headers, "x-okta-verification-challenge") {
        Some(challenge) if challenge.len() <= LONGEST => {
            Json(json!({ "verification": challenge })).into_response()
        }
        _ => answer(
            StatusCode::BAD_REQUEST,
            "x-okta-verification-challenge is missing: send deliveries with POST",
        ),
    }
}

pub(super) async fn deliver(State(intake): State<Arc<Intake>>, headers: HeaderMap, body: Body) -> Response {
    let started = intake.clock.now();
    let received = receive(&intake, &headers, body).await;
    intake.respond(received, started).await
}

async fn receive(intake: &Intake, headers: &HeaderMap, body: Body) -> Result<Accepted, Problem> {
    let declared = intake.declared(headers)?;
    let value = |name: &str| headers.get(name).map(http::HeaderValue::as_bytes);
    // This check comes before the body, so that a request without the secret costs no memory.
    let sender = okta::sender(&intake.senders.okta, &value)?;
    let (body, _room) = intake.body(body, declared, PATIENCE).await?;
    let verified = okta::receive(sender, body, intake.clock.now())?;
    // The events come first: if the process ends in between, Okta retries the delivery, and the
    // stored events stay stored.
    let events = verified.events.into_iter().map(|(event, marks)| async move {
        let marked = !marks.is_empty();
        let accepted = intake.store.accept(event, marks).await?;
        Ok::<bool, Problem>(marked && accepted == Accepted::Stored)
    });
    let marked = try_join_all(events).await?.contains(&true);
    let accepted = intake.store.accept(verified.delivery, Vec::new()).await?;
    if marked {
        intake.bell.notify_one();
    }
    Ok(accepted)
}
