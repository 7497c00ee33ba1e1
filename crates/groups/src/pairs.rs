//! Which group of a target is ours: remembered, so that a rename on one side is a rename on the other.

use std::sync::Arc;

use beadle_engine::{Failure, Store};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::mapping::Slot;

/// What is remembered of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pair {
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
}

impl Pair {
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
pub(crate) struct Pairs(pub(crate) Option<Arc<dyn Store>>);

fn note(target: &str, slot: &str) -> String {
    beadle_engine::note("pair", &[target, slot])
}

/// The beginning of the text of a write that a stopped target does not get.
pub const STOPPED: &str = "the target is stopped";

/// The name of the note that nothing is written to a target any more, with why.
pub fn stop_note(target: &str) -> String {
    format!("stopped:{target}")
}

impl Pairs {
    /// Remembers that nothing is written to a target any more.
    pub(crate) async fn stop(&self, target: &str, why: &str) -> Result<(), Failure> {
        let Some(store) = &self.0 else { return Ok(()) };
        Ok(store.put(&stop_note(target), why).await?)
    }

    /// Why nothing is written to a target any more.
    pub(crate) async fn stopped(&self, target: &str) -> Result<Option<String>, Failure> {
        let Some(store) = &self.0 else { return Ok(None) };
        Ok(store.get(&stop_note(target)).await?)
    }

    pub(crate) async fn of(&self, target: &str, slot: &Slot) -> Result<Option<Pair>, Failure> {
        let Some(store) = &self.0 else { return Ok(None) };
        let text = store.get(&note(target, &slot.to_string())).await?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    pub(crate) async fn keep(&self, target: &str, slot: &Slot, pair: &Pair) -> Result<(), Failure> {
        let Some(store) = &self.0 else { return Ok(()) };
        Ok(store.put(&note(target, &slot.to_string()), &json!(pair).to_string()).await?)
    }

    pub(crate) async fn forget(&self, target: &str, slot: &Slot) -> Result<(), Failure> {
        let Some(store) = &self.0 else { return Ok(()) };
        Ok(store.forget(&note(target, &slot.to_string())).await?)
    }

    /// Everything that is remembered of a target.
    pub(crate) async fn all(&self, target: &str) -> Result<Vec<(Slot, Pair)>, Failure> {
        let Some(store) = &self.0 else { return Ok(Vec::new()) };
        let prefix = note(target, "");
        let notes = store.notes(&prefix).await?;
        let read = |(name, text): (String, String)| {
            let slot = name.strip_prefix(&prefix)?.parse().ok()?;
            Some((slot, serde_json::from_str(&text).ok()?))
        };
        Ok(notes.into_iter().filter_map(read).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_the_target_shows_in_its_own_form_is_no_other_name() {
        assert!(is_form_of("A", "PRIMARY/A") && is_form_of("Ops", "ops"));
        assert!(!is_form_of("A", "A") && !is_form_of("A", "BA") && !is_form_of("A", "B"));
        let pair = Pair {
            group: "g".into(),
            name: "A".into(),
            shown: Some("PRIMARY/A".into()),
            from: "A".into(),
            sources: Vec::new(),
        };
        assert_eq!((pair.named("PRIMARY/A").as_str(), pair.named("B").as_str()), ("A", "B"));
    }
}
