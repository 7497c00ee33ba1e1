//! Who may send events of a directory.

use anyhow::bail;
use beadle_hooks::okta::Sender;
use secrecy::ExposeSecret as _;

use crate::config::Config;

/// Whether what is sent for one could be taken for the other.
fn share(one: &Sender, other: &Sender) -> bool {
    let (Some(one), Some(other)) = (one.header_secrets.first(), other.header_secrets.first()) else {
        return false;
    };
    let mut pairs = one.values.iter().flat_map(|value| other.values.iter().map(move |other| (value, other)));
    pairs.any(|(value, other)| value.expose_secret() == other.expose_secret())
}

/// Who may send events.
pub(crate) fn senders(config: &Config) -> anyhow::Result<Vec<Sender>> {
    let mut senders = Vec::new();
    for file in &config.file.okta {
        let what = format!("the hook's secret of {}", file.name);
        senders.push(file.sender(|references| config.valid_secrets(references, &what))?);
    }
    for (at, one) in senders.iter().enumerate() {
        if let Some(other) = senders[..at].iter().find(|other| share(one, other)) {
            bail!(
                "the event hooks of {} and {} have a secret in common, and their deliveries could not be told apart; give each its own",
                other.instance,
                one.instance
            );
        }
    }
    Ok(senders)
}
