//! Verifies webhooks that a GitHub App or an organisation sends, and finds the keys that these
//! webhooks mark as due.
//!
//! <https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries> and
//! <https://docs.github.com/webhooks/webhook-events-and-payloads>

mod events;
mod kept_files;
mod keys;
mod org_facts;
mod payload;
mod policy_checks;
mod signature;
mod watched_policy;

use beadle_engine::{Delivery, Mark, Time};
use secrecy::SecretString;

pub use events::{EVENTS, REPOSITORY_ACTIONS};
pub use keys::{INSTALLATIONS, MEMBERSHIP, needs_payload};
pub use org_facts::{OrgFacts, WatchedFiles};
pub use payload::ContentType;
pub use policy_checks::{CHECK, CheckSubject};
pub use signature::sign;
pub use watched_policy::WatchedPolicy;

/// An organisation that is allowed to send webhooks.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The name of the organisation in keys and in the configuration.
    pub instance: String,
    /// The organisation's login at GitHub. Comparisons ignore case.
    pub login: String,
    /// The id of the GitHub App that Beadle uses in the organisation. `None` if Beadle uses a
    /// token.
    pub app_id: Option<u64>,
    /// The valid secrets. Usually there is one secret. During a rotation, there are two secrets.
    pub secrets: Vec<SecretString>,
    /// The facts about the organisation that can change while the service runs.
    pub known: OrgFacts,
    /// The events that make Beadle dispatch a workflow.
    pub dispatches: Vec<Dispatched>,
    /// True if the organisation's teams are the groups of a target. Beadle then manages the members
    /// of these teams.
    pub keeps_teams: bool,
    /// The policies that are in repositories of this organisation. Other organisations can also use
    /// these policies.
    pub policies: Vec<WatchedPolicy>,
    /// True if the sender is an App, and not an organisation. Beadle keeps a list of the
    /// organisations that have installed the App. For this list, Beadle accepts the App's events
    /// about installations in any organisation.
    pub takes_installations: bool,
}

/// An event that makes Beadle dispatch a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatched {
    /// The name of the dispatch rule in the configuration.
    pub name: String,
    /// The event that starts the workflow. `repository.created` matches only one action, and
    /// `repository` matches all actions.
    pub event: String,
}

impl Dispatched {
    /// Returns whether the rule is for this event with this action.
    pub fn is_for(&self, event: &str, action: Option<&str>) -> bool {
        match self.event.split_once('.') {
            Some((wanted, of)) => wanted == event && action == Some(of),
            None => self.event == event,
        }
    }
}

/// The headers that Beadle reads. GitHub signs the body but not the headers, so Beadle does not
/// trust the headers. Beadle uses the headers to check and parse the body, and to name the event
/// and the delivery.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    /// The value of `X-Hub-Signature-256`.
    pub signature: Option<&'a str>,
    /// The value of `X-GitHub-Event`.
    pub event: Option<&'a str>,
    /// The value of `X-GitHub-Delivery`. If GitHub sends a delivery again, the value does not
    /// change.
    pub delivery: Option<&'a str>,
    /// The value of `Content-Type`.
    pub content_type: Option<&'a str>,
    /// The value of `X-GitHub-Hook-Installation-Target-Type`.
    pub target_type: Option<&'a str>,
    /// The value of `X-GitHub-Hook-Installation-Target-ID`.
    pub target_id: Option<&'a str>,
}

/// The reason why Beadle refuses a webhook. Each reason determines the HTTP status of the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookRefusal {
    /// The content type is not supported. The status is 415.
    #[error("content type must be application/json or application/x-www-form-urlencoded, found {0}")]
    MediaType(String),
    /// The request has no signature. The status is 401.
    #[error(
        "X-Hub-Signature-256 is missing: set a secret for the webhook (X-Hub-Signature is SHA-1 and not accepted)"
    )]
    Unsigned,
    /// None of the configured secrets matches the signature. The status is 401.
    #[error("the signature does not match the body with any configured secret")]
    BadSignature,
    /// A header is missing or invalid. The status is 400.
    #[error("the header {0} is missing or invalid")]
    Header(&'static str),
    /// The body is invalid. The status is 400.
    #[error("the body does not match its content type: {0}")]
    Body(String),
    /// The sender is not configured. The status is 403.
    #[error("{0} is not configured, or is configured with another secret")]
    NotConfigured(String),
}

/// A verified request: the delivery, and the marks for the delivery's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedWebhook {
    /// The delivery to store.
    pub delivery: Delivery,
    /// The marks for the keys of the delivery.
    pub marks: Vec<Mark>,
}

/// The instance for deliveries and keys that do not belong to an organisation.
pub const NO_INSTANCE: &str = "-";

/// Returns whether a text can be an event name or an id at GitHub. Event names are words, and ids
/// are UUIDs, so Beadle refuses longer texts.
fn is_name(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Verifies the signature of the body, and then finds the keys in the payload. The body must be
/// unchanged since Beadle received it.
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
        // The event `ping` of an App belongs to no organisation.
        None => (NO_INSTANCE, Vec::new()),
        Some(login) => {
            let is_its =
                |sender: &&&Sender| !sender.takes_installations && sender.login.eq_ignore_ascii_case(login);
            let of_app = keys::installations(event, &signers);
            match signers.iter().find(is_its) {
                Some(sender) => {
                    let marks = keys::marks(event, id, &payload, sender).into_iter().chain(of_app);
                    (sender.instance.as_str(), marks.collect())
                }
                // Somebody installed the App in an organisation that Beadle does not know yet.
                None if of_app.is_some() => (NO_INSTANCE, of_app.into_iter().collect()),
                None => return Err(WebhookRefusal::NotConfigured(format!("the organisation {login}"))),
            }
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
