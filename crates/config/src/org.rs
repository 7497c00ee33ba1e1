//! `[[org]]`: organisations of GitHub.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use beadle_engine::{Limits, Mode};
use serde::Deserialize;

use crate::{Schedule, Span};

/// `[[org]]`: an organisation of GitHub.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrgFile {
    /// The login of the organisation.
    pub name: String,
    /// The address of the REST API.
    #[serde(default = "github")]
    pub api: String,
    /// The App that Beadle uses.
    pub app: Option<AppFile>,
    /// A reference to the token that Beadle uses in place of an App.
    pub token: Option<String>,
    /// References to the webhook secrets that are valid now.
    #[serde(default)]
    pub webhook_secrets: Vec<String>,
    /// The folder of the policy.
    pub policy: PathBuf,
    /// The repository that holds the policy.
    #[serde(default = "admin")]
    pub policy_repository: String,
    /// The mode of the organisation.
    #[serde(default)]
    pub mode: Mode,
    /// Modes of single aspects.
    #[serde(default)]
    pub modes: BTreeMap<String, Mode>,
    /// References to the secrets that the policy can name, by their names there.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// The limits of the guard.
    #[serde(default)]
    pub guard: GuardFile,
    /// The use of GitHub's rate limits.
    #[serde(default)]
    pub budget: BudgetFile,
    /// The time between two sweeps. It is one day if `schedule` is not set either.
    pub sweep_every: Option<Span>,
    /// The times of sweeps, as cron in UTC.
    pub schedule: Option<String>,
    /// The workflows that Beadle dispatches for webhooks.
    #[serde(default)]
    pub dispatch: Vec<DispatchFile>,
}

impl OrgFile {
    /// Returns the times of sweeps.
    pub fn schedule(&self) -> Schedule<'_> {
        Schedule { every: self.sweep_every, cron: self.schedule.as_deref() }
    }

    /// Returns the limits of the guard.
    pub fn limits(&self) -> Limits {
        self.guard.limits()
    }

    /// Returns the references to the credential and to the secrets that the policy can name.
    pub fn vendor_references(&self) -> impl Iterator<Item = &String> {
        let app = self.app.iter().map(|app| &app.key);
        self.token.iter().chain(self.secrets.values()).chain(app)
    }
}

/// `[[org.dispatch]]`: a workflow that Beadle dispatches for a webhook.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DispatchFile {
    /// The name of the rule, for keys and for the journal.
    pub name: String,
    /// The event, such as `repository.created`.
    pub on: String,
    /// The condition: an expression over the payload, such as `not repository.private`.
    pub when: Option<String>,
    /// The repository of the workflow, in the organisation.
    pub repository: String,
    /// The file of the workflow.
    pub workflow: String,
    /// The branch or the tag that the workflow runs on: a template over the payload.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The inputs of the workflow, as templates over the payload.
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
    /// The input that gets a token by which Beadle finds the run again.
    pub token_input: Option<String>,
    /// The mode of the rule. The more careful mode of the rule and the organisation counts.
    #[serde(default)]
    pub mode: Mode,
}

fn github() -> String {
    "https://api.github.com".into()
}

/// Returns the name that safe-settings has as its default.
fn admin() -> String {
    "admin".into()
}

/// `app` of an organisation: a GitHub App.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppFile {
    /// The id of the App.
    pub id: u64,
    /// A reference to the private key.
    pub key: String,
    /// The id of the installation. Without it, Beadle looks the installation up.
    pub installation: Option<u64>,
}

/// `guard`: the limits of the guard.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuardFile {
    /// The length of the window.
    pub window: Option<Span>,
    /// The largest number of removals in a window.
    pub removes: Option<u32>,
    /// The largest number of weakenings in a window.
    pub weakens: Option<u32>,
    /// The largest number of exposures in a window.
    pub exposes: Option<u32>,
    /// How often Beadle makes the same change within an hour.
    pub repeats: Option<u32>,
    /// The share of the repositories, in percent, in which one aspect can remove or weaken
    /// something in a window.
    pub percent: Option<u32>,
    /// The number of repositories that `percent` always allows.
    pub repositories: Option<u32>,
}

impl GuardFile {
    /// Returns the limits, with the defaults of what is not set.
    pub fn limits(&self) -> Limits {
        let default = Limits::default();
        Limits {
            window: self.window.map_or(default.window, Duration::from),
            removes: self.removes.unwrap_or(default.removes),
            weakens: self.weakens.unwrap_or(default.weakens),
            exposes: self.exposes.unwrap_or(default.exposes),
            repeats: self.repeats.unwrap_or(default.repeats),
            percent: self.percent.unwrap_or(default.percent),
            repositories: self.repositories.unwrap_or(default.repositories),
            among: None,
        }
    }
}

/// `[org.budget]`: the use of GitHub's rate limits.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BudgetFile {
    /// The number of requests at the same time.
    pub concurrency: usize,
    /// The share of each budget, in percent, that sweeps leave for events and operators.
    pub reserve: u64,
    /// The period of the points. It is shorter than a minute only for a simulator.
    pub minute: Span,
    /// The points of REST requests in a minute. GitHub allows 900.
    pub rest_points: u32,
    /// The points of GraphQL requests in a minute. GitHub allows 2,000.
    pub graphql_points: u32,
    write_every: Option<Span>,
}

impl BudgetFile {
    /// Returns the time between two bulk writes: a sixtieth of the minute, if it is not set.
    pub fn write_every(&self) -> Duration {
        self.write_every.map_or(Duration::from(self.minute) / 60, Duration::from)
    }
}

impl Default for BudgetFile {
    fn default() -> Self {
        Self {
            concurrency: 32,
            reserve: 20,
            minute: Span::from_seconds(60),
            rest_points: 850,
            graphql_points: 1800,
            write_every: None,
        }
    }
}
