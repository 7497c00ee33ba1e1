//! Repairs rows with times from a clock that was ahead.

use std::time::Duration;

use super::{LONGEST_HOLD, Row, Timing};
use crate::clock::Time;

/// The greatest difference between the clocks of two machines that Beadle accepts. If the time of a
/// key's mark is further in the future, the clock was ahead when the mark was stored.
pub const CLOCK_SKEW: Duration = Duration::from_secs(10);

impl Row {
    /// Returns whether a time of the row comes from a clock that was ahead.
    pub fn is_ahead(&self, now: Time) -> bool {
        self.first_dirty > now + CLOCK_SKEW || self.is_far(now)
    }

    fn is_far(&self, now: Time) -> bool {
        self.due_at().is_some_and(|at| at > now + LONGEST_HOLD)
    }

    /// Moves the times of a mark from a clock that was ahead back to the present. A lease stays as it
    /// is, because its worker can still be running. But if the key would wait longer than any vendor
    /// demands, shortens each wait to the longest wait of the queue, and the lease too.
    pub fn clamp(&mut self, now: Time, timing: &Timing) {
        if self.first_dirty > now + CLOCK_SKEW {
            let ahead = self.first_dirty.since(now);
            self.first_dirty = now;
            self.run_at = self.run_at - ahead;
            self.not_before = self.not_before - ahead;
        }
        if self.is_far(now) {
            self.run_at = self.run_at.min(now + timing.backoff_cap);
            self.not_before = self.not_before.min(now + LONGEST_HOLD);
            self.lease_until = self.lease_until.map(|until| until.min(now + timing.lease));
        }
    }
}
