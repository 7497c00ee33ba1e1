//! Remembers changes that the vendor refused permanently, so that a sweep does not send the same
//! change each time. A refusal applies to one pair: an observed value and a desired value. Beadle
//! forgets the refusal when a plan no longer contains the change. If the same drift comes back
//! later, Beadle sends the change again.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::failure::Failure;
use crate::key::Key;
use crate::note::{Metadata, Note};
use crate::store::{Store, StoreError};

/// How long sweeps wait after the first refusal of a change. The time is short, because a broken
/// credential also causes a refusal, and somebody might soon repair the credential.
const FIRST: Duration = Duration::from_secs(60);
/// After each further refusal, the wait of sweeps grows by this factor. The waits are a minute, an
/// hour and 60 hours, and then the maximum.
const GROWTH: u32 = 60;
/// The maximum wait. If a missing permission was granted and no event reported the new permission,
/// Beadle tries the change again after this time.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// The refused changes of one key. Beadle forgets these changes when the policy gets a new
/// generation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusals {
    generation: String,
    changes: BTreeMap<String, RefusedChange>,
}

/// One refused change, with the number, the time and the reason of its refusals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RefusedChange {
    times: u32,
    last: Time,
    why: String,
    /// The aspect of the change; empty if an older version stored the refusal.
    #[serde(default)]
    aspect: String,
}

impl RefusedChange {
    /// Returns the time when a sweep may send the change again.
    fn until(&self) -> Time {
        let factor = GROWTH.saturating_pow(self.times.saturating_sub(1));
        self.last + FIRST.saturating_mul(factor).min(LONGEST)
    }

    /// Returns the reason of the last refusal, as the vendor gave it.
    pub(crate) fn reason(&self) -> &str {
        &self.why
    }

    /// Returns the reason why a sweep does not send the change now.
    pub(crate) fn why_stopped(&self) -> String {
        format!(
            "refused before; a sweep retries the change after {}, an event or a new policy retries it at once: {}",
            self.until(),
            self.why
        )
    }
}

impl Metadata for Refusals {
    const KIND: &'static str = "refused";
}

/// Returns the name of the note that stores the refused changes of a key.
pub fn refused_note(key: &Key) -> String {
    Refusals::note(key).name().to_owned()
}

/// Forgets the refusals for all keys with this kind and instance. The next runs of these keys then
/// send the refused changes again.
pub async fn forget_refusals(store: &dyn Store, kind: &str, instance: &str) -> Result<(), StoreError> {
    let notes = refused_note(&Key::new(kind, instance, ""));
    for (name, _) in store.notes(&notes).await? {
        store.forget(&name).await?;
    }
    Ok(())
}

impl Refusals {
    /// Returns the note with the refusals of this key. The note has the refusals of every
    /// generation.
    pub(crate) fn note(key: &Key) -> Note<Self> {
        Note::of(&[key.as_str()])
    }

    /// Returns these refusals if they belong to `generation`. If the refusals belong to another
    /// generation, returns no refusals.
    pub(crate) fn of_generation(&self, generation: &str) -> Self {
        if self.generation == generation {
            return self.clone();
        }
        Self { generation: generation.to_owned(), changes: BTreeMap::new() }
    }

    /// Returns the refusal that prevents a sweep from sending this change now. Returns `None` if
    /// the sweep may send the change.
    pub(crate) fn stops(&self, digest: &str, now: Time) -> Option<&RefusedChange> {
        self.changes.get(digest).filter(|refusal| now < refusal.until())
    }

    /// Records a refusal. If the wait after the previous refusal has not ended, the two refusals
    /// count as one.
    pub(crate) fn add(&mut self, digest: String, aspect: &str, why: &str, now: Time) {
        let new = RefusedChange { times: 0, last: now, why: String::new(), aspect: aspect.to_owned() };
        let refusal = self.changes.entry(digest).or_insert(new);
        if refusal.times == 0 || now >= refusal.until() {
            refusal.times = refusal.times.saturating_add(1);
            refusal.last = now;
        }
        why.clone_into(&mut refusal.why);
    }

    /// Forgets the refusals of a change that has been written.
    pub(crate) fn end(&mut self, digest: &str) {
        self.changes.remove(digest);
    }

    /// Keeps only the refusals of the `planned` changes, and forgets all other refusals. If an
    /// aspect is wholly unknown, its refusals stay, because its changes could not be planned.
    pub(crate) fn keep(&mut self, planned: &HashSet<String>, is_unknown: impl Fn(&str) -> bool) {
        self.changes.retain(|digest, refusal| planned.contains(digest) || is_unknown(&refusal.aspect));
    }

    /// Stores these refusals if they differ from the stored ones.
    pub(crate) async fn write(&self, stored: &Self, store: &dyn Store, key: &Key) -> Result<(), Failure> {
        if self == stored || (self.changes.is_empty() && stored.changes.is_empty()) {
            return Ok(());
        }
        if self.changes.is_empty() {
            return Ok(Self::note(key).forget(store).await?);
        }
        Ok(Self::note(key).put(store, self).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn what_is_refused_again_is_tried_less_and_less_and_at_least_once_a_week() {
        let mut refusals = Refusals::default();
        let mut now = Time(0);
        let mut waits = Vec::new();
        for _ in 0..5 {
            refusals.add("d".into(), "teams", "403", now);
            // A second refusal within the wait does not count.
            refusals.add("d".into(), "teams", "403", now + Duration::from_secs(2));
            let begun = now;
            while refusals.stops("d", now).is_some() {
                now = now + MINUTE;
            }
            waits.push(now.since(begun).as_secs() / 60);
        }
        let week = 7 * 24 * 60;
        assert_eq!(waits, [1, 60, 3600, week, week]);
        assert_eq!(refusals.stops("another", Time(0)), None);
        refusals.end("d");
        assert_eq!(refusals, Refusals::default());
    }

    #[test]
    fn a_refusal_ends_with_its_change_and_not_with_a_doubt() {
        let mut refusals = Refusals::default();
        refusals.add("d".into(), "teams", "403", Time(0));
        refusals.keep(&HashSet::from(["d".to_owned()]), |_| false);
        assert!(refusals.stops("d", Time(0)).is_some(), "the change is still to be made");
        refusals.keep(&HashSet::new(), |aspect| aspect == "teams");
        assert!(refusals.stops("d", Time(0)).is_some(), "nobody knows whether it is still to be made");
        refusals.keep(&HashSet::from(["e".to_owned()]), |aspect| aspect == "labels");
        assert_eq!(refusals, Refusals::default());
    }

    #[test]
    fn a_refusal_ends_with_its_generation() {
        let mut refusals = Refusals::default().of_generation("one");
        refusals.add("d".into(), "teams", "403", Time(0));
        assert_eq!(refusals.of_generation("one"), refusals);
        let other = refusals.of_generation("two");
        assert_eq!(other.stops("d", Time(0)), None);
        assert_eq!(other.generation, "two");
    }
}
