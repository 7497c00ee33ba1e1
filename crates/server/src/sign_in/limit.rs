//! A limit for the number of sign-ins in a window.

use std::collections::VecDeque;
use std::time::Duration;

use beadle_engine::Time;
use parking_lot::Mutex;

/// Admits a number of sign-ins in each window.
pub(super) struct Limit {
    most: usize,
    window: Duration,
    admitted: Mutex<VecDeque<Time>>,
}

impl Limit {
    pub(super) fn new(most: usize, window: Duration) -> Self {
        Self { most, window, admitted: Mutex::default() }
    }

    /// Returns whether one more is within the limit now, and counts it.
    pub(super) fn admits(&self, now: Time) -> bool {
        let mut admitted = self.admitted.lock();
        admitted.retain(|at| now.since(*at) < self.window);
        let is_free = admitted.len() < self.most;
        if is_free {
            admitted.push_back(now);
        }
        is_free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_admits_only_its_number() {
        let limit = Limit::new(2, Duration::from_secs(60));
        let admits = [0, 1, 2, 59_999, 60_000, 60_000, 60_001].map(|at| limit.admits(Time(at)));
        assert_eq!(admits, [true, true, false, false, true, false, true]);
    }
}
