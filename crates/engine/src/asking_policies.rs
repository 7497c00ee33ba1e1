//! Finds out which policies can have asked for held changes. The authors of all these policies must
//! not approve the changes.
//!
//! A sweep plans every key of an organisation. If the plans of a sweep did not show a change, no
//! policy that was replaced before the sweep asked for the change. So the policies that came into
//! force since the beginning of this sweep are enough.

use std::collections::HashMap;
use std::time::Duration;

use crate::apply::holds_since;
use crate::clock::Time;
use crate::guard::Hold;
use crate::journal::Detail;
use crate::key::Key;
use crate::key_state::KeyState;
use crate::store::{History, Store, StoreError};

/// The number of sweeps that one read of the store returns.
const WINDOW: u32 = 50;
/// The maximum number of sweeps that the search reads.
const MOST: usize = 500;

/// Returns a time. Only the policy in force, and the policies that came into force at this time or
/// later, can have asked for these held changes. All holds belong to one organisation.
pub async fn asking_policies_since(store: &dyn Store, holds: &[&Hold]) -> Result<Time, StoreError> {
    let Some(first) = holds.first() else { return Ok(Time(0)) };
    let known = holds_since(store, holds).await?;
    let unknown: Vec<&Key> =
        holds.iter().zip(&known).filter(|(_, since)| since.is_none()).map(|(hold, _)| &hold.key).collect();
    let states: HashMap<Key, KeyState> = KeyState::of_keys(store, &unknown).await?.into_iter().collect();
    // Before this time, the key was as declared, so no plan contained the change.
    let fallback = |hold: &Hold| states.get(&hold.key).map_or(Time(0), |state| state.since);
    let since = holds.iter().zip(known).map(|(hold, since)| since.unwrap_or_else(|| fallback(hold)));
    let since = since.min().unwrap_or(Time(0));
    Ok(last_sweep_before(store, first.key.instance(), since).await?.unwrap_or(Time(0)))
}

/// Returns when the newest sweep began that ended before this time. Returns `None` if the journal has
/// no such sweep.
async fn last_sweep_before(store: &dyn Store, name: &str, time: Time) -> Result<Option<Time>, StoreError> {
    let key = Some(format!("sweep:{name}"));
    let mut history = History { key, limit: WINDOW, ..History::default() };
    let mut read = 0;
    while read < MOST {
        let entries = store.newest_entries(history.clone()).await?;
        let Some(last) = entries.last() else { return Ok(None) };
        history.before = Some(last.seq);
        read += entries.len();
        for entry in entries.into_iter().filter(|entry| entry.at <= time) {
            if let Detail::Sweep(end) = entry.detail {
                // The duration is in whole seconds, so the sweep can have begun a second earlier.
                return Ok(Some(entry.at - Duration::from_secs(end.took_s + 1)));
            }
        }
    }
    Ok(None)
}
