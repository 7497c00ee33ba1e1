//! Plans and writes the webhooks of a repository or an organisation. The address identifies a
//! webhook. GitHub shows whether a webhook has a secret, but never the secret itself. Beadle
//! therefore stores a keyed digest of each secret that it wrote (`secret_memory.rs`). Beadle writes
//! the secret in two cases: the webhook has no secret, or the value in the configuration has
//! changed.
//!
//! <https://docs.github.com/rest/repos/webhooks>

use std::collections::BTreeSet;

use async_trait::async_trait;
use beadle_engine::{Failure, Field, Risk};
use beadle_github::{Below, Method};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::aspect::{
    AppPermission, Aspect, AspectPlan, AspectPlanner, Context, Secrets, Stage, Step, WriteTarget, field,
    reads_nothing,
};
use crate::identity::{all_named, kind, pair_entries};
use crate::policy::shape::{Shape, key, required};
use crate::policy::shapes::{layered, listed};
use crate::policy::{Node, forms};
use crate::secret_memory::{Compared, SecretMemory, SecretName, fingerprint};

/// The aspect for a repository's webhooks.
pub(crate) const WEBHOOKS: Aspect = Aspect {
    name: "webhooks",
    sections: &[key("webhooks", SHAPE, "Webhooks. Beadle removes others, unless the list is `additive`.")],
    repository_keys: &[],
    permissions: &[AppPermission::write("repository_hooks", "webhooks (repository)")],
    events: &[],
    reads: reads_nothing,
    stage: Stage::Body,
    is_apart: true,
    planner: &Webhooks,
};

const EVENTS: Shape = layered!(Shape::Text);
pub(crate) const ENTRY: Shape = Shape::Map(&[
    required(key("url", Shape::Form(&forms::URL), "The address that receives the events.")),
    key("events", EVENTS, "The events. Default: `push`."),
    key("active", Shape::Bool, "Whether the webhook is active. Default: true."),
    key("content_type", Shape::OneOf(&["json", "form"]), "The content type. Default: `json`."),
    key("insecure_ssl", Shape::Bool, "Skips the check of the certificate. Default: false."),
    key(
        "secret",
        Shape::Text,
        "The name of a secret in the configuration (`[org.secrets]`), never the secret itself.",
    ),
]);
const SHAPE: Shape = listed!(ENTRY);

struct Webhooks;

enum Write {
    Create {
        body: Value,
        secret: Option<Remembered>,
    },
    /// Changes a webhook's events, and turns the webhook on or off. The PATCH request has no
    /// `config`, so that GitHub keeps the secret.
    Update {
        id: u64,
        body: Value,
    },
    Configure {
        id: u64,
        body: Value,
        secret: Option<Remembered>,
    },
    Delete {
        id: u64,
    },
}

/// The secret of a webhook, and the store that contains the digests.
struct Remembered {
    value: SecretString,
    name: SecretName,
    memory: SecretMemory,
}

impl Remembered {
    fn new((owner, memory): (&str, &SecretMemory), name: String, value: &SecretString) -> Self {
        let name = SecretName { owner: owner.to_owned(), place: "hooks".to_owned(), name };
        Self { value: value.clone(), name, memory: memory.clone() }
    }

    /// Returns the name under which Beadle stores the digest for a webhook that has an id. The name
    /// does not contain the webhook's address, because an address can contain secrets.
    fn by_id(id: u64) -> String {
        id.to_string()
    }

    /// Returns the name under which Beadle stores the digest for a webhook that has no id yet.
    fn by_address(url: &str) -> String {
        let hash = Sha256::digest(url);
        hash.iter().take(8).fold("new-".to_owned(), |text, byte| format!("{text}{byte:02x}"))
    }

    /// Returns whether the present value differs from the secret that Beadle wrote most recently.
    /// When Beadle created the webhook, it stored the digest under the address `url`, so the
    /// function also checks this address. If there is no digest, Beadle assumes that the webhook
    /// has the present value.
    async fn is_another(&self, url: &str) -> Result<bool, Failure> {
        match self.memory.compare(&self.name, &self.value).await? {
            Compared::Other => return Ok(true),
            Compared::NeverWritten => {}
            Compared::Same { .. } | Compared::Unknown => return Ok(false),
        }
        let created = SecretName { name: Self::by_address(url), ..self.name.clone() };
        if self.memory.compare(&created, &self.value).await? == Compared::Other {
            return Ok(true);
        }
        self.remember().await?;
        Ok(false)
    }

