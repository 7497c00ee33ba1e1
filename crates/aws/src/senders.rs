//! Who may send webhooks, as `beadle.toml` says. The intake reads no more of it than this, and knows no vendor: that is
//! its cold start. What is wrong with the rest `beadle check` says, and the worker.

use std::collections::HashMap;
use std::time::Duration;

use beadle_engine::parse_span;
use beadle_hooks::github::{Dispatched, OrgFacts};
use beadle_hooks::okta::HeaderSecret;
use beadle_hooks::{github, okta};
use beadle_secrets::{Reference, SecretError, SecretStore, SecretString};
use beadle_server::Senders;
use serde::Deserialize;

/// The part of `beadle.toml` that says who sends.
#[derive(Debug, Deserialize)]
pub struct SendersFile {
    #[serde(default)]
    org: Vec<OrgEntry>,
    #[serde(default)]
    okta: Vec<OktaEntry>,
    #[serde(default)]
    target: Vec<TargetEntry>,
    #[serde(default)]
    retention: toml::Table,
}

#[derive(Debug, Deserialize)]
struct OrgEntry {
    name: String,
    app: Option<AppEntry>,
    #[serde(default)]
    webhook_secrets: Vec<String>,
    #[serde(default)]
    dispatch: Vec<DispatchEntry>,
}

#[derive(Debug, Deserialize)]
struct AppEntry {
    id: u64,
}

#[derive(Debug, Deserialize)]
struct DispatchEntry {
    name: String,
    on: String,
}

#[derive(Debug, Deserialize)]
struct OktaEntry {
    name: String,
    #[serde(default)]
    hook_secrets: Vec<String>,
    #[serde(default = "authorization")]
    hook_header: String,
    hook_key: Option<HookKey>,
}

#[derive(Debug, Deserialize)]
struct HookKey {
    header: String,
    secrets: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct TargetEntry {
    github: Option<TeamsEntry>,
}

#[derive(Debug, Deserialize)]
struct TeamsEntry {
    org: String,
}

fn authorization() -> String {
    "authorization".into()
}

impl SendersFile {
    /// The organisations.
    pub fn orgs(&self) -> impl Iterator<Item = &str> {
        self.org.iter().map(|org| org.name.as_str())
    }

    /// The retention time, if the file sets one: `8d`.
    pub fn kept(&self, what: &str) -> Option<Duration> {
        parse_span(self.retention.get(what)?.as_str()?).ok()
    }

    /// Every reference to a secret of a sender.
    pub fn references(&self) -> Vec<Reference> {
        let orgs = self.org.iter().flat_map(|org| &org.webhook_secrets);
        let oktas = self.okta.iter().flat_map(|okta| {
            okta.hook_secrets.iter().chain(okta.hook_key.iter().flat_map(|key| &key.secrets))
        });
        orgs.chain(oktas).filter_map(|reference| reference.parse().ok()).collect()
    }

    /// Who may send, and of whom that is not known because a secret is missing.
    pub fn senders(
        &self,
        secret_store: &SecretStore,
        known: &HashMap<String, OrgFacts>,
    ) -> (Senders, Vec<(String, SecretError)>) {
        let mut senders = Senders::default();
        let mut missing = Vec::new();
        for org in &self.org {
            match values(secret_store, &org.webhook_secrets) {
                Ok(secrets) => senders.github.push(self.of_org(org, secrets, known)),
                Err(error) => missing.push((org.name.clone(), error)),
            }
        }
        for file in &self.okta {
            match header_secrets(secret_store, file) {
                Ok(header_secrets) => {
                    senders.okta.push(okta::Sender { instance: file.name.clone(), header_secrets });
                }
                Err(error) => missing.push((file.name.clone(), error)),
            }
        }
        (senders, missing)
    }

    fn of_org(
        &self,
        org: &OrgEntry,
        secrets: Vec<SecretString>,
        known: &HashMap<String, OrgFacts>,
    ) -> github::Sender {
        let dispatched =
            |rule: &DispatchEntry| Dispatched { name: rule.name.clone(), event: rule.on.clone() };
        let is_its = |target: &TargetEntry| target.github.as_ref().is_some_and(|teams| teams.org == org.name);
        github::Sender {
            instance: org.name.clone(),
            login: org.name.clone(),
            app_id: org.app.as_ref().map(|app| app.id),
            secrets,
            known: known.get(&org.name).cloned().unwrap_or_default(),
            dispatches: org.dispatch.iter().map(dispatched).collect(),
            keeps_teams: self.target.iter().any(is_its),
        }
    }
}

fn header_secrets(secret_store: &SecretStore, file: &OktaEntry) -> Result<Vec<HeaderSecret>, SecretError> {
    // Without the first there is none, whatever else is sent.
    if file.hook_secrets.is_empty() {
        return Ok(Vec::new());
    }
    let mut header_secrets = vec![HeaderSecret {
        header: file.hook_header.to_lowercase(),
        values: values(secret_store, &file.hook_secrets)?,
    }];
    if let Some(key) = &file.hook_key {
        header_secrets.push(HeaderSecret {
            header: key.header.to_lowercase(),
            values: values(secret_store, &key.secrets)?,
        });
    }
    Ok(header_secrets)
}

fn values(secret_store: &SecretStore, references: &[String]) -> Result<Vec<SecretString>, SecretError> {
    let mut values = Vec::new();
    for reference in references {
        values.append(&mut secret_store.valid(&reference.parse()?)?);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_has_the_grammar_that_check_takes() {
        let file: SendersFile =
            toml::from_str("[retention]\nids = \"192 hours\"\nbodies = \"36h 30m\"\n").unwrap();
        assert_eq!(file.kept("ids"), Some(Duration::from_secs(192 * 3600)));
        assert_eq!(file.kept("bodies"), Some(Duration::from_secs(36 * 3600 + 30 * 60)));
        assert_eq!(file.kept("journal"), None);
    }
}
