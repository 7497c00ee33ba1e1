//! The queue's protocol, as pure functions over one row a key. A store loads a row, calls one of these, and writes it
//! back in the same transaction; so every store keeps the same promises.
//!
//! Two clocks hold a key back: `run_at` is debounce and error backoff, which a new mark may pull forward;
//! `not_before` is a vendor's rate-limit hold, which it may not (unless the hold spares event work).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::backoff::backoff;
use crate::clock::Time;
use crate::delivery::Mark;
use crate::key::{Key, Lane};

/// Why a key was set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParkReason {
    /// It failed too often. A new event revives it; a sweep gives it a single try.
    Failed,
    /// An operator or the guard set it aside. An operator revives it.
    Held,
}

impl ParkReason {
    /// As stored and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Held => "held",
        }
    }
}

/// A key set aside, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// The kind of park.
    pub reason: ParkReason,
    /// What happened, for the operator.
    pub why: String,
    /// Since when.
    pub since: Time,
}

/// One key of the queue. `wanted > done` means that it is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// What is worked on.
    pub key: Key,
    /// The most urgent lane among the marks not yet worked off.
    pub lane: Lane,
    /// Raised by every mark.
    pub wanted: u64,
    /// The marks that a completed run covers.
    pub done: u64,
    /// The marks that the run under way covers.
    pub claimed: u64,
    /// Not before this: debounce and error backoff.
    pub run_at: Time,
    /// Not before this: a vendor's hold.
    pub not_before: Time,
    /// Whether event and manual marks may ignore `not_before`.
    pub spares_events: bool,
    /// When it became due.
    pub first_dirty: Time,
    /// Claims since the last success, counted when they begin.
    pub attempts: u32,
    /// Raised by every claim; a finisher with an older one is late.
    pub epoch: u64,
    /// Until when the current claim holds, if there is one.
    pub lease_until: Option<Time>,
    /// Set aside.
    pub parked: Option<Parked>,
    /// The vendor's faster name for it.
    pub hint: Option<String>,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// The right to work on a key, until `until` and as long as nobody claimed it after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The key.
    pub key: Key,
    /// The claim's epoch.
    pub epoch: u64,
    /// When it ends, unless renewed.
    pub until: Time,
}

/// A key claimed for a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The right to work on it.
    pub lease: Lease,
    /// Why it is due. For budgets and the journal only; it never reaches a planner.
    pub lane: Lane,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// Since when it is due. For the journal only.
    pub since: Time,
    /// The vendor's faster name for it.
    pub hint: Option<String>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is left to do.
    Done,
    /// It failed, and may succeed later.
    Retry(String),
    /// A budget is used up.
    RateLimited {
        /// Until when.
        until: Time,
        /// Whether event and manual work may go on meanwhile.
        spares_events: bool,
        /// Which budget.
        why: String,
    },
    /// It is not to be tried again by itself.
    Park(ParkReason, String),
    /// The worker stops: somebody else may take it at once.
    HandBack,
}

/// How long the queue waits for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long an event waits for more of its kind.
    pub debounce: Duration,
    /// The most that a busy key is made to wait, from its first mark.
    pub ceiling: Duration,
    /// How long a lease holds without a heartbeat.
    pub lease: Duration,
    /// The first wait after a failure.
    pub backoff: Duration,
    /// The longest wait after a failure.
    pub backoff_cap: Duration,
    /// How many claims without success park a key.
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
            // The waits between them are over an hour: a vendor's outage of that length sets nothing aside.
            max_attempts: 14,
        }
    }
}

/// No vendor's hold is longer.
pub const LONGEST_HOLD: Duration = Duration::from_secs(24 * 3600);

/// How many of `limit` keys are claimed by age alone: an eighth.
pub fn oldest_share(limit: usize, now: Time) -> usize {
    // A claim of a single key has no eighth: every eighth such claim has.
    limit / 8 + usize::from(limit < 8 && now.0.rem_euclid(8) == 0)
}

impl Row {
    /// A key that nobody has marked yet.
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

    /// Whether a mark is not yet worked off.
    pub fn is_pending(&self) -> bool {
        self.wanted > self.done
    }

