//! Determines the state of a repository, group or organisation. The state depends on the last run
//! and on the queue.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};

use beadle_engine::{DriftCause, Hold, Key, KeyState, Row, Store, StoreError, Time};
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

/// A state that applies to a key, with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// The state.
    pub(super) state: Condition,
    /// The reason for the state. It is empty for [`Condition::AsDeclared`].
    pub(super) why: String,
    /// The time at which this state began.
    pub(super) since: Time,
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
    /// The other problems of the thing, which are less important than its state. The more important
    /// problem comes first. Drift is not a part of this list, because `pending` has it.
    pub(super) further: Vec<Finding>,
}

impl Thing {
    fn new(key: Key, left: Option<&KeyState>, row: Option<&Row>, contested: &ContestedHolds) -> Self {
        let (Finding { state, why, since }, further) = judged(left, row, contested.get(&key));
        let subject = left.map(|left| left.subject.clone()).filter(|subject| !subject.is_empty());
        let subject = subject.unwrap_or_else(|| key.to_string());
        Self { key, subject, state, why, since, pending: left.map_or(0, |left| left.pending), further }
    }

    /// Returns the state and the further problems of the thing, each with its reason and its
    /// beginning. The most important one comes first.
    pub(super) fn findings(&self) -> impl Iterator<Item = (Condition, &str, Time)> {
        let further = self.further.iter().map(|one| (one.state, one.why.as_str(), one.since));
        std::iter::once((self.state, self.why.as_str(), self.since)).chain(further)
    }

