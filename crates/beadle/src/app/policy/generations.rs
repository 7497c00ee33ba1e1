//! Reads from the journal which generations of policies came into force.

use beadle_engine::journal::PolicyInForce;
use beadle_engine::{Detail, EntryKind, History, Store, StoreError};

use crate::app::operations::key_names::PAGE;

/// Reads the generations that came into force, newest first. Ends as soon as `is_last` returns true
/// for an instance and its generation, and then returns true. Returns false if the journal has no
/// further generation.
pub(crate) async fn newest_generations(
    store: &dyn Store,
    mut is_last: impl FnMut(&str, PolicyInForce) -> bool,
) -> Result<bool, StoreError> {
    let mut history = History {
        key: Some("-".to_owned()),
        kind: Some(EntryKind::Policy),
        limit: PAGE,
        ..History::default()
    };
    loop {
        let entries = store.newest_entries(history.clone()).await?;
        let Some(last) = entries.last() else { return Ok(false) };
        history.before = Some(last.seq);
        for entry in entries {
            if let Detail::Policy(policy) = entry.detail
                && is_last(&entry.subject, policy)
            {
                return Ok(true);
            }
        }
    }
}
