//! The lease on the background tasks of a store. Several processes can use one store. Some tasks
//! must run in only one of these processes: the process that holds the lease.
//!
//! The lease does not depend on the clocks of the machines. The holder replaces the stored lease at
//! regular times, and counts the time since its last replacement. When this time reaches [`VALID`],
//! the holder stops its runs, even if it cannot reach the store. Another process takes the lease
//! over only after it has seen the same stored lease for [`UNCHANGED`]. [`UNCHANGED`] is longer
//! than [`VALID`].
//!
//! If a machine was suspended, its process might continue a run although the lease is lost. The run
//! notices this only when it looks at the clock again. A task must therefore not rely on the lease
//! alone. An action that must never happen twice needs a conditional write to the store
//! ([`crate::Note::replace`]).

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Time};
use crate::note::{Metadata, Note, Stored};
use crate::store::{Store, StoreError};

/// How long the holder may run tasks, counted from the moment before the holder stores the lease.
const VALID: Duration = Duration::from_secs(10);
/// How long another process must see the same stored lease before it takes the lease over. In the
/// time between [`VALID`] and this time, the holder must stop its runs.
const UNCHANGED: Duration = Duration::from_secs(15);
/// The time between two renewals.
const RENEWED: Duration = Duration::from_secs(3);
/// The time between two looks at the stored lease, for a process that does not hold the lease.
const LOOK: Duration = Duration::from_secs(2);
/// The maximum time that one look waits for the store.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often a run checks that the machine was not suspended.
const CHECK: Duration = Duration::from_secs(1);

/// The stored lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct StoredLease {
    /// The name of the process that holds the lease. It is empty if the process released the lease.
    holder: String,
    /// A number that changes with each renewal.
    beat: u64,
}

impl Metadata for StoredLease {
    const KIND: &'static str = "task-lease";
}

fn note() -> Note<StoredLease> {
    Note::of(&["background"])
}

/// The last renewal of a lease that this process holds.
#[derive(Clone, Copy, Debug)]
struct Renewal {
    begun: Instant,
    /// The time of the machine's clock, which goes on while the machine is suspended.
    at: Time,
}

/// One process that can hold the lease on the background tasks.
pub struct TaskLease {
    store: Arc<dyn Store>,
    clock: Clock,
    process: String,
    held: watch::Sender<Option<Renewal>>,
    /// The stored lease of another process as a text, and since when this text has been the same.
    seen: Mutex<Option<(String, Instant)>>,
}

impl TaskLease {
    /// Creates the value for one process. `process` is a name that no other process has.
    pub fn new(store: Arc<dyn Store>, clock: Clock, process: &str) -> Self {
        let (held, seen) = (watch::Sender::new(None), Mutex::default());
        Self { store, clock, process: process.to_owned(), held, seen }
    }

    /// Returns whether this process holds the lease now.
    pub fn is_held(&self) -> bool {
        let renewal = *self.held.borrow();
        renewal.is_some_and(|renewal| !self.left(renewal).is_zero())
    }

    /// Returns how long the lease is valid without another renewal.
    fn left(&self, renewal: Renewal) -> Duration {
        let passed = renewal.begun.elapsed().max(self.clock.now().since(renewal.at));
        VALID.saturating_sub(passed)
    }

    /// Waits until this process holds the lease.
    pub async fn acquired(&self) {
        let mut held = self.held.subscribe();
        while !self.is_held() {
            // The sender lives as long as `self`, so the wait never fails.
            let _ = held.changed().await;
        }
    }

    /// Waits until this process does not hold the lease.
    pub async fn lost(&self) {
        let mut held = self.held.subscribe();
        while self.is_held() {
            tokio::select! {
                _ = held.changed() => {}
                () = self.clock.sleep(CHECK) => {}
            }
        }
    }

    /// Looks at the stored lease once. Then this process renews the lease, takes the lease over if
    /// it may do so, or notices that another process holds the lease.
    pub async fn look(&self) -> Result<(), StoreError> {
        // The time counts from the moment before the call, because the lease might be stored long
        // before this process gets the answer.
        let renewal = Renewal { begun: Instant::now(), at: self.clock.now() };
        let stored = note().stored(self.store.as_ref()).await?;
        let beat = stored.value.as_ref().map_or(0, |lease| lease.beat);
        let is_stored = if self.may_store(&stored) {
            let lease = StoredLease { holder: self.process.clone(), beat: beat.wrapping_add(1) };
            note().replace(self.store.as_ref(), &stored, &lease).await?
        } else {
            false
        };
        let before = self.held.send_replace(is_stored.then_some(renewal));
        match (before.is_some(), is_stored) {
            (false, true) => tracing::info!("this process runs the background tasks now"),
            (true, false) => tracing::warn!("another process runs the background tasks now"),
            _ => {}
        }
        Ok(())
    }

    /// Returns whether this process may store the lease for itself.
    fn may_store(&self, stored: &Stored<StoredLease>) -> bool {
        let mut seen = self.seen.lock();
        let Some(text) = stored.text() else { return true };
        // A newer version might have stored a lease that this version cannot read.
        let holder = stored.value.as_ref().map(|lease| lease.holder.as_str());
        if holder.is_some_and(|holder| holder.is_empty() || holder == self.process) {
            *seen = None;
            return true;
        }
        match seen.as_ref() {
            Some((before, since)) if before == text => since.elapsed() >= UNCHANGED,
            _ => {
                *seen = Some((text.to_owned(), Instant::now()));
                false
            }
        }
    }

    /// Looks at the lease at regular times until `stop`.
    pub async fn keep(&self, stop: &CancellationToken) {
        loop {
            let renewal = *self.held.borrow();
            let left = renewal.map_or(PATIENCE, |renewal| self.left(renewal));
            tokio::select! {
                () = stop.cancelled() => return,
                looked = tokio::time::timeout(left.min(PATIENCE), self.look()) => {
                    let error = match looked {
                        Ok(Ok(())) => None,
                        Ok(Err(error)) => Some(error.to_string()),
                        Err(_) => Some("the store did not answer in time".to_owned()),
                    };
                    if let Some(error) = error {
                        tracing::debug!(error, "lease on the background tasks not renewed, retrying");
                    }
                }
            }
            self.expire();
            let renewal = *self.held.borrow();
            let wait = renewal.map_or(LOOK, |renewal| RENEWED.min(self.left(renewal)));
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.clock.sleep(wait) => {}
            }
            self.expire();
        }
    }

    /// Gives up a lease that this process could not renew in time.
    fn expire(&self) {
        let renewal = *self.held.borrow();
        if renewal.is_some() && !self.is_held() {
            self.held.send_replace(None);
            tracing::warn!("background tasks stopped, because this process could not renew their lease");
        }
    }

    /// Releases the lease, so that another process takes it over immediately. The runs of this
    /// process must have ended.
    pub async fn release(&self) {
        if self.held.send_replace(None).is_none() {
            return;
        }
        let store = self.store.as_ref();
        let released = async {
            let stored = note().stored(store).await?;
            match &stored.value {
                Some(lease) if lease.holder == self.process => {
                    let lease = StoredLease { holder: String::new(), beat: lease.beat.wrapping_add(1) };
                    note().replace(store, &stored, &lease).await
                }
                _ => Ok(false),
            }
        };
        let released: Result<Result<bool, StoreError>, _> = tokio::time::timeout(CHECK, released).await;
        if !matches!(released, Ok(Ok(_))) {
            tracing::debug!(
                "lease on the background tasks not released, another process takes it over later"
            );
        }
    }
}
