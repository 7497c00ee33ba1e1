//! Distributes seeds among threads, until a storm breaks a promise.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::promises::Broken;
use crate::sabotage::Sabotage;
use crate::scenario::Scenario;
use crate::stage::weather;

/// A storm that broke a promise.
#[derive(Clone, Debug)]
pub(crate) struct Caught {
    pub(crate) scenario: Scenario,
    pub(crate) broken: Broken,
}

/// The seeds to run.
pub(crate) struct Hunt {
    next: AtomicU64,
    end: u64,
    from: u64,
    began: Instant,
    time: Option<Duration>,
    writes: AtomicU64,
    caught: Mutex<Option<Caught>>,
}

impl Hunt {
    /// Creates a hunt through `count` seeds, beginning with `from`. If `time` is set, the hunt ends
    /// after this time.
    #[expect(clippy::disallowed_methods, reason = "the caller of the test limits the real time")]
    pub(crate) fn new(from: u64, count: u64, time: Option<Duration>) -> Self {
        Self {
            next: AtomicU64::new(from),
            end: from.saturating_add(count),
            from,
            began: Instant::now(),
            time,
            writes: AtomicU64::new(0),
            caught: Mutex::default(),
        }
    }

    /// Runs the seeds on all processors. Returns the first storm that broke a promise.
    pub(crate) fn run(&self, sabotage: Option<Sabotage>) -> Option<Caught> {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| self.work(sabotage));
            }
        });
        self.caught.lock().clone()
    }

    fn work(&self, sabotage: Option<Sabotage>) {
        while let Some(seed) = self.seed() {
            let scenario = Scenario::new(seed);
            let weathered = catch_unwind(AssertUnwindSafe(|| weather(&scenario, sabotage, false)));
            let Ok(weathered) = weathered else {
                self.catch(&Caught { scenario, broken: Broken::of_panic() });
                return;
            };
            self.writes.fetch_add(weathered.writes, Ordering::Relaxed);
            if let Some(broken) = weathered.broken {
                self.catch(&Caught { scenario, broken });
            }
        }
    }

    /// Keeps the storm with the smallest seed.
    fn catch(&self, caught: &Caught) {
        let mut first = self.caught.lock();
        let is_first = first.as_ref().is_none_or(|first| caught.scenario.seed < first.scenario.seed);
        if is_first {
            *first = Some(caught.clone());
        }
    }

    /// Returns the next seed, or `None` if the hunt is over.
    fn seed(&self) -> Option<u64> {
        let is_late = self.time.is_some_and(|time| self.began.elapsed() >= time);
        if is_late || self.caught.lock().is_some() {
            return None;
        }
        let seed = self.next.fetch_add(1, Ordering::Relaxed);
        (seed < self.end).then_some(seed)
    }

    pub(crate) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// Returns the number of seeds, their speed, and the number of writes.
    pub(crate) fn summary(&self) -> String {
        let seeds = self.next.load(Ordering::Relaxed).min(self.end) - self.from;
        let took = self.began.elapsed();
        let speed = u128::from(seeds) * 1000 / took.as_millis().max(1);
        let (writes, seconds) = (self.writes(), took.as_secs());
        format!("{seeds} storms in {seconds} s ({speed} a second), {writes} writes")
    }
}
