//! Sends each webhook once, and keeps a log of the deliveries. An App can read the log, and can
//! request that GitHub sends deliveries again.
//!
//! <https://docs.github.com/webhooks/using-webhooks/handling-failed-webhook-deliveries>

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::github::events::Event;
use crate::github::limits::instant;
use crate::github::server::{Shared, lock};

/// The receiver of webhooks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// The address that receives the webhooks.
    pub url: String,
    /// The secret for the signatures of webhooks.
    pub secret: String,
    /// True if the webhook is configured in an organisation. False if it belongs to an App.
    #[serde(default)]
    pub organisation: bool,
}

/// One delivery in the log.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub(crate) id: u64,
    pub(crate) guid: String,
    pub(crate) event: &'static str,
    pub(crate) body: String,
    pub(crate) repository_id: Option<u64>,
    pub(crate) delivered_at: String,
    pub(crate) redelivery: bool,
    pub(crate) duration: f64,
    pub(crate) status_code: u16,
}

impl Logged {
    /// Returns the delivery as a row of `GET /app/hook/deliveries`.
    pub(crate) fn row(&self) -> Value {
        let payload: Value = serde_json::from_str(&self.body).unwrap_or_default();
        json!({
            "id": self.id, "guid": self.guid, "delivered_at": self.delivered_at, "redelivery": self.redelivery,
            "duration": self.duration, "status": if (200..300).contains(&self.status_code) { "OK" } else { "Invalid HTTP Response" },
            "status_code": self.status_code, "event": self.event, "action": payload["action"],
            "installation_id": payload["installation"]["id"], "repository_id": self.repository_id,
            "throttled_at": null,
        })
    }

    /// Returns the delivery with its request and its response.
    pub(crate) fn whole(&self) -> Value {
        let mut whole = self.row();
        whole["url"] = json!("");
        whole["request"] = json!({ "headers": {}, "payload": serde_json::from_str::<Value>(&self.body).unwrap_or_default() });
        whole["response"] = json!({ "headers": {}, "payload": "" });
        whole
    }
}

fn guid() -> String {
    let bits: u128 = rand::random();
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Sends webhooks for these events in the background.
pub(crate) fn send(shared: &Arc<Shared>, events: Vec<Event>) {
    for event in events {
        let Some(hook) = shared.hook() else { return };
        if event.organisation_only && !hook.organisation {
            continue;
        }
        let logged = Logged {
            id: shared.next_delivery(),
            guid: guid(),
            event: event.name,
            body: event.payload.to_string(),
            repository_id: event.repository_id,
            delivered_at: crate::github::world::now(),
            redelivery: false,
            duration: 0.0,
            status_code: 0,
        };
        attempt_in_background(shared, hook, logged);
    }
}

/// Sends a delivery from the log again, with the same guid. Returns `false` if the log has no such
/// delivery.
pub(crate) fn again(shared: &Arc<Shared>, id: u64) -> bool {
    let (Some(hook), Some(old)) = (shared.hook(), lock(&shared.log).find(id)) else { return false };
    let delivered_at = crate::github::world::now();
    let logged = Logged { id: shared.next_delivery(), redelivery: true, delivered_at, ..old };
    attempt_in_background(shared, hook, logged);
    true
}

fn attempt_in_background(shared: &Arc<Shared>, hook: Hook, logged: Logged) {
    shared.sending.fetch_add(1, Ordering::SeqCst);
    let shared = shared.clone();
    tokio::spawn(async move {
        attempt(&shared, hook, logged).await;
        shared.sending.fetch_sub(1, Ordering::SeqCst);
    });
}

/// Returns the signature of a body, in the form that GitHub uses.
pub fn signature(secret: &str, body: &[u8]) -> String {
    let mut text = String::from("sha256=");
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) {
        mac.update(body);
        for byte in mac.finalize().into_bytes() {
            let _ = write!(text, "{byte:02x}");
        }
    }
    text
}

async fn attempt(shared: &Shared, hook: Hook, mut logged: Logged) {
    let started = instant();
    let app = shared.hook_app.load(Ordering::Relaxed);
    let (kind, target) = if hook.organisation { ("organization", 1) } else { ("integration", app) };
    let request = shared
        .http()
        .post(&hook.url)
        .timeout(std::time::Duration::from_secs(10)) // the limit at GitHub
        .header("content-type", "application/json")
        .header("user-agent", "GitHub-Hookshot/sim")
        .header("x-github-event", logged.event)
        .header("x-github-delivery", &logged.guid)
        .header("x-github-hook-id", "1")
        .header("x-github-hook-installation-target-type", kind)
        .header("x-github-hook-installation-target-id", target.to_string())
        .header("x-hub-signature-256", signature(&hook.secret, logged.body.as_bytes()))
        .body(logged.body.clone());
    // If a delivery gets no answer, GitHub logs the status 502 and does not retry it.
    logged.status_code = request.send().await.map_or(502, |response| response.status().as_u16());
    logged.duration = started.elapsed().as_secs_f64();
    lock(&shared.log).push(logged);
}
