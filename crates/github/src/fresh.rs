//! How long the answer to a question about a name is valid. REST writes go to names, and the owner
//! of a name can change at any time.

use std::time::Duration;

use beadle_engine::Time;

/// The time for which a resolved name is valid.
pub(crate) const FRESH: Duration = Duration::from_secs(5);

/// The number of times that Beadle looks up the names again for a write that waited for too long.
pub(crate) const TRIES: u32 = 5;

/// Returns whether the answer to a question of this time is still valid. A time in the future comes
/// from a clock that was ahead, and is not valid.
pub(crate) fn is_fresh(asked: Time, now: Time) -> bool {
    now >= asked && now.since(asked) < FRESH
}
