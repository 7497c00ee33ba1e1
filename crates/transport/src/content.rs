//! Limits the requests that create content, because GitHub has separate limits for them.
//!
//! <https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits>

use std::time::Duration;

use beadle_engine::{Clock, Lane, Time};

use crate::pace::Pace;

/// The number of minutes in an hour. A simulator with shorter minutes also has shorter hours.
pub(crate) const MINUTES: u32 = 60;
/// The maximum time that a request waits before it may create content. A request that has to wait
/// longer gets an error, because its key can wait in the queue.
const PATIENCE: Duration = Duration::from_secs(60);

/// The maximum number of requests that create content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentLimits {
    /// The number of requests in the period of the secondary limits. This period is a minute.
    pub minute: u32,
    /// The number of requests in 60 periods of the secondary limits.
    pub hour: u32,
}

impl ContentLimits {
    /// GitHub allows 80 requests in a minute and 500 in an hour. The limits are lower, because
    /// requests can arrive at GitHub closer together than Beadle sent them.
    pub const GITHUB: Self = Self { minute: 75, hour: 480 };

    /// Returns the share of one process, if `parts` processes use the same credential.
    #[must_use]
    pub fn divided(self, parts: u32) -> Self {
        let part = |all: u32| (all / parts.max(1)).max(1);
        Self { minute: part(self.minute), hour: part(self.hour) }
    }
}

/// Spreads the requests that create content over time.
#[derive(Debug)]
pub(crate) struct ContentPace {
    minute: Pace,
    hour: Pace,
}

impl ContentPace {
    /// Creates a pace. `window` is the period of the secondary limits.
    pub(crate) fn new(limits: ContentLimits, window: Duration) -> Self {
        Self { minute: Pace::new(window, limits.minute), hour: Pace::new(window * MINUTES, limits.hour) }
    }

    /// Sets the number of processes that use the credential. `others` is the number of requests of
    /// other processes that created content within an hour. This number includes the requests of
    /// processes that have ended.
    pub(crate) fn share(&self, processes: u32, others: u32, guessed: bool) {
        self.minute.share(processes, 0, guessed);
        self.hour.share(processes, others, guessed);
    }

    /// Returns the number of this process's requests that created content within an hour.
    pub(crate) fn created(&self, now: Time) -> u32 {
        self.hour.own(now)
    }

    /// Waits until a request may create content. If the wait would be long, the function returns
    /// immediately. The error is the time at which the wait would end.
    pub(crate) async fn take(&self, lane: Lane, clock: &Clock) -> Result<(), Time> {
        for pace in [&self.minute, &self.hour] {
            while let Some(at) = pace.try_take(1, lane, clock.now()) {
                if at.since(clock.now()) > PATIENCE {
                    return Err(at);
                }
                pace.wait(at, lane, clock).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_short_wait_is_slept_and_a_long_one_goes_back_to_the_queue() {
        let clock = Clock::simulated(Time(0));
        let pace = ContentPace::new(ContentLimits { minute: 2, hour: 5 }, Duration::from_secs(60));
        for at in [0, 0, 60, 60, 120] {
            assert_eq!(pace.take(Lane::Event, &clock).await, Ok(()));
            assert_eq!(clock.now().seconds(), at);
        }
        assert_eq!(pace.take(Lane::Event, &clock).await, Err(Time::from_seconds(3600)));
        assert_eq!(clock.now().seconds(), 120, "the key waits, not the worker");
    }

    #[tokio::test(start_paused = true)]
    async fn what_another_process_created_counts_for_an_hour() {
        let clock = Clock::simulated(Time(0));
        let pace = ContentPace::new(ContentLimits { minute: 75, hour: 5 }, Duration::from_secs(60));
        // The other process has ended.
        pace.share(1, 3, false);
        assert_eq!(pace.take(Lane::Event, &clock).await, Ok(()));
        assert_eq!(pace.take(Lane::Event, &clock).await, Ok(()));
        assert_eq!(pace.created(clock.now()), 2);
        assert_eq!(pace.take(Lane::Event, &clock).await, Err(Time::from_seconds(3600)));
    }

    #[test]
    fn each_part_creates_something() {
        let part = ContentLimits::GITHUB.divided(3);
        assert_eq!((part.minute, part.hour), (25, 160));
        assert_eq!(ContentLimits::GITHUB.divided(1_000), ContentLimits { minute: 1, hour: 1 });
    }
}
