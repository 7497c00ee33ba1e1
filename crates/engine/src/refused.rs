//! Remembers changes that the vendor refused for good, so that a sweep does not send the same
//! change each time.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::failure::Failure;
use crate::key::Key;
use crate::store::Store;

/// The wait of sweeps after the first refusal of a change. It is short, as a fault of a credential
/// looks the same.
const FIRST: Duration = Duration::from_secs(60);
/// The factor of the wait after each further refusal: a minute, an hour, 60 hours.
const GROWTH: u32 = 60;
/// The longest wait: a permission that was granted meanwhile is noticed after this time without an
/// event.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// The refused changes of one key. They are forgotten with the generation that asked for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusals {
    generation: String,
    changes: BTreeMap<String, Refusal>,
}

/// One change that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Refusal {
    times: u32,
    last: Time,
    why: String,
}

impl Refusal {
    /// The time at which a sweep sends the change again.
    fn until(&self) -> Time {
        let factor = GROWTH.saturating_pow(self.times.saturating_sub(1));
        self.last + FIRST.saturating_mul(factor).min(LONGEST)
    }
}

fn note(key: &Key) -> String {
    format!("refused:{key}")
}

impl Refusals {
    /// Reads what was refused of this key in this generation.
    pub(crate) async fn read(store: &dyn Store, key: &Key, generation: &str) -> Result<Self, Failure> {
        let stored = store.get(&note(key)).await?;
        let stored: Option<Self> = stored.and_then(|text| serde_json::from_str(&text).ok());
        let empty = Self { generation: generation.to_owned(), changes: BTreeMap::new() };
        Ok(stored.filter(|stored| stored.generation == generation).unwrap_or(empty))
    }

    /// Why a sweep does not send this change now, if it does not.
    pub(crate) fn stops(&self, digest: &str, now: Time) -> Option<String> {
        let refusal = self.changes.get(digest).filter(|refusal| now < refusal.until())?;
        Some(format!(
            "refused before; sweeps retry the change after {}, an event or another policy at once: {}",
            refusal.until(),
            refusal.why
        ))
    }

    /// Counts a refusal. Retries within the wait are the same refusal.
    pub(crate) fn add(&mut self, digest: String, why: &str, now: Time) {
        let refusal =
            self.changes.entry(digest).or_insert(Refusal { times: 0, last: now, why: String::new() });
        if refusal.times == 0 || now >= refusal.until() {
            refusal.times = refusal.times.saturating_add(1);
            refusal.last = now;
        }
        why.clone_into(&mut refusal.why);
    }

    /// Keeps the refusals of these changes only.
    pub(crate) fn retain(&mut self, still: impl Fn(&str) -> bool) {
        self.changes.retain(|digest, _| still(digest));
    }

    /// Stores them, if they differ from `before`.
    pub(crate) async fn write(&self, before: &Self, store: &dyn Store, key: &Key) -> Result<(), Failure> {
        if self == before {
            return Ok(());
        }
        if self.changes.is_empty() {
            return Ok(store.forget(&note(key)).await?);
        }
        let text = serde_json::to_string(self);
        let text = text.map_err(|error| Failure::new(crate::failure::Class::Fatal, error))?;
        Ok(store.put(&note(key), &text).await?)
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
            refusals.add("d".into(), "403", now);
            // A retry within the wait changes nothing.
            refusals.add("d".into(), "403", now + Duration::from_secs(2));
            let begun = now;
            while refusals.stops("d", now).is_some() {
                now = now + MINUTE;
            }
            waits.push(now.since(begun).as_secs() / 60);
        }
        let week = 7 * 24 * 60;
        assert_eq!(waits, [1, 60, 3600, week, week]);
        assert_eq!(refusals.stops("another", Time(0)), None);
        refusals.retain(|digest| digest != "d");
        assert_eq!(refusals, Refusals::default());
    }
}
