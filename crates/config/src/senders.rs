//! The senders of accepted webhooks, as the configuration file describes them.

use beadle_hooks::github::{Dispatched, OrgFacts, Sender, WatchedPolicy};
use beadle_hooks::okta;
use beadle_hooks::okta::HeaderSecret;
use beadle_secrets::{Reference, SecretString};

use crate::{File, OktaFile, OrgFile};

impl File {
    /// Returns the references to the webhook secrets of all organisations and directories.
    pub fn sender_references(&self) -> Vec<Reference> {
        let orgs = self.org.iter().flat_map(|org| &org.webhook_secrets);
        let oktas = self.okta.iter().flat_map(|okta| okta.hook_references());
        let installations = self.installations.iter().flat_map(|from| &from.webhook_secrets);
        orgs.chain(installations).chain(oktas).filter_map(|reference| reference.parse().ok()).collect()
    }

    /// Returns the organisation `org` as a sender of webhooks. `secrets` are the values of the
    /// organisation's webhook secrets.
    pub fn github_sender(&self, org: &OrgFile, secrets: Vec<SecretString>, known: OrgFacts) -> Sender {
        Sender {
            instance: org.name.clone(),
            login: org.name.clone(),
            app_id: org.app.as_ref().map(|app| app.id),
            secrets,
            known,
            dispatches: org.dispatched(),
            keeps_teams: self.teams_of(&org.name).next().is_some(),
            policies: self.policies_in(&org.name),
            takes_installations: false,
        }
    }

    /// Returns the policies in repositories of the organisation. The bases of policies are
    /// included.
    fn policies_in(&self, owner: &str) -> Vec<WatchedPolicy> {
        let sources = self.org.iter().flat_map(|org| {
            let sources = org.policy.repository().into_iter().chain(&org.base);
            sources.map(move |source| (org, source))
        });
        let its = sources.filter(|(org, source)| source.owner(&org.name) == owner);
        let watched = its.map(|(org, source)| WatchedPolicy {
            instance: org.name.clone(),
            repository: source.repository.clone(),
            reference: source.reference.clone(),
        });
        watched.collect()
    }
}

impl OrgFile {
    /// Returns the events of the organisation's dispatch rules.
    pub fn dispatched(&self) -> Vec<Dispatched> {
        let rules = self.dispatch.iter();
        rules.map(|rule| Dispatched { name: rule.name.clone(), event: rule.on.clone() }).collect()
    }
}

impl OktaFile {
    /// Returns the directory as a sender of webhooks. `values` returns all valid values of a
    /// secret.
    pub fn sender<E>(
        &self,
        values: impl Fn(&[String]) -> Result<Vec<SecretString>, E>,
    ) -> Result<okta::Sender, E> {
        let header_secret = |header: &str, references: &[String]| -> Result<HeaderSecret, E> {
            Ok(HeaderSecret { header: header.to_lowercase(), values: values(references)? })
        };
        let mut header_secrets = Vec::new();
        // If `hook_secrets` is empty, the sender has no required header, and the intake accepts no
        // request from it.
        if !self.hook_secrets.is_empty() {
            header_secrets.push(header_secret(&self.hook_header, &self.hook_secrets)?);
            if let Some(key) = &self.hook_key {
                header_secrets.push(header_secret(&key.header, &key.secrets)?);
            }
        }
        Ok(okta::Sender { instance: self.name.clone(), header_secrets })
    }
}
