//! Finds out which policies could have asked for held changes. The authors of all these policies
//! must not approve the changes.
//!
//! A sweep plans every key of an organisation, except the keys of unreadable rows. Suppose that a
//! sweep found no unreadable row, and that no plan of the sweep showed a certain change. Then no
//! policy that was replaced before the sweep asked for this change. So it is enough to look at the
//! policies that came into force since the beginning of the sweep.

use std::collections::{BTreeSet, HashMap};

use crate::apply::asked_for_holds;
use crate::clock::Time;
use crate::guard::{Hold, is_undo};
use crate::key::Key;
use crate::key_state::KeyState;
use crate::last_sweep::last_whole_sweep_at;
use crate::store::{Store, StoreError};

/// The policies that could have asked for held changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskingPolicies {
    /// The policies that came into force at this time or later could have asked for the changes.
    pub since: Time,
    /// The generations of the first plans and of the latest plans that contain the changes.
    pub generations: BTreeSet<String>,
}

/// Finds the policies that could have asked for these held changes. The policy in force could also
/// have asked for them, even if the result does not contain this policy. All holds belong to one
/// organisation.
pub async fn asking_policies(store: &dyn Store, holds: &[&Hold]) -> Result<AskingPolicies, StoreError> {
    let known = asked_for_holds(store, holds).await?;
    let first = known.iter().filter_map(|(first, _)| first.clone());
    let latest = holds.iter().map(|hold| hold.generation.clone());
    let generations = first.chain(latest).filter(|generation| !is_undo(generation)).collect();
    let unknown: Vec<&Key> = holds
        .iter()
        .zip(&known)
        .filter(|(_, (_, since))| since.is_none())
        .map(|(hold, _)| &hold.key)
        .collect();
    let states: HashMap<Key, KeyState> = KeyState::of_keys(store, &unknown).await?.into_iter().collect();
    // Before this time, the key had the declared state, so no plan contained the change.
    let fallback = |hold: &Hold| states.get(&hold.key).map_or(Time(0), |state| state.since);
    let since = holds.iter().zip(known).map(|(hold, (_, since))| since.unwrap_or_else(|| fallback(hold)));
    let since = since.min().unwrap_or(Time(0));
    let begun = match holds.first() {
        Some(hold) => last_whole_sweep_at(store, hold.key.instance(), since).await?,
        None => None,
    };
    Ok(AskingPolicies { since: begun.map_or(Time(0), |sweep| sweep.begun()), generations })
}
