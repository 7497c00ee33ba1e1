//! Limits how many checks run at the same time, so that slow checks delay no other work.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Clock, Failure, Lane, waits_for_turn};
use parking_lot::Mutex;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// The maximum number of checks of one organisation that run at the same time. The worker can run
/// more keys at the same time. The organisation needs the remaining places for its other keys.
const CHECKS: usize = 8;
/// The maximum number of checks that run at the same time only because of a new policy. A check
/// that runs because of a new policy also counts against `CHECKS`. After a new policy, all open
/// pull requests become due at the same time. Some turns must stay free for pull requests that have
/// a new event.
const REPEATED: usize = 2;
/// The time that a check waits before it asks for a turn again.
const AGAIN: Duration = Duration::from_secs(2);
/// The time that a check waits if it runs only because of a new policy. Up to 200 of these checks
/// can wait, and each attempt writes to the store.
const REPEATED_AGAIN: Duration = Duration::from_secs(30);
/// The number of policies that the process checks at the same time. Each check needs a thread, and
/// Beadle cannot end a thread.
const THREADS: usize = 4;

/// The limit on the checks of one organisation that run at the same time. Each running check has
/// one turn.
pub(crate) struct CheckTurns {
    free: Semaphore,
    /// The turns for checks in the lane `sweep`. Each of these checks also needs a turn from
    /// `free`.
    repeated: Semaphore,
    clock: Clock,
}

/// The right to check one pull request. The right ends when the value is dropped.
#[derive(Debug)]
pub(super) struct CheckTurn<'a> {
    _repeated: Option<SemaphorePermit<'a>>,
    _turn: SemaphorePermit<'a>,
}

impl CheckTurns {
    /// Creates the limit of an organisation.
    pub(crate) fn new(clock: Clock) -> Self {
        Self { free: Semaphore::new(CHECKS), repeated: Semaphore::new(REPEATED), clock }
    }

    /// Takes a turn. The turn ends when the result is dropped. If all turns of this lane are taken,
    /// returns a failure. The key then waits in the queue, so the worker can run other keys. If a
    /// key in the lane `sweep` waits, an event ends this wait.
    pub(super) fn take(&self, lane: Lane) -> Result<CheckTurn<'_>, Failure> {
        let is_repeated = lane == Lane::Sweep;
        let wait = if is_repeated { REPEATED_AGAIN } else { AGAIN };
        let waits = |_| waits_for_turn(self.clock.now() + wait, is_repeated);
        let repeated = is_repeated.then(|| self.repeated.try_acquire()).transpose().map_err(waits)?;
        let turn = self.free.try_acquire().map_err(waits)?;
        Ok(CheckTurn { _repeated: repeated, _turn: turn })
    }
}

/// The limit on the threads that check policies. Each pull request has at most one thread. Without
/// this limit, a stranger could push many policies that need long checks. Each push would then use
/// one more thread.
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
            // If nobody uses a turn, the only reference to this turn is in this list.
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
        let take = |lane| turns.take(lane).map_err(|failure| failure.class);
        let mut taken: Vec<_> = (0..CHECKS).map(|_| take(Lane::Event).unwrap()).collect();
        let class = take(Lane::Event).unwrap_err();
        assert!(matches!(class, Class::RateLimited { until, .. } if until > Time(1_000)));
        assert!(take(Lane::Sweep).is_err());
        taken.pop();
        assert!(take(Lane::Event).is_ok());
    }

    #[tokio::test]
    async fn the_checks_for_a_new_policy_leave_turns_for_events() {
        let turns = CheckTurns::new(Clock::simulated(Time(1_000)));
        let take = |lane| turns.take(lane).map_err(|failure| failure.class);
        let mut taken: Vec<_> = (0..REPEATED).map(|_| take(Lane::Sweep).unwrap()).collect();
        let class = take(Lane::Sweep).unwrap_err();
        let Class::RateLimited { until, spares_events: true } = class else { panic!("{class:?}") };
        assert!(until >= Time(31_000), "the others do not ask all the time");
        taken.extend((0..CHECKS - REPEATED).map(|_| take(Lane::Event).unwrap()));
        assert!(take(Lane::Event).is_err());
        drop(taken);
        assert!(take(Lane::Sweep).is_ok());
    }
}
