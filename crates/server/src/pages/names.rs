//! Finds the readable names of keys.

use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::{Key, KeyState, Pause, Store, StoreError};

/// Maps the text of a key to the name of the key. A key without a run has no name.
pub(super) type Names = BTreeMap<String, String>;

/// Returns the known names of these keys.
pub(super) async fn names(store: &dyn Store, keys: BTreeSet<&Key>) -> Result<Names, StoreError> {
    let keys: Vec<&Key> = keys.into_iter().collect();
    let states = KeyState::of_keys(store, &keys).await?;
    Ok(states.into_iter().map(|(key, state)| (key.to_string(), state.subject)).collect())
}

/// Returns the keys that have their own pause. All other pauses apply to a whole organisation or
/// target.
pub(super) fn paused_keys(pauses: &[Pause]) -> Vec<Key> {
    pauses.iter().filter_map(|pause| pause.scope.parse().ok()).collect()
}
