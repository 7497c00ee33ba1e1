//! The names of keys that people know.

use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::{Key, KeyState, Store, StoreError};

/// The names of some keys, by the text of the key. A key without a run has no name.
pub(super) type Names = BTreeMap<String, String>;

/// Returns the known names of these keys.
pub(super) async fn names(store: &dyn Store, keys: BTreeSet<&Key>) -> Result<Names, StoreError> {
    let keys: Vec<&Key> = keys.into_iter().collect();
    let states = KeyState::of_keys(store, &keys).await?;
    Ok(states.into_iter().map(|(key, state)| (key.to_string(), state.subject)).collect())
}
