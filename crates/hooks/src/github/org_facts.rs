//! The facts about an organisation that change while the service runs: the branches that the policy
//! names, and the login of the App.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use beadle_engine::{Metadata, Note};
use serde::{Deserialize, Serialize};

/// The facts about an organisation. The worker and the intake share them. If the intake is another
/// process, the worker stores them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(into = "Facts", from = "Facts")]
pub struct OrgFacts(Arc<RwLock<Facts>>);

impl Metadata for OrgFacts {
    const KIND: &'static str = "known";
}

impl From<OrgFacts> for Facts {
    fn from(shared: OrgFacts) -> Self {
        shared.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl From<Facts> for OrgFacts {
    fn from(facts: Facts) -> Self {
        Self(Arc::new(RwLock::new(facts)))
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Facts {
    /// The branches that the policy names. The default branch always counts. `None` until the
    /// policy is loaded: then all branches count.
    branches: Option<BTreeSet<String>>,
    /// The login of the App.
    own: Option<String>,
}

impl OrgFacts {
    /// Returns the note of an organisation.
    pub fn note(organisation: &str) -> Note<Self> {
        Note::of(&[organisation])
    }

    /// Sets the branches that the policy names.
    pub fn watch(&self, branches: BTreeSet<String>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).branches = Some(branches);
    }

    /// Sets the login of the App. Events that this login caused come from Beadle's own writes.
    pub fn set_own(&self, login: String) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).own = Some(login);
    }

    /// Returns a copy of all facts, for an intake that is another process.
    pub fn to_json(&self) -> String {
        let facts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        serde_json::to_string(&*facts).unwrap_or_default()
    }

    /// Returns whether the creation or deletion of a branch matters.
    pub(super) fn is_watched(&self, branch: &str, default: Option<&str>) -> bool {
        let facts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        // A new repository has no default branch, and some payloads lack it.
        default.is_none_or(|default| default == branch)
            || facts.branches.as_ref().is_none_or(|branches| branches.contains(branch))
    }

    /// Returns whether an event comes from Beadle's own write.
    pub(super) fn is_own(&self, login: Option<&str>) -> bool {
        let facts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        matches!((login, &facts.own), (Some(login), Some(own)) if login.eq_ignore_ascii_case(own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_survive_a_round_trip_through_json() {
        let known = OrgFacts::default();
        known.watch(BTreeSet::from(["release".to_owned()]));
        known.set_own("beadle[bot]".into());
        let from_json = serde_json::from_str::<OrgFacts>(&known.to_json()).unwrap();
        assert!(from_json.is_own(Some("Beadle[bot]")) && !from_json.is_own(Some("ann")));
        assert!(
            from_json.is_watched("release", Some("main")) && !from_json.is_watched("topic", Some("main"))
        );
        // Without facts, every branch counts.
        assert!(OrgFacts::default().is_watched("topic", Some("main")));
    }
}
