//! Who may send webhooks, as `beadle.toml` says. The intake reads no more of it than this, and knows no vendor: that is
//! its cold start. What is wrong with the rest `beadle check` says, and the worker.

use std::collections::HashMap;
use std::time::Duration;

use beadle_engine::parse_span;
use beadle_hooks::github::{Dispatched, Known};
use beadle_hooks::okta::Proof;
use beadle_hooks::{github, okta};
use beadle_secrets::{Keeper, Reference, SecretError, SecretString};
use beadle_server::Senders;
use serde::Deserialize;

/// The part of `beadle.toml` that says who sends.
#[derive(Debug, Deserialize)]
pub struct SendersFile {
    #[serde(default)]
    org: Vec<Org>,
    #[serde(default)]
    okta: Vec<Okta>,
    #[serde(default)]
    target: Vec<Target>,
    #[serde(default)]
    retention: toml::Table,
}

#[derive(Debug, Deserialize)]
struct Org {
    name: String,
    app: Option<App>,
    #[serde(default)]
    webhook_secrets: Vec<String>,
    #[serde(default)]
    dispatch: Vec<Dispatch>,
}

#[derive(Debug, Deserialize)]
struct App {
    id: u64,
}

#[derive(Debug, Deserialize)]
struct Dispatch {
    name: String,
    on: String,
}

#[derive(Debug, Deserialize)]
struct Okta {
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
struct Target {
    github: Option<Teams>,
}

#[derive(Debug, Deserialize)]
struct Teams {
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
        keeper: &Keeper,
        known: &HashMap<String, Known>,
    ) -> (Senders, Vec<(String, SecretError)>) {
        let mut senders = Senders::default();
        let mut missing = Vec::new();
        for org in &self.org {
            match values(keeper, &org.webhook_secrets) {
                Ok(secrets) => senders.github.push(self.of_org(org, secrets, known)),
                Err(error) => missing.push((org.name.clone(), error)),
            }
        }
        for file in &self.okta {
            match proofs(keeper, file) {
                Ok(proofs) => senders.okta.push(okta::Sender { instance: file.name.clone(), proofs }),
                Err(error) => missing.push((file.name.clone(), error)),
            }
        }
        (senders, missing)
    }

    fn of_org(
        &self,
        org: &Org,
        secrets: Vec<SecretString>,
        known: &HashMap<String, Known>,
    ) -> github::Sender {
        let dispatched = |rule: &Dispatch| Dispatched { name: rule.name.clone(), event: rule.on.clone() };
        let is_its = |target: &Target| target.github.as_ref().is_some_and(|teams| teams.org == org.name);
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

fn proofs(keeper: &Keeper, file: &Okta) -> Result<Vec<Proof>, SecretError> {
    // Without the first there is none, whatever else is sent.
    if file.hook_secrets.is_empty() {
        return Ok(Vec::new());
    }
    let mut proofs =
        vec![Proof { header: file.hook_header.to_lowercase(), values: values(keeper, &file.hook_secrets)? }];
    if let Some(key) = &file.hook_key {
        proofs.push(Proof { header: key.header.to_lowercase(), values: values(keeper, &key.secrets)? });
    }
    Ok(proofs)
}

fn values(keeper: &Keeper, references: &[String]) -> Result<Vec<SecretString>, SecretError> {
    let mut values = Vec::new();
    for reference in references {
        values.append(&mut keeper.valid(&reference.parse()?)?);
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
