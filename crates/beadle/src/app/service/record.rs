//! The record of a running service. The record contains the version and the configuration of the
//! service, and the modes and generations in force. Commands compare the record with the
//! configuration file.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use beadle_engine::{Metadata, Note, Store, StoreError, Time};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::config::{Config, needs_restart};
use crate::output::plural::counted;

/// The maximum age of a running service's record. A function on AWS renews its record once a
/// minute.
pub(crate) const RUNNING: Duration = Duration::from_secs(180);
/// The maximum number of keys in one sentence.
const NAMED: usize = 5;

/// The record of one process that works on keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServiceRecord {
    /// The time at which the process wrote the record.
    pub(crate) at: Time,
    /// The time at which the process began to use its configuration.
    pub(crate) started: Time,
    /// The time at which the process started. `None` in a record of an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) process_started: Option<Time>,
    /// The version of Beadle.
    pub(crate) version: String,
    /// The open organisations, keyed by their names.
    pub(crate) organisations: BTreeMap<String, InForce>,
    /// The modes of each target's mappings, keyed by the name of the target.
    pub(crate) targets: BTreeMap<String, String>,
    /// A digest of every value in the configuration file, keyed by the path of the value's key.
    pub(crate) configuration: BTreeMap<String, String>,
}

/// The mode and the generation that a service uses for an organisation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InForce {
    /// The mode of the organisation, and the modes of single aspects.
    pub(crate) modes: String,
    /// The generation of the policy. `None` while the first generation waits for the gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) generation: Option<String>,
    /// The author of the policy's commit, if the policy comes from a repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) author: Option<String>,
    /// The first line of the commit's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
}

impl Metadata for ServiceRecord {
    const KIND: &'static str = "service";
}

impl ServiceRecord {
    /// Returns the note of a process. With an empty name, returns the prefix of all notes.
    pub(crate) fn note(process: &str) -> Note<Self> {
        Note::of(&[process])
    }

    /// Lists the records of the services that are running now.
    pub(crate) async fn running(store: &dyn Store, now: Time) -> Result<Vec<Self>, StoreError> {
        let all = Self::note("").list(store).await?;
        let mut running: Vec<Self> =
            all.into_iter().map(|(_, record)| record).filter(|record| record.is_running(now)).collect();
        running.sort_by_key(|record| std::cmp::Reverse(record.at));
        Ok(running)
    }

    /// Returns whether a running service uses this generation of the policy of an organisation.
    pub(crate) async fn uses(
        store: &dyn Store,
        (organisation, generation): (&str, &str),
        now: Time,
    ) -> Result<bool, StoreError> {
        let running = Self::running(store, now).await?;
        let mut used = running.iter().filter_map(|record| record.organisations.get(organisation));
        Ok(used.any(|used| used.generation.as_deref() == Some(generation)))
    }

    /// Returns whether the process renewed its record a short time ago.
    pub(crate) fn is_running(&self, now: Time) -> bool {
        now.since(self.at) <= RUNNING && self.at <= now + RUNNING
    }

    /// Returns the keys whose values in the configuration and in the service differ. Also returns
    /// each key that has a value only in the configuration or only in the service.
    pub(crate) fn differences(&self, config: &Config) -> Vec<String> {
        let present = digests(&config.values);
        let keys: BTreeSet<&String> = self.configuration.keys().chain(present.keys()).collect();
        let differs = |key: &&String| self.configuration.get(*key) != present.get(*key);
        keys.into_iter().filter(differs).cloned().collect()
    }
}

/// Returns a digest of every value. A record in the store only has to show which values are
/// different. So the record contains digests instead of the values.
pub(crate) fn digests(values: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let digest = |value: &String| {
        Sha256::digest(value).iter().take(6).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    };
    values.iter().map(|(key, value)| (key.clone(), digest(value))).collect()
}

/// Returns one sentence for each running service whose configuration differs from the configuration
/// file.
pub(crate) async fn other_configurations(
    store: &dyn Store,
    config: &Config,
    now: Time,
) -> Result<Vec<String>, StoreError> {
    let running = ServiceRecord::running(store, now).await?;
    let different = running.iter().map(|record| record.differences(config)).filter(|keys| !keys.is_empty());
    Ok(different.map(|keys| sentence(&keys)).collect())
}