    async fn remember(&self) -> Result<(), Failure> {
        self.memory.remember(&self.name, &self.value).await.map_err(Failure::from)
    }
}

fn with(mut config: Value, secret: Option<&SecretString>) -> Value {
    if let Some(secret) = secret {
        config["secret"] = json!(secret.expose_secret());
    }
    config
}

#[async_trait]
impl Step for Write {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        match self {
            Self::Create { body, secret } => {
                let mut body = body.clone();
                body["config"] = with(body["config"].clone(), secret.as_ref().map(|secret| &secret.value));
                if let Some(secret) = secret {
                    // The configured value might change before Beadle knows the id of the new
                    // webhook. Beadle stores the digest before it sends the request, because the
                    // answer might be lost.
                    secret.remember().await?;
                }
                to.send(Method::POST, "hooks", Some(body)).await
            }
            Self::Update { id, body } => {
                to.send(Method::PATCH, Below::at("hooks").id(*id), Some(body.clone())).await
            }
            Self::Configure { id, body, secret } => {
                let body = with(body.clone(), secret.as_ref().map(|secret| &secret.value));
                to.send(Method::PATCH, Below::at("hooks").id(*id).then("config"), Some(body)).await?;
                let Some(secret) = secret else { return Ok(()) };
                secret.remember().await.map_err(Failure::after_a_part)
            }
            Self::Delete { id } => to.send(Method::DELETE, Below::at("hooks").id(*id), None).await,
        }
    }

    fn unshown(&self) -> Option<String> {
        let (body, secret) = match self {
            Self::Create { body, secret } => (body.to_string(), secret.as_ref()),
            Self::Configure { secret, .. } => (String::new(), Some(secret.as_ref()?)),
            Self::Update { .. } | Self::Delete { .. } => return None,
        };
        let secret = secret.map(|secret| secret.value.expose_secret()).unwrap_or_default();
        // Both the secret and the address in the body can be confidential.
        Some(fingerprint(&SecretString::from(format!("{body} {secret}"))))
    }
}

struct Want<'a> {
    node: &'a Node,
    url: &'a str,
    events: BTreeSet<String>,
    active: bool,
    content_type: &'a str,
    insecure: bool,
    secret: Option<&'a Node>,
}

impl<'a> Want<'a> {
    fn read(node: &'a Node) -> Option<Self> {
        Some(Self {
            node,
            url: node.get("url")?.text()?,
            events: node.get("events").map_or_else(|| vec!["push".into()], Node::texts).into_iter().collect(),
            active: node.get("active").and_then(Node::bool).unwrap_or(true),
            content_type: node.get("content_type").and_then(Node::text).unwrap_or("json"),
            insecure: node.get("insecure_ssl").and_then(Node::bool).unwrap_or(false),
            secret: node.get("secret"),
        })
    }

    fn config(&self) -> Value {
        json!({
            "url": self.url, "content_type": self.content_type,
            "insecure_ssl": if self.insecure { "1" } else { "0" },
        })
    }
}

#[async_trait]
impl AspectPlanner for Webhooks {
    async fn plan(&self, context: &Context<'_>, plan: &mut AspectPlan) -> Result<(), Failure> {
        let Some(section) = context.desired.sections.get("webhooks") else { return Ok(()) };
        // Addresses can contain secrets, so the store must not keep this answer.
        let seen = context.reader.list_anew_below(context.repository, "hooks?per_page=100", &["id"]).await?;
        let declared = (section.items(), &section.node, section.exclusive);
        let owner = context.repository.id.to_string();
        compare(declared, &seen, (context.secrets, &owner, context.secret_memory), plan).await
    }
}

