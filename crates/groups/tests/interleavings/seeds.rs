//! Distributes the seeds among the threads of the test.

use parking_lot::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use beadle_sim::okta::{Hook, OktaSim};
use beadle_sim::scim::ScimSim;
use beadle_sim::{okta, scim};
use tokio::runtime::{Builder, Runtime};

use crate::common;
use crate::removals::Removals;

/// The seeds to run, and the first failure.
pub(crate) struct Seeds {
    next: AtomicU64,
    from: u64,
    end: u64,
    /// When the run began, and the maximum duration of the run.
    time: Option<(Instant, Duration)>,
    /// True if a storm disturbs the calls to each vendor.
    is_stormy: bool,
    folder: PathBuf,
    /// The file of an empty store. Each interleaving begins with a copy of this file, because it
    /// takes long to create a store.
    empty: PathBuf,
    failed: Mutex<Option<String>>,
}

impl Seeds {
    /// Creates `count` seeds, beginning with `from`. The stores of their interleavings are files in
    /// `folder`.
    pub(crate) fn new(from: u64, count: u64, folder: &Path) -> Self {
        let empty = folder.join("empty.db");
        drop(common::store(&empty));
        let folder = folder.to_owned();
        Self {
            next: AtomicU64::new(from),
            from,
            end: from.saturating_add(count),
            time: None,
            is_stormy: false,
            folder,
            empty,
            failed: Mutex::default(),
        }
    }

    /// Adds a storm that disturbs the calls to each vendor.
    pub(crate) fn in_storms(self) -> Self {
        Self { is_stormy: true, ..self }
    }

    /// Sets the time after which the test ends.
    #[expect(clippy::disallowed_methods, reason = "the caller of the test limits the real time")]
    pub(crate) fn for_time(self, time: Duration) -> Self {
        Self { time: Some((Instant::now(), time)), ..self }
    }

    /// Returns the number of seeds that have run or are running.
    pub(crate) fn tried(&self) -> u64 {
        self.next.load(Ordering::Relaxed).min(self.end) - self.from
    }

    /// Returns the first failure, with its seed.
    pub(crate) fn failure(&self) -> Option<String> {
        self.failed.lock().clone()
    }

    /// Returns the next seed. Returns `None` if no seed is left, if the time is over, or if a seed
    /// has failed.
    fn next(&self) -> Option<u64> {
        let is_late = self.time.is_some_and(|(began, time)| began.elapsed() >= time);
        if is_late || self.failure().is_some() {
            return None;
        }
        let seed = self.next.fetch_add(1, Ordering::Relaxed);
        (seed < self.end).then_some(seed)
    }

    /// Runs seeds until no seed is left or a seed has failed.
    pub(crate) fn work(&self) -> Removals {
        // Each thread has its own simulators and reuses them, because it takes long to create their
        // keys.
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let settings = okta::Settings { record: true, limit: u64::MAX, ..okta::Settings::default() };
        let aws = scim::Settings { record: true, ..scim::Settings::default() };
        let (okta, aws) = runtime.block_on(common::vendors(settings, aws));
        okta.send_events_to(Some(Hook { held: true, together: 3, ..Hook::default() }));
        let mut removals = Removals::default();
        while let Some(seed) = self.next() {
            match self.attempt(seed, &okta, &aws) {
                Ok(found) => removals = removals.and(found),
                Err(why) => {
                    self.failed.lock().get_or_insert(format!("seed {seed}: {why}"));
                }
            }
        }
        removals
    }

    /// Runs one seed in its own simulated time.
    fn attempt(&self, seed: u64, okta: &Arc<OktaSim>, aws: &Arc<ScimSim>) -> Result<Removals, String> {
        let path = self.folder.join(format!("{seed}.db"));
        std::fs::copy(&self.empty, &path).unwrap();
        let runtime = paused();
        let run = || runtime.block_on(crate::one(seed, okta, aws, &path, self.is_stormy));
        let result = catch_unwind(AssertUnwindSafe(run));
        // The tasks of the runtime keep the store open, so the runtime must end first.
        drop(runtime);
        for ending in ["", "-wal", "-shm"] {
            // An error means that the file does not exist, so there is nothing to delete.
            let _ = std::fs::remove_file(format!("{}{ending}", path.display()));
        }
        result.unwrap_or_else(|_| Err("it panicked, see above".to_owned()))
    }
}

/// Returns a runtime with simulated time.
fn paused() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}
