//! The mappings in force, from the configuration and from the policies of organisations.

use std::collections::BTreeMap;
use std::sync::Arc;

use beadle_groups::{Mapping, Mappings};
use parking_lot::{Mutex, RwLock};

/// Mappings, keyed by the names of their targets.
type ByTarget = BTreeMap<String, Vec<Mapping>>;

/// The mappings from the configuration and from all policies, and a list that combines them. The
/// reconcilers use this list.
pub(crate) struct MappingsInForce {
    all: Arc<RwLock<Arc<Mappings>>>,
    parts: Mutex<Parts>,
}

struct Parts {
    /// The mappings in `beadle.toml` and in the files of `groups_from`, keyed by the names of their
    /// targets.
    configured: ByTarget,
    /// The mappings of each organisation's policy.
    of_policies: BTreeMap<String, OfPolicy>,
    /// The organisations with unknown mappings, each with the targets that wait for these mappings.
    unknown: BTreeMap<String, Vec<String>>,
}

struct OfPolicy {
    /// The generation of the policy.
    generation: String,
    mappings: Vec<Mapping>,
}

impl MappingsInForce {
    /// Creates the mappings in force. At first, these are only the mappings of the configuration.
    pub(super) fn new(configured: &Mappings) -> Self {
        let mut by_target = ByTarget::new();
        for mapping in &configured.all {
            by_target.entry(mapping.target.clone()).or_default().push(mapping.clone());
        }
        let parts = Parts { configured: by_target, of_policies: BTreeMap::new(), unknown: BTreeMap::new() };
        Self { all: Arc::new(RwLock::new(Arc::new(parts.combined()))), parts: Mutex::new(parts) }
    }

    /// Returns the shared value that contains the mappings in force. The reconcilers read this
    /// value.
    pub(super) fn shared(&self) -> Arc<RwLock<Arc<Mappings>>> {
        self.all.clone()
    }

    /// Returns the mappings in force.
    pub(crate) fn all(&self) -> Arc<Mappings> {
        self.all.read().clone()
    }

    /// Returns the configured mappings to a target.
    pub(in crate::app) fn configured_of(&self, target: &str) -> Vec<Mapping> {
        self.parts.lock().configured.get(target).cloned().unwrap_or_default()
    }

    /// Replaces the configured mappings to a target.
    pub(super) fn replace_configured(&self, target: &str, mappings: Vec<Mapping>) {
        let mut parts = self.parts.lock();
        parts.configured.insert(target.to_owned(), mappings);
        *self.all.write() = Arc::new(parts.combined());
    }

    /// Returns the mappings that would be in force if the configuration had these mappings to a
    /// target.
    pub(super) fn with_configured(&self, target: &str, mappings: Vec<Mapping>) -> Mappings {
        let parts = self.parts.lock();
        let mut configured = parts.configured.clone();
        configured.insert(target.to_owned(), mappings);
        parts.combined_with(&configured, None)
    }

    /// Returns whether the mappings from this generation of an organisation's policy are in force.
    pub(crate) fn has_policy(&self, organisation: &str, generation: &str) -> bool {
        let parts = self.parts.lock();
        parts.of_policies.get(organisation).is_some_and(|of| of.generation == generation)
    }

    /// Returns whether the mappings from another generation of an organisation's policy are in
    /// force.
    pub(in crate::app) fn has_other_policy(&self, organisation: &str, generation: &str) -> bool {
        let parts = self.parts.lock();
        parts.of_policies.get(organisation).is_some_and(|of| of.generation != generation)
    }

    /// Replaces the mappings of an organisation's policy.
    pub(crate) fn replace_policy(&self, organisation: &str, generation: &str, mappings: Vec<Mapping>) {
        let mut parts = self.parts.lock();
        let of = OfPolicy { generation: generation.to_owned(), mappings };
        parts.of_policies.insert(organisation.to_owned(), of);
        parts.unknown.remove(organisation);
        *self.all.write() = Arc::new(parts.combined());
    }

    /// Records that an organisation's policy has unknown mappings to these targets. The mappings
    /// stay unknown until the call of [`Self::replace_policy`].
    pub(crate) fn await_policy(&self, organisation: &str, targets: Vec<String>) {
        let mut parts = self.parts.lock();
        if !parts.of_policies.contains_key(organisation) {
            parts.unknown.insert(organisation.to_owned(), targets);
            *self.all.write() = Arc::new(parts.combined());
        }
    }

    /// Records that the mappings from this generation of an organisation's policy cannot be used.
    /// These targets wait for another generation.
    pub(crate) fn refuse_policy(&self, organisation: &str, generation: &str, targets: Vec<String>) {
        let mut parts = self.parts.lock();
        let of = OfPolicy { generation: generation.to_owned(), mappings: Vec::new() };
        parts.of_policies.insert(organisation.to_owned(), of);
        parts.unknown.insert(organisation.to_owned(), targets);
        *self.all.write() = Arc::new(parts.combined());
    }

