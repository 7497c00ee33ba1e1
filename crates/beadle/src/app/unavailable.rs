//! What is done with a directory's events and sweeps while a target of it cannot be opened: the others get theirs, and what the
//! target missed is made up for by a sweep when it is open.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::worker::{Reconcile, Run};
use beadle_engine::{Clock, Failure, Metadata, Note, Report, Store, StoreError, Time};
use beadle_groups::Mappings;
use serde::{Deserialize, Serialize};

/// The time at which a target last missed something of a directory.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Missed(Time);

impl Metadata for Missed {
    const KIND: &'static str = "missed";
}

/// Returns the note of a target. With an empty `target` it begins the names of all.
fn missed(source: &str, target: &str) -> Note<Missed> {
    Note::of(&[source, target])
}

/// Works on a directory's keys for the targets that are open, and notes that the others miss it.
pub(crate) struct PartialTargets {
    pub(crate) inner: Arc<dyn Reconcile>,
    /// The directory.
    pub(crate) source: String,
    /// Every target that cannot be opened.
    pub(crate) shut: BTreeSet<String>,
    pub(crate) mappings: Arc<RwLock<Arc<Mappings>>>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
}

#[async_trait]
impl Reconcile for PartialTargets {
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        let mappings = self.mappings.read().unwrap_or_else(PoisonError::into_inner).clone();
        let missing = mappings.targets(&self.source).into_iter().filter(|target| self.shut.contains(*target));
        // First, so that a kill leaves it said.
        for target in missing {
            missed(&self.source, target).put(self.store.as_ref(), &Missed(self.clock.now())).await?;
        }
        self.inner.reconcile(run).await
    }
}

/// Whether nothing of a directory was missed since its last sweep began, at `last`, by a target that is open now.
pub(crate) async fn is_whole(
    store: &dyn Store,
    source: &str,
    last: Time,
    is_shut: impl Fn(&str) -> bool,
) -> Result<bool, StoreError> {
    // Clocks of functions differ a little.
    let since = last - Duration::from_secs(1);
    let all = missed(source, "").list(store).await?;
    Ok(all.iter().all(|(target, Missed(at))| *at < since || is_shut(target)))
}
