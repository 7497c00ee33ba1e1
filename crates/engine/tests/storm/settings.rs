//! The sizes of the simulated world.

use std::time::Duration;

use beadle_engine::Limits;

/// The time when each storm begins.
pub(crate) const START: i64 = 1_800_000_000_000;
pub(crate) const PROCESSES: usize = 3;
/// The instances, each with its own window of the guard.
pub(crate) const INSTANCES: [&str; 2] = ["acme", "beta"];
/// The number of keys of each instance.
pub(crate) const KEYS: u64 = 3;
/// The largest difference between two clocks, in milliseconds.
pub(crate) const APART: u64 = 1_200_000;
const WINDOW: Duration = Duration::from_secs(3600);
/// The part of the window where every write certainly counts. Two things make this part shorter
/// than the window. If a clock is ahead by [`APART`], a reservation ends earlier by this time. A
/// slow store can execute a call late, with an old time. A run and its calls end after five
/// minutes.
pub(crate) const SURE_WINDOW: Duration = Duration::from_secs(3600 - 1200 - 600);

/// The limits of the guard. The limits are small, so that a storm reaches them.
pub(crate) const LIMITS: Limits = Limits {
    window: WINDOW,
    removes: 2,
    weakens: 1,
    exposes: 1,
    repeats: 0,
    percent: 100,
    repositories: 1000,
    among: None,
};

/// How many repositories of one instance Beadle may weaken within a window, counted for each
/// aspect. This limit applies only in some storms.
pub(crate) const SHARE: u32 = 1;

/// Returns the limits, with [`SHARE`] as the limit for the number of repositories.
pub(crate) fn with_share(limits: Limits) -> Limits {
    let among = u32::try_from(KEYS).ok();
    // A tenth of the repositories is less than one, so only the number of repositories is the
    // limit.
    Limits { percent: 10, repositories: SHARE, among, ..limits }
}
