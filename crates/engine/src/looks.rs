//! How often a worker looks at the queue while its bell rings.

use std::time::Duration;

use crate::clock::Time;

/// The minimum time from one look at the queue to the next, if the bell is the reason of the next
/// one. Under load, the bell rings with each webhook, and a look costs more than a webhook. A key of
/// an event waits longer for the end of its debounce.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Returns how long a worker waits after the bell has rung. It looked at the queue at `looked`.
pub(crate) fn wait_after_ring(looked: Time, now: Time) -> Duration {
    // If the clock was set back, the worker does not wait for it.
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
