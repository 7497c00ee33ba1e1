//! A directory of which only some targets are open. Its events and sweeps reach the open targets.
//! When the other targets open, a sweep covers the events that they missed.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::worker::{Reconcile, Run};
use beadle_engine::{Clock, Failure, Metadata, Note, Report, Store, StoreError, Time};
use beadle_groups::Mappings;
use serde::{Deserialize, Serialize};

/// The time at which a target last missed an event or a sweep of a directory.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Missed(Time);

impl Metadata for Missed {
    const KIND: &'static str = "missed";
}

/// Returns the note of a target. With an empty `target`, it returns the common prefix of all notes.
fn missed(source: &str, target: &str) -> Note<Missed> {
    Note::of(&[source, target])
}

/// A reconciler that runs the keys of a directory for the open targets, and notes that the others
/// missed them.
pub(crate) struct PartialTargets {
    pub(crate) inner: Arc<dyn Reconcile>,
    /// The directory.
    pub(crate) source: String,
    /// The targets that could not be opened.
    pub(crate) unavailable: BTreeSet<String>,
    pub(crate) mappings: Arc<RwLock<Arc<Mappings>>>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
}

#[async_trait]
impl Reconcile for PartialTargets {
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        let mappings = self.mappings.read().unwrap_or_else(PoisonError::into_inner).clone();
        let missing =
            mappings.targets(&self.source).into_iter().filter(|target| self.unavailable.contains(*target));
        // The note comes first, so that it stays if the process is killed during the run.
        for target in missing {
            missed(&self.source, target).put(self.store.as_ref(), &Missed(self.clock.now())).await?;
        }
        self.inner.reconcile(run).await
    }
}

/// Returns whether no open target has missed an event of a directory since the last sweep of the
/// directory, which began at `last`.
pub(crate) async fn is_whole(
    store: &dyn Store,
    source: &str,
    last: Time,
    is_unavailable: impl Fn(&str) -> bool,
) -> Result<bool, StoreError> {
    // The clocks of functions differ a little.
    let since = last - Duration::from_secs(1);
    let all = missed(source, "").list(store).await?;
    Ok(all.iter().all(|(target, Missed(at))| *at < since || is_unavailable(target)))
}
