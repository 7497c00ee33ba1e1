//! Facts about an organisation that can change while the service runs. These are the branches and
//! the files in the policy, and the login of the App.

use parking_lot::RwLock;
use std::collections::BTreeSet;
use std::sync::Arc;

use beadle_engine::{Metadata, Note};
use serde::{Deserialize, Serialize};

/// The facts about an organisation. The worker sets them, and the intake reads them. If the intake
/// is a separate process, it reads the copy that the worker stores.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(into = "Facts", from = "Facts")]
pub struct OrgFacts(Arc<RwLock<Facts>>);

impl Metadata for OrgFacts {
    const KIND: &'static str = "known";
}

impl From<OrgFacts> for Facts {
    fn from(shared: OrgFacts) -> Self {
        shared.0.read().clone()
    }
}

impl From<Facts> for OrgFacts {
    fn from(facts: Facts) -> Self {
        Self(Arc::new(RwLock::new(facts)))
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Facts {
    /// The branches that the policy declares. In addition, the default branch always matters.
    /// Before the policy is loaded, the value is `None`, and all branches matter.
    branches: Option<BTreeSet<String>>,
    /// The files that the policy declares. Before the policy is loaded, the value is `None`, and
    /// every file matters.
    #[serde(default)]
    files: Option<WatchedFiles>,
    /// The login of the App that Beadle uses; `None` if it is not known.
    own: Option<String>,
}

/// The files that the policy declares for repositories.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchedFiles {
    /// The name of the branch in which Beadle proposes files.
    pub branch: String,
    /// The paths of the files. The set is empty if Beadle keeps no files.
    pub paths: BTreeSet<String>,
}

impl OrgFacts {
    /// Returns the note that stores the facts about an organisation.
    pub fn note(organisation: &str) -> Note<Self> {
        Note::of(&[organisation])
    }

    /// Sets the branches and the files of the policy.
    pub fn watch(&self, branches: BTreeSet<String>, files: WatchedFiles) {
        let mut facts = self.0.write();
        (facts.branches, facts.files) = (Some(branches), Some(files));
    }

    /// Sets the login of the App. If an event has this login as its actor, one of Beadle's writes
    /// caused the event.
    pub fn set_own(&self, login: String) {
        self.0.write().own = Some(login);
    }

    /// Returns a copy of all facts as JSON, for an intake that is a separate process.
    pub fn to_json(&self) -> String {
        let facts = self.0.read();
        serde_json::to_string(&*facts).unwrap_or_default()
    }

    /// Returns whether Beadle must react to the creation or deletion of this branch.
    pub(super) fn is_watched(&self, branch: &str, default: Option<&str>) -> bool {
        let facts = self.0.read();
        // A new repository has no default branch, and some payloads do not contain the default
        // branch. Every branch then matters.
        default.is_none_or(|default| default == branch)
            || facts.branches.as_ref().is_none_or(|branches| branches.contains(branch))
    }

    /// Returns whether Beadle proposes files from a branch with this name.
    pub(super) fn proposes_from(&self, branch: &str) -> bool {
        let facts = self.0.read();
        facts.files.as_ref().is_none_or(|files| !files.paths.is_empty() && files.branch == branch)
    }

    /// Returns whether Beadle keeps a file at one of these paths.
    pub(super) fn keeps<'a>(&self, mut paths: impl Iterator<Item = &'a str>) -> bool {
        let facts = self.0.read();
        facts.files.as_ref().is_none_or(|files| paths.any(|path| files.paths.contains(path)))
    }

    /// Returns whether Beadle keeps any file.
    pub(super) fn keeps_files(&self) -> bool {
        self.0.read().files.as_ref().is_none_or(|files| !files.paths.is_empty())
    }

    /// Returns whether Beadle's own write caused an event. `login` is the actor of the event.
    pub(super) fn is_own(&self, login: Option<&str>) -> bool {
        let facts = self.0.read();
        matches!((login, &facts.own), (Some(login), Some(own)) if login.eq_ignore_ascii_case(own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_survive_a_round_trip_through_json() {
        let known = OrgFacts::default();
        let files = WatchedFiles { branch: "own".to_owned(), paths: BTreeSet::from(["LICENSE".to_owned()]) };
        known.watch(BTreeSet::from(["release".to_owned()]), files);
        known.set_own("beadle[bot]".into());
        let from_json = serde_json::from_str::<OrgFacts>(&known.to_json()).unwrap();
        assert!(from_json.is_own(Some("Beadle[bot]")) && !from_json.is_own(Some("ann")));
        assert!(
            from_json.is_watched("release", Some("main")) && !from_json.is_watched("topic", Some("main"))
        );
        let keeps = |facts: &OrgFacts, path: &str| facts.keeps(std::iter::once(path));
        assert!(keeps(&from_json, "LICENSE") && !keeps(&from_json, "README.md"));
        assert!(from_json.proposes_from("own") && !from_json.proposes_from("topic"));
        // As long as no facts are set, every branch and every file matters.
        let unset = OrgFacts::default();
        assert!(unset.is_watched("topic", Some("main")) && unset.proposes_from("topic"));
        assert!(keeps(&unset, "README.md") && unset.keeps_files());
        // A worker of an older version does not store the files.
        let older = serde_json::from_str::<OrgFacts>(r#"{"branches":[],"own":null}"#).unwrap();
        assert!(keeps(&older, "README.md"));
    }
}
