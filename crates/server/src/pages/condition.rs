//! Determines the state of a repository, group or organisation. The state depends on the last run
//! and on the queue.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use beadle_engine::{DriftCause, Key, KeyState, Row, Store, StoreError, Time};
use serde::Serialize;

/// The state of a key, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Condition {
    /// Everything is as the policy declares.
    AsDeclared,
    /// Something differs from the policy, and the latest run did not repair the difference. The
    /// reason is one of these: the mode does not allow the change, or the change would replace a
    /// value that an undo restored. A more important state takes the place of this state.
    Drifted,
    /// The guard holds a change.
    Held,
    /// Another writer undoes a change.
    Contested,
    /// Beadle could not read or resolve a part.
    Unknown,
    /// The last run failed, and Beadle retries.
    Failing,
    /// The key is parked.
    Parked,
    /// Beadle skips the key.
    Skipped,
}

impl Condition {
    /// All states.
    pub(super) const ALL: [Self; 8] = [
        Self::AsDeclared,
        Self::Drifted,
        Self::Held,
        Self::Contested,
        Self::Unknown,
        Self::Failing,
        Self::Parked,
        Self::Skipped,
    ];

    /// Returns the name that pages and the API show.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::AsDeclared => "as-declared",
            Self::Drifted => "drifted",
            Self::Held => "held",
            Self::Contested => "contested",
            Self::Unknown => "unknown",
            Self::Failing => "failing",
            Self::Parked => "parked",
            Self::Skipped => "skipped",
        }
    }

    /// Returns the state with this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Returns the rank of a state. A more important state has a smaller rank.
    pub(super) fn rank(self) -> u8 {
        match self {
            Self::Parked => 0,
            Self::Held => 1,
            Self::Contested => 2,
            Self::Unknown => 3,
            Self::Failing => 4,
            Self::Drifted => 5,
            Self::Skipped => 6,
            Self::AsDeclared => 7,
        }
    }

    /// Returns whether the key needs no attention.
    pub(super) fn is_fine(self) -> bool {
        matches!(self, Self::AsDeclared | Self::Skipped)
    }
}

/// A repository, group or organisation with its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Thing {
    /// The key.
    pub(super) key: Key,
    /// The readable name, such as `acme/widgets`. If no run has found the name, this is the key.
    pub(super) subject: String,
    /// The state.
    pub(super) state: Condition,
    /// The reason for the state. It is empty for [`Condition::AsDeclared`].
    pub(super) why: String,
    /// The time at which this state began.
    pub(super) since: Time,
    /// The number of changes that the latest run planned but did not write. These changes are
    /// drift, even if the state is more important than [`Condition::Drifted`].
    pub(super) pending: usize,
}

impl Thing {
    fn new(key: Key, left: Option<&KeyState>, row: Option<&Row>) -> Self {
        let (state, why, since) = judged(left, row);
        let subject = left.map(|left| left.subject.clone()).filter(|subject| !subject.is_empty());
        let subject = subject.unwrap_or_else(|| key.to_string());
        Self { key, subject, state, why, since, pending: left.map_or(0, |left| left.pending) }
    }

    /// Returns whether the list for this state contains the thing. The list for the state `Drifted`
    /// contains every thing with drift, even if its own state is more important. Otherwise, a hold
    /// or an unknown part would hide the drift.
    pub(super) fn is_in(&self, state: Condition) -> bool {
        self.state == state || (state == Condition::Drifted && self.pending > 0)
    }

    /// Returns the text by which a page sorts things: the instance, then the name. A page also uses
    /// this text to continue where the previous page ended.
    pub(super) fn place(&self) -> String {
        format!("{}:{}:{}", self.key.instance(), self.subject.to_lowercase(), self.key)
    }

    /// Returns whether two things have the same name and instance.
    fn is_called_like(&self, other: &Self) -> bool {
        self.key.instance() == other.key.instance()
            && self.subject.to_lowercase() == other.subject.to_lowercase()
    }
}

