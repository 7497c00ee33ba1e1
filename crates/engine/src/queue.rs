//! The rules of the queue, as pure functions over the row of one key. A store loads the row, calls
//! a function, and writes the row back in the same transaction. All stores therefore behave in the
//! same way.
//!
//! Two times delay a key. `run_at` is the end of the debounce or of the wait after an error. A new
//! mark can make `run_at` earlier. `not_before` is the end of a vendor's rate limit. A new mark
//! cannot make `not_before` earlier. If only sweeps have to wait for the rate limit, work for
//! events and operators may ignore `not_before`.

mod ahead;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::backoff::backoff;
use crate::clock::Time;
use crate::delivery::Mark;
use crate::hint::merged_hint;
use crate::key::{Key, Lane};
use crate::trace::TraceContext;

pub use self::ahead::CLOCK_SKEW;

/// The reason why a key is parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", from = "String")]
pub enum ParkReason {
    /// The key failed too often. A new event makes the key due again, and a sweep gives it one try.
    Failed,
    /// An operator or the guard parked the key. Only an operator can make the key due again.
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

impl From<String> for ParkReason {
    fn from(name: String) -> Self {
        // A newer version can park a key for a reason that this version does not know. Then only an
        // operator may make the key due again.
        if name == Self::Failed.as_str() { Self::Failed } else { Self::Held }
    }
}

/// Why and since when a key is parked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredParked", into = "StoredParked")]
pub struct Parked {
    /// The reason, which decides what makes the key due again.
    pub reason: ParkReason,
    /// A description of the problem, for the operator.
    pub why: String,
    /// The time when the key was parked.
    pub since: Time,
    /// The reason and the further fields that only a newer version knows. When a store marks the
    /// key, the store writes the reason and the fields back.
    newer: (Option<String>, Map<String, Value>),
}

/// [`Parked`] in its stored form.
#[derive(Serialize, Deserialize)]
struct StoredParked {
    reason: String,
    why: String,
    since: Time,
    #[serde(flatten)]
    further: Map<String, Value>,
}

impl Parked {
    /// Creates the record of a key that is parked since `since`.
    pub fn new(reason: ParkReason, why: String, since: Time) -> Self {
        Self { reason, why, since, newer: (None, Map::new()) }
    }
}

impl From<StoredParked> for Parked {
    fn from(stored: StoredParked) -> Self {
        let StoredParked { reason: name, why, since, further } = stored;
        let reason = ParkReason::from(name.clone());
        let own = (name != reason.as_str()).then_some(name);
        Self { reason, why, since, newer: (own, further) }
    }
}

impl From<Parked> for StoredParked {
    fn from(parked: Parked) -> Self {
        let Parked { reason, why, since, newer: (own, further) } = parked;
        Self { reason: own.unwrap_or_else(|| reason.as_str().to_owned()), why, since, further }
    }
}

/// The row of one key. The key is due while `wanted` is greater than `done`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The key that the row belongs to.
    pub key: Key,
    /// The most urgent lane of the marks that neither a completed run nor the run in progress
    /// covers.
    pub lane: Lane,
    /// The number of marks since the row was created.
    pub wanted: u64,
    /// The number of marks that completed runs cover.
    pub done: u64,
    /// The number of marks that will be covered when the run in progress has completed.
    pub claimed: u64,
    /// The earliest start after a debounce or an error.
    pub run_at: Time,
    /// The earliest start that a vendor's rate limit allows.
    pub not_before: Time,
    /// True if work for events and operators may ignore `not_before`.
    pub spares_events: bool,
    /// Since when the key has been due.
    pub first_dirty: Time,
    /// The number of claims since the last successful run. A claim is counted when it begins, so
    /// that a run that kills the process is counted too.
    pub attempts: u32,
    /// The number of claims since the row was created. If a worker's claim has a smaller number,
    /// the worker has lost the key.
    pub epoch: u64,
    /// The end of the current lease; `None` if no worker has the key.
    pub lease_until: Option<Time>,
    /// Why the key is parked; `None` if it is not parked.
    pub parked: Option<Parked>,
    /// The vendor's name for the thing. It makes the lookup faster.
    pub hint: Option<String>,
    /// The error of the last run; `None` after a successful run.
    pub last_error: Option<String>,
    /// The span of the newest mark that has a span. The next run of the key belongs to the trace of
    /// this span.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
}

/// The right of one worker to work on a key. The lease is valid until `until`, but only as long as
/// no other worker claims the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The key that the worker may work on.
    pub key: Key,
    /// The number of the claim. It distinguishes the claim from earlier and later claims of the
    /// key.
    pub epoch: u64,
    /// The end of the lease, if the worker does not renew the lease.
    pub until: Time,
}

