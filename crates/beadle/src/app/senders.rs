//! The senders of webhooks and event hooks, with the secrets that their deliveries must carry.

use std::collections::HashMap;

use anyhow::bail;
use beadle_hooks::github::{Dispatched, OrgFacts};
use beadle_hooks::okta::HeaderSecret;
use beadle_hooks::{github as github_hooks, okta as okta_hooks};
use secrecy::ExposeSecret as _;

use crate::config::{Config, OrgConfig};

/// Returns the events for which an organisation's workflows are dispatched.
pub(crate) fn dispatched(org: &OrgConfig) -> Vec<Dispatched> {
    let rules = org.dispatch.iter();
    rules.map(|rule| Dispatched { name: rule.name.clone(), event: rule.on.clone() }).collect()
}

/// Returns the senders of GitHub's webhooks, one for each organisation.
pub(crate) fn github(
    config: &Config,
    known: &HashMap<&str, OrgFacts>,
) -> anyhow::Result<Vec<github_hooks::Sender>> {
    let mut senders = Vec::new();
    for org in &config.file.org {
        let what = format!("the webhook secret of {}", org.name);
        senders.push(github_hooks::Sender {
            instance: org.name.clone(),
            login: org.name.clone(),
            app_id: org.app.as_ref().map(|app| app.id),
            secrets: config.valid_secrets(&org.webhook_secrets, &what)?,
            known: known.get(org.name.as_str()).cloned().unwrap_or_default(),
            dispatches: dispatched(org),
            keeps_teams: config.teams_of(&org.name).next().is_some(),
        });
    }
    Ok(senders)
}

/// Returns whether two directories share a secret, so that a delivery may come from either.
fn share_a_secret(one: &okta_hooks::Sender, other: &okta_hooks::Sender) -> bool {
    let (Some(one), Some(other)) = (one.header_secrets.first(), other.header_secrets.first()) else {
        return false;
    };
    let mut pairs = one.values.iter().flat_map(|value| other.values.iter().map(move |other| (value, other)));
    pairs.any(|(value, other)| value.expose_secret() == other.expose_secret())
}

/// Returns the senders of Okta's event hooks, one for each directory.
pub(crate) fn okta(config: &Config) -> anyhow::Result<Vec<okta_hooks::Sender>> {
    let mut senders: Vec<okta_hooks::Sender> = Vec::new();
    for file in &config.file.okta {
        let what = format!("the hook's secret of {}", file.name);
        let header_secret = |header: &str, references: &[String]| -> anyhow::Result<HeaderSecret> {
            let values = config.valid_secrets(references, &what)?;
            Ok(HeaderSecret { header: header.to_lowercase(), values })
        };
        let mut header_secrets = Vec::new();
        // Without a first secret Beadle accepts no delivery, whatever other headers it has.
        if !file.hook_secrets.is_empty() {
            header_secrets.push(header_secret(&file.hook_header, &file.hook_secrets)?);
            if let Some(key) = &file.hook_key {
                header_secrets.push(header_secret(&key.header, &key.secrets)?);
            }
        }
        senders.push(okta_hooks::Sender { instance: file.name.clone(), header_secrets });
    }
    for (at, one) in senders.iter().enumerate() {
        if let Some(other) = senders[..at].iter().find(|other| share_a_secret(one, other)) {
            bail!(
                "the event hooks of {} and {} have a secret in common, and their deliveries could not be told apart; give each its own",
                other.instance,
                one.instance
            );
        }
    }
    Ok(senders)
}

#[cfg(all(test, feature = "aws"))]
mod tests {
    use beadle_aws::senders::SendersFile;
    use beadle_secrets::SecretStore;

    use super::*;

    /// The intake on AWS parses the file by itself, and must find the same senders.
    #[test]
    fn the_intake_on_aws_knows_the_same_senders() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c", "d"] {
            std::fs::write(folder.path().join(name), format!("{name}-{}", rand::random::<u64>())).unwrap();
        }
        let text = r#"
            [[org]]
            name = "acme"
            app = { id = 7, key = "env:NONE" }
            webhook_secrets = ["file:a", "file:b"]
            policy = "policy"
            [[org.dispatch]]
            name = "police"
            on = "repository.created"
            repository = "cop"
            workflow = "police.yml"
            ref = "main"

            [[org]]
            name = "bare"
            token = "env:NONE"
            policy = "policy"

            [[okta]]
            name = "corp"
            url = "https://corp.okta.com"
            token = "env:NONE"
            hook_secrets = ["file:c"]
            hook_header = "X-Hook"
            hook_key = { header = "X-Key", secrets = ["file:d"] }

            [[okta]]
            name = "quiet"
            url = "https://quiet.okta.com"
            token = "env:NONE"

            [[target]]
            name = "teams"
            [target.github]
            org = "acme"
            match = ["mail"]
        "#;
        let path = folder.path().join("beadle.toml");
        std::fs::write(&path, text).unwrap();
        let config = Config::load(&path).unwrap();
        let file: SendersFile = toml::from_str(text).unwrap();
        let secret_store = SecretStore::new(folder.path().to_owned());
        let (there, missing) = file.senders(&secret_store, &HashMap::new());
        assert!(missing.is_empty());
        let github_of = |senders: &[github_hooks::Sender]| -> Vec<_> {
            let of = |sender: &github_hooks::Sender| {
                let secrets: Vec<String> =
                    sender.secrets.iter().map(|secret| secret.expose_secret().to_owned()).collect();
                let github_hooks::Sender { instance, login, app_id, dispatches, keeps_teams, .. } = sender;
                format!("{instance} {login} {app_id:?} {secrets:?} {dispatches:?} {keeps_teams}")
            };
            senders.iter().map(of).collect()
        };
        assert_eq!(github_of(&there.github), github_of(&github(&config, &HashMap::new()).unwrap()));
        let okta_of = |senders: &[okta_hooks::Sender]| -> Vec<_> {
            let of = |proof: &HeaderSecret| {
                let values: Vec<String> =
                    proof.values.iter().map(|value| value.expose_secret().to_owned()).collect();
                format!("{}: {values:?}", proof.header)
            };
            let of = |sender: &okta_hooks::Sender| {
                (sender.instance.clone(), sender.header_secrets.iter().map(of).collect::<Vec<_>>())
            };
            senders.iter().map(of).collect()
        };
        assert_eq!(okta_of(&there.okta), okta_of(&okta(&config).unwrap()));
        let mut named: Vec<String> = file.references().iter().map(ToString::to_string).collect();
        named.sort();
        assert_eq!(named, ["file:a", "file:b", "file:c", "file:d"]);
    }
}
