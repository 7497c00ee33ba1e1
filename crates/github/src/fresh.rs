//! How long Beadle trusts an answer that shows who has a name. The path of a REST write contains
//! names, and another team or account can take a name at any time.

use std::time::Duration;

use beadle_engine::Time;

/// How long Beadle uses a resolved name before it asks GitHub again.
pub(crate) const FRESH: Duration = Duration::from_secs(5);

/// The maximum number of repeated look-ups for the names in one write. Beadle repeats a look-up if
/// the names became too old while the write waited.
pub(crate) const TRIES: u32 = 5;

/// Returns whether an answer is still recent enough to use. `asked` is the time at which Beadle
/// asked GitHub. Beadle does not use an answer with a time in the future, because this time comes
/// from a clock that was ahead.
pub(crate) fn is_fresh(asked: Time, now: Time) -> bool {
    now >= asked && now.since(asked) < FRESH
}
