//! Remembers the members of unchanged groups. So a sweep reads the members of an unchanged group
//! only once a day.
//!
//! A run must not use data that Beadle read before the last mark of the run's key. If the last mark
//! comes from a sweep, the runs of the sweep share one [`Survey`](crate::sources::Survey). Beadle
//! reads this survey after the mark. A survey is a list of all users, and a list of all groups. For
//! each group, the list shows when the members last changed. Beadle remembers the ids of a group's
//! members from an earlier read. These ids are still valid if the group's time of change in the
//! survey is the same as at that read. All other facts about the members come from the list of
//! users. Remembered members never cause a removal, because Beadle reads the group again and counts
//! its members before each removal.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Failure, Metadata, Note, Store, Time};
use serde::{Deserialize, Serialize};

use crate::sources::{People, Person};

/// Beadle trusts a group's time of change only if the change is older than this. A more recent time
/// is not reliable, because a second change can get the same time, or the directory can show a
/// change late.
const SETTLED: Duration = Duration::from_secs(600);
/// How long Beadle uses remembered members. After this duration, Beadle reads the group again, even
/// if the group's time of change is the same.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Beadle does not remember the members of a group that has more than this number of members.
const MOST: usize = 5000;

/// The remembered members of one group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The time at which the members last changed. This time comes from a list that Beadle read
    /// before the members.
    changed: String,
    read: Time,
    /// The ids of the people who belong to the group.
    stay: Vec<String>,
    /// The ids of those people in the group who must lose their access. The directory's list of
    /// users does not always contain these people.
    leave: Vec<String>,
}

/// The remembered members of all groups. Without a store, Beadle remembers no members.
#[derive(Clone, Default)]
pub(super) struct KeptMembers(pub(super) Option<Arc<dyn Store>>);

impl Metadata for Kept {
    const KIND: &'static str = "listed";
}

fn note(source: &str, group: &str) -> Note<Kept> {
    Note::of(&[source, group])
}

impl Kept {
    /// Returns the members to remember. Returns `None` if a later change could get the same time of
    /// change, because Beadle would then not notice the later change. `theirs` is a time before the
    /// read, by the directory's clock. The time of change comes from the same clock, so the clock
    /// of this machine does not matter.
    pub(super) fn of(changed: &str, theirs: Option<Time>, read: Time, members: &[Person]) -> Option<Self> {
        let at: jiff::Timestamp = changed.parse().ok()?;
        let is_settled = theirs?.since(Time(at.as_millisecond())) > SETTLED;
        if !is_settled || members.len() > MOST {
            return None;
        }
        let ids = |leaves: bool| -> Vec<String> {
            let those = members.iter().filter(|person| person.is_leaving == leaves);
            those.map(|person| person.id.clone()).collect()
        };
        Some(Self { changed: changed.to_owned(), read, stay: ids(false), leave: ids(true) })
    }

    /// Returns whether a survey shows that nobody has joined or left the group. `began` is the time
    /// at which the survey began.
    pub(super) fn counts(&self, changed: &str, began: Time) -> bool {
        self.changed == changed && self.read <= began && began.since(self.read) < LONGEST
    }

    /// Returns the members, with their present values from a list of all users. Returns `None` if a
    /// member who stays is missing from the list.
    pub(super) fn members(&self, people: &People) -> Option<Vec<Person>> {
        let stay = self.stay.iter().map(|id| people.get(id).cloned());
        // A person who must lose the access can be missing from the list. This person still leaves
        // the group.
        let leave = self.leave.iter().filter_map(|id| people.get(id).cloned());
        stay.chain(leave.map(Some)).collect()
    }
}

impl KeptMembers {
    pub(super) async fn of(&self, source: &str, group: &str) -> Result<Option<Kept>, Failure> {
        let Some(store) = &self.0 else { return Ok(None) };
        Ok(note(source, group).get(store.as_ref()).await?)
    }

