//! The names of keys that people know.

use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::{Key, KeyState, Store, StoreError};

/// The names of some keys, by the text of the key. A key without a run has no name.
pub(super) type Names = BTreeMap<String, String>;

/// Returns the names of these keys, as far as they are known.
pub(super) async fn names(store: &dyn Store, keys: BTreeSet<&Key>) -> Result<Names, StoreError> {
    let kinds: BTreeSet<&str> = keys.iter().map(|key| key.kind()).collect();
    let mut names = Names::new();
    for kind in kinds {
        let states = KeyState::of_kind(store, kind).await?.into_iter();
        let asked = states.filter(|(key, _)| keys.contains(key));
        names.extend(asked.map(|(key, state)| (key.to_string(), state.subject)));
    }
    Ok(names)
}