/// Plans the changes for a list of webhooks. The policy declares the entries `items` of `list`. If
/// `exclusive` is true, Beadle removes the webhooks that the policy does not declare. `secrets`
/// contains the configured secrets, `owner` is the owner of the webhooks, and `memory` contains the
/// digests of the secrets that Beadle wrote.
pub(crate) async fn compare(
    (items, list, exclusive): (&[Node], &Node, bool),
    seen: &[Value],
    (secrets, owner, memory): (&Secrets, &str, &SecretMemory),
    plan: &mut AspectPlan,
) -> Result<(), Failure> {
    let wants: Vec<Want<'_>> = items.iter().filter_map(Want::read).collect();
    if seen.iter().any(|hook| hook["config"]["url"].as_str().is_none()) {
        plan.cannot_read("GitHub shows a webhook without its address: Beadle leaves the list as it is");
        return Ok(());
    }
    let url = |hook: &Value| hook["config"]["url"].as_str().unwrap_or_default().to_owned();
    let desired: Vec<Value> = wants.iter().map(|want| json!({ "url": want.url })).collect();
    let observed: Vec<Value> = seen.iter().map(|hook| json!({ "url": hook["config"]["url"] })).collect();
    if !all_named(kind("webhooks"), &observed) {
        plan.cannot_read("GitHub shows a webhook without its address: Beadle leaves the list as it is");
        return Ok(());
    }
    // If several webhooks have the same address, only one of them matches the entry of the policy.
    // Beadle treats the other webhooks as unlisted.
    let matched = pair_entries(kind("webhooks"), &desired, &observed);
    for (at, want) in wants.iter().enumerate() {
        let named = want.secret.and_then(Node::text);
        let secret = named.and_then(|name| secrets.get(name)).cloned();
        if let (Some(_), None) = (named, &secret) {
            let asked = &want.node.asked;
            let why = format!("the configuration declares no secret with the name that {asked} specifies");
            plan.cannot_resolve_part(&shown(want.url), why);
            continue;
        }
        let Some(hook) = matched.observed_of(at).map(|place| &seen[place]) else {
            let name = Remembered::by_address(want.url);
            let secret = secret.map(|value| Remembered::new((owner, memory), name, &value));
            create(want, secret, plan);
            continue;
        };
        let name = Remembered::by_id(hook["id"].as_u64().unwrap_or_default());
        let secret = secret.map(|value| Remembered::new((owner, memory), name, &value));
        let has_secret = !hook["config"]["secret"].is_null();
        let is_another = match &secret {
            Some(secret) if has_secret => secret.is_another(want.url).await?,
            _ => false,
        };
        change(want, hook, (secret, is_another), plan);
    }
    for hook in matched.only_observed.iter().map(|place| &seen[*place]).filter(|_| exclusive) {
        let fields =
            vec![field("events", hook["events"].clone(), Value::Null, Some(&list.asked), Risk::Removes)];
        if let Some(id) = hook["id"].as_u64() {
            plan.change(format!("webhook {}", shown(&url(hook))), fields, Write::Delete { id });
        }
    }
    Ok(())
}

/// Returns an address without the parts that can be secret. Instead of these parts, the result
/// contains their hash. So two different addresses have different results.
pub(crate) fn shown(url: &str) -> String {
    let (rest, query) = url.split_once('?').map_or((url, None), |(rest, query)| (rest, Some(query)));
    let (scheme, place) = rest.split_once("://").unwrap_or(("", rest));
    let host = place.split('/').next().unwrap_or_default();
    let (user, place) = match host.rsplit_once('@') {
        Some((user, _)) => (Some(user), &place[user.len() + 1..]),
        None => (None, place),
    };
    let tokens = place.split('/').skip(1).filter(|part| is_token(part));
    let hidden = [user, query].into_iter().flatten().chain(tokens).collect::<Vec<_>>().join("?");
    if hidden.is_empty() {
        return url.to_owned();
    }
    let parts = place.split('/').enumerate();
    let parts: Vec<&str> =
        parts.map(|(at, part)| if at > 0 && is_token(part) { "…" } else { part }).collect();
    let place = parts.join("/");
    let hash =
        Sha256::digest(&hidden).iter().take(3).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    format!("{scheme}://{place} (and what is not shown, {hash})")
}

/// Returns whether a part of a path looks like random text. The addresses of some services, such as
/// chats, contain a secret in the path.
pub(crate) fn is_token(part: &str) -> bool {
    let has = |is: fn(&char) -> bool| part.chars().any(|c| is(&c));
    let is_mixed = has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase);
    part.len() >= 20 && (is_mixed || (has(char::is_ascii_digit) && has(char::is_ascii_alphabetic)))
}

