//! Finds the keys that a text in a query means.

use beadle_engine::{Key, StoreError};

use super::facts::Facts;

/// Returns the keys that a text means: the key itself, and each key of a repository or a group that
/// has or had this name. The result is empty if the text is empty.
pub(super) async fn keys_meant(facts: &dyn Facts, text: &str) -> Result<Vec<String>, StoreError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    // If an operator acts on a whole organisation, the key of the journal entry is the name of the
    // organisation.
    let mut keys = vec![text.to_owned()];
    if text.parse::<Key>().is_err() {
        keys.extend(facts.keys_called(text).await?.iter().map(ToString::to_string));
    }
    Ok(keys)
}