    pub(super) async fn keep(&self, source: &str, group: &str, kept: &Kept) -> Result<(), Failure> {
        let Some(store) = &self.0 else { return Ok(()) };
        Ok(note(source, group).put(store.as_ref(), kept).await?)
    }

    /// Forgets the members of a group that no longer exists.
    pub(super) async fn forget(&self, source: &str, group: &str) -> Result<(), Failure> {
        let Some(store) = &self.0 else { return Ok(()) };
        Ok(note(source, group).forget(store.as_ref()).await?)
    }
}

/// Returns the ids of the remembered members for each of these groups. The members might have
/// changed after the last read.
pub(crate) async fn members_of(
    store: &Arc<dyn Store>,
    source: &str,
    groups: &BTreeSet<String>,
) -> Result<BTreeSet<String>, Failure> {
    let all = note(source, "").list(store.as_ref()).await?.into_iter();
    let its = all.filter(|(group, _)| groups.contains(group));
    Ok(its.flat_map(|(_, kept)| kept.stay).collect())
}

/// Forgets the members of these groups. Each text is the name of a directory and the id of a group,
/// such as `corp/00g1`.
pub(crate) async fn forget_members(store: Option<&Arc<dyn Store>>, groups: &[String]) -> Result<(), Failure> {
    let kept = KeptMembers(store.cloned());
    for (source, group) in groups.iter().filter_map(|text| text.split_once('/')) {
        kept.forget(source, group).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGED: &str = "2026-01-01T00:00:00.000Z";

    /// Returns a time that is later than the change by this number of seconds.
    fn after(seconds: i64) -> Time {
        let at: jiff::Timestamp = CHANGED.parse().unwrap();
        Time(at.as_millisecond() + seconds * 1000)
    }

    fn person(id: &str, is_leaving: bool) -> Person {
        Person {
            id: id.into(),
            login: format!("{id}@acme.example"),
            email: None,
            given: String::new(),
            family: String::new(),
            display: String::new(),
            is_leaving,
            status: String::new(),
            may_be_made: !is_leaving,
            profile: serde_json::Map::new(),
            account: None,
            role: None,
        }
    }

    #[test]
    fn a_young_time_of_change_is_not_trusted_and_no_read_for_longer_than_a_day() {
        let members = [person("a", false)];
        assert_eq!(
            Kept::of(CHANGED, Some(after(600)), after(90_000), &members),
            None,
            "by the directory's clock"
        );
        assert_eq!(Kept::of(CHANGED, None, after(90_000), &members), None);
        assert_eq!(Kept::of("yesterday", Some(after(601)), after(602), &members), None);
        let kept = Kept::of(CHANGED, Some(after(601)), after(602), &members).unwrap();
        assert!(kept.counts(CHANGED, after(700)));
        assert!(!kept.counts("2026-01-01T00:00:00.001Z", after(700)), "somebody came or went");
        assert!(!kept.counts(CHANGED, after(601)), "the survey began before the read");
        assert!(!kept.counts(CHANGED, after(602 + 24 * 3600)));
    }

    #[test]
    fn members_are_as_the_list_of_users_shows_them_and_one_who_is_missing_is_read_again() {
        let people = |list: &[Person]| -> People {
            list.iter().map(|person| (person.id.clone(), person.clone())).collect()
        };
        let members = [person("a", false), person("b", true)];
        let kept = Kept::of(CHANGED, Some(after(601)), after(602), &members).unwrap();
        let now = [person("a", true), person("b", false), person("c", false)];
        let ids = |list: Option<Vec<Person>>| -> Option<BTreeSet<(String, bool)>> {
            Some(list?.into_iter().map(|person| (person.id, person.is_leaving)).collect())
        };
        let both = BTreeSet::from([("a".to_owned(), true), ("b".to_owned(), false)]);
        assert_eq!(ids(kept.members(&people(&now))), Some(both));
        let one = BTreeSet::from([("a".to_owned(), false)]);
        assert_eq!(ids(kept.members(&people(&members[..1]))), Some(one), "one who leaves is in no list");
        assert_eq!(kept.members(&people(&members[1..])), None);
    }
}
