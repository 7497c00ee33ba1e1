//! What is done with a directory's events and sweeps while a target of it cannot be opened.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::worker::{Reconcile, Run};
use beadle_engine::{Class, Clock, Failure, Report, Store, StoreError, Time};

/// The note that says of which targets the last sweep of a directory was not.
fn note(source: &str) -> String {
    format!("unswept:{source}")
}

/// Marks what an event is about at the targets that are open, and keeps the event for the others.
pub(crate) struct Kept {
    pub(crate) marker: Arc<dyn Reconcile>,
    /// The others.
    pub(crate) shut: String,
    pub(crate) hold: Duration,
    pub(crate) clock: Clock,
}

#[async_trait]
impl Reconcile for Kept {
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        self.marker.reconcile(run).await?;
        let until = self.clock.now() + self.hold;
        let text = format!("{} cannot be opened yet; the log says why", self.shut);
        Err(Failure::new(Class::RateLimited { until, spares_events: false }, text))
    }
}

/// Sweeps the targets that are open, and notes that the others were not.
pub(crate) struct Partial {
    pub(crate) sweep: Arc<dyn Reconcile>,
    pub(crate) source: String,
    /// The others.
    pub(crate) shut: Vec<String>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
}

#[async_trait]
impl Reconcile for Partial {
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        // First, so that a kill leaves it said.
        let said = format!("{}\n{}", self.clock.now().0, self.shut.join("\n"));
        self.store.put(&note(&self.source), &said).await?;
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
