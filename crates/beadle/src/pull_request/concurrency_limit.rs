//! Limits how many checks run at the same time, so that slow checks delay no other work.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Clock, Failure, waits_for_turn};
use parking_lot::Mutex;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// The number of checks of one organisation that run at the same time. The worker has more places.
/// The other keys of the organisation need these places.
const CHECKS: usize = 8;
/// How long a check waits before it asks for a turn again.
const AGAIN: Duration = Duration::from_secs(2);
/// The number of policies that the process checks at the same time. Each check needs a thread, and
/// Beadle cannot end a thread.
const THREADS: usize = 4;

/// The limit on the checks of one organisation that run at the same time. Each running check has
/// one turn.
pub(crate) struct CheckTurns {
    free: Semaphore,
    clock: Clock,
}

impl CheckTurns {
    /// Creates the limit of an organisation.
    pub(crate) fn new(clock: Clock) -> Self {
        Self { free: Semaphore::new(CHECKS), clock }
    }

    /// Takes a turn until the result is dropped. If all turns are taken, returns a failure. The key
    /// then waits in the queue and occupies no place of the worker.
    pub(super) fn take(&self) -> Result<SemaphorePermit<'_>, Failure> {
        self.free.try_acquire().map_err(|_| waits_for_turn(self.clock.now() + AGAIN, false))
    }
}

/// The limit on the threads that check policies. Each pull request has at most one thread. Without
/// this limit, a stranger could push many policies that take long to check, and each push would
/// take one more thread.
pub(super) struct ParseTurns {
    all: Arc<Semaphore>,
    /// The turn of each pull request that Beadle checks now.
    of: Mutex<BTreeMap<String, Arc<Semaphore>>>,
}

/// The right to check one policy. The right ends when the value is dropped.
#[derive(Debug)]
pub(super) struct ParseTurn {
    _own: OwnedSemaphorePermit,
    _thread: OwnedSemaphorePermit,
}

impl Default for ParseTurns {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(THREADS)), of: Mutex::default() }
    }
}

impl ParseTurns {
    /// Waits for the turn of the pull request with this key.
    pub(super) async fn take(&self, key: &str) -> Result<ParseTurn, AcquireError> {
        let own = {
            let mut of = self.of.lock();
            // If nobody has a turn, only this list refers to the turn.
            of.retain(|_, turn| Arc::strong_count(turn) > 1);
            of.entry(key.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(1))).clone()
        };
        let own = own.acquire_owned().await?;
        let thread = self.all.clone().acquire_owned().await?;
        Ok(ParseTurn { _own: own, _thread: thread })
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Class, Time};
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_slow_policy_delays_only_its_own_pull_request() {
        let turns = ParseTurns::default();
        let slow = turns.take("acme:5/7").await.unwrap();
        assert!(turns.take("acme:5/7").now_or_never().is_none(), "it has one thread");
        let other = turns.take("acme:5/8").now_or_never();
        assert!(other.is_some_and(|turn| turn.is_ok()), "another pull request does not wait");
        drop(slow);
        assert!(turns.take("acme:5/7").now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_check_without_a_turn_waits_in_the_queue() {
        let turns = CheckTurns::new(Clock::simulated(Time(1_000)));
        let mut taken: Vec<_> = (0..CHECKS).map(|_| turns.take().unwrap()).collect();
        let failure = turns.take().map(drop).unwrap_err();
        assert!(matches!(failure.class, Class::RateLimited { until, .. } if until > Time(1_000)));
        taken.pop();
        assert!(turns.take().is_ok());
    }
}
