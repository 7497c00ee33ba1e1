//! Limits the reloads of the service after changes to the installations of the App. At each reload,
//! the service waits for its runs and starts its background tasks again. Without a limit, an owner
//! could stop all other work by repeatedly suspending and resuming the App.

use std::collections::VecDeque;
use std::time::Duration;

use beadle_engine::Time;

/// The maximum number of reloads in [`SPAN`].
const MOST: usize = 6;
const SPAN: Duration = Duration::from_secs(600);

/// The latest reloads. The oldest reload comes first.
#[derive(Debug, Default)]
pub(super) struct ReloadPace(VecDeque<Time>);

impl ReloadPace {
    /// Returns the earliest time at which the next reload can begin.
    pub(super) fn next(&self, now: Time) -> Time {
        match self.0.front() {
            // If the clock was set back, the reload does not wait.
            Some(first) if self.0.len() >= MOST && *first <= now => (*first + SPAN).max(now),
            _ => now,
        }
    }

    /// Records a reload.
    pub(super) fn reloaded(&mut self, now: Time) {
        self.0.push_back(now);
        if self.0.len() > MOST {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_cannot_make_the_service_reload_all_the_time() {
        let (mut pace, mut now, mut reloads) = (ReloadPace::default(), Time(0), Vec::new());
        // An owner suspends or resumes the App every second for half an hour.
        while now < Time(1_800_000) {
            if pace.next(now) <= now {
                pace.reloaded(now);
                reloads.push(now.0 / 1000);
            }
            now = now + Duration::from_secs(1);
        }
        let expected: Vec<i64> = [0, 600, 1200].into_iter().flat_map(|begin| begin..begin + 6).collect();
        assert_eq!(reloads, expected);
        assert_eq!(pace.next(Time(1_000)), Time(1_000), "the clock went back");
        assert_eq!(pace.next(Time(9_000_000)), Time(9_000_000));
    }
}
