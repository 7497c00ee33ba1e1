//! Limits numbers in a time window: the number of all sign-ins, and the number of each person's
//! requests.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use beadle_engine::Time;
use parking_lot::Mutex;

/// Admits a limited number of sign-ins or requests in each time window.
pub(super) struct Limit {
    most: usize,
    window: Duration,
    admitted: Mutex<VecDeque<Time>>,
}

impl Limit {
    pub(super) fn new(most: usize, window: Duration) -> Self {
        Self { most, window, admitted: Mutex::default() }
    }

    /// Returns whether the limit admits one more sign-in or request now. Counts each admitted
    /// sign-in or request.
    pub(super) fn admits(&self, now: Time) -> bool {
        let mut admitted = self.admitted.lock();
        admitted.retain(|at| now.since(*at) < self.window);
        let is_free = admitted.len() < self.most;
        if is_free {
            admitted.push_back(now);
        }
        is_free
    }

    /// Returns whether the limit admitted something in the latest time window.
    fn is_used(&self, now: Time) -> bool {
        self.admitted.lock().iter().any(|at| now.since(*at) < self.window)
    }
}

/// Admits a limited number of requests in each time window, for each person separately.
pub(super) struct PersonLimit {
    most: usize,
    window: Duration,
    people: Mutex<BTreeMap<String, Limit>>,
}

impl PersonLimit {
    pub(super) fn new(most: usize, window: Duration) -> Self {
        Self { most, window, people: Mutex::default() }
    }

    /// Returns whether a person is allowed to send one more request now. Counts each admitted
    /// request.
    pub(super) fn admits(&self, person: &str, now: Time) -> bool {
        let mut people = self.people.lock();
        people.retain(|_, limit| limit.is_used(now));
        let limit = people.entry(person.to_owned()).or_insert_with(|| Limit::new(self.most, self.window));
        limit.admits(now)
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

    #[test]
    fn a_person_who_asks_too_often_does_not_stop_the_others() {
        let limit = PersonLimit::new(2, Duration::from_secs(60));
        let admits = |person: &str| limit.admits(person, Time(5));
        assert_eq!([admits("7"), admits("7"), admits("7"), admits("8")], [true, true, false, true]);
        assert!(limit.admits("7", Time(60_005)));
        assert_eq!(limit.people.lock().len(), 1, "only people of the last window stay in memory");
    }
}
