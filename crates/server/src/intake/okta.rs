//! The route `/hooks/okta`. Okta sends one `GET` request to verify the address. A `POST` request is
//! a delivery.
//!
//! <https://developer.okta.com/docs/guides/event-hook-implementation/>

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use beadle_engine::{Accepted, Time};
use beadle_hooks::okta::{self, HookRefusal};
use futures::future::try_join_all;
use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::{Intake, Problem, answer, delivery_span, header};

/// The maximum time that a request waits for free memory. The time is short, because Okta waits
/// only 3 s for the answer and retries only once.
const PATIENCE: Duration = Duration::from_secs(1);
/// The maximum length of a challenge, in bytes. Okta sends shorter challenges.
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

/// Answers Okta's request to verify the address. The answer contains the challenge from the
/// request. The request needs no secret, because the answer contains nothing except this challenge.
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
    let received = receive(&intake, &headers, body, started).await;
    intake.respond(received, started).await
}

async fn receive(
    intake: &Intake,
    headers: &HeaderMap,
    body: Body,
    started: Time,
) -> Result<Accepted, Problem> {
    let declared = intake.declared(headers)?;
    let value = |name: &str| headers.get(name).map(http::HeaderValue::as_bytes);
    // Beadle checks the secret before it reads the body. So a request without the secret occupies
    // no memory for its body.
    let sender = okta::sender(&intake.senders.okta, &value)?;
    let (body, _room) = intake.body(body, declared, PATIENCE).await?;
    let verified = okta::receive(sender, body, intake.clock.now())?;
    let all_marks = verified.events.iter().flat_map(|(_, marks)| marks);
    let span = delivery_span::begin(&verified.delivery, all_marks, started);
    // Beadle stores the events before it stores the delivery. If the process ends between these two
    // steps, Okta sends the delivery again. Beadle does not store an event twice.
    let events = verified.events.into_iter();
    let events = events.map(|(event, marks)| (event, delivery_span::mark(&span, marks)));
    let events = events.map(|(event, marks)| async move {
        let marked = !marks.is_empty();
        let accepted = intake.accept(event, marks).await?;
        Ok::<bool, Problem>(marked && accepted == Accepted::Stored)
    });
    let marked = try_join_all(events).await?.contains(&true);
    let stored = intake.accept(verified.delivery, Vec::new()).await;
    let accepted = delivery_span::end(span, stored)?;
    if marked {
        intake.bell.notify_one();
    }
    Ok(accepted)
}