fn create(want: &Want<'_>, secret: Option<Remembered>, plan: &mut AspectPlan) {
    let body =
        json!({ "name": "web", "active": want.active, "events": want.events, "config": want.config() });
    let fields = vec![field("events", Value::Null, json!(want.events), Some(&want.node.asked), Risk::Adds)];
    plan.change(format!("webhook {}", shown(want.url)), fields, Write::Create { body, secret });
}

fn change(
    want: &Want<'_>,
    found: &Value,
    (secret, is_another): (Option<Remembered>, bool),
    plan: &mut AspectPlan,
) {
    let Some(id) = found["id"].as_u64() else { return };
    let asked = |key: &str| Some(want.node.get(key).map_or(&want.node.asked, |node| &node.asked));
    let what = format!("webhook {}", shown(want.url));
    let (mut fields, mut body) = (Vec::new(), Map::new());
    let events: BTreeSet<String> = found["events"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|event| event.as_str().map(str::to_owned))
        .collect();
    if events != want.events {
        fields.push(field("events", json!(events), json!(want.events), asked("events"), Risk::Changes));
        body.insert("events".into(), json!(want.events));
    }
    if found["active"] != json!(want.active) {
        fields.push(field(
            "active",
            found["active"].clone(),
            json!(want.active),
            asked("active"),
            Risk::Changes,
        ));
        body.insert("active".into(), json!(want.active));
    }
    if !fields.is_empty() {
        plan.change(what.clone(), fields, Write::Update { id, body: Value::Object(body) });
    }
    let config = &found["config"];
    let mut fields: Vec<Field> = Vec::new();
    if config["content_type"] != want.content_type {
        let (before, after) = (config["content_type"].clone(), json!(want.content_type));
        fields.push(field("content_type", before, after, asked("content_type"), Risk::Changes));
    }
    let insecure = config["insecure_ssl"] == "1" || config["insecure_ssl"] == json!(1);
    if insecure != want.insecure {
        let risk = if want.insecure { Risk::Weakens } else { Risk::Changes };
        fields.push(field(
            "insecure_ssl",
            json!(insecure),
            json!(want.insecure),
            asked("insecure_ssl"),
            risk,
        ));
    }
    if secret.is_some() && config["secret"].is_null() {
        fields.push(field("secret", json!("none"), json!("set"), asked("secret"), Risk::Changes));
    }
    if is_another {
        let (before, after) = (json!("an earlier value"), json!("the value of the configuration"));
        fields.push(field("secret", before, after, asked("secret"), Risk::Changes));
    }
    if !fields.is_empty() {
        // GitHub keeps the secret of a webhook if the request contains none. So a write sets the
        // secret only if the plan shows the secret.
        let secret = secret.filter(|_| fields.iter().any(|field| field.name == "secret"));
        plan.change(what, fields, Write::Configure { id, body: want.config(), secret });
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn an_address_is_shown_without_what_may_be_secret() {
        assert_eq!(shown("https://ci.example.com/hook"), "https://ci.example.com/hook");
        for secret in ["https://ci.example.com/hook?token=abc", "https://me:abc@ci.example.com/hook"] {
            let shown = shown(secret);
            assert!(shown.starts_with("https://ci.example.com/hook (") && !shown.contains("abc"), "{shown}");
        }
        for token in
            ["5f0c2a1e-77b1-4c1d-9a52-0d8b6f1c2e3a", "XkQwertyUiopAsdfGhjklZxcv", "a1b2c3d4e5f6a7b8c9d0e1f2"]
        {
            let one = shown(&format!("https://chat.example.com/api/webhooks/42/{token}/github"));
            let place = "https://chat.example.com/api/webhooks/42/…/github (";
            assert!(one.starts_with(place) && !one.contains(token), "{one}");
            let other = shown(&format!("https://chat.example.com/api/webhooks/42/{token}x/github"));
            assert_ne!(one, other, "two addresses can still be told apart");
        }
        for plain in
            ["https://ci.example.com/a/path-with-many-short-words", "https://ci.example.com/v2/github"]
        {
            assert_eq!(shown(plain), plain);
        }
    }
}
