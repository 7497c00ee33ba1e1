//! What is done with a directory's events and sweeps while a target of it cannot be opened.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::worker::{Reconcile, Run};
use beadle_engine::{Class, Clock, Failure, Report, Store, StoreError, Time};
use beadle_groups::Mappings;

/// The note that says of which targets the last sweep of a directory was not.
fn note(source: &str) -> String {
    format!("unswept:{source}")
}

/// The targets that take groups of a directory and cannot be opened.
#[derive(Clone)]
pub(crate) struct Shut {
    /// The directory.
    pub(crate) source: String,
    /// Every target that cannot be opened.
    pub(crate) all: BTreeSet<String>,
    pub(crate) mappings: Arc<RwLock<Arc<Mappings>>>,
}

impl Shut {
    /// By the mappings in force.
    fn names(&self) -> Vec<String> {
        let mappings = self.mappings.read().unwrap_or_else(PoisonError::into_inner).clone();
        let takes = mappings.targets(&self.source).into_iter().filter(|target| self.all.contains(*target));
        takes.map(str::to_owned).collect()
    }
}

/// Marks what an event is about at the targets that are open, and keeps the event for the others.
pub(crate) struct Kept {
    pub(crate) marker: Arc<dyn Reconcile>,
    pub(crate) shut: Shut,
    pub(crate) hold: Duration,
    pub(crate) clock: Clock,
}

#[async_trait]
impl Reconcile for Kept {
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        let report = self.marker.reconcile(run).await?;
        let shut = self.shut.names();
        if shut.is_empty() {
            return Ok(report);
        }
        let until = self.clock.now() + self.hold;
        let text = format!("{} cannot be opened yet; the log says why", shut.join(", "));
        Err(Failure::new(Class::RateLimited { until, spares_events: false }, text))
    }
}

/// Sweeps the targets that are open, and notes that the others were not.
pub(crate) struct Partial {
    pub(crate) sweep: Arc<dyn Reconcile>,
    pub(crate) shut: Shut,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
}

#[async_trait]
impl Reconcile for Partial {
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        // First, so that a kill leaves it said.
        let shut = self.shut.names();
        if !shut.is_empty() {
            let said = format!("{}\n{}", self.clock.now().0, shut.join("\n"));
            self.store.put(&note(&self.shut.source), &said).await?;
        }
        self.sweep.reconcile(run).await
    }
}

/// Whether the last sweep of a directory, which began at `last`, was of every target but those that are shut now.
pub(crate) async fn was_whole(
    store: &dyn Store,
    source: &str,
    last: Time,
    is_shut: impl Fn(&str) -> bool,
) -> Result<bool, StoreError> {
    let Some(said) = store.get(&note(source)).await? else { return Ok(true) };
    let mut lines = said.lines();
    let at = Time(lines.next().and_then(|at| at.parse().ok()).unwrap_or(0));
    // Clocks of functions differ a little.
    Ok(at < last - Duration::from_secs(1) || lines.all(is_shut))
}
