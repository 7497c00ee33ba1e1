//! `[[okta]]`: directories.

use serde::Deserialize;

use crate::{Schedule, Span};

/// The scopes that Beadle needs at Okta.
pub const SCOPES: [&str; 3] = ["okta.groups.read", "okta.users.read", "okta.logs.read"];

/// The scope that Beadle needs to see which groups Okta pushes itself.
pub const PUSH_SCOPE: &str = "okta.apps.read";

/// `[[okta]]`: an Okta organisation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OktaFile {
    /// The name of the directory in Beadle.
    pub name: String,
    /// The address of the Okta organisation.
    pub url: String,
    /// A reference to the token that Beadle uses in place of an app.
    pub token: Option<String>,
    /// The app that Beadle uses.
    pub app: Option<OktaAppFile>,
    /// References to the values of the event hook's header that are valid now.
    #[serde(default)]
    pub hook_secrets: Vec<String>,
    /// The name of the event hook's header.
    #[serde(default = "authorization")]
    pub hook_header: String,
    /// A second header that the event hook must send, such as an API key.
    pub hook_key: Option<HookKeyFile>,
    /// The statuses of people whose access must go.
    #[serde(default = "leaving")]
    pub leaving: Vec<String>,
    /// The statuses of people for whom Beadle can create accounts.
    #[serde(default = "provisioned")]
    pub provisioned: Vec<String>,
    /// The ids of applications into which Okta can push groups itself. Beadle only observes those
    /// groups.
    #[serde(default)]
    pub push_apps: Vec<String>,
    /// The time between two sweeps. It is one day if `schedule` is not set either.
    pub sweep_every: Option<Span>,
    /// The times of sweeps, as cron in UTC.
    pub schedule: Option<String>,
    /// The time between two readings of the System Log.
    #[serde(default = "minute")]
    pub log_every: Span,
    /// The time between two searches for groups with changed members.
    #[serde(default = "five_minutes")]
    pub changes_every: Span,
    /// The share of each budget, in percent, that sweeps leave for events and operators.
    #[serde(default = "reserve")]
    pub reserve: u64,
    /// The number of requests at the same time.
    #[serde(default = "concurrency")]
    pub concurrency: usize,
}

impl OktaFile {
    /// Returns the times of sweeps.
    pub fn schedule(&self) -> Schedule<'_> {
        Schedule { every: self.sweep_every, cron: self.schedule.as_deref() }
    }

    /// Returns the references to the credential.
    pub fn vendor_references(&self) -> impl Iterator<Item = &String> {
        self.token.iter().chain(self.app.iter().map(|app| &app.key))
    }

    /// Returns the references to the secrets of the event hook.
    pub fn hook_references(&self) -> impl Iterator<Item = &String> {
        let key = self.hook_key.iter().flat_map(|key| &key.secrets);
        self.hook_secrets.iter().chain(key)
    }
}

/// `app` of a directory: an OAuth 2.0 service app of Okta.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OktaAppFile {
    /// The client id.
    pub client_id: String,
    /// A reference to the private key.
    pub key: String,
    /// The id of the key at Okta.
    pub key_id: Option<String>,
}

/// `hook_key` of a directory: a second header of the event hook.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookKeyFile {
    /// The name of the header.
    pub header: String,
    /// References to the values that are valid now.
    pub secrets: Vec<String>,
}

fn authorization() -> String {
    "authorization".into()
}

fn leaving() -> Vec<String> {
    vec!["SUSPENDED".into(), "DEPROVISIONED".into()]
}

/// Returns all statuses but those of people who are not activated yet or whose access must go.
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
