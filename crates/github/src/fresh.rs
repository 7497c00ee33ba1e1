//! How long Beadle trusts the answer about the owner of a name. REST writes address names, and a
//! name can get another owner at any time.

use std::time::Duration;

use beadle_engine::Time;

/// How long Beadle uses a resolved name before it asks GitHub again.
pub(crate) const FRESH: Duration = Duration::from_secs(5);

/// The maximum number of times that Beadle looks up the names for one write again. It looks them up
/// again if the write had to wait and the names became too old.
pub(crate) const TRIES: u32 = 5;

/// Returns whether an answer is still recent enough to use. `asked` is when Beadle asked. A time in
/// the future comes from a clock that was ahead, so such an answer is not used.
pub(crate) fn is_fresh(asked: Time, now: Time) -> bool {
    now >= asked && now.since(asked) < FRESH
}
