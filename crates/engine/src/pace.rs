//! Spreads bulk writes over time. A sweep with many writes pauses between the writes, so that it
//! does not overload the vendor. While a run waits for its turn to write, its worker does other
//! work. Beadle sends a write for an event immediately.

use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Time};
use crate::key::{Key, Lane};

/// How long a run may sleep until its turn. A run with a longer wait goes back to the queue.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a booked turn is remembered if its run does not come back.
const FORGOTTEN: Duration = Duration::from_secs(3600);

#[derive(Debug, Default)]
struct State {
    /// The earliest time that no run has booked.
    next: Time,
    /// The time of the last bulk write.
    last: Time,
    /// The booked turn of each waiting key.
    booked: HashMap<Key, Time>,
    /// The number of processes that write with the same credential. The more processes there are,
    /// the more slowly each process writes.
    sharing: u32,
}

/// The schedule of the bulk writes with one credential.
#[derive(Clone, Debug)]
pub struct WritePace {
    every: Duration,
    state: Arc<Mutex<State>>,
}

impl WritePace {
    /// Creates a schedule with one bulk write in each period of `every`. Zero means that bulk
    /// writes do not wait.
    pub fn new(every: Duration) -> Self {
        Self { every, state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Sets the number of processes that write with the same credential.
    pub fn share(&self, processes: u32) {
        self.state().sharing = processes;
    }

    fn step(&self, state: &State) -> Duration {
        self.every * state.sharing.max(1)
    }

    /// Books turns for all writes of a run of `key`. If the turn is far away, the error contains
    /// the time of the turn. The turn stays booked until that time, and the run must then come
    /// back.
    pub fn book(&self, key: &Key, writes: usize, lane: Lane, now: Time) -> Result<(), Time> {
        let mut state = self.state();
        if lane == Lane::Event || writes == 0 || self.every.is_zero() {
            state.booked.remove(key);
            return Ok(());
        }
        state.booked.retain(|_, at| *at + FORGOTTEN > now);
        if let Some(&at) = state.booked.get(key) {
            if at > now {
                return Err(at);
            }
            state.booked.remove(key);
            return Ok(());
        }
        // The turn is at the earliest time that no run has booked, but never in the past.
        let at = state.next.max(now);
        let writes = u32::try_from(writes).unwrap_or(u32::MAX);
        state.next = at + self.step(&state).saturating_mul(writes);
        if at.since(now) <= PATIENCE || lane == Lane::Manual {
            return Ok(());
        }
        state.booked.insert(key.clone(), at);
        Err(at)
    }

    /// Ends a run. If no key waits for a booked turn, the unused turns of the run become free.
    pub fn settle(&self, now: Time) {
        let mut state = self.state();
        if state.booked.is_empty() {
            state.next = (state.last + self.step(&state)).max(now);
        }
    }

    /// Waits until the next bulk write may be sent. Writes for events do not wait.
    pub async fn turn(&self, lane: Lane, clock: &Clock) {
        if lane == Lane::Event || self.every.is_zero() {
            return;
        }
        let at = {
            let mut state = self.state();
            let step = self.step(&state);
            let now = clock.now();
            let at = if state.last > now + FORGOTTEN { now } else { (state.last + step).max(now) };
            state.last = at;
            at
        };
        clock.sleep_until(at).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> Key {
        Key::new("repository", "acme", n)
    }

    #[test]
    fn a_turn_is_kept_until_it_comes() {
        let pace = WritePace::new(Duration::from_secs(1));
        assert_eq!(pace.book(&key(1), 10, Lane::Sweep, Time(0)), Ok(()));
        assert_eq!(pace.book(&key(2), 5, Lane::Sweep, Time(0)), Err(Time(10_000)));
        assert_eq!(pace.book(&key(3), 5, Lane::Sweep, Time(0)), Err(Time(15_000)));
        assert_eq!(pace.book(&key(2), 5, Lane::Sweep, Time(9_000)), Err(Time(10_000)), "asked too early");
        assert_eq!(pace.book(&key(2), 5, Lane::Sweep, Time(10_000)), Ok(()));
        assert_eq!(pace.book(&key(4), 1, Lane::Event, Time(10_000)), Ok(()), "an event waits for nobody");
        assert_eq!(
            pace.book(&key(3), 1, Lane::Event, Time(10_000)),
            Ok(()),
            "nor does one whose turn was booked"
        );
        pace.settle(Time(10_000));
        assert_eq!(
            pace.book(&key(5), 1, Lane::Sweep, Time(10_000)),
            Ok(()),
            "what nobody used is free again"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn bulk_writes_are_a_second_apart_and_events_are_not() {
        let clock = Clock::simulated(Time(1_000_000));
        let pace = WritePace::new(Duration::from_secs(1));
        let start = clock.now();
        for _ in 0..4 {
            pace.turn(Lane::Sweep, &clock).await;
        }
        assert_eq!(clock.now().since(start), Duration::from_secs(3));
        for _ in 0..100 {
            pace.turn(Lane::Event, &clock).await;
        }
        assert_eq!(clock.now().since(start), Duration::from_secs(3));
        pace.share(2);
        pace.turn(Lane::Sweep, &clock).await;
        assert_eq!(clock.now().since(start), Duration::from_secs(5), "two processes take turns");
    }
}
