//! The queue's protocol: pure functions over one row a key. A store loads a row, calls one of the
//! functions and writes the row back in the same transaction. So every store keeps the same
//! promises.
//!
//! Two times hold a key back. `run_at` is debounce and error backoff, which a new mark may pull
//! forward. `not_before` is a vendor's rate-limit hold, which a mark may not pull forward, unless
//! the hold spares event work.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::backoff::backoff;
use crate::clock::Time;
use crate::delivery::Mark;
use crate::key::{Key, Lane};

/// The reason why a key is parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParkReason {
    /// The key failed too often. A new event revives it; a sweep gives it one try.
    Failed,
    /// An operator or the guard parked the key. An operator revives it.
    Held,
}

impl ParkReason {
    /// Returns the name that is stored and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Held => "held",
        }
    }
}

/// A park of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// The reason.
    pub reason: ParkReason,
    /// The problem, for the operator.
    pub why: String,
    /// The beginning.
    pub since: Time,
}

/// One key of the queue. `wanted > done` means that it is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The key.
    pub key: Key,
    /// The most urgent lane among the marks that no run covers.
    pub lane: Lane,
    /// The number of marks.
    pub wanted: u64,
    /// The number of marks that a completed run covers.
    pub done: u64,
    /// The number of marks that the run under way covers.
    pub claimed: u64,
    /// The end of debounce and error backoff.
    pub run_at: Time,
    /// The end of a vendor's hold.
    pub not_before: Time,
    /// Whether event and manual marks may ignore `not_before`.
    pub spares_events: bool,
    /// The time at which the key became due.
    pub first_dirty: Time,
    /// The number of claims since the last success, counted when each claim begins.
    pub attempts: u32,
    /// The number of claims. A finisher with an older epoch is late.
    pub epoch: u64,
    /// The end of the current lease, if there is one.
    pub lease_until: Option<Time>,
    /// The park, if the key is parked.
    pub parked: Option<Parked>,
    /// The vendor's name for a faster lookup.
    pub hint: Option<String>,
    /// The last error.
    pub last_error: Option<String>,
}

/// The right to work on a key, until `until` and as long as no other worker claims the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The key.
    pub key: Key,
    /// The claim's epoch.
    pub epoch: u64,
    /// The end, unless the lease is renewed.
    pub until: Time,
}

/// A key claimed for a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The right to work on the key.
    pub lease: Lease,
    /// The reason why the key is due. For budgets and the journal only; it never reaches a planner.
    pub lane: Lane,
    /// The number of this try, from 1.
    pub attempt: u32,
    /// The time at which the key became due. For the journal only.
    pub since: Time,
    /// The vendor's name for a faster lookup.
    pub hint: Option<String>,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is left to do.
    Done,
    /// The run failed, and a retry may succeed.
    Retry(String),
    /// A budget is used up.
    RateLimited {
        /// The end of the wait.
        until: Time,
        /// Whether event and manual work may go on until then.
        spares_events: bool,
        /// The budget.
        why: String,
    },
    /// Beadle does not retry by itself.
    Park(ParkReason, String),
    /// The worker stops: another worker may claim the key at once.
    HandBack,
}

/// The timing of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The time that an event waits for more of its kind.
    pub debounce: Duration,
    /// The longest wait of a busy key, from its first mark.
    pub ceiling: Duration,
    /// The duration of a lease without a heartbeat.
    pub lease: Duration,
    /// The first wait after a failure.
    pub backoff: Duration,
    /// The longest wait after a failure.
    pub backoff_cap: Duration,
    /// The number of claims without success after which a key is parked.
    pub max_attempts: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            debounce: Duration::from_millis(100),
            ceiling: Duration::from_secs(5),
            lease: Duration::from_secs(60),
            backoff: Duration::from_secs(2),
            backoff_cap: Duration::from_secs(900),
            // The waits between the claims add up to more than an hour: a vendor's outage of that
            // length parks nothing.
            max_attempts: 14,
        }
    }
}

/// The longest hold of a vendor.
pub const LONGEST_HOLD: Duration = Duration::from_secs(24 * 3600);

