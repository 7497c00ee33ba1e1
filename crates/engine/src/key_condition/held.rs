//! Collects facts about the held changes of each key. The facts affect the state of the key.

use std::collections::HashMap;

use crate::clock::Time;
use crate::guard::Hold;
use crate::key::Key;

/// The maximum number of values that one contested change names.
const VALUES: usize = 5;

/// A contested change that waits for a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ContestedHold {
    pub(super) aspect: String,
    pub(super) what: String,
    /// The names of the values.
    pub(super) values: String,
    pub(super) since: Time,
}

/// The held changes of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHolds {
    /// The name that people use for the key, such as `acme/widgets`.
    pub subject: String,
    /// The number of changes that no operator approved. A rejected change stays held, so it counts.
    pub(super) held: usize,
    /// The time when the oldest of these holds began.
    pub(super) since: Time,
    /// The number of approved changes that are not written yet.
    pub(super) approved: usize,
    /// The contested changes that wait for a decision. A rejected change does not wait, so it is
    /// not in the list.
    pub(super) contested: Vec<ContestedHold>,
}

impl KeyHolds {
    fn add(&mut self, hold: &Hold) {
        if hold.approved_by.is_some() {
            self.approved += 1;
            return;
        }
        self.since = if self.held == 0 { hold.since } else { self.since.min(hold.since) };
        self.held += 1;
        if hold.contested && hold.is_open() {
            let names = hold.change.fields.iter().take(VALUES).map(|field| field.name.as_str());
            let mut values = names.collect::<Vec<&str>>().join(", ");
            if let Some(more) = hold.change.fields.len().checked_sub(VALUES).filter(|more| *more > 0) {
                values = format!("{values}, {more} more");
            }
            self.contested.push(ContestedHold {
                aspect: hold.change.aspect.clone(),
                what: hold.change.what.clone(),
                values,
                since: hold.since,
            });
        }
    }
}

/// The held changes of several keys.
#[derive(Clone, Debug, Default)]
pub struct HoldsByKey(HashMap<Key, KeyHolds>);

impl HoldsByKey {
    /// Groups held changes by their keys.
    pub fn new(holds: &[Hold]) -> Self {
        let mut found: HashMap<Key, KeyHolds> = HashMap::new();
        for hold in holds {
            let new = || KeyHolds {
                subject: hold.subject.clone(),
                held: 0,
                since: hold.since,
                approved: 0,
                contested: Vec::new(),
            };
            found.entry(hold.key.clone()).or_insert_with(new).add(hold);
        }
        Self(found)
    }

    /// Returns the held changes of a key. Returns `None` if the store has no hold of the key.
    pub fn of(&self, key: &Key) -> Option<&KeyHolds> {
        self.0.get(key)
    }

    /// Returns the keys with a change that no operator approved.
    pub fn held_keys(&self) -> impl Iterator<Item = &Key> {
        self.0.iter().filter(|(_, holds)| holds.held > 0).map(|(key, _)| key)
    }
}
