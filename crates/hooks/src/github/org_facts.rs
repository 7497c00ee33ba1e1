//! What is known of an organisation beside its secrets. It changes while the service runs: a policy is replaced, the App's
//! name is learnt.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use beadle_engine::{Metadata, Note};
use serde::{Deserialize, Serialize};

/// Shared between those who learn it and the intake. The worker stores it for an intake that is
/// another process.
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
    /// Branches that the policy names; the default branch counts always. Until it is known: all.
    branches: Option<BTreeSet<String>>,
    /// The login that the App acts under.
    own: Option<String>,
}

impl OrgFacts {
    /// Returns the note of an organisation.
    pub fn note(organisation: &str) -> Note<Self> {
        Note::of(&[organisation])
    }

    /// The policy names these branches.
    pub fn watch(&self, branches: BTreeSet<String>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).branches = Some(branches);
    }

    /// Who we are: events that this login caused are our own writes.
    pub fn set_own(&self, login: String) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).own = Some(login);
    }

    /// All of it, for an intake that is another process.
    pub fn to_json(&self) -> String {
        let facts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        serde_json::to_string(&*facts).unwrap_or_default()
    }

    /// Whether it matters that a branch comes or goes.
    pub(super) fn is_watched(&self, branch: &str, default: Option<&str>) -> bool {
        let facts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        // A repository without a default branch is new, or its payload does not say.
        default.is_none_or(|default| default == branch)
            || facts.branches.as_ref().is_none_or(|branches| branches.contains(branch))
    }

    /// Whether an event is the echo of our own write.
    pub(super) fn is_own(&self, login: Option<&str>) -> bool {
        let facts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        matches!((login, &facts.own), (Some(login), Some(own)) if login.eq_ignore_ascii_case(own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_learnt() {
        let known = OrgFacts::default();
        known.watch(BTreeSet::from(["release".to_owned()]));
        known.set_own("beadle[bot]".into());
        let from_json = serde_json::from_str::<OrgFacts>(&known.to_json()).unwrap();
        assert!(from_json.is_own(Some("Beadle[bot]")) && !from_json.is_own(Some("ann")));
        assert!(
            from_json.is_watched("release", Some("main")) && !from_json.is_watched("topic", Some("main"))
        );
        // Of somebody of whom nothing was told yet every branch counts.
        assert!(OrgFacts::default().is_watched("topic", Some("main")));
    }
}