/// Returns the number of keys, of `limit`, that are claimed by age alone: an eighth.
pub fn oldest_share(limit: usize, now: Time) -> usize {
    // A claim of a single key has no eighth, so that every eighth such claim goes by age.
    limit / 8 + usize::from(limit < 8 && now.0.rem_euclid(8) == 0)
}

impl Row {
    /// Creates the row of a key without marks.
    pub fn new(key: Key) -> Self {
        Self {
            key,
            lane: Lane::Sweep,
            wanted: 0,
            done: 0,
            claimed: 0,
            run_at: Time(0),
            not_before: Time(0),
            spares_events: false,
            first_dirty: Time(0),
            attempts: 0,
            epoch: 0,
            lease_until: None,
            parked: None,
            hint: None,
            last_error: None,
        }
    }

    /// Returns whether a mark is not covered by a run.
    pub fn is_pending(&self) -> bool {
        self.wanted > self.done
    }

    /// Returns the time at which the key can be claimed if nothing else happens; `None` if nothing
    /// is due.
    pub fn due_at(&self) -> Option<Time> {
        if !self.is_pending() || self.parked.is_some() {
            return None;
        }
        let held = if self.spares_events && self.lane < Lane::Sweep { Time(0) } else { self.not_before };
        let leased = self.lease_until.unwrap_or(Time(0));
        Some(self.run_at.max(held).max(leased))
    }

    /// Returns whether a mark of `at` or before is not covered by a run.
    pub fn waits_since(&self, at: Time) -> bool {
        self.due_at().is_some() && self.first_dirty <= at
    }

    /// Returns the time for which a sleeping worker needs a message about the row, which was like
    /// `before`. A message is needed if the key can be claimed earlier or in a more urgent lane
    /// than before, or if a run ended and left the key due. `None` means that no message is needed:
    /// while a run is under way, its end causes the message.
    pub fn wakes(&self, before: &Self, now: Time) -> Option<Time> {
        let at = self.due_at()?;
        let is_leased = self.lease_until.is_some_and(|until| until > now);
        // No message announced the end of a lease.
        let was = before.due_at().filter(|_| before.lease_until.is_none());
        let is_news = was.is_none_or(|was| at < was) || self.lane < before.lane;
        (is_news && !is_leased).then_some(at)
    }

    /// Returns the place among the keys that are due: the smallest goes first. Lanes go strictly
    /// before each other. So that no key starves, a store gives a share of every claim to the keys
    /// that waited longest ([`oldest_share`]).
    pub fn rank(&self) -> i64 {
        const LANE: i64 = 1_000_000_000_000_000; // beyond every time in milliseconds
        self.lane as i64 * LANE + self.first_dirty.0
    }

    /// Shortens waits that only a clock that was ahead can have written.
    pub fn clamp(&mut self, now: Time, timing: &Timing) {
        self.run_at = self.run_at.min(now + timing.backoff_cap);
        self.not_before = self.not_before.min(now + LONGEST_HOLD);
        self.lease_until = self.lease_until.map(|until| until.min(now + timing.lease));
    }

    /// Makes the key due.
    pub fn mark(&mut self, mark: &Mark, now: Time, timing: &Timing) {
        let running = self.lease_until.is_some();
        // The run under way covers the earlier marks, so that this mark begins a new wait.
        let settled = if running { self.wanted <= self.claimed } else { !self.is_pending() };
        self.wanted += 1;
        self.lane = if settled { mark.lane } else { self.lane.min(mark.lane) };
        if settled {
            self.first_dirty = now;
        }
        let waits = if mark.lane == Lane::Event { timing.debounce } else { Duration::ZERO };
        let latest = self.first_dirty + timing.ceiling;
        let at = (now + waits).min(latest.max(now));
        if settled || mark.lane < Lane::Sweep {
            // An event pulls an error backoff forward; a sweep waits for the backoff.
            self.run_at = at;
        }
        if mark.lane < Lane::Sweep {
            // The mark gets tries of its own, also if the tries before it were used up and nobody
            // noticed yet.
            self.attempts = 0;
        }
        if let Some(parked) = &self.parked
            && (parked.reason == ParkReason::Failed || mark.lane == Lane::Manual)
        {
            let sweep = mark.lane == Lane::Sweep;
            self.attempts = if sweep { timing.max_attempts.saturating_sub(1) } else { 0 };
            self.parked = None;
            self.run_at = at;
        }
        if mark.hint.is_some() {
            self.hint.clone_from(&mark.hint);
        }
    }

