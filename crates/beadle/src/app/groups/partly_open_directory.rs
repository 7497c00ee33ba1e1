//! Handles a directory if only some of its targets are open. The events and sweeps of the directory
//! reach the open targets. If another target opens later and has missed an event, Beadle starts a
//! sweep.

use parking_lot::RwLock;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{Clock, Failure, Metadata, Note, Reconcile, Report, Run, Store, StoreError, Time};
use beadle_groups::Mappings;
use serde::{Deserialize, Serialize};

/// The last time at which a target missed an event or a sweep of a directory.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Missed(Time);

impl Metadata for Missed {
    const KIND: &'static str = "missed";
}

/// Returns the stored note for a target. If `target` is empty, returns a note with the common
/// prefix of all names.
fn missed(source: &str, target: &str) -> Note<Missed> {
    Note::of(&[source, target])
}

/// A reconciler that runs the keys of a directory for the open targets. For each target that is not
/// open, the reconciler records that the target missed this run.
pub(crate) struct PartialTargets {
    pub(crate) inner: Arc<dyn Reconcile>,
    /// The name of the directory.
    pub(crate) source: String,
    /// The names of the targets that Beadle could not open.
    pub(crate) unavailable: BTreeSet<String>,
    pub(crate) mappings: Arc<RwLock<Arc<Mappings>>>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
}

#[async_trait]
impl Reconcile for PartialTargets {
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        let mappings = self.mappings.read().clone();
        let missing =
            mappings.targets(&self.source).into_iter().filter(|target| self.unavailable.contains(*target));
        // Beadle writes the record before the run, so that the record exists even if the process is
        // killed during the run.
        for target in missing {
            missed(&self.source, target).put(self.store.as_ref(), &Missed(self.clock.now())).await?;
        }
        self.inner.reconcile(run).await
    }
}

/// Returns `false` if a target that is now open has missed an event of the directory since `last`.
/// `last` is the start of the directory's last sweep.
pub(crate) async fn is_whole(
    store: &dyn Store,
    source: &str,
    last: Time,
    is_unavailable: impl Fn(&str) -> bool,
) -> Result<bool, StoreError> {
    // The clocks of two Lambda functions can differ slightly.
    let since = last - Duration::from_secs(1);
    let all = missed(source, "").list(store).await?;
    Ok(all.iter().all(|(target, Missed(at))| *at < since || is_unavailable(target)))
}
