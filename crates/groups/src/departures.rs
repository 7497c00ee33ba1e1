//! Remembers who left which group of a target within the window, so that Beadle sees a slow loss as
//! well as a sudden one.

use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Failure, Store, Time};
use serde_json::json;

use crate::guard::{Departure, Recent};
use crate::mapping::Slot;

/// All that is remembered. Without a store, nothing is.
#[derive(Clone, Default)]
pub(crate) struct Departures(pub(crate) Option<Arc<dyn Store>>);

fn note(target: &str, slot: &Slot) -> String {
    beadle_engine::note("left", &[target, &slot.to_string()])
}

impl Departures {
    async fn all(&self, target: &str, slot: &Slot) -> Result<Vec<Departure>, Failure> {
        let Some(store) = &self.0 else { return Ok(Vec::new()) };
        let text = store.get(&note(target, slot)).await?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }

    /// Returns who left within the window, and is not a member again.
    pub(crate) async fn recent(
        &self,
        target: &str,
        slot: &Slot,
        now: Time,
        window: Duration,
        is_member: impl Fn(&str) -> bool,
    ) -> Result<Recent, Failure> {
        Ok(Recent::of(&self.all(target, slot).await?, now, window, is_member))
    }

    /// Remembers a departure. The caller reports it before the write, so that a lost answer counts
    /// too.
    pub(crate) async fn book(
        &self,
        target: &str,
        slot: &Slot,
        departure: Departure,
        window: Duration,
    ) -> Result<(), Failure> {
        let Some(store) = &self.0 else { return Ok(()) };
        let now = departure.at;
        let mut all = self.all(target, slot).await?;
        all.retain(|known| known.is_within(now, window));
        all.push(departure);
        Ok(store.put(&note(target, slot), &json!(all).to_string()).await?)
    }

    /// Starts the window again: an operator approved the departures.
    pub(crate) async fn forget(&self, target: &str, slot: &Slot) -> Result<(), Failure> {
        let Some(store) = &self.0 else { return Ok(()) };
        Ok(store.forget(&note(target, slot)).await?)
    }
}