    /// Claims the key if it is due. A key that was claimed too often without success is parked
    /// instead: its run may kill the process.
    pub fn claim(&mut self, now: Time, timing: &Timing) -> Option<Claim> {
        // A hold from an earlier version, or from a clock that was ahead, is no longer than a
        // vendor's hold may be.
        self.not_before = self.not_before.min(now + LONGEST_HOLD);
        if self.due_at().is_none_or(|due| due > now) {
            return None;
        }
        if self.attempts >= timing.max_attempts {
            let why = self.last_error.take().unwrap_or_else(|| {
                "every run ended without a result: the log shows what stopped the process".into()
            });
            self.lease_until = None;
            self.park(ParkReason::Failed, why, now);
            return None;
        }
        let until = now + timing.lease;
        self.claimed = self.wanted;
        self.attempts += 1;
        self.epoch += 1;
        self.lease_until = Some(until);
        Some(Claim {
            lease: Lease { key: self.key.clone(), epoch: self.epoch, until },
            lane: self.lane,
            attempt: self.attempts,
            since: self.first_dirty,
            hint: self.hint.clone(),
        })
    }

    /// Returns whether `lease` holds at `now`.
    pub fn holds(&self, lease: &Lease, now: Time) -> bool {
        self.epoch == lease.epoch && self.lease_until.is_some_and(|until| until > now)
    }

    /// Renews a lease. An expired lease is renewed too, as long as no other worker claimed the key.
    pub fn renew(&mut self, lease: &Lease, now: Time, timing: &Timing) -> Option<Time> {
        if self.epoch != lease.epoch || self.lease_until.is_none() {
            return None;
        }
        let until = now + timing.lease;
        self.lease_until = Some(until);
        Some(until)
    }

    /// Ends a run. If another worker claimed the key, nothing changes and the result is `false`.
    pub fn finish(&mut self, lease: &Lease, outcome: Outcome, now: Time, timing: &Timing) -> bool {
        if self.epoch != lease.epoch || self.lease_until.is_none() {
            return false;
        }
        self.lease_until = None;
        let marked_meanwhile = self.wanted > self.claimed;
        match outcome {
            Outcome::Done => {
                self.done = self.claimed;
                self.attempts = 0;
                self.last_error = None;
            }
            Outcome::HandBack => {
                self.attempts = self.attempts.saturating_sub(1);
                self.run_at = now;
            }
            Outcome::RateLimited { until, spares_events, why } => {
                self.attempts = self.attempts.saturating_sub(1);
                self.not_before = until.min(now + LONGEST_HOLD);
                self.spares_events = spares_events;
                self.last_error = Some(why);
            }
            Outcome::Retry(why) => {
                self.last_error = Some(why.clone());
                if marked_meanwhile {
                    // The new mark gets tries of its own.
                    self.attempts = 0;
                } else if self.attempts >= timing.max_attempts {
                    self.park(ParkReason::Failed, why, now);
                } else {
                    self.run_at =
                        now + backoff(self.key.as_str(), self.attempts, timing.backoff, timing.backoff_cap);
                }
            }
            Outcome::Park(reason, why) => {
                self.last_error = Some(why.clone());
                if reason == ParkReason::Failed && marked_meanwhile {
                    self.attempts = 0;
                } else {
                    self.park(reason, why, now);
                }
            }
        }
        true
    }

    /// Parks the key.
    pub fn park(&mut self, reason: ParkReason, why: String, now: Time) {
        self.parked = Some(Parked { reason, why, since: now });
    }
}

#[cfg(test)]
mod tests;