    /// Returns the mappings of all policies.
    pub(crate) fn of_policies(&self) -> Vec<Mapping> {
        self.parts.lock().of_policies.values().flat_map(|of| of.mappings.clone()).collect()
    }

    /// Returns the organisations that have mappings to a target in their policies. Each
    /// organisation comes with the generation of its policy.
    pub(in crate::app) fn policies_to(&self, target: &str) -> Vec<(String, String)> {
        let has = |of: &OfPolicy| of.mappings.iter().any(|mapping| mapping.target == target);
        let parts = self.parts.lock();
        let its = parts.of_policies.iter().filter(|(_, of)| has(of));
        its.map(|(organisation, of)| (organisation.clone(), of.generation.clone())).collect()
    }

    /// Returns the mappings that would be in force if an organisation's policy had these mappings.
    pub(crate) fn with_policy(&self, organisation: &str, mappings: &[Mapping]) -> Mappings {
        let parts = self.parts.lock();
        parts.combined_with(&parts.configured, Some((organisation, mappings)))
    }
}

impl Parts {
    fn combined(&self) -> Mappings {
        self.combined_with(&self.configured, None)
    }

    fn combined_with(&self, configured: &ByTarget, other: Option<(&str, &[Mapping])>) -> Mappings {
        let mut of_policies: BTreeMap<&str, &[Mapping]> =
            self.of_policies.iter().map(|(name, of)| (name.as_str(), of.mappings.as_slice())).collect();
        of_policies.extend(other);
        let configured = Mappings::new(configured.values().flatten().cloned().collect());
        let mut all = configured.with(of_policies.into_values().flatten().cloned());
        for (organisation, targets) in &self.unknown {
            if other.is_some_and(|(other, _)| other == organisation) {
                continue;
            }
            let why = format!("the mappings in the policy of {organisation} are not known yet");
            all.incomplete.extend(targets.iter().map(|target| (target.clone(), why.clone())));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// Returns one mapping for each of these patterns.
    fn mappings(patterns: &[&str]) -> Mappings {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("beadle.toml");
        let mut text = String::from(
            "[[okta]]\nname = \"corp\"\nurl = \"https://corp.example\"\ntoken = \"env:T\"\n\
             [[target]]\nname = \"aws\"\n\
             scim = { url = \"https://x\", token = \"env:T\", dialect = \"aws-identity-center\" }\n",
        );
        let mapping = |pattern: &&str| {
            format!("[[groups]]\nsource = \"corp\"\ntarget = \"aws\"\ninclude = [\"{pattern}\"]\n")
        };
        text.push_str(&patterns.iter().map(mapping).collect::<Vec<_>>().concat());
        std::fs::write(&path, text).unwrap();
        Config::load(&path).unwrap().mappings
    }

    #[test]
    fn the_mappings_of_every_place_are_in_force_together() {
        let in_force = MappingsInForce::new(&mappings(&["a"]));
        let first = in_force.all().generation.clone();
        assert_eq!(first, mappings(&["a"]).generation);
        assert!(!in_force.has_policy("acme", "g1"));
        in_force.replace_policy("acme", "g1", mappings(&["b"]).all);
        assert_eq!(in_force.policies_to("aws"), [("acme".to_owned(), "g1".to_owned())]);
        assert!(in_force.policies_to("teams").is_empty());
        assert!(in_force.has_policy("acme", "g1") && !in_force.has_policy("acme", "g2"));
        assert!(in_force.has_other_policy("acme", "g2") && !in_force.has_other_policy("acme", "g1"));
        assert!(!in_force.has_other_policy("other", "g1"), "its mappings are not known");
        assert_eq!(in_force.all().all.len(), 2);
        in_force.replace_configured("aws", mappings(&["c", "d"]).all);
        assert_eq!(in_force.all().all.len(), 3);
        let planned = in_force.with_policy("acme", &[]);
        assert_eq!((planned.all.len(), in_force.all().all.len()), (2, 3), "nothing is replaced yet");
        let planned = in_force.with_configured("aws", Vec::new());
        assert_eq!((planned.all.len(), in_force.all().all.len()), (1, 3), "nothing is replaced yet");
        in_force.replace_policy("acme", "g2", Vec::new());
        in_force.replace_configured("aws", mappings(&["a"]).all);
        assert_eq!(in_force.all().generation, first);
    }

    #[test]
    fn a_target_waits_for_the_mappings_of_a_policy_that_is_not_read_yet() {
        let in_force = MappingsInForce::new(&mappings(&["a"]));
        in_force.await_policy("acme", vec!["aws".into()]);
        in_force.replace_configured("aws", mappings(&["c"]).all);
        assert!(in_force.all().incomplete.contains_key("aws"));
        in_force.replace_policy("acme", "g1", Vec::new());
        assert!(in_force.all().incomplete.is_empty());
        in_force.await_policy("acme", vec!["aws".into()]);
        assert!(in_force.all().incomplete.is_empty(), "the mappings are known");
        in_force.refuse_policy("acme", "g2", vec!["aws".into()]);
        assert!(in_force.has_policy("acme", "g2") && in_force.all().incomplete.contains_key("aws"));
    }
}
