//! Remembers which group of a target belongs to which source group. If somebody renames the source
//! group, Beadle uses this record to find the group at the target, and renames that group.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Failure, Metadata, Note, Store, Time};
use serde::{Deserialize, Serialize};

use crate::mapping::GroupKey;

/// The facts that Beadle remembers about a group of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupLink {
    /// The id of the group at the target.
    pub(crate) group: String,
    /// The name that Beadle gave the group.
    pub(crate) name: String,
    /// The group's name as the target shows it, if this name differs from the field `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shown: Option<String>,
    /// The name of the source group. If the source group no longer exists, Beadle uses this name to
    /// find the mapping.
    pub(crate) from: String,
    /// The source groups, as `source/id`.
    pub(crate) sources: Vec<String>,
    /// The source groups that had members at the last write. `None` if an earlier version of Beadle
    /// wrote the link, because that version did not store these groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) filled: Option<Vec<String>>,
    /// The name that Beadle could not give to the group yet, because another group possibly has
    /// this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) waits: Option<Waits>,
}

/// The name that a group gets later. At present, another group possibly still has this name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Waits {
    pub(crate) name: String,
    /// The time of the last attempt to rename the group.
    pub(crate) at: Time,
}

/// How long a group waits for its name. If Beadle has not tried the rename for this duration, the
/// group no longer waits.
const WAITS: Duration = Duration::from_secs(3600);

impl GroupLink {
    /// Returns the source groups that had members at the last write. If the link does not store
    /// these groups, returns all source groups, because each of them could have had members.
    pub(crate) fn filled(&self) -> &[String] {
        self.filled.as_deref().unwrap_or(&self.sources)
    }

    /// Adds source groups to the link. Also stores which source groups have members. This function
    /// never removes a source group. Beadle removes a former source group only after it has removed
    /// the leavers of this group.
    pub(crate) fn add_sources(&mut self, sources: &[String], filled: &[String]) {
        let with = |known: &[String], further: &[String]| {
            let mut all = [known, further].concat();
            all.sort();
            all.dedup();
            all
        };
        self.filled = Some(with(self.filled(), filled));
        self.sources = with(&self.sources, sources);
    }

    /// Returns the name that Beadle gave the group, if `shown` is only the target's form of that
    /// name. If `shown` is a different name, returns `shown`.
    pub(crate) fn named(&self, shown: &str) -> String {
        if self.shown.as_deref() == Some(shown) { self.name.clone() } else { shown.to_owned() }
    }
}

/// Returns whether `shown` is the target's form of the name `given`. The target can change the case
/// of letters, or put a path before the name.
pub(crate) fn is_form_of(given: &str, shown: &str) -> bool {
    let is_below = || {
        let place = shown.strip_suffix(given);
        place.is_some_and(|place| place.ends_with(['/', '\\', ':']))
    };
    given != shown && (given.eq_ignore_ascii_case(shown) || is_below())
}

/// The links that the store remembers. Without a store, Beadle remembers no links.
#[derive(Clone, Default)]
pub(crate) struct GroupLinks(pub(crate) Option<Arc<dyn Store>>);

impl Metadata for GroupLink {
    const KIND: &'static str = "pair";
    const IS_NEEDED: bool = true;
}

fn note(target: &str, group_key: &str) -> Note<GroupLink> {
    Note::of(&[target, group_key])
}

/// The beginning of Beadle's error about a stopped target.
pub const STOPPED: &str = "the target is stopped";

/// Why a target is stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StopReason(pub String);

impl Metadata for StopReason {
    const KIND: &'static str = "stopped";
    const IS_PLAIN: bool = true;
}

impl StopReason {
    /// Returns the note that stores why the target is stopped.
    pub fn note(target: &str) -> Note<Self> {
        Note::of(&[target])
    }
}

impl GroupLinks {
    /// Stops a target. Beadle then writes nothing to the target until an operator releases the
    /// target.
    pub(crate) async fn stop(&self, target: &str, why: &str) -> Result<(), Failure> {
        let Some(store) = &self.0 else { return Ok(()) };
        Ok(StopReason::note(target).put(store.as_ref(), &StopReason(why.to_owned())).await?)
    }

