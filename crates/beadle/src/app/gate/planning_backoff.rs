//! Computes how long a generation of a policy waits after a failed attempt to plan the generation.

use std::time::Duration;

use beadle_engine::{Failure, Time};

/// The time between the first failed attempt and the second one. The time doubles with each
/// failure. An attempt can read the whole organisation, and uses the same budget as the runs for
/// keys.
const SHORTEST: Duration = Duration::from_secs(30);
/// The longest time between two attempts.
const LONGEST: Duration = Duration::from_secs(600);

/// The last failed attempt to plan a generation.
pub(crate) struct PlanningBackoff {
    generation: String,
    at: Time,
    failure: Failure,
    /// The number of failed attempts in succession.
    attempts: u32,
}

impl PlanningBackoff {
    /// Records that an attempt failed. `before` is the previous attempt.
    pub(crate) fn after(before: Option<Self>, generation: String, at: Time, failure: Failure) -> Self {
        let same = before.filter(|before| before.generation == generation);
        let attempts = same.map_or(1, |same| same.attempts.saturating_add(1));
        Self { generation, at, failure, attempts }
    }

    /// Returns a failure if Beadle must wait longer before the next attempt to plan this
    /// generation.
    pub(crate) fn failure(&self, generation: &str, now: Time) -> Option<Failure> {
        let doubled = SHORTEST * 2_u32.saturating_pow((self.attempts - 1).min(10));
        let is_recent = self.at <= now && now.since(self.at) < doubled.min(LONGEST);
        (self.generation == generation && is_recent).then(|| self.failure.clone())
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::Class;

    use super::*;

    #[test]
    fn the_wait_doubles_until_the_generation_changes() {
        let mut wait = None;
        let failure = || Failure::new(Class::Retry, "502");
        for seconds in [30, 60, 120, 240, 480, 600, 600] {
            let failed = PlanningBackoff::after(wait, "g1".into(), Time(0), failure());
            let at = |seconds: i64| Time(seconds * 1000);
            assert!(failed.failure("g1", at(seconds - 1)).is_some(), "{seconds}");
            assert!(failed.failure("g1", at(seconds)).is_none(), "{seconds}");
            assert!(failed.failure("g2", at(1)).is_none());
            wait = Some(failed);
        }
        let other = PlanningBackoff::after(wait, "g2".into(), Time(0), failure());
        assert!(other.failure("g2", Time(29_999)).is_some() && other.failure("g2", Time(30_000)).is_none());
    }
}
