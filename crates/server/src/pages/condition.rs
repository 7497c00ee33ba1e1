//! Lists repositories, groups and organisations with their states. A state depends on the last run,
//! on the queue and on the held changes.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};

use beadle_engine::{
    Finding, Hold, HoldsByKey, Key, KeyState, Row, RowList, Store, StoreError, Time, key_findings,
};
use serde::Serialize;

use super::queue_row::readable_row;

/// The state of a repository, group or organisation.
pub(super) use beadle_engine::KeyCondition as Condition;

/// A repository, group or organisation with its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Thing {
    /// The key.
    pub(super) key: Key,
    /// The readable name, such as `acme/widgets`. If no run has found the name, this field contains
    /// the key.
    pub(super) subject: String,
    /// The state.
    pub(super) state: Condition,
    /// The reason for the state. The reason is empty for [`Condition::AsDeclared`].
    pub(super) why: String,
    /// The time at which this state began.
    pub(super) since: Time,
    /// The number of changes that the latest run planned but did not write, for any reason.
    pub(super) pending: usize,
    /// The other problems of the thing. The more important problem comes first. Several problems
    /// can have the same state, with different reasons.
    pub(super) further: Vec<Finding>,
}

impl Thing {
    fn new(key: Key, left: Option<&KeyState>, known: &Trouble) -> Self {
        let holds = known.holds.of(&key);
        let (Finding { state, why, since }, further) =
            key_findings(left, known.rows.get(&key), holds, (known.now, known.max_attempts));
        let names = [left.map(|left| &left.subject), holds.map(|holds| &holds.subject)];
        let subject = names.into_iter().flatten().find(|name| !name.is_empty()).cloned();
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
    /// with this problem, even if the thing's own state is a more important problem. Otherwise, a
    /// hold could hide another problem, such as an unknown part.
    pub(super) fn is_in(&self, state: Condition) -> bool {
        self.findings().any(|(found, ..)| found == state)
    }

    /// Returns the text that a page uses to sort things: the instance, then the name. A page also
    /// uses this text to continue where the previous page ended.
    pub(super) fn place(&self) -> String {
        format!("{}:{}:{}", self.key.instance(), self.subject.to_lowercase(), self.key)
    }

    /// Returns whether two things have the same name and instance.
    fn is_called_like(&self, other: &Self) -> bool {
        self.key.instance() == other.key.instance()
            && self.subject.to_lowercase() == other.subject.to_lowercase()
    }
}

/// The maximum number of states in memory at the same time. The things that a list returns do not
/// count.
const PAGE: u32 = 1000;

/// What the queue and the holds show about keys, in addition to the states of their last runs.
pub(super) struct Trouble {
    /// The queue rows of the parked keys and of the failing keys.
    rows: HashMap<Key, Row>,
    /// The queue rows that this version cannot read.
    pub(super) unreadable: Vec<String>,
    holds: HoldsByKey,
    now: Time,
    /// The number of tries after which the queue parks a key.
    max_attempts: u32,
}

impl Trouble {
    /// Reads the queue rows of the parked keys and of the failing keys. `holds` are all held
    /// changes.
    pub(super) async fn read(store: &dyn Store, holds: &[Hold], now: Time) -> Result<Self, StoreError> {
        let RowList { rows, unreadable, .. } = store.troubled().await?;
        let rows = rows.into_iter().map(|row| (row.key.clone(), row)).collect();
        let max_attempts = store.timing().max_attempts;
        Ok(Self { rows, unreadable, holds: HoldsByKey::new(holds), now, max_attempts })
    }

    /// Reads the queue row and the holds of one key.
    async fn of_key(store: &dyn Store, key: &Key, now: Time) -> Result<Self, StoreError> {
        let (row, unreadable) = readable_row(store, key).await?;
        let row = row.filter(Row::is_troubled);
        let rows = row.into_iter().map(|row| (row.key.clone(), row)).collect();
        let holds = HoldsByKey::new(&store.all_holds_of(key).await?.holds);
        let (unreadable, max_attempts) = (unreadable.into_iter().collect(), store.timing().max_attempts);
        Ok(Self { rows, unreadable, holds, now, max_attempts })
    }

    /// Returns the keys that need attention, even if no run stored their state.
    fn keys(&self) -> impl Iterator<Item = &Key> {
        self.rows.keys().chain(self.holds.held_keys())
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
    let mut without_state: BTreeSet<&Key> = trouble.keys().filter(|key| is_wanted(key)).collect();
    let (mut things, mut after) = (Vec::new(), String::new());
    loop {
        let (page, next) = KeyState::page_of_kind(store, kind, &after, PAGE).await?;
        for (key, state) in page.into_iter().filter(|(key, _)| is_wanted(key)) {
            without_state.remove(&key);
            things.push(Thing::new(key, Some(&state), trouble));
        }
        let Some(next) = next else { break };
        after = next;
    }
    things.extend(without_state.into_iter().map(|key| Thing::new(key.clone(), None, trouble)));
    Ok(sorted(things))
}

/// Sorts things by [`Thing::place`]. If several things have the same name, keeps those that need
/// attention. If none of them needs attention, keeps only one.
fn sorted(mut things: Vec<Thing>) -> Vec<Thing> {
    // Until the next sweep, two keys have the same name: the key of a new repository, and the key
    // that created this repository. Only the key of the new repository has a number as its id.
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
    now: Time,
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
        let trouble = Trouble::of_key(store, &key, now).await?;
        things.push(Thing::new(key, Some(&state), &trouble));
    }
    Ok(sorted(things).into_iter().next())
}

/// Returns the thing with this key. Returns `None` if four conditions are true: no run has stored a
/// state of the key, the key is not parked, the key does not fail, and the guard holds no change of
/// the key.
pub(super) async fn of_key(store: &dyn Store, key: &Key, now: Time) -> Result<Option<Thing>, StoreError> {
    let left = KeyState::get(store, key).await?;
    let trouble = Trouble::of_key(store, key, now).await?;
    let is_known = left.is_some() || trouble.keys().next().is_some();
    Ok(is_known.then(|| Thing::new(key.clone(), left.as_ref(), &trouble)))
}

#[cfg(test)]
mod tests;