/// A key that a worker has claimed for a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The right to work on the key until the lease ends.
    pub lease: Lease,
    /// The lane of the due key. The lane affects only budgets and the journal, and a planner never
    /// gets the lane.
    pub lane: Lane,
    /// The number of this try. The first try is 1.
    pub attempt: u32,
    /// The time when the key became due, for the journal.
    pub since: Time,
    /// The vendor's name for the thing. It makes the lookup faster.
    pub hint: Option<String>,
    /// The span that made the key due, if there is one.
    pub trace: Option<TraceContext>,
}

/// How a run ended, which decides what happens to its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The run has nothing left to do.
    Done,
    /// The run failed, and a retry can succeed.
    Retry(String),
    /// A budget is used up, so the key must wait.
    RateLimited {
        /// The time when the key may run again.
        until: Time,
        /// True if only sweeps have to wait, while events and operators may still use the reserve.
        spares_events: bool,
        /// The name of the budget, and the reason for the wait.
        why: String,
    },
    /// Only some kinds of requests have to wait, and the run did everything else. The remaining
    /// work waits in the lane of sweeps, so that it delays no event of the key.
    Deferred {
        /// The time when the remaining work may run.
        until: Time,
        /// The reason for the wait.
        why: String,
    },
    /// A retry cannot succeed without help, so the key is parked.
    Park(ParkReason, String),
    /// The worker stops. Another worker may claim the key immediately.
    HandBack,
}

/// The durations that the queue uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a key waits after an event, so that one run covers several events.
    pub debounce: Duration,
    /// The maximum wait after the first of several events, if new events keep arriving.
    pub ceiling: Duration,
    /// How long a lease is valid if the worker does not renew it.
    pub lease: Duration,
    /// The wait after the first failure of a key.
    pub backoff: Duration,
    /// The maximum wait after repeated failures of a key.
    pub backoff_cap: Duration,
    /// The maximum number of claims without a success. After that, the key is parked.
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
            // The waits between 14 claims add up to more than an hour. A vendor's outage of an hour
            // therefore parks no key.
            max_attempts: 14,
        }
    }
}

/// The longest wait that Beadle accepts for a vendor's rate limit.
pub const LONGEST_HOLD: Duration = Duration::from_secs(24 * 3600);

/// Returns the number of keys that must be claimed by age instead of by lane. It is an eighth of
/// `limit`.
pub fn oldest_share(limit: usize, now: Time) -> usize {
    // An eighth of a small claim is less than one key. Instead, approximately every eighth small
    // claim takes one key by age.
    limit / 8 + usize::from(limit < 8 && now.0.rem_euclid(8) == 0)
}