/// The maximum number of states in memory at the same time. The listed things do not count.
const PAGE: u32 = 1000;

/// The queue rows of those keys that are parked or fail.
pub(super) struct Trouble(HashMap<Key, Row>);

impl Trouble {
    /// Reads the queue rows of the parked keys and of the failing keys.
    pub(super) async fn read(store: &dyn Store) -> Result<Self, StoreError> {
        let rows = store.troubled().await?.into_iter();
        Ok(Self(rows.map(|row| (row.key.clone(), row)).collect()))
    }
}

/// Lists the things of one kind in these instances, sorted by [`Thing::place`].
pub(super) async fn things(
    store: &dyn Store,
    kind: &str,
    instances: &[String],
    trouble: &Trouble,
) -> Result<Vec<Thing>, StoreError> {
    let instances: HashSet<&str> = instances.iter().map(String::as_str).collect();
    let is_wanted = |key: &Key| key.kind() == kind && instances.contains(key.instance());
    let mut nameless: HashMap<&Key, &Row> = trouble.0.iter().filter(|entry| is_wanted(entry.0)).collect();
    let (mut things, mut after) = (Vec::new(), String::new());
    loop {
        let (page, next) = KeyState::page_of_kind(store, kind, &after, PAGE).await?;
        for (key, state) in page.into_iter().filter(|(key, _)| is_wanted(key)) {
            let row = nameless.remove(&key);
            things.push(Thing::new(key, Some(&state), row));
        }
        let Some(next) = next else { break };
        after = next;
    }
    things.extend(nameless.into_iter().map(|(key, row)| Thing::new(key.clone(), None, Some(row))));
    Ok(sorted(things))
}

/// Sorts things by [`Thing::place`]. If several things have the same name, keeps those that need
/// attention. If none of them needs attention, keeps only one.
fn sorted(mut things: Vec<Thing>) -> Vec<Thing> {
    // Until the next sweep, two keys have the same name: the key of a new repository, and the key
    // that created this repository. Only the id of the repository is a number.
    things.sort_by_cached_key(|thing| {
        let name = (thing.key.instance().to_owned(), thing.subject.to_lowercase());
        let is_no_id = thing.key.id().parse::<u64>().is_err();
        (name, thing.state.is_fine(), is_no_id, Reverse(thing.since), thing.key.clone())
    });
    things.dedup_by(|next, kept| next.state.is_fine() && next.is_called_like(kept));
    things.sort_by_cached_key(Thing::place);
    things
}

/// Finds the thing with this kind, instance and name. The comparison of names ignores case.
pub(super) async fn called(
    store: &dyn Store,
    kind: &str,
    (instance, subject): (&str, &str),
) -> Result<Option<Thing>, StoreError> {
    let wanted = subject.to_lowercase();
    let is_wanted =
        |(key, state): &(Key, KeyState)| key.instance() == instance && state.subject.to_lowercase() == wanted;
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let (page, next) = KeyState::page_of_kind(store, kind, &after, PAGE).await?;
        found.extend(page.into_iter().filter(is_wanted));
        let Some(next) = next else { break };
        after = next;
    }
    let mut things = Vec::new();
    for (key, state) in found {
        let row = store.row(&key).await?.filter(Row::is_troubled);
        things.push(Thing::new(key, Some(&state), row.as_ref()));
    }
    Ok(sorted(things).into_iter().next())
}

/// Returns the thing with this key. Returns `None` if three conditions are true: no run has stored
/// a state of the key, the key is not parked, and the key does not fail.
pub(super) async fn of_key(store: &dyn Store, key: &Key) -> Result<Option<Thing>, StoreError> {
    let (left, row) = (KeyState::get(store, key).await?, store.row(key).await?);
    let row = row.filter(Row::is_troubled);
    let is_known = left.is_some() || row.is_some();
    Ok(is_known.then(|| Thing::new(key.clone(), left.as_ref(), row.as_ref())))
}

