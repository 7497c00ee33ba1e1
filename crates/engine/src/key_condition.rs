//! Decides which states a key has, and for which reasons. The pages, the API and `beadle status`
//! use this decision, so that all of them show the same numbers.

mod held;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::clock::Time;
use crate::key_state::KeyState;
use crate::queue::Row;

pub use held::{HoldsByKey, KeyHolds};

/// The maximum number of contested changes that one reason names.
const NAMED: usize = 3;

/// The state of a key, in one word. A key with several problems is in several states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyCondition {
    /// Everything is as the policy declares.
    AsDeclared,
    /// Something differs from the policy, and the last run did not write the change. The reason is
    /// neither the guard nor another writer nor a failure. In most cases, the mode does not allow
    /// the change, or the change would replace a value that an undo restored.
    Drifted,
    /// The guard holds a change.
    Held,
    /// Another writer undoes a change.
    Contested,
    /// Beadle could not read or resolve a part.
    Unknown,
    /// The last run, or a change of the last run, failed. Beadle retries.
    Failing,
    /// A person must act, because the key is parked or the vendor refuses a change. A key in this
    /// state does not count as failing or drifted, because Beadle retries the key only after an
    /// event and in a sweep. The key stays in this state during these retries.
    Parked,
    /// Beadle skips the key.
    Skipped,
}

impl KeyCondition {
    /// All states.
    pub const ALL: [Self; 8] = [
        Self::AsDeclared,
        Self::Drifted,
        Self::Held,
        Self::Contested,
        Self::Unknown,
        Self::Failing,
        Self::Parked,
        Self::Skipped,
    ];

    /// The states that need attention. The most important one comes first.
    pub const PROBLEMS: [Self; 6] =
        [Self::Parked, Self::Held, Self::Contested, Self::Unknown, Self::Failing, Self::Drifted];

    /// Returns the name that the pages, the API and the commands show.
    pub fn as_str(self) -> &'static str {
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
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Returns the rank of a state. A more important state has a smaller rank.
    pub fn rank(self) -> u8 {
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
    pub fn is_fine(self) -> bool {
        matches!(self, Self::AsDeclared | Self::Skipped)
    }
}

/// A state of a key, with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The state.
    pub state: KeyCondition,
    /// The reason for the state. It is empty for [`KeyCondition::AsDeclared`].
    pub why: String,
    /// The time at which this state began.
    pub since: Time,
}

impl Finding {
    fn new(state: KeyCondition, why: impl Into<String>, since: Time) -> Self {
        Self { state, why: why.into(), since }
    }
}

/// Returns the most important state of a key, and the other states of the key. One state can have
/// several reasons. `left` is the state after the last run. `row` is the key's row in the queue.
/// `holds` are the held changes of the key. `max_attempts` is the number of tries after which the
/// queue parks a key.
pub fn key_findings(
    left: Option<&KeyState>,
    row: Option<&Row>,
    holds: Option<&KeyHolds>,
    (now, max_attempts): (Time, u32),
) -> (Finding, Vec<Finding>) {
    let parked = parked(left, row, max_attempts);
    let is_parked = parked.is_some();
    let mut found: Vec<Finding> = Vec::new();
    found.extend(parked);
    found.extend(held(left, holds));
    found.extend(contested(left, holds, now));
    found.extend(left.and_then(unknown));
    if !is_parked {
        found.extend(failing(left, row));
        found.extend(left.map(|left| drifted(left, holds)).unwrap_or_default());
    }
    if found.is_empty() {
        return (fine(left), found);
    }
    let first = found.remove(0);
    (first, found)
}

fn changes(count: usize) -> String {
    match count {
        1 => "1 change".to_owned(),
        count => format!("{count} changes"),
    }
}

/// Returns whether a key counts as parked, because it is parked or has only one try left. A sweep
/// gives each parked key one try. So a key that fails again in the sweep counts as parked all the
/// time.
pub fn counts_as_parked(row: &Row, max_attempts: u32) -> bool {
    let failed = row.attempts.saturating_sub(u32::from(row.lease_until.is_some()));
    row.parked.is_some() || (row.failure().is_some() && failed.saturating_add(1) >= max_attempts)
}

/// Returns the state of a key that waits for a person.
fn parked(left: Option<&KeyState>, row: Option<&Row>, max_attempts: u32) -> Option<Finding> {
    let refused =
        left.and_then(|left| Some((left.refused.as_deref()?, left.refused_since.unwrap_or(left.since))));
    if let Some((why, since)) = refused {
        // A later run might have failed for another reason before that run stored a state.
        let parked = row.and_then(|row| row.parked.as_ref());
        if parked.is_none_or(|parked| parked.why == why) {
            let why = format!("a change was refused: {why}");
            return Some(Finding::new(KeyCondition::Parked, why, since));
        }
    }
    let row = row.filter(|row| counts_as_parked(row, max_attempts))?;
    Some(match &row.parked {
        Some(parked) => Finding::new(KeyCondition::Parked, parked.why.as_str(), parked.since),
        None => Finding::new(KeyCondition::Parked, row.failure().unwrap_or_default(), row.first_dirty),
    })
}

/// Returns the state of a key whose change the guard holds. Uses the holds in the store, because an
/// operator might have decided about the changes after the last run.
fn held(left: Option<&KeyState>, holds: Option<&KeyHolds>) -> Option<Finding> {
    let (count, since) = match (holds, left) {
        (Some(holds), _) => (holds.held, holds.since),
        (None, Some(left)) => (left.held, left.since),
        (None, None) => return None,
    };
    let why = format!("the guard holds {}", changes(count));
    (count > 0).then(|| Finding::new(KeyCondition::Held, why, since))
}

