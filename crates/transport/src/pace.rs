//! Limits the points per minute, because GitHub counts points for its secondary rate limits. A read
//! costs 1 point, and a write costs 5 points.
//!
//! <https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits>

use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::time::Duration;

use beadle_engine::{Clock, Lane, Time};

use crate::sharing::LOOK;

/// How long a sweep's request may wait for points. If the request has to wait longer, it gets an
/// error.
const PATIENCE: Duration = Duration::from_secs(2);

/// Limits the number of points within every period of the length `window`.
#[derive(Debug)]
pub(crate) struct Pace {
    window: Duration,
    points: u32,
    spent: Mutex<Spent>,
}

#[derive(Debug)]
struct Spent {
    own: VecDeque<(Time, u32)>,
    /// The number of processes that share the points.
    processes: u32,
    /// The points that the other processes used within the period, according to their last reports.
    others: u32,
    /// True if `processes` is a cautious estimate. The next read of the other processes' reports
    /// corrects the estimate.
    guessed: bool,
}

impl Pace {
    pub(crate) fn new(window: Duration, points: u32) -> Self {
        let spent = Spent { own: VecDeque::new(), processes: 1, others: 0, guessed: false };
        Self { window, points, spent: Mutex::new(spent) }
    }

    fn spent(&self) -> MutexGuard<'_, Spent> {
        self.spent.lock()
    }

    /// Returns the points that this process used within the period that ends now.
    pub(crate) fn own(&self, now: Time) -> u32 {
        let spent = self.spent();
        spent.own.iter().filter(|(at, _)| *at + self.window > now).map(|(_, points)| points).sum()
    }

    /// Sets how many processes use the credential, and how many points the other processes have
    /// used within the period. `guessed` means that the number of processes is only an estimate.
    pub(crate) fn share(&self, processes: u32, others: u32, guessed: bool) {
        let mut spent = self.spent();
        (spent.processes, spent.others, spent.guessed) = (processes.max(1), others, guessed);
    }

    /// Sleeps until `at`. If a sweep would have to sleep for a long time, the function immediately
    /// returns `at` as the error. So the sweep does not block other requests.
    pub(crate) async fn wait(&self, at: Time, lane: Lane, clock: &Clock) -> Result<(), Time> {
        if lane == Lane::Sweep && at.since(clock.now()) > PATIENCE {
            return Err(at);
        }
        clock.sleep_until(at).await;
        Ok(())
    }

    /// Moves points that were taken at `taken` to the time of the answer. The vendor counts a
    /// request when it arrives. On a busy machine, the request can arrive much later than `taken`,
    /// but not later than the answer.
    pub(crate) fn answered(&self, points: u32, taken: Time, now: Time) {
        let own = &mut self.spent().own;
        if let Some(at) = own.iter().position(|entry| *entry == (taken, points)) {
            own.remove(at);
            own.push_back((now, points));
        }
    }

    /// Takes points and returns `None`. If there are not enough points, returns the time of the
    /// next try. Sweeps leave a fifth of all points for other work.
    pub(crate) fn try_take(&self, points: u32, lane: Lane, now: Time) -> Option<Time> {
        let mut spent = self.spent();
        let Spent { own, processes, others, guessed } = &mut *spent;
        // If the clock was set back, earlier points have a time in the future. The function treats
        // them as used now.
        for (at, _) in own.iter_mut() {
            *at = (*at).min(now);
        }
        while own.front().is_some_and(|(at, _)| *at + self.window <= now) {
            own.pop_front();
        }
        let all = if lane == Lane::Sweep { self.points / 5 * 4 } else { self.points };
        // This process may use its equal share, but no more points than the other processes have
        // left unused. Before this process started, the other processes might have used more than
        // their shares.
        let limit = (all / *processes).max(points).min(all.saturating_sub(*others));
        let total: u32 = own.iter().map(|(_, points)| points).sum();
        if total + points <= limit || (own.is_empty() && *processes == 1) {
            own.push_back((now, points));
            return None;
        }
        if points > limit || own.is_empty() {
            // The other processes have used all points. This process waits until some of these
            // points are older than the period.
            return Some(now + self.window / 10);
        }
        let mut excess = (total + points).saturating_sub(limit);
        let frees = own.iter().find(|(_, points)| {
            excess = excess.saturating_sub(*points);
            excess == 0
        });
        let frees = frees.map_or(now, |(at, _)| *at + self.window);
        // If the number of processes is an estimate, the request tries again after the next read of
        // the reports. At that time, more points might be free.
        let frees = if *guessed { frees.min(now + LOOK) } else { frees };
        Some(frees.max(now + Duration::from_millis(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_divide_the_window_and_heed_what_was_spent_before() {
        let pace = Pace::new(Duration::from_secs(60), 10);
        pace.share(2, 8, false);
        assert_eq!(pace.try_take(1, Lane::Event, Time(0)), None);
        assert_eq!(pace.try_take(1, Lane::Event, Time(1)), None);
        assert_eq!(pace.try_take(1, Lane::Event, Time(2)), Some(Time(60_000)), "eight and two are ten");
        pace.share(2, 10, false);
        assert_eq!(pace.try_take(5, Lane::Event, Time(2)), Some(Time(6_002)), "nothing is left");
        pace.share(2, 0, false);
        for n in 3..6 {
            assert_eq!(pace.try_take(1, Lane::Event, Time(n)), None);
        }
        assert_eq!(pace.try_take(1, Lane::Event, Time(7)), Some(Time(60_000)), "a half is five");
        assert_eq!(pace.own(Time(7)), 5);
    }

    #[test]
    fn a_request_counts_from_its_answer_on() {
        let pace = Pace::new(Duration::from_secs(60), 10);
        assert_eq!(pace.try_take(5, Lane::Event, Time(0)), None);
        assert_eq!(pace.try_take(5, Lane::Event, Time(0)), None);
        pace.answered(5, Time(0), Time(2_000));
        // One request has no answer yet, and the vendor might have counted this request at time 0.
        assert_eq!(pace.try_take(5, Lane::Event, Time(2_000)), Some(Time(60_000)));
        pace.answered(5, Time(0), Time(3_000));
        assert_eq!(pace.try_take(5, Lane::Event, Time(60_000)), Some(Time(62_000)));
        assert_eq!(pace.own(Time(60_000)), 10);
    }

    #[test]
    fn one_process_uses_all_of_the_window_before_it_waits_for_its_end() {
        let pace = Pace::new(Duration::from_secs(60), 100);
        // No other process uses the credential, but the estimate includes a process that might just
        // be starting.
        pace.share(2, 0, true);
        for n in 0..40 {
            assert_eq!(pace.try_take(1, Lane::Sweep, Time(n)), None);
        }
        assert_eq!(pace.try_take(1, Lane::Sweep, Time(40)), Some(Time(1040)), "until the next look");
        pace.share(1, 0, false);
        for n in 0..40 {
            assert_eq!(pace.try_take(1, Lane::Sweep, Time(1040 + n)), None);
        }
        assert_eq!(pace.try_take(1, Lane::Sweep, Time(1080)), Some(Time(60_000)));
    }

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
