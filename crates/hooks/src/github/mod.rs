//! GitHub's webhooks, of an App or of an organisation.
//!
//! <https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries> and
//! <https://docs.github.com/webhooks/webhook-events-and-payloads>

mod events;
mod keys;
mod org_facts;
mod payload;
mod signature;

use beadle_engine::{Delivery, Mark, Time};
use secrecy::SecretString;

pub use events::{EVENTS, REPOSITORY_ACTIONS};
pub use org_facts::OrgFacts;
pub use payload::ContentType;
pub use signature::sign;

/// An organisation that may send webhooks.
#[derive(Clone, Debug)]
pub struct Sender {
    /// Its name in keys and in the configuration.
    pub instance: String,
    /// Its login on GitHub; compared without case.
    pub login: String,
    /// The App that the organisation uses, where it uses one.
    pub app_id: Option<u64>,
    /// The secrets that are valid now: one, or two while one is replaced.
    pub secrets: Vec<SecretString>,
    /// What else is known of it.
    pub known: OrgFacts,
    /// Events for which a workflow is dispatched.
    pub dispatches: Vec<Dispatched>,
    /// Whether the members of its teams are kept as a directory has them.
    pub keeps_teams: bool,
}

/// An event for which a workflow is dispatched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatched {
    /// The rule's name.
    pub name: String,
    /// The event, with its action (`repository.created`) or without, for every action.
    pub event: String,
}

impl Dispatched {
    /// Whether it is for this event.
    pub fn is_for(&self, event: &str, action: Option<&str>) -> bool {
        match self.event.split_once('.') {
            Some((wanted, of)) => wanted == event && action == Some(of),
            None => self.event == event,
        }
    }
}

/// The headers that matter. None of them is signed, so none is trusted for more than a name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    /// `X-Hub-Signature-256`.
    pub signature: Option<&'a str>,
    /// `X-GitHub-Event`.
    pub event: Option<&'a str>,
    /// `X-GitHub-Delivery`: the same when it is sent again.
    pub delivery: Option<&'a str>,
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// `X-GitHub-Hook-Installation-Target-Type`.
    pub target_type: Option<&'a str>,
    /// `X-GitHub-Hook-Installation-Target-ID`.
    pub target_id: Option<&'a str>,
}

/// Why a request is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookRefusal {
    /// 415.
    #[error("send application/json or application/x-www-form-urlencoded, not {0}")]
    MediaType(String),
    /// 401.
    #[error(
        "X-Hub-Signature-256 is missing: set a secret on the webhook (X-Hub-Signature alone is SHA-1, and not taken)"
    )]
    Unsigned,
    /// 401.
    #[error("the signature does not match the body under any configured secret")]
    BadSignature,
    /// 400.
    #[error("the header {0} is missing, or is none of GitHub's")]
    Header(&'static str),
    /// 400.
    #[error("the body is not what its content type says: {0}")]
    Body(String),
    /// 403.
    #[error("{0} is not configured here, or not with the secret that signed this")]
    NotConfigured(String),
}

/// A verified request: what to store, and what it makes due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedWebhook {
    /// What to store.
    pub delivery: Delivery,
    /// What it makes due.
    pub marks: Vec<Mark>,
}

/// GitHub's events are words and its ids UUIDs; nothing much longer is kept.
fn is_name(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Verifies a request over its raw bytes, then reads from it what names the keys.
pub fn receive(
    senders: &[Sender],
    headers: Headers<'_>,
    body: Vec<u8>,
    now: Time,
) -> Result<VerifiedWebhook, WebhookRefusal> {
    let content_type = ContentType::parse(headers.content_type.unwrap_or_default())?;
    let signature = headers.signature.ok_or(WebhookRefusal::Unsigned)?;
    let signers = signature::signers(senders, signature, &body)?;
    let event =
        headers.event.filter(|event| is_name(event)).ok_or(WebhookRefusal::Header("X-GitHub-Event"))?;
    let id = headers.delivery.filter(|id| is_name(id)).ok_or(WebhookRefusal::Header("X-GitHub-Delivery"))?;
    let json = content_type.json(&body)?;
    let payload = payload::Payload::read(&json)?;

    if let (Some("integration"), Some(app)) = (headers.target_type, headers.target_id)
        && !signers.iter().any(|sender| sender.app_id.is_some_and(|id| id.to_string() == app))
    {
        return Err(WebhookRefusal::NotConfigured(format!("the App {app}")));
    }
    let (instance, marks) = match payload.login() {
        // A ping of an App belongs to no organisation.
        None => ("-", Vec::new()),
        Some(login) => {
            let sender = signers.iter().find(|sender| sender.login.eq_ignore_ascii_case(login));
            let sender =
                sender.ok_or_else(|| WebhookRefusal::NotConfigured(format!("the organisation {login}")))?;
            (sender.instance.as_str(), keys::marks(event, id, &payload, sender))
        }
    };
    let event =
        payload.action.as_ref().map_or_else(|| event.to_owned(), |action| format!("{event}.{action}"));
    let actor = payload.actor().map(str::to_owned);
    let json = if content_type == ContentType::Json { None } else { Some(json.into_owned()) };
    let delivery = Delivery {
        source: "github".into(),
        id: id.to_owned(),
        event,
        actor,
        instance: instance.to_owned(),
        received: now,
        body: json.unwrap_or(body),
    };
    Ok(VerifiedWebhook { delivery, marks })
}