    /// Returns whether the list for this state contains the thing. The list contains every thing
    /// with this problem, even if its own state is more important. Otherwise, for example a hold
    /// would hide that another writer undoes a change, or that a part is unknown.
    pub(super) fn is_in(&self, state: Condition) -> bool {
        let is_drifted = state == Condition::Drifted && self.pending > 0;
        is_drifted || self.findings().any(|(found, ..)| found == state)
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

/// The contested aspects of keys for which the guard holds a change that waits for a decision.
type ContestedHolds = HashMap<Key, BTreeSet<String>>;

fn contested_holds(holds: &[Hold]) -> ContestedHolds {
    let mut found = ContestedHolds::new();
    for hold in holds.iter().filter(|hold| hold.contested && hold.is_open()) {
        found.entry(hold.key.clone()).or_default().insert(hold.change.aspect.clone());
    }
    found
}

/// What the queue and the holds show about keys, beside the states of their last runs.
pub(super) struct Trouble {
    /// The queue rows of those keys that are parked or fail.
    rows: HashMap<Key, Row>,
    contested: ContestedHolds,
}

impl Trouble {
    /// Reads the queue rows of the parked keys and of the failing keys. `holds` are all held
    /// changes.
    pub(super) async fn read(store: &dyn Store, holds: &[Hold]) -> Result<Self, StoreError> {
        let rows = store.troubled().await?.into_iter();
        let rows = rows.map(|row| (row.key.clone(), row)).collect();
        Ok(Self { rows, contested: contested_holds(holds) })
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
    let mut nameless: HashMap<&Key, &Row> = trouble.rows.iter().filter(|entry| is_wanted(entry.0)).collect();
    let (mut things, mut after) = (Vec::new(), String::new());
    loop {
        let (page, next) = KeyState::page_of_kind(store, kind, &after, PAGE).await?;
        for (key, state) in page.into_iter().filter(|(key, _)| is_wanted(key)) {
            let row = nameless.remove(&key);
            things.push(Thing::new(key, Some(&state), row, &trouble.contested));
        }
        let Some(next) = next else { break };
        after = next;
    }
    let unnamed = |(key, row): (&Key, &Row)| Thing::new(key.clone(), None, Some(row), &trouble.contested);
    things.extend(nameless.into_iter().map(unnamed));
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
        let contested = contested_holds(&store.all_holds_of(&key).await?.holds);
        things.push(Thing::new(key, Some(&state), row.as_ref(), &contested));
    }
    Ok(sorted(things).into_iter().next())
}

/// Returns the thing with this key. Returns `None` if three conditions are true: no run has stored
/// a state of the key, the key is not parked, and the key does not fail.
pub(super) async fn of_key(store: &dyn Store, key: &Key) -> Result<Option<Thing>, StoreError> {
    let (left, row) = (KeyState::get(store, key).await?, store.row(key).await?);
    let row = row.filter(Row::is_troubled);
    let is_known = left.is_some() || row.is_some();
    let contested = contested_holds(&store.all_holds_of(key).await?.holds);
    Ok(is_known.then(|| Thing::new(key.clone(), left.as_ref(), row.as_ref(), &contested)))
}

/// Returns the state of a key, and its further problems. `contested` are the contested aspects for
/// which the guard holds a change.
fn judged(
    left: Option<&KeyState>,
    row: Option<&Row>,
    contested: Option<&BTreeSet<String>>,
) -> (Finding, Vec<Finding>) {
    let mut found: Vec<Finding> = Vec::new();
    if let Some(left) = left {
        let finding = |(state, why): (Condition, String)| Finding { state, why, since: left.since };
        found.extend(of_run(left, contested).into_iter().map(finding));
    }
    let is_minor =
        |state: Condition| matches!(state, Condition::AsDeclared | Condition::Skipped | Condition::Drifted);
    if let Some(parked) = row.and_then(|row| row.parked.as_ref()) {
        // The reason of the parked key already names the failure.
        found.retain(|finding| !is_minor(finding.state) && finding.state != Condition::Failing);
        let parked = Finding { state: Condition::Parked, why: parked.why.clone(), since: parked.since };
        return (parked, found);
    }
    if let Some((why, since)) = row.and_then(|row| Some((row.failure()?, row.first_dirty)))
        && found.iter().all(|finding| is_minor(finding.state))
    {
        return (Finding { state: Condition::Failing, why: why.to_owned(), since }, Vec::new());
    }
    if found.is_empty() {
        found.push(Finding { state: Condition::AsDeclared, why: String::new(), since: Time(0) });
    }
    let state = found.remove(0);
    (state, found)
}

/// Returns the aspects with an unwritten change whose most severe cause is one of `causes`. The
/// aspects are in parentheses. Returns an empty text if there are none.
fn named_aspects(left: &KeyState, causes: &[DriftCause]) -> String {
    let its = left.drift.iter().filter(|(_, cause)| causes.contains(cause));
    let names: Vec<&str> = its.map(|(aspect, _)| aspect.as_str()).collect();
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
}

fn changes(count: usize) -> String {
    match count {
        1 => "1 change".to_owned(),
        count => format!("{count} changes"),
    }
}

/// Returns the states of a key according to the key's last run and the contested holds. The most
/// important state comes first. Returns at least one state.
fn of_run(left: &KeyState, contested: Option<&BTreeSet<String>>) -> Vec<(Condition, String)> {
    let mut found = Vec::new();
    if left.held > 0 {
        let others = named_aspects(left, &[DriftCause::Blocked, DriftCause::Mode]);
        let other = match left.pending.saturating_sub(left.held) {
            0 => String::new(),
            1 => format!("; 1 other change is not written{others}"),
            other => format!("; {other} other changes are not written{others}"),
        };
        found.push((Condition::Held, format!("the guard holds {}{other}", changes(left.held))));
    }
    let aspects: BTreeSet<&String> = left.contested.iter().chain(contested.into_iter().flatten()).collect();
    if !aspects.is_empty() {
        let aspects: Vec<&str> = aspects.into_iter().map(String::as_str).collect();
        let why = format!("another writer undoes the changes of {}", aspects.join(", "));
        found.push((Condition::Contested, why));
    }
    if let Some(unknown) = left.unknown.first() {
        let more = match left.unknown.len() {
            1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        found.push((Condition::Unknown, format!("{}: {}{more}", unknown.aspect, unknown.why)));
    }
    if left.failed > 0 {
        let why = left.failure.as_deref().unwrap_or("the last run ended before its last change");
        found.push((Condition::Failing, why.to_owned()));
    }
    if found.is_empty() {
        found.push(without_problem(left));
    }
    found
}

/// Returns the state of a key whose last run left no problem, except drift.
fn without_problem(left: &KeyState) -> (Condition, String) {
    if left.undone > 0 {
        let mode = match left.withheld {
            0 => String::new(),
            withheld => format!("; the mode does not allow {}", changes(withheld)),
        };
        let undone = changes(left.undone);
        (Condition::Drifted, format!("Beadle only observes {undone}, because an operator undid values{mode}"))
    } else if left.pending > 0 {
        let why = if left.withheld > 0 { "the mode does not allow" } else { "Beadle did not write" };
        let its = named_aspects(left, &[DriftCause::Blocked, DriftCause::Mode]);
        (Condition::Drifted, format!("{why} {}{its}", changes(left.pending)))
    } else if let Some(why) = &left.skipped {
        (Condition::Skipped, why.clone())
    } else {
        (Condition::AsDeclared, String::new())
    }
}

#[cfg(test)]
mod tests;
