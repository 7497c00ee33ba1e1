//! `[[okta]]`: the directories that provide people and groups.

use serde::Deserialize;

use crate::{Schedule, Span};

/// The scopes that Beadle needs in every Okta organisation.
pub const SCOPES: [&str; 3] = ["okta.groups.read", "okta.users.read", "okta.logs.read"];

/// An additional scope. Beadle needs this scope to see which groups Okta itself pushes to an
/// application.
pub const PUSH_SCOPE: &str = "okta.apps.read";

/// `[[okta]]`: one directory, which is an Okta organisation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OktaFile {
    /// The name of the directory in Beadle and in its keys.
    pub name: String,
    /// The address of the organisation at Okta.
    pub url: String,
    /// A reference to an API token. Beadle uses the token if no `app` is set.
    pub token: Option<String>,
    /// The OAuth 2.0 app that Beadle uses to read from Okta.
    pub app: Option<OktaAppFile>,
    /// References to all valid values of the event hook's header.
    #[serde(default)]
    pub hook_secrets: Vec<String>,
    /// The name of the header that Okta sends with each request of the event hook. The value of the
    /// header proves that the request comes from Okta.
    #[serde(default = "authorization")]
    pub hook_header: String,
    /// A second header that the event hook must send, such as an API key.
    pub hook_key: Option<HookKeyFile>,
    /// The Okta statuses of people who must lose their access.
    #[serde(default = "leaving")]
    pub leaving: Vec<String>,
    /// The Okta statuses of people who may get an account from Beadle.
    #[serde(default = "provisioned")]
    pub provisioned: Vec<String>,
    /// The ids of the Okta applications that push groups. If one of these applications pushes a
    /// group, Beadle does not change the group.
    #[serde(default)]
    pub push_apps: Vec<String>,
    /// The time between two sweeps. If `schedule` is not set, the default is one day.
    pub sweep_every: Option<Span>,
    /// The cron expression, in UTC, that sets when sweeps begin.
    pub schedule: Option<String>,
    /// How often Beadle reads the System Log.
    #[serde(default = "minute")]
    pub log_every: Span,
    /// How often Beadle searches for groups with changed members.
    #[serde(default = "five_minutes")]
    pub changes_every: Span,
    /// The percentage of each budget that sweeps must leave to events and operators.
    #[serde(default = "reserve")]
    pub reserve: u64,
    /// The maximum number of requests that are in progress at the same time.
    #[serde(default = "concurrency")]
    pub concurrency: usize,
}

impl OktaFile {
    /// Returns when the sweeps of the directory begin.
    pub fn schedule(&self) -> Schedule<'_> {
        Schedule { every: self.sweep_every, default: Span::from_days(1), cron: self.schedule.as_deref() }
    }

    /// Returns the references to the secrets that Beadle needs to read from Okta.
    pub fn vendor_references(&self) -> impl Iterator<Item = &String> {
        self.token.iter().chain(self.app.iter().map(|app| &app.key))
    }

    /// Returns the references to the secrets that the event hook sends.
    pub fn hook_references(&self) -> impl Iterator<Item = &String> {
        let key = self.hook_key.iter().flat_map(|key| &key.secrets);
        self.hook_secrets.iter().chain(key)
    }
}

/// `app` of a directory: an OAuth 2.0 service app at Okta.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OktaAppFile {
    /// The client id of the app.
    pub client_id: String,
    /// A reference to the app's private key.
    pub key: String,
    /// The id that Okta gave to the private key.
    pub key_id: Option<String>,
}

/// `hook_key` of a directory: a second header that the event hook must send.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookKeyFile {
    /// The name of the header.
    pub header: String,
    /// References to all valid values of the header.
    pub secrets: Vec<String>,
}

fn authorization() -> String {
    "authorization".into()
}

fn leaving() -> Vec<String> {
    vec!["SUSPENDED".into(), "DEPROVISIONED".into()]
}

/// Returns the statuses of all activated people, except the statuses that end a person's access.
fn provisioned() -> Vec<String> {
    ["PROVISIONED", "ACTIVE", "RECOVERY", "LOCKED_OUT", "PASSWORD_EXPIRED"].map(String::from).to_vec()
}

fn minute() -> Span {
    Span::from_seconds(60)
}

fn five_minutes() -> Span {
    Span::from_seconds(300)
}

fn reserve() -> u64 {
    20
}

fn concurrency() -> usize {
    10
}
