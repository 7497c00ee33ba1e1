//! Starts to use the mappings of an organisation's policy, together with the policy.

use std::sync::Arc;

use beadle_engine::{Metadata, Note, Store, StoreError};
use serde::{Deserialize, Serialize};

use crate::app::groups::directories_and_targets::Directories;
use crate::app::organisations::served_organisation::ServedOrganisation;
use crate::config::Config;

/// The targets of the mappings that an organisation's policy in force contains. After a restart,
/// the groups of these targets wait until the policy is known again.
#[derive(PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct MappedTargets(Vec<String>);

impl Metadata for MappedTargets {
    const KIND: &'static str = "mapped-targets";
    // Without the list of targets, the groups would not wait for the policy after a restart.
    const IS_NEEDED: bool = true;
}

fn note(organisation: &str) -> Note<MappedTargets> {
    Note::of(&[organisation])
}

/// Makes a target wait if the policy of an organisation has mappings to this target and the
/// organisation is not open yet. If Beadle cannot read the store, all targets wait.
pub(in crate::app) async fn await_all(
    config: &Config,
    directories: &Directories,
    organisations: &[Arc<ServedOrganisation>],
    store: &dyn Store,
) {
    for organisation in organisations {
        let name = &organisation.file.name;
        let targets = match note(name).get(store).await {
            Ok(known) => known.map_or_else(Vec::new, |MappedTargets(targets)| targets),
            Err(error) => {
                tracing::warn!(organisation = name, %error, "mappings of the policy unknown, groups wait");
                all_targets(config)
            }
        };
        if !targets.is_empty() {
            directories.in_force.await_policy(name, targets);
        }
    }
}

fn all_targets(config: &Config) -> Vec<String> {
    config.file.target.iter().map(|target| target.name.clone()).collect()
}

/// Starts to use the mappings of an organisation's policy, if the policy is accepted and its
/// mappings are not in force yet.
pub(in crate::app) async fn follow(
    config: &Config,
    directories: &Directories,
    organisation: &ServedOrganisation,
    store: &dyn Store,
) -> Result<(), StoreError> {
    let Some(org) = organisation.open().filter(|_| !organisation.is_first()) else { return Ok(()) };
    let (policy, name) = (org.policy.current(), organisation.file.name.as_str());
    if directories.in_force.has_policy(name, &policy.generation) {
        return Ok(());
    }
    let mappings = match config.mappings_of_policy(&organisation.file, &policy) {
        Ok(mappings) => mappings,
        Err(error) => {
            // When the policy was accepted, the configuration was different and had other targets.
            tracing::warn!(organisation = name, %error, "mappings of the policy unusable, groups wait");
            directories.in_force.refuse_policy(name, &policy.generation, all_targets(config));
            return Ok(());
        }
    };
    remember(store, name, mappings.iter().map(|mapping| mapping.target.clone()).collect()).await?;
    let count = mappings.len();
    directories.in_force.replace_policy(name, &policy.generation, mappings);
    if count > 0 {
        let generation = &policy.generation;
        tracing::info!(organisation = name, generation, mappings = count, "mappings of the policy in force");
    }
    Ok(())
}

/// Records the targets before the mappings come into force, so that the next start knows the
/// targets.
async fn remember(store: &dyn Store, organisation: &str, mut targets: Vec<String>) -> Result<(), StoreError> {
    targets.sort_unstable();
    targets.dedup();
    let (note, targets) = (note(organisation), MappedTargets(targets));
    match note.get(store).await {
        Ok(None) if targets.0.is_empty() => return Ok(()),
        Ok(Some(before)) if before == targets => return Ok(()),
        // The policy in force has the same targets, so Beadle is allowed to replace a note that a
        // newer version of Beadle stored.
        Ok(_) | Err(StoreError::Newer { .. }) => {}
        Err(error) => return Err(error),
    }
    note.put(store, &targets).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::store;

    #[tokio::test]
    async fn targets_of_a_newer_version_do_not_count_as_none_and_the_policy_in_force_replaces_them() {
        let (_folder, store) = store::temporary().unwrap();
        let (store, note) = (store.as_ref(), note("acme"));
        for targets in [vec!["aws".to_owned()], Vec::new()] {
            store.put(note.name(), r#"{"targets":["aws"]}"#).await.unwrap();
            let unread = note.get(store).await.map(|known| known.is_some());
            assert!(matches!(unread, Err(StoreError::Newer { .. })), "{unread:?}");
            remember(store, "acme", targets.clone()).await.unwrap();
            let read = note.get(store).await.unwrap();
            assert_eq!(read.map(|MappedTargets(targets)| targets), Some(targets));
        }
    }
}
