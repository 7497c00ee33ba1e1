//! The senders of webhooks and event hooks. The secret of a sender proves the origin of its
//! deliveries.

use std::collections::HashMap;

use anyhow::bail;
use beadle_hooks::github::OrgFacts;
use beadle_hooks::{github as github_hooks, okta as okta_hooks};
use secrecy::ExposeSecret as _;

use crate::config::Config;

/// Returns the senders of GitHub's webhooks, one for each organisation.
pub(crate) fn github(
    config: &Config,
    known: &HashMap<&str, OrgFacts>,
) -> anyhow::Result<Vec<github_hooks::Sender>> {
    let mut senders = Vec::new();
    for org in &config.file.org {
        let what = format!("the webhook secret of {}", org.name);
        let secrets = config.valid_secrets(&org.webhook_secrets, &what)?;
        let known = known.get(org.name.as_str()).cloned().unwrap_or_default();
        senders.push(config.file.github_sender(org, secrets, known));
    }
    Ok(senders)
}

/// If the configuration has the section `[installations]`, returns the App of this section as a
/// sender of webhooks.
pub(crate) fn installations(config: &Config) -> anyhow::Result<Option<github_hooks::Sender>> {
    let Some(from) = &config.file.installations else { return Ok(None) };
    let secrets = config.valid_secrets(&from.webhook_secrets, "the webhook secret of [installations]")?;
    Ok(config.file.installations_sender(secrets))
}

/// Returns whether two directories have the same secret. With equal secrets, Beadle cannot find out
/// which directory sent a delivery.
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
        senders.push(file.sender(|references| config.valid_secrets(references, &what))?);
    }
    for (at, one) in senders.iter().enumerate() {
        if let Some(other) = senders[..at].iter().find(|other| share_a_secret(one, other)) {
            bail!(
                "the event hooks of {} and {} have the same secret, so their deliveries cannot be distinguished: set a different secret for each",
                other.instance,
                one.instance
            );
        }
    }
    Ok(senders)
}