    /// When it can be claimed, if nothing else happens; `None` when nothing is to be done.
    pub fn due_at(&self) -> Option<Time> {
        if !self.is_pending() || self.parked.is_some() {
            return None;
        }
        let held = if self.spares_events && self.lane < Lane::Sweep { Time(0) } else { self.not_before };
        let leased = self.lease_until.unwrap_or(Time(0));
        Some(self.run_at.max(held).max(leased))
    }

    /// Whether a mark of `at` or before is not yet worked off.
    pub fn waits_since(&self, at: Time) -> bool {
        self.due_at().is_some() && self.first_dirty <= at
    }

    /// When somebody who waits for messages has to be told of it, after it was like `before`: it can be claimed earlier than
    /// that, or in a more urgent lane, or a run of it ended and left it due. `None`: there is nothing to tell; while it is
    /// worked on, its end will.
    pub fn wakes(&self, before: &Self, now: Time) -> Option<Time> {
        let at = self.due_at()?;
        let is_leased = self.lease_until.is_some_and(|until| until > now);
        // Nobody was told of the end of a lease.
        let was = before.due_at().filter(|_| before.lease_until.is_none());
        let is_news = was.is_none_or(|was| at < was) || self.lane < before.lane;
        (is_news && !is_leased).then_some(at)
    }

    /// Its place among the keys that are due: smaller goes first. Lanes go strictly before each other; so that no key
    /// starves, a store gives a share of every claim to whoever waited longest ([`oldest_share`]).
    pub fn rank(&self) -> i64 {
        const LANE: i64 = 1_000_000_000_000_000; // beyond every time in milliseconds
        self.lane as i64 * LANE + self.first_dirty.0
    }

    /// Takes back waits that only a clock that was ahead can have written.
    pub fn clamp(&mut self, now: Time, timing: &Timing) {
        self.run_at = self.run_at.min(now + timing.backoff_cap);
        self.not_before = self.not_before.min(now + LONGEST_HOLD);
        self.lease_until = self.lease_until.map(|until| until.min(now + timing.lease));
    }

    /// Makes it due.
    pub fn mark(&mut self, mark: &Mark, now: Time, timing: &Timing) {
        let running = self.lease_until.is_some();
        // Marks that the run under way covers are as good as worked off: what comes now is a new wait.
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
            // An event pulls an error backoff forward; a sweep waits for it.
            self.run_at = at;
        }
        if mark.lane < Lane::Sweep {
            // It deserves tries of its own, also where those before it were used up but not yet noticed.
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

    /// Claims it, when it is due. A key that was claimed too often without success (its run may kill the process) is
    /// parked instead.
    pub fn claim(&mut self, now: Time, timing: &Timing) -> Option<Claim> {
        // A hold from an earlier version, or from a clock that was ahead, is no longer than a
        // vendor's hold may be.
        self.not_before = self.not_before.min(now + LONGEST_HOLD);
        if self.due_at().is_none_or(|due| due > now) {
            return None;
        }
        if self.attempts >= timing.max_attempts {
            let why = self.last_error.take().unwrap_or_else(|| {
                "every run of it ended without a result; look in the log for what stopped the process".into()
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

    /// Whether `lease` still holds at `now`.
    pub fn holds(&self, lease: &Lease, now: Time) -> bool {
        self.epoch == lease.epoch && self.lease_until.is_some_and(|until| until > now)
    }

    /// Renews a lease. A lease that ran out is renewed too, as long as nobody claimed the key meanwhile.
    pub fn renew(&mut self, lease: &Lease, now: Time, timing: &Timing) -> Option<Time> {
        if self.epoch != lease.epoch || self.lease_until.is_none() {
            return None;
        }
        let until = now + timing.lease;
        self.lease_until = Some(until);
        Some(until)
    }

    /// Ends a run. A late finisher (somebody else claimed the key meanwhile) changes nothing and gets `false`.
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
                    // The new mark deserves its own tries.
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

    /// Sets it aside.
    pub fn park(&mut self, reason: ParkReason, why: String, now: Time) {
        self.parked = Some(Parked { reason, why, since: now });
    }
}

#[cfg(test)]
mod tests;