    /// Deletes the note from [`GroupLinks::stop`], if the note still has this reason. The function
    /// does not delete a note with a different reason.
    pub(crate) async fn withdraw(&self, target: &str, why: &str) -> Result<(), Failure> {
        let Some(store) = &self.0 else { return Ok(()) };
        let note = StopReason::note(target);
        if note.get(store.as_ref()).await?.is_some_and(|StopReason(noted)| noted == why) {
            note.forget(store.as_ref()).await?;
        }
        Ok(())
    }

    /// Returns why a target is stopped, or `None` if the target is not stopped.
    pub(crate) async fn stopped(&self, target: &str) -> Result<Option<String>, Failure> {
        let Some(store) = &self.0 else { return Ok(None) };
        Ok(StopReason::note(target).get(store.as_ref()).await?.map(|StopReason(why)| why))
    }

    pub(crate) async fn of(&self, target: &str, group_key: &GroupKey) -> Result<Option<GroupLink>, Failure> {
        let Some(store) = &self.0 else { return Ok(None) };
        Ok(note(target, &group_key.to_string()).get(store.as_ref()).await?)
    }

    pub(crate) async fn keep(
        &self,
        target: &str,
        group_key: &GroupKey,
        link: &GroupLink,
    ) -> Result<(), Failure> {
        let Some(store) = &self.0 else { return Ok(()) };
        Ok(note(target, &group_key.to_string()).put(store.as_ref(), link).await?)
    }

    pub(crate) async fn forget(&self, target: &str, group_key: &GroupKey) -> Result<(), Failure> {
        let Some(store) = &self.0 else { return Ok(()) };
        Ok(note(target, &group_key.to_string()).forget(store.as_ref()).await?)
    }

    /// Returns the groups of a target that wait for a name. The keys of the map are the groups' ids
    /// at the target. The values are the names that the groups wait for.
    pub(crate) async fn waiting(&self, target: &str, now: Time) -> Result<BTreeMap<String, String>, Failure> {
        let waits = |(_, link): (GroupKey, GroupLink)| {
            let waits = link.waits.filter(|waits| now.since(waits.at) < WAITS)?;
            Some((link.group, waits.name))
        };
        Ok(self.all(target).await?.into_iter().filter_map(waits).collect())
    }

    /// Returns all links of a target.
    pub(crate) async fn all(&self, target: &str) -> Result<Vec<(GroupKey, GroupLink)>, Failure> {
        let Some(store) = &self.0 else { return Ok(Vec::new()) };
        let links = note(target, "").list(store.as_ref()).await?;
        Ok(links.into_iter().filter_map(|(group_key, link)| Some((group_key.parse().ok()?, link))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_the_target_shows_in_its_own_form_is_no_other_name() {
        assert!(is_form_of("A", "PRIMARY/A") && is_form_of("Ops", "ops"));
        assert!(!is_form_of("A", "A") && !is_form_of("A", "BA") && !is_form_of("A", "B"));
        let link = GroupLink {
            group: "g".into(),
            name: "A".into(),
            shown: Some("PRIMARY/A".into()),
            from: "A".into(),
            sources: Vec::new(),
            filled: None,
            waits: None,
        };
        assert_eq!((link.named("PRIMARY/A").as_str(), link.named("B").as_str()), ("A", "B"));
    }

    #[test]
    fn which_sources_had_members_is_kept_until_a_removal_settles_it() {
        let before = r#"{"group":"g","name":"A","from":"A","sources":["corp/a","corp/b"]}"#;
        let mut link: GroupLink = serde_json::from_str(before).unwrap();
        assert_eq!(link.filled(), ["corp/a", "corp/b"], "an earlier version's: each may have had some");
        link.add_sources(&["corp/c".to_owned()], &[]);
        assert_eq!(link.filled(), ["corp/a", "corp/b"]);
        assert_eq!(link.sources, ["corp/a", "corp/b", "corp/c"]);
        link.add_sources(&[], &["corp/c".to_owned()]);
        assert_eq!(link.filled(), ["corp/a", "corp/b", "corp/c"]);
    }
}
