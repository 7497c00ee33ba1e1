//! The route `POST /hooks/github` for deliveries from GitHub.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use beadle_engine::{Accepted, Time};
use beadle_hooks::github::{self, ContentType, Headers, WebhookRefusal};
use http::{HeaderMap, StatusCode};

use super::{Intake, Problem, delivery_span, header};

impl From<WebhookRefusal> for Problem {
    fn from(refusal: WebhookRefusal) -> Self {
        let why = refusal.to_string();
        let status = match refusal {
            WebhookRefusal::NotConfigured(who) => return Self::NotConfigured(who, why),
            WebhookRefusal::MediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            WebhookRefusal::Unsigned | WebhookRefusal::BadSignature => StatusCode::UNAUTHORIZED,
            WebhookRefusal::Header(_) | WebhookRefusal::Body(_) => StatusCode::BAD_REQUEST,
        };
        Self::Refused(status, why)
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
    let text = |name: &str| header(headers, name);
    let declared = intake.declared(headers)?;
    // Beadle checks the headers before it reads the body. So a request with invalid headers
    // occupies no memory for its body.
    ContentType::parse(text("content-type").unwrap_or_default())?;
    if !headers.contains_key("x-hub-signature-256") {
        return Err(WebhookRefusal::Unsigned.into());
    }
    let (body, _room) = intake.body(body, declared, intake.limits.patience).await?;
    let headers = Headers {
        signature: text("x-hub-signature-256"),
        event: text("x-github-event"),
        delivery: text("x-github-delivery"),
        content_type: text("content-type"),
        target_type: text("x-github-hook-installation-target-type"),
        target_id: text("x-github-hook-installation-target-id"),
    };
    let verified = github::receive(&intake.senders.github, headers, body, intake.clock.now())?;
    let marked = !verified.marks.is_empty();
    let span = delivery_span::begin(&verified.delivery, verified.marks.iter(), started);
    let marks = delivery_span::mark(&span, verified.marks);
    let stored = intake.accept(verified.delivery, marks).await;
    let accepted = delivery_span::end(span, stored)?;
    if marked && accepted == Accepted::Stored {
        intake.bell.notify_one();
    }
    Ok(accepted)
}
