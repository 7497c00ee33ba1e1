//! Which group of a target is ours: remembered, so that a rename on one side is a rename on the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Failure, Metadata, Note, Store, Time};
use serde::{Deserialize, Serialize};

use crate::mapping::GroupKey;

/// What is remembered of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupLink {
    /// The target's id of it.
    pub(crate) group: String,
    /// What it is called, as we gave it.
    pub(crate) name: String,
    /// The name that the target shows, if it differs from the name that Beadle gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shown: Option<String>,
    /// What its source is called, so that its mapping is known when the source is gone.
    pub(crate) from: String,
    /// The groups of directories that it is made of, as `source/id`.
    pub(crate) sources: Vec<String>,
    /// Of them, the groups that had members when something of the group was written last. An
    /// earlier version did not note them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) filled: Option<Vec<String>>,
    /// The name that it could not be given, as another group may have this name still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) waits: Option<Waits>,
}

/// A name that a group waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Waits {
    pub(crate) name: String,
    /// When the group could not be given the name last.
    pub(crate) at: Time,
}

/// A group that was not tried again for this long waits for its name no more.
const WAITS: Duration = Duration::from_secs(3600);

impl GroupLink {
    /// The sources that had members. Where that is not known, each of them may have had some.
    pub(crate) fn filled(&self) -> &[String] {
        self.filled.as_deref().unwrap_or(&self.sources)
    }

    /// Adds sources, and those that have members. Only a settled removal takes one away.
    pub(crate) fn learn(&mut self, sources: &[String], filled: &[String]) {
        let with = |known: &[String], further: &[String]| {
            let mut all = [known, further].concat();
            all.sort();
            all.dedup();
            all
        };
        self.filled = Some(with(self.filled(), filled));
        self.sources = with(&self.sources, sources);
    }

    /// Beadle's name for the group, if the target shows this name.
    pub(crate) fn named(&self, shown: &str) -> String {
        if self.shown.as_deref() == Some(shown) { self.name.clone() } else { shown.to_owned() }
    }
}

/// Whether a target shows a name that it was given in a form of its own: in other letters, or below
/// a place of its own.
pub(crate) fn is_form_of(given: &str, shown: &str) -> bool {
    let is_below = || {
        let place = shown.strip_suffix(given);
        place.is_some_and(|place| place.ends_with(['/', '\\', ':']))
    };
    given != shown && (given.eq_ignore_ascii_case(shown) || is_below())
}

/// All that is remembered. Without a store, nothing is.
#[derive(Clone, Default)]
pub(crate) struct GroupLinks(pub(crate) Option<Arc<dyn Store>>);

impl Metadata for GroupLink {
    const KIND: &'static str = "pair";
}

fn note(target: &str, slot: &str) -> Note<GroupLink> {
    Note::of(&[target, slot])
}

/// The beginning of the text of a write that a stopped target does not get.
pub const STOPPED: &str = "the target is stopped";

/// The reason why Beadle writes nothing to a target any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StopReason(pub String);

impl Metadata for StopReason {
    const KIND: &'static str = "stopped";
    const IS_PLAIN: bool = true;
}

impl StopReason {
    /// Returns the note of a target.
    pub fn note(target: &str) -> Note<Self> {
        Note::of(&[target])
    }
}

impl GroupLinks {
    /// Remembers that nothing is written to a target any more.
    pub(crate) async fn stop(&self, target: &str, why: &str) -> Result<(), Failure> {
        let Some(store) = &self.0 else { return Ok(()) };
        Ok(StopReason::note(target).put(store.as_ref(), &StopReason(why.to_owned())).await?)
    }

    /// Takes back what was remembered by [`GroupLinks::stop`], unless another reason took its place.
    pub(crate) async fn withdraw(&self, target: &str, why: &str) -> Result<(), Failure> {
        let Some(store) = &self.0 else { return Ok(()) };
        let note = StopReason::note(target);
        if note.get(store.as_ref()).await?.is_some_and(|StopReason(noted)| noted == why) {
            note.forget(store.as_ref()).await?;
        }
        Ok(())
    }

    /// Why nothing is written to a target any more.
    pub(crate) async fn stopped(&self, target: &str) -> Result<Option<String>, Failure> {
        let Some(store) = &self.0 else { return Ok(None) };
        Ok(StopReason::note(target).get(store.as_ref()).await?.map(|StopReason(why)| why))
    }

    pub(crate) async fn of(&self, target: &str, slot: &GroupKey) -> Result<Option<GroupLink>, Failure> {
        let Some(store) = &self.0 else { return Ok(None) };
        Ok(note(target, &slot.to_string()).get(store.as_ref()).await?)
    }

    pub(crate) async fn keep(&self, target: &str, slot: &GroupKey, pair: &GroupLink) -> Result<(), Failure> {
        let Some(store) = &self.0 else { return Ok(()) };
        Ok(note(target, &slot.to_string()).put(store.as_ref(), pair).await?)
    }

    pub(crate) async fn forget(&self, target: &str, slot: &GroupKey) -> Result<(), Failure> {
        let Some(store) = &self.0 else { return Ok(()) };
        Ok(note(target, &slot.to_string()).forget(store.as_ref()).await?)
    }

    /// The groups of a target that wait for a name, by their ids there.
    pub(crate) async fn waiting(&self, target: &str, now: Time) -> Result<BTreeMap<String, String>, Failure> {
        let waits = |(_, pair): (GroupKey, GroupLink)| {
            let waits = pair.waits.filter(|waits| now.since(waits.at) < WAITS)?;
            Some((pair.group, waits.name))
        };
        Ok(self.all(target).await?.into_iter().filter_map(waits).collect())
    }

    /// Everything that is remembered of a target.
    pub(crate) async fn all(&self, target: &str) -> Result<Vec<(GroupKey, GroupLink)>, Failure> {
        let Some(store) = &self.0 else { return Ok(Vec::new()) };
        let links = note(target, "").list(store.as_ref()).await?;
        Ok(links.into_iter().filter_map(|(slot, link)| Some((slot.parse().ok()?, link))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_the_target_shows_in_its_own_form_is_no_other_name() {
        assert!(is_form_of("A", "PRIMARY/A") && is_form_of("Ops", "ops"));
        assert!(!is_form_of("A", "A") && !is_form_of("A", "BA") && !is_form_of("A", "B"));
        let pair = GroupLink {
            group: "g".into(),
            name: "A".into(),
            shown: Some("PRIMARY/A".into()),
            from: "A".into(),
            sources: Vec::new(),
            filled: None,
            waits: None,
        };
        assert_eq!((pair.named("PRIMARY/A").as_str(), pair.named("B").as_str()), ("A", "B"));
    }

    #[test]
    fn which_sources_had_members_is_kept_until_a_removal_settles_it() {
        let before = r#"{"group":"g","name":"A","from":"A","sources":["corp/a","corp/b"]}"#;
        let mut pair: GroupLink = serde_json::from_str(before).unwrap();
        assert_eq!(pair.filled(), ["corp/a", "corp/b"], "an earlier version's: each may have had some");
        pair.learn(&["corp/c".to_owned()], &[]);
        assert_eq!(pair.filled(), ["corp/a", "corp/b"]);
        assert_eq!(pair.sources, ["corp/a", "corp/b", "corp/c"]);
        pair.learn(&[], &["corp/c".to_owned()]);
        assert_eq!(pair.filled(), ["corp/a", "corp/b", "corp/c"]);
    }
}