impl Row {
    /// Creates a row for a key that has no marks yet.
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
            trace: None,
        }
    }

    /// Returns the error of the last run, if an attempt failed. A key that only waits for a budget
    /// has an error too, but none of its attempts failed.
    pub fn failure(&self) -> Option<&str> {
        let failed = self.attempts.saturating_sub(u32::from(self.lease_until.is_some()));
        self.last_error.as_deref().filter(|_| failed > 0)
    }

    /// Returns whether the key is parked, or its last run failed.
    pub fn is_troubled(&self) -> bool {
        self.parked.is_some() || self.failure().is_some()
    }

    /// Returns whether the key has a mark that no completed run covers.
    pub fn is_pending(&self) -> bool {
        self.wanted > self.done
    }

    /// Returns the earliest time when a worker can claim the key, if nothing else happens. `None`
    /// means that no worker can claim it, because the key is not due or is parked.
    pub fn due_at(&self) -> Option<Time> {
        if !self.is_pending() || self.parked.is_some() {
            return None;
        }
        let held = if self.spares_events && self.lane < Lane::Sweep { Time(0) } else { self.not_before };
        let leased = self.lease_until.unwrap_or(Time(0));
        Some(self.run_at.max(held).max(leased))
    }

    /// Returns whether the key waits for a run because of a mark that was made at `at` or earlier.
    pub fn waits_since(&self, at: Time) -> bool {
        self.due_at().is_some() && self.first_dirty <= at
    }

    /// Returns the time when a message must wake a sleeping worker for this row. `before` is the
    /// row before the change. A message is necessary if a worker can claim the key earlier or in a
    /// more urgent lane than before. A message is also necessary if a run ended and the key is
    /// still due. `None` means that no message is necessary. A change during a run causes no
    /// message, because the end of the run causes one.
    pub fn wakes(&self, before: &Self, now: Time) -> Option<Time> {
        let at = self.due_at()?;
        let is_leased = self.lease_until.is_some_and(|until| until > now);
        // While the key had a lease, no message announced the end of the lease.
        let was = before.due_at().filter(|_| before.lease_until.is_none());
        let is_news = was.is_none_or(|was| at < was) || self.lane < before.lane;
        (is_news && !is_leased).then_some(at)
    }

    /// Returns a number that orders the due keys: the key with the smallest number is claimed
    /// first. All keys of a lane come before the keys of the next lane. No key may wait forever, so
    /// stores also claim a share of the keys by age ([`oldest_share`]).
    pub fn rank(&self) -> i64 {
        const LANE: i64 = 1_000_000_000_000_000; // larger than every time in milliseconds
        (self.lane as i64 * LANE).saturating_add(self.first_dirty.0)
    }

    /// Makes the key due because of a mark.
    pub fn mark(&mut self, mark: &Mark, now: Time, timing: &Timing) {
        let running = self.lease_until.is_some();
        // The run in progress covers the earlier marks. If this mark is the first one that the run
        // does not cover, the waiting time of the key begins with this mark.
        let settled = if running { self.wanted <= self.claimed } else { !self.is_pending() };
        let interrupts_urgent = running && self.lane < mark.lane;
        // The run in progress can fail. The next run must then do the work of the failed run too.
        let is_covered = settled && !running;
        // A damaged row can have any number, and the sum must not end the process.
        self.wanted = self.wanted.saturating_add(1);
        self.lane = if settled { mark.lane } else { self.lane.min(mark.lane) };
        if settled {
            self.first_dirty = now;
        }
        let waits = if mark.lane == Lane::Event { timing.debounce } else { Duration::ZERO };
        let latest = self.first_dirty + timing.ceiling;
        let at = (now + waits).min(latest.max(now));
        if settled || mark.lane < Lane::Sweep {
            // An event or an operator shortens the wait after an error. A sweep does not.
            self.run_at = at;
        }
        if mark.lane < Lane::Sweep {
            // The mark gets the full number of tries, even if the earlier marks have used up all
            // tries and the key is not parked yet.
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
        if interrupts_urgent && self.hint != mark.hint {
            // The next run has the lane of this mark. The next run might also have to do the work
            // of the run in progress. A sweep's hint might allow a run to read less than an event
            // needs. The next run therefore has no hint.
            self.hint = None;
        } else {
            self.hint = merged_hint(self.hint.as_deref(), mark.hint.as_deref(), is_covered);
        }
        if settled || mark.trace.is_some() {
            // An earlier run has covered the earlier marks, so this mark must not continue their
            // trace.
            self.trace = mark.trace;
        }
    }

    /// Claims the key if it is due. If the key was claimed too often without a success, the key is
    /// parked instead, because the run of the key might kill the process.
    pub fn claim(&mut self, now: Time, timing: &Timing) -> Option<Claim> {
        // A stored wait can be longer than the longest accepted wait, because of an earlier version
        // or a clock that was ahead.
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
        self.attempts = self.attempts.saturating_add(1);
        self.epoch = self.epoch.saturating_add(1);
        self.lease_until = Some(until);
        Some(Claim {
            lease: Lease { key: self.key.clone(), epoch: self.epoch, until },
            lane: self.lane,
            attempt: self.attempts,
            since: self.first_dirty,
            hint: self.hint.clone(),
            trace: self.trace,
        })
    }

    /// Returns whether the lease is valid at `now`.
    pub fn holds(&self, lease: &Lease, now: Time) -> bool {
        self.epoch == lease.epoch && self.lease_until.is_some_and(|until| until > now)
    }

    /// Renews a lease and returns its new end. An expired lease can be renewed too. If another
    /// worker has claimed the key, the result is `None`.
    pub fn renew(&mut self, lease: &Lease, now: Time, timing: &Timing) -> Option<Time> {
        if self.epoch != lease.epoch || self.lease_until.is_none() {
            return None;
        }
        let until = now + timing.lease;
        self.lease_until = Some(until);
        Some(until)
    }

    /// Records the end of a run. If another worker has claimed the key meanwhile, the function
    /// changes nothing and returns `false`.
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
            Outcome::Deferred { until, why } => {
                self.attempts = self.attempts.saturating_sub(1);
                self.not_before = until.min(now + LONGEST_HOLD);
                self.spares_events = true;
                self.last_error = Some(why);
                if !marked_meanwhile {
                    self.lane = Lane::Sweep;
                }
            }
            Outcome::Retry(why) => {
                self.last_error = Some(why.clone());
                if marked_meanwhile {
                    // The new mark gets the full number of tries.
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

    /// Parks the key, so that no worker claims it.
    pub fn park(&mut self, reason: ParkReason, why: String, now: Time) {
        self.parked = Some(Parked::new(reason, why, now));
    }
}

#[cfg(test)]
mod tests;