/// The contested changes of one aspect.
struct ContestedAspect {
    since: Time,
    /// The names of the parts and of the values.
    parts: BTreeSet<String>,
}

/// Returns one finding for each aspect with a contested change. A contest stays for an hour after
/// the last run that postponed the change. If the guard holds a contested change, the contest stays
/// until an operator decides.
fn contested(left: Option<&KeyState>, holds: Option<&KeyHolds>, now: Time) -> Vec<Finding> {
    let mut aspects: BTreeMap<&str, ContestedAspect> = BTreeMap::new();
    let mut add = |aspect, part: Option<String>, since: Time| {
        let new = ContestedAspect { since, parts: BTreeSet::new() };
        let known: &mut ContestedAspect = aspects.entry(aspect).or_insert(new);
        known.since = known.since.min(since);
        known.parts.extend(part);
    };
    if let Some(left) = left {
        for contest in left.present_contests(now) {
            let its = &contest.part;
            add(its.aspect.as_str(), part(&its.what, &its.value_names()), contest.since);
        }
    }
    for hold in holds.into_iter().flat_map(|holds| &holds.contested) {
        add(hold.aspect.as_str(), part(&hold.what, &hold.values), hold.since);
    }
    if let Some(left) = left {
        // A state of an older version has no contests.
        let contested = left.contested.iter().map(String::as_str);
        let unnamed: Vec<&str> = contested.filter(|aspect| !aspects.contains_key(aspect)).collect();
        let new = |aspect| (aspect, ContestedAspect { since: left.since, parts: BTreeSet::new() });
        aspects.extend(unnamed.into_iter().map(new));
    }
    let finding = |(aspect, ContestedAspect { since, parts }): (&str, ContestedAspect)| {
        let mut named: Vec<String> = parts.iter().take(NAMED).cloned().collect();
        if let Some(more) = parts.len().checked_sub(NAMED).filter(|more| *more > 0) {
            named.push(format!("and {more} more"));
        }
        let of = if named.is_empty() { String::new() } else { format!(": {}", named.join(", ")) };
        let writer = left.and_then(|left| left.writers.get(aspect));
        let by = writer.map(|by| format!("; according to a webhook, {by} made the last change"));
        let why = format!("another writer undoes the changes of {aspect}{of}{}", by.unwrap_or_default());
        Finding::new(KeyCondition::Contested, why, since)
    };
    aspects.into_iter().map(finding).collect()
}

/// Returns the name of a contested change: its part, and the names of its values.
fn part(what: &str, values: &str) -> Option<String> {
    match (what, values) {
        ("", "") => None,
        ("", values) => Some(values.to_owned()),
        (what, "") => Some(what.to_owned()),
        (what, values) => Some(format!("{what} ({values})")),
    }
}

fn unknown(left: &KeyState) -> Option<Finding> {
    let first = left.unknown.first()?;
    let more = match left.unknown.len() {
        1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    let why = format!("{}: {}{more}", first.aspect, first.why);
    Some(Finding::new(KeyCondition::Unknown, why, left.unknown_since.unwrap_or(left.since)))
}

/// Returns the state of a key with a failed change, or with a failed run that stored no state.
fn failing(left: Option<&KeyState>, row: Option<&Row>) -> Option<Finding> {
    if let Some(left) = left.filter(|left| left.failed > 0) {
        let why = match &left.failure {
            Some(failure) => format!("a change failed: {failure}"),
            None => "the last run ended before its last change".to_owned(),
        };
        return Some(Finding::new(KeyCondition::Failing, why, left.failed_since.unwrap_or(left.since)));
    }
    // An unknown part and a postponed change also count as errors of the run.
    let is_explained = left.is_some_and(|left| !left.unknown.is_empty() || !left.contested.is_empty());
    let row = row.filter(|_| !is_explained)?;
    Some(Finding::new(KeyCondition::Failing, row.failure()?, row.first_dirty))
}

/// Returns the reasons why the key differs from the policy. Leaves out three reasons: the guard,
/// another writer and a failure. Each reason is a separate finding, so that an undo does not hide
/// drift that has another reason.
fn drifted(left: &KeyState, holds: Option<&KeyHolds>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |why: String, since: Time| found.push(Finding::new(KeyCondition::Drifted, why, since));
    if left.undone > 0 {
        let why = "an operator undid values, and Beadle only observes them until `beadle resume`";
        add(why.to_owned(), left.undone_since.unwrap_or(left.since));
    }
    if left.withheld > 0 {
        let aspects = left.mode_aspects();
        // A state of an older version does not name the aspects.
        let of = if aspects.is_empty() { String::new() } else { format!(" of {}", aspects.join(", ")) };
        add(format!("the mode does not allow the changes{of}"), left.since);
    }
    if holds.is_some_and(|holds| holds.approved > 0 && left.held > holds.held) {
        add("Beadle has not written an approved change yet".to_owned(), left.since);
    }
    let is_explained = left.held > 0 || left.failed > 0 || !left.contested.is_empty();
    if found.is_empty() && left.pending > 0 && !is_explained {
        found.push(Finding::new(KeyCondition::Drifted, "Beadle has not written some changes", left.since));
    }
    found
}

/// Returns the state of a key without a problem.
fn fine(left: Option<&KeyState>) -> Finding {
    let since = left.map_or(Time(0), |left| left.since);
    match left.and_then(|left| left.skipped.as_deref()) {
        Some(why) => Finding::new(KeyCondition::Skipped, why, since),
        None => Finding::new(KeyCondition::AsDeclared, "", since),
    }
}

#[cfg(test)]
mod tests;