/// Returns the sentence about keys whose values differ.
pub(crate) fn sentence(keys: &[String]) -> String {
    let mut names: Vec<String> = keys.iter().take(NAMED).map(|key| format!("`{key}`")).collect();
    if let Some(more) = keys.len().checked_sub(NAMED).filter(|more| *more > 0) {
        names.push(format!("{more} more"));
    }
    let count = counted(keys.len() as u64, "value", "values");
    let hint =
        if keys.iter().any(|key| needs_restart(key)) { "restart the service" } else { "run `beadle reload`" };
    let verb = if keys.len() == 1 { "differs" } else { "differ" };
    format!(
        "the running service uses another configuration than the file: {count} {verb} ({}); {hint}",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("beadle.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(&path).unwrap()
    }

    fn org(more: &str) -> String {
        format!("[[org]]\nname = \"acme\"\npolicy = \"p\"\ntoken = \"env:T\"\n{more}\n")
    }

    #[test]
    fn a_changed_an_added_and_a_removed_key_differ() {
        let used = config(&org("mode = \"observe\"\nsweep_every = \"1d\""));
        let record = ServiceRecord { configuration: digests(&used.values), ..ServiceRecord::default() };
        assert_eq!(record.differences(&used), Vec::<String>::new());
        let other = config(&org("mode = \"enforce\"\nschedule = \"0 3 * * *\""));
        assert_eq!(
            record.differences(&other),
            ["org.acme.mode", "org.acme.schedule", "org.acme.sweep_every"]
        );
    }

    #[test]
    fn a_record_has_no_value_of_the_configuration() {
        let stored = serde_json::to_string(&digests(&config(&org("")).values)).unwrap();
        assert!(stored.contains("org.acme.token") && !stored.contains("env:T"), "{stored}");
    }

    #[test]
    fn a_sentence_names_five_keys() {
        let keys: Vec<String> = (1..=7).map(|n| format!("k{n}")).collect();
        assert_eq!(
            sentence(&keys),
            "the running service uses another configuration than the file: 7 values differ \
             (`k1`, `k2`, `k3`, `k4`, `k5`, 2 more); run `beadle reload`"
        );
        assert!(sentence(&keys[..1]).contains("1 value differs (`k1`)"));
        assert!(sentence(&["store.path".to_owned()]).ends_with("; restart the service"));
    }

    #[tokio::test]
    async fn only_a_record_that_was_renewed_belongs_to_a_running_service() {
        let (_folder, store) = crate::app::store::temporary().unwrap();
        let now = Time(10_000_000);
        let at = |at: Time| ServiceRecord { at, ..ServiceRecord::default() };
        let (new, old) = (now - Duration::from_secs(60), now - RUNNING - Duration::from_secs(1));
        for (process, at) in [("a", at(new)), ("b", at(old)), ("c", at(now))] {
            ServiceRecord::note(process).put(store.as_ref(), &at).await.unwrap();
        }
        let running = ServiceRecord::running(store.as_ref(), now).await.unwrap();
        assert_eq!(running.iter().map(|record| record.at).collect::<Vec<_>>(), [now, new]);
    }
    #[tokio::test]
    async fn a_generation_is_used_as_long_as_a_process_that_runs_has_it() {
        let (_folder, store) = crate::app::store::temporary().unwrap();
        let store = store.as_ref();
        let in_force = InForce { generation: Some("g2".to_owned()), ..InForce::default() };
        let organisations = [("acme".to_owned(), in_force)].into();
        let record = ServiceRecord { at: Time(0), organisations, ..ServiceRecord::default() };
        ServiceRecord::note("one").put(store, &record).await.unwrap();
        let later = Time(0) + RUNNING + Duration::from_secs(1);
        for (of, now, is_used) in [
            (("acme", "g2"), Time(0), true),
            (("acme", "g1"), Time(0), false),
            (("other", "g2"), Time(0), false),
            (("acme", "g2"), later, false),
        ] {
            assert_eq!(ServiceRecord::uses(store, of, now).await.unwrap(), is_used, "{of:?} {now}");
        }
    }
}
