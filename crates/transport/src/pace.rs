//! Points per minute, as GitHub counts them for its secondary limits: a read is 1, a write 5.
//!
//! <https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits>

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use beadle_engine::{Clock, Lane, Time};

/// How long a sweep waits in its place.
const PATIENCE: Duration = Duration::from_secs(2);

/// Lets through so many points in each sliding window.
#[derive(Debug)]
pub(crate) struct Pace {
    window: Duration,
    points: u32,
    spent: Mutex<VecDeque<(Time, u32)>>,
}

impl Pace {
    pub(crate) fn new(window: Duration, points: u32) -> Self {
        Self { window, points, spent: Mutex::default() }
    }

    /// Waits until `points` fit. A sweep that would have to wait long gets the time instead, so that it keeps nobody's
    /// place; and it leaves a fifth of the window to others.
    pub(crate) async fn take(&self, points: u32, lane: Lane, clock: &Clock) -> Result<(), Time> {
        while let Some(at) = self.try_take(points, lane, clock.now()) {
            if lane == Lane::Sweep && at.since(clock.now()) > PATIENCE {
                return Err(at);
            }
            clock.sleep_until(at).await;
        }
        Ok(())
    }

    /// Takes them, or says when to ask again.
    fn try_take(&self, points: u32, lane: Lane, now: Time) -> Option<Time> {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        // After a clock was set back, what was spent later than now was spent now.
        spent.iter_mut().for_each(|(at, _)| *at = (*at).min(now));
        while spent.front().is_some_and(|(at, _)| *at + self.window <= now) {
            spent.pop_front();
        }
        let limit = if lane == Lane::Sweep { self.points / 5 * 4 } else { self.points };
        let total: u32 = spent.iter().map(|(_, points)| points).sum();
        if total + points <= limit || spent.is_empty() {
            spent.push_back((now, points));
            return None;
        }
        let mut excess = (total + points).saturating_sub(limit);
        let frees = spent.iter().find(|(_, points)| {
            excess = excess.saturating_sub(*points);
            excess == 0
        });
        frees.map(|(at, _)| (*at + self.window).max(now + Duration::from_millis(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_never_overspent_and_sweeps_leave_room() {
        let pace = Pace::new(Duration::from_secs(60), 10);
        for n in 0..8 {
            assert_eq!(pace.try_take(1, Lane::Sweep, Time(n)), None);
        }
        assert_eq!(pace.try_take(1, Lane::Sweep, Time(10)), Some(Time(60_000)));
        assert_eq!(pace.try_take(2, Lane::Event, Time(10)), None);
        assert_eq!(pace.try_take(1, Lane::Event, Time(10)), Some(Time(60_000)));
        assert_eq!(pace.try_take(5, Lane::Event, Time(10)), Some(Time(60_004)));
        assert_eq!(pace.try_take(1, Lane::Event, Time(60_000)), None);
    }
}
