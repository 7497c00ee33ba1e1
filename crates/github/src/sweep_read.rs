//! A read of the whole organisation that the batches of one sweep share. Without this shared read,
//! Beadle would read the lists of each repository separately, because most batches of a sweep are
//! small.

use std::sync::Arc;
use std::time::Duration;

use beadle_engine::Time;

use crate::properties::Properties;
use crate::teams::Snapshot;

/// How long the batches of a sweep use one read. It is possible that somebody changes a team or a
/// property after this read and that the webhook is lost. Beadle then sees the change only in the
/// next sweep. So the time is short.
const SHARED_FOR: Duration = Duration::from_secs(60);

/// The lists of the whole organisation that Beadle read for one batch of a sweep.
pub(crate) struct SweepRead {
    /// The stored time at which the sweep began. This process knew of the sweep before the read, so
    /// the read began after the start of the sweep. A comparison of two times could not prove this,
    /// because another machine with another clock can begin the sweep.
    pub(crate) sweep: Time,
    /// A time before the start of the read.
    pub(crate) begun: Time,
    pub(crate) teams: Option<Arc<Snapshot>>,
    pub(crate) properties: Option<Arc<Properties>>,
}

impl SweepRead {
    /// Returns whether a request of a sweep can use this read. `sweep` is `None` if the request
    /// belongs to no sweep.
    pub(crate) fn serves(&self, sweep: Option<Time>, now: Time) -> bool {
        // If the read began in the future, a clock was wrong.
        sweep == Some(self.sweep) && self.begun <= now && now.since(self.begun) < SHARED_FOR
    }

    /// Returns whether the lists contain a repository. If the list of property values lacks the
    /// repository, the values are unknown, and each retry would find the same list. So the
    /// repository then needs another read.
    pub(crate) fn knows(&self, repository: u64) -> bool {
        self.properties.as_ref().is_none_or(|properties| properties.has(repository))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_serves_its_own_sweep_for_a_time() {
        let (sweep, other, begun) = (Time(1_000), Time(1_001), Time(5_000));
        let read = SweepRead { sweep, begun, teams: None, properties: None };
        let second = Duration::from_secs(1);
        for (of, now, expected, why) in [
            (Some(sweep), begun, true, "it is the read of this moment"),
            (Some(sweep), begun + SHARED_FOR - second, true, "it is recent"),
            (Some(sweep), begun + SHARED_FOR, false, "it is old"),
            (Some(sweep), begun - second, false, "the clock was wrong"),
            (Some(other), begun, false, "the other sweep may have begun after the read"),
            (None, begun, false, "an event may have come after the read"),
        ] {
            assert_eq!(read.serves(of, now), expected, "{why}");
        }
    }
}
