//! How often a worker looks at the queue while its bell rings. The bell is the signal that a key is
//! due.

use std::time::Duration;

use crate::clock::Time;

/// The minimum time between two looks at the queue, if the bell is the reason for the second look.
/// Under load, the bell rings with each webhook, and a look costs more than a webhook. This time
/// delays no event, because the debounce of an event is longer than this time.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Returns how long a worker waits after the bell has rung. `looked` is the time of the worker's
/// last look at the queue.
pub(crate) fn wait_after_ring(looked: Time, now: Time) -> Duration {
    // If the clock was set back, the worker does not wait until the clock catches up.
    (looked + BETWEEN_LOOKS).since(now).min(BETWEEN_LOOKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_follows_another_one_after_10_ms_whatever_the_clock_does() {
        for (looked, now, wait) in [(0, 0, 10), (0, 4, 6), (0, 10, 0), (0, 5_000, 0), (5_000, 0, 10)] {
            assert_eq!(
                wait_after_ring(Time(looked), Time(now)),
                Duration::from_millis(wait),
                "{looked} {now}"
            );
        }
    }
}
