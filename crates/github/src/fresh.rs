//! How long the answer to a question about a name is valid. REST writes go to names, and the owner
//! of a name can change at any time.

use std::time::Duration;

use beadle_engine::Time;

/// The time for which a resolved name is valid.
pub(crate) const FRESH: Duration = Duration::from_secs(5);

/// The number of times that a write which waited for too long is addressed again.
pub(crate) const TRIES: u32 = 5;

/// Returns whether the answer to a question of this time is still valid. A moment in the future is
/// one of a clock that was ahead.
pub(crate) fn is_fresh(asked: Time, now: Time) -> bool {
    now >= asked && now.since(asked) < FRESH
}