/// Returns the state of a key, the reason for the state, and the time at which the state began.
fn judged(left: Option<&KeyState>, row: Option<&Row>) -> (Condition, String, Time) {
    if let Some(parked) = row.and_then(|row| row.parked.as_ref()) {
        return (Condition::Parked, parked.why.clone(), parked.since);
    }
    let failing = row.and_then(|row| Some((row.failure()?, row.first_dirty)));
    let found = left.map(|left| (of_run(left), left.since));
    match (found, failing) {
        (
            Some(((Condition::AsDeclared | Condition::Skipped | Condition::Drifted, _), _)) | None,
            Some((why, since)),
        ) => (Condition::Failing, why.to_owned(), since),
        (Some(((state, why), since)), _) => (state, why, since),
        (None, None) => (Condition::AsDeclared, String::new(), Time(0)),
    }
}

/// Returns the aspects with an unwritten change whose most severe cause is one of `causes`. The
/// aspects are in parentheses. Returns an empty text if there are none.
fn aspects(left: &KeyState, causes: &[DriftCause]) -> String {
    let its = left.drift.iter().filter(|(_, cause)| causes.contains(cause));
    let names: Vec<&str> = its.map(|(aspect, _)| aspect.as_str()).collect();
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
}

/// Returns the state of a key according to the key's last run.
fn of_run(left: &KeyState) -> (Condition, String) {
    let changes = |count: usize| match count {
        1 => "1 change".to_owned(),
        count => format!("{count} changes"),
    };
    if left.held > 0 {
        let others = aspects(left, &[DriftCause::Blocked, DriftCause::Mode]);
        let other = match left.pending.saturating_sub(left.held) {
            0 => String::new(),
            1 => format!("; 1 other change is not written{others}"),
            other => format!("; {other} other changes are not written{others}"),
        };
        (Condition::Held, format!("the guard holds {}{other}", changes(left.held)))
    } else if !left.contested.is_empty() {
        let aspects: Vec<&str> = left.contested.iter().map(String::as_str).collect();
        (Condition::Contested, format!("another writer undoes the changes of {}", aspects.join(", ")))
    } else if let Some(unknown) = left.unknown.first() {
        let more = match left.unknown.len() {
            1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        (Condition::Unknown, format!("{}: {}{more}", unknown.aspect, unknown.why))
    } else if left.failed > 0 {
        let why = left.failure.as_deref().unwrap_or("the last run ended before its last change");
        (Condition::Failing, why.to_owned())
    } else if left.undone > 0 {
        let mode = match left.withheld {
            0 => String::new(),
            withheld => format!("; the mode does not allow {}", changes(withheld)),
        };
        let undone = changes(left.undone);
        (Condition::Drifted, format!("Beadle only observes {undone}, because an operator undid values{mode}"))
    } else if left.pending > 0 {
        let why = if left.withheld > 0 { "the mode does not allow" } else { "Beadle did not write" };
        let its = aspects(left, &[DriftCause::Blocked, DriftCause::Mode]);
        (Condition::Drifted, format!("{why} {}{its}", changes(left.pending)))
    } else if let Some(why) = &left.skipped {
        (Condition::Skipped, why.clone())
    } else {
        (Condition::AsDeclared, String::new())
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::{ParkReason, Parked, Report, Unknown};
    use serde_json::{Value, json};

    use super::*;
    use crate::exchange;

    fn left(more: &Value) -> KeyState {
        let mut state = json!({ "subject": "acme/shop", "since": 5, "pending": 0 });
        for (key, value) in more.as_object().into_iter().flatten() {
            state[key] = value.clone();
        }
        serde_json::from_value(state).unwrap()
    }

    #[test]
    fn the_state_follows_from_what_the_last_run_left() {
        let unknown = json!({ "aspect": "teams", "part": null, "why": "403", "transient": true });
        for (more, state, why) in [
            (json!({}), "as-declared", ""),
            (json!({ "skipped": "archived" }), "skipped", "archived"),
            (json!({ "pending": 2, "withheld": 1 }), "drifted", "the mode does not allow 2 changes"),
            (
                json!({ "pending": 1, "withheld": 1, "drift": { "labels": "mode" } }),
                "drifted",
                "the mode does not allow 1 change (labels)",
            ),
            (
                json!({ "pending": 2, "undone": 2 }),
                "drifted",
                "Beadle only observes 2 changes, because an operator undid values",
            ),
            (
                json!({ "pending": 3, "withheld": 2, "undone": 1 }),
                "drifted",
                "Beadle only observes 1 change, because an operator undid values; the mode does not allow 2 changes",
            ),
            (json!({ "pending": 1 }), "drifted", "Beadle did not write 1 change"),
            (json!({ "pending": 3, "failed": 1, "failure": "502" }), "failing", "502"),
            (json!({ "unknown": [unknown, unknown] }), "unknown", "teams: 403 (and 1 more)"),
            (
                json!({ "pending": 1, "contested": ["labels", "teams"] }),
                "contested",
                "another writer undoes the changes of labels, teams",
            ),
            (
                json!({ "pending": 3, "held": 2, "withheld": 1, "unknown": [unknown] }),
                "held",
                "the guard holds 2 changes; 1 other change is not written",
            ),
            (json!({ "pending": 1, "held": 1 }), "held", "the guard holds 1 change"),
            (
                json!({ "pending": 2, "held": 1, "withheld": 1, "drift": { "labels": "mode", "teams": "held" } }),
                "held",
                "the guard holds 1 change; 1 other change is not written (labels)",
            ),
        ] {
            let (found, text) = of_run(&left(&more));
            assert_eq!((found.as_str(), text.as_str()), (state, why), "{more}");
        }
    }

    #[test]
    fn no_other_state_hides_drift() {
        let key = Key::new("repository", "acme", 7);
        let unknown = json!({ "aspect": "teams", "part": null, "why": "403", "transient": true });
        for (more, state, has_drift) in [
            (json!({}), Condition::AsDeclared, false),
            (json!({ "unknown": [unknown] }), Condition::Unknown, false),
            (json!({ "pending": 1, "unknown": [unknown] }), Condition::Unknown, true),
            (json!({ "pending": 1, "held": 1 }), Condition::Held, true),
            (json!({ "pending": 2, "held": 1, "withheld": 1 }), Condition::Held, true),
            (json!({ "pending": 1, "withheld": 1 }), Condition::Drifted, true),
        ] {
            let thing = Thing::new(key.clone(), Some(&left(&more)), None);
            assert!(thing.state == state && thing.is_in(state), "{more}");
            assert_eq!(thing.is_in(Condition::Drifted), has_drift, "{more}");
            assert!(!thing.is_in(Condition::Parked), "{more}");
        }
    }

    #[test]
    fn the_queue_knows_what_no_run_could_store() {
        let row = |attempts: u32, is_leased: bool, error: Option<&str>| {
            let mut row = Row::new(Key::new("repository", "acme", 7));
            (row.attempts, row.first_dirty) = (attempts, Time(9));
            row.lease_until = is_leased.then_some(Time(100));
            row.last_error = error.map(str::to_owned);
            row
        };
        let parked = Row {
            parked: Some(Parked::new(ParkReason::Failed, "403".into(), Time(8))),
            ..row(3, false, Some("403"))
        };
        let (fine, held) = (left(&json!({})), left(&json!({ "pending": 1, "held": 1 })));
        for (left, row, expected) in [
            (Some(&fine), None, (Condition::AsDeclared, "", Time(5))),
            (Some(&fine), Some(row(2, false, Some("502"))), (Condition::Failing, "502", Time(9))),
            (None, Some(row(1, false, Some("502"))), (Condition::Failing, "502", Time(9))),
            // The key waits for a budget, or its first attempt is in progress.
            (Some(&fine), Some(row(0, false, Some("budget"))), (Condition::AsDeclared, "", Time(5))),
            (Some(&fine), Some(row(1, true, Some("budget"))), (Condition::AsDeclared, "", Time(5))),
            (
                Some(&held),
                Some(row(2, false, Some("502"))),
                (Condition::Held, "the guard holds 1 change", Time(5)),
            ),
            (Some(&held), Some(parked), (Condition::Parked, "403", Time(8))),
        ] {
            let (state, why, since) = judged(left, row.as_ref());
            assert_eq!((state, why.as_str(), since), expected, "{row:?}");
        }
    }

    #[test]
    fn every_state_has_its_own_name() {
        for state in Condition::ALL {
            assert_eq!(Condition::named(state.as_str()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        assert_eq!(Condition::named("fine"), None);
    }

    fn report(subject: &str) -> Report {
        Report {
            subject: subject.into(),
            steps: Vec::new(),
            unknowns: Vec::new(),
            skipped: None,
            failure: None,
        }
    }

    #[tokio::test]
    async fn a_thing_is_listed_once_under_its_present_name() {
        let folder = tempfile::tempdir().unwrap();
        let store = exchange::store(&folder);
        let store = store.as_ref();
        let (key, creation) = (Key::new("repository", "acme", 7), Key::new("repository", "acme", "name/new"));
        for (key, report, at) in [
            (&key, report("acme/old"), 1),
            (&creation, report("acme/new"), 2),
            (&key, report("acme/New"), 3),
            (&creation, Report { skipped: Some("it exists".into()), ..report("acme/new") }, 4),
            // The organisation of this key is not in the configuration any more.
            (&Key::new("repository", "labs", 1), report("labs/r1"), 5),
            // No run has found the name of this group.
            (&Key::new("target-group", "acme", "corp/1"), report(""), 6),
            (&Key::new("target-group", "acme", "corp/2"), report(""), 7),
        ] {
            KeyState::record(store, key, &report, Time(at)).await.unwrap();
        }
        let names = ["acme".to_owned()];
        let trouble = Trouble::read(store).await.unwrap();
        let found = things(store, "repository", &names, &trouble).await.unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((&found[0].key, found[0].subject.as_str()), (&key, "acme/New"));
        let groups = things(store, "target-group", &names, &trouble).await.unwrap();
        assert_eq!(groups.len(), 2, "{groups:?}");
        assert!(called(store, "repository", ("acme", "ACME/NEW")).await.unwrap().is_some());
        assert!(called(store, "repository", ("acme", "acme/old")).await.unwrap().is_none());
        let group = of_key(store, &Key::new("target-group", "acme", "corp/1")).await.unwrap().unwrap();
        assert_eq!(group.state, Condition::AsDeclared);
        assert!(of_key(store, &Key::new("target-group", "acme", "corp/3")).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn the_time_of_a_state_is_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let store = exchange::store(&folder);
        let key = Key::new("repository", "acme", 7);
        let unknown = Unknown { aspect: "teams".into(), part: None, why: "403".into(), transient: true };
        let broken = Report { unknowns: vec![unknown], ..report("acme/shop") };
        for (report, at, since) in [
            (report("acme/shop"), 10, 10),
            (report("acme/shop"), 20, 10),
            (broken.clone(), 30, 30),
            (broken, 40, 30),
            (report("acme/shop"), 50, 50),
            // The clock was ahead of the real time when the run ended.
            (report("acme/shop"), 45, 45),
        ] {
            KeyState::record(store.as_ref(), &key, &report, Time(at)).await.unwrap();
            let stored = KeyState::of_kind(store.as_ref(), "repository").await.unwrap();
            assert_eq!(stored[0].1.since, Time(since), "at {at}");
            let is_listed = !KeyState::all(store.as_ref()).await.unwrap().is_empty();
            assert_eq!(is_listed, !report.unknowns.is_empty(), "at {at}");
        }
    }
}
