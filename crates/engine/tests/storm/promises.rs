//! The promises of the engine, and a witness that checks them. The witness keeps its own small
//! record of the requests to the store and the vendor. It shares no code with the engine's rules.

use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::guard::{Decision, Ruling};
use beadle_engine::{
    Change, Claim, Detail, End, Entry, EntryKind, Hold, Intent, Key, Lease, Mark, Risk, Row, Time, Verdict,
};

use crate::settings::{LIMITS, SHARE, SURE_WINDOW};

/// A promise that must hold in every storm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// The keys of an accepted delivery are due.
    Delivery,
    /// A run covers only the marks that were made before its first read.
    Covered,
    /// Only the holder of the latest claim works on a key, and only while its lease is valid.
    Lease,
    /// Beadle writes nothing for a paused key.
    Pause,
    /// Within a window, removals, weakenings and exposures without an approval stay within the
    /// guard's limits.
    Window,
    /// An approval allows exactly the shown change, and only once.
    Approval,
    /// A held or rejected change is not written.
    Held,
    /// Before each write, the journal has an intent of the write.
    Journal,
    /// Beadle writes nothing that the mode of the policy forbids.
    Mode,
    /// Beadle removes nothing from an aspect that it could not read.
    Doubt,
    /// When the faults have stopped, every key runs once more and becomes as declared.
    Converges,
    /// No part of the engine panics.
    Calm,
}

/// A broken promise, and what happened.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub(crate) promise: Promise,
    pub(crate) what: String,
}

impl Broken {
    /// Returns the report of a panic. The panic itself is in the output of the test.
    pub(crate) fn of_panic() -> Self {
        Self { promise: Promise::Calm, what: "the simulation panicked, see above".to_owned() }
    }
}

/// What the witness knows about a held change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Open,
    Approved,
    /// The write with this intent uses the approval.
    Spent(u64),
    Rejected,
}

/// Why a write was allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    /// The change has no guarded risk and needs no approval.
    Free,
    /// The window had room.
    Window,
    /// An operator approved the change.
    Approval,
}

/// A write with an intent in the journal.
#[derive(Clone, Debug)]
pub(crate) struct Allowed {
    ground: Ground,
    /// The true time when the write began.
    at: Time,
    change: Change<()>,
}

/// A guarded write that took effect at the vendor without an approval.
struct Landed {
    key: Key,
    at: Time,
    change: Change<()>,
}

/// The record of the witness.
#[derive(Default)]
pub(crate) struct Promises {
    pub(crate) broken: Option<Broken>,
    step: u64,
    leases: BTreeMap<Key, (u64, Time)>,
    /// The step of the last mark of each key.
    marked: BTreeMap<Key, u64>,
    /// The step when the run of a claim began to read.
    started: BTreeMap<(Key, u64), u64>,
    /// The step when the last complete run of each key began to read.
    covered: BTreeMap<Key, u64>,
    standings: BTreeMap<String, Standing>,
    /// What the operator saw, for each approved change.
    shown: BTreeMap<String, Change<()>>,
    /// The number of approvals that were not withdrawn, for each change.
    approvals: BTreeMap<String, u32>,
    /// The number of approved writes that took effect, for each change.
    approved_writes: BTreeMap<String, u32>,
    grounds: BTreeMap<String, Vec<Allowed>>,
    landed: Vec<Landed>,
    /// True if one aspect may lose or weaken something in at most [`SHARE`] repositories.
    is_share_limited: bool,
}

impl Promises {
    pub(crate) fn new(is_share_limited: bool) -> Self {
        Self { is_share_limited, ..Self::default() }
    }

    /// Records that a promise is broken. Only the first broken promise counts.
    pub(crate) fn break_if(&mut self, is_broken: bool, promise: Promise, what: impl FnOnce() -> String) {
        if is_broken && self.broken.is_none() {
            self.broken = Some(Broken { promise, what: what() });
        }
    }

    fn tick(&mut self) -> u64 {
        self.step += 1;
        self.step
    }

    /// Records that marks were stored. `row` returns the row of a key after the marks.
    pub(crate) fn marked(&mut self, marks: &[Mark], row: impl Fn(&Key) -> Option<Row>) {
        for mark in marks {
            let step = self.tick();
            self.marked.insert(mark.key.clone(), step);
            let is_pending = row(&mark.key).is_some_and(|row| row.is_pending());
            self.break_if(!is_pending, Promise::Delivery, || {
                format!("{} was marked and is not due", mark.key)
            });
        }
    }

    pub(crate) fn claimed(&mut self, claim: &Claim, now: Time) {
        let Lease { key, epoch, until } = &claim.lease;
        let before = self.leases.insert(key.clone(), (*epoch, *until));
        let is_held = before.is_some_and(|(_, until)| until > now);
        self.break_if(is_held, Promise::Lease, || format!("{key} was claimed at {} from {before:?}", now.0));
    }

    /// Records that a claim parked the key, because the key was claimed too often. No worker holds
    /// a parked key.
    pub(crate) fn parked(&mut self, key: &Key) {
        self.leases.remove(key);
    }

    pub(crate) fn renewed(&mut self, lease: &Lease, until: Time) {
        let held = self.leases.get(&lease.key).map(|(epoch, _)| *epoch);
        self.break_if(held != Some(lease.epoch), Promise::Lease, || {
            format!("claim {} of {} was renewed, and the latest is {held:?}", lease.epoch, lease.key)
        });
        self.leases.insert(lease.key.clone(), (lease.epoch, until));
    }

    /// Records that a run began and has not read anything yet.
    pub(crate) fn started(&mut self, lease: &Lease) {
        let step = self.tick();
        self.started.insert((lease.key.clone(), lease.epoch), step);
    }

    /// Records that the store has stored the end of a run.
    pub(crate) fn finished(&mut self, lease: &Lease, is_done: bool, row: Option<&Row>) {
        let held = self.leases.remove(&lease.key).map(|(epoch, _)| epoch);
        self.break_if(held != Some(lease.epoch), Promise::Lease, || {
            format!("claim {} of {} ended the run of claim {held:?}", lease.epoch, lease.key)
        });
        let started = self.started.remove(&(lease.key.clone(), lease.epoch));
        let Some(started) = started.filter(|_| is_done) else { return };
        self.covered.insert(lease.key.clone(), started);
        let marked = self.marked.get(&lease.key).copied().unwrap_or_default();
        let is_over = row.is_none_or(|row| !row.is_pending());
        self.break_if(is_over && marked > started, Promise::Covered, || {
            format!("{} was marked at step {marked}, and its last run read from step {started} on", lease.key)
        });
    }

    /// Records the decisions of the guard about these changes.
    pub(crate) fn reserved(&mut self, asked: &[Hold], verdicts: &[Verdict]) {
        for (hold, verdict) in asked.iter().zip(verdicts) {
            let standing = self.standings.get(&hold.digest).copied();
            let is_held = matches!(standing, Some(Standing::Open | Standing::Rejected | Standing::Spent(_)));
            let needs_one = standing.is_none() && !hold.why.is_empty();
            if *verdict == Verdict::Pass {
                self.break_if(is_held || needs_one, Promise::Held, || {
                    format!("{} of {} passed, and it is {standing:?}: {}", hold.digest, hold.key, hold.why)
                });
            } else if standing != Some(Standing::Rejected) {
                self.standings.insert(hold.digest.clone(), Standing::Open);
            }
        }
    }

    /// Records the decision of an operator about a held change. `hold` is the hold after the
    /// decision.
    pub(crate) fn decided(&mut self, decision: &Decision, hold: &Hold) {
        let digest = &hold.digest;
        let Some(standing) = self.standings.get_mut(digest) else { return };
        match (decision.ruling, *standing) {
            // The operator did not see the rejection.
            (Ruling::Approve, Standing::Rejected) if decision.seen.is_none() || hold.rejected.is_some() => {
                let is_lost = hold.rejected.is_none();
                self.break_if(is_lost, Promise::Held, || {
                    format!("an approval ended the rejection of {digest}, which its operator did not see")
                });
            }
            (Ruling::Approve, Standing::Open | Standing::Rejected) => {
                *standing = Standing::Approved;
                *self.approvals.entry(digest.clone()).or_default() += 1;
                self.shown.insert(digest.clone(), hold.change.clone());
            }
            (Ruling::Reject, Standing::Open) => *standing = Standing::Rejected,
            (Ruling::Reject, Standing::Approved) => {
                *standing = Standing::Rejected;
                *self.approvals.entry(digest.clone()).or_default() -= 1;
            }
            (Ruling::Approve | Ruling::Reject, _) => {}
        }
    }

    /// Records that holds were deleted because another generation is in force.
    pub(crate) fn forgotten(&mut self, holds: &[Hold]) {
        for hold in holds {
            let standing = self.remove(&hold.digest);
            let is_lost = standing == Some(Standing::Rejected) && !hold.contested;
            self.break_if(is_lost, Promise::Held, || {
                format!("the rejection of {} ended with its generation", hold.digest)
            });
        }
    }

    pub(crate) fn released(&mut self, digests: &[String]) {
        for digest in digests {
            self.remove(digest);
        }
    }

    fn remove(&mut self, digest: &str) -> Option<Standing> {
        let standing = self.standings.remove(digest);
        if standing == Some(Standing::Approved) {
            // The approval ends with its hold.
            *self.approvals.entry(digest.to_owned()).or_default() -= 1;
        }
        standing
    }

    /// Records that the store allowed a write to begin.
    pub(crate) fn begun(
        &mut self,
        (lease, is_paused): (Option<&Lease>, bool),
        key: &Key,
        (intent, number): (&Intent, u64),
        (now, true_now): (Time, Time),
    ) {
        let held = self.leases.get(key).copied();
        let is_own =
            lease.is_some_and(|lease| held.is_some_and(|(epoch, until)| epoch == lease.epoch && until > now));
        self.break_if(!is_own, Promise::Lease, || {
            format!("a write of {key} began at {} with {lease:?}, and the latest claim is {held:?}", now.0)
        });
        self.break_if(is_paused, Promise::Pause, || format!("a write of {key} began during a pause"));
        let Detail::Change(intended) = &intent.entry.detail else { return };
        let change = intended.change.clone();
        let digest = change.digest(key);
        let is_asked = intent.spends.is_some();
        let ground = if is_asked { self.spend(key, &digest, &change, number) } else { Ground::Free };
        let is_guarded = change.risks().is_guarded() || change.stop.is_some();
        self.break_if(is_guarded && ground == Ground::Free, Promise::Held, || {
            format!("{digest} of {key} began without the guard")
        });
        self.grounds.entry(digest).or_default().push(Allowed { ground, at: true_now, change });
    }

    fn spend(&mut self, key: &Key, digest: &str, change: &Change<()>, number: u64) -> Ground {
        let standing = self.standings.get(digest).copied();
        match standing {
            None => Ground::Window,
            Some(Standing::Approved) => {
                let is_other = self
                    .shown
                    .get(digest)
                    .is_some_and(|shown| shown.fields != change.fields || shown.reaches != change.reaches);
                self.break_if(is_other, Promise::Approval, || {
                    format!("{digest} of {key} is not the change that was approved")
                });
                self.standings.insert(digest.to_owned(), Standing::Spent(number));
                Ground::Approval
            }
            Some(other) => {
                let is_spent = matches!(other, Standing::Spent(_));
                let promise = if is_spent { Promise::Approval } else { Promise::Held };
                self.break_if(true, promise, || format!("{digest} of {key} began, and it is {other:?}"));
                Ground::Approval
            }
        }
    }

    pub(crate) fn concluded(&mut self, ends: &[(String, End)]) {
        for (digest, end) in ends {
            let used_by = match self.standings.get(digest) {
                Some(Standing::Spent(number)) => Some(*number),
                _ => None,
            };
            match *end {
                End::Written(number) if used_by == Some(number) => {
                    self.standings.remove(digest);
                }
                End::Refused(number) if used_by == Some(number) => {
                    self.standings.insert(digest.clone(), Standing::Approved);
                }
                End::Written(_) | End::Refused(_) | End::NotBegun => {}
            }
        }
    }

    /// Records that a write reached the vendor. Returns why the write was allowed.
    pub(crate) fn sent(&mut self, key: &Key, change: &Change<()>, journal: &[Entry]) -> Option<Allowed> {
        let digest = change.digest(key);
        let is_its = |entry: &&Entry| {
            let Detail::Change(intended) = &entry.detail else { return false };
            entry.kind == EntryKind::Intent
                && entry.key == key.as_str()
                && intended.change.digest(key) == digest
        };
        let is_written_down = journal.iter().rev().any(|entry| is_its(&entry));
        let allowed = self.grounds.get_mut(&digest).and_then(Vec::pop);
        self.break_if(!is_written_down || allowed.is_none(), Promise::Journal, || {
            format!("{digest} of {key} was sent without an intent")
        });
        allowed
    }

    /// Records that a write took effect at the vendor.
    pub(crate) fn landed(&mut self, key: &Key, allowed: Allowed) {
        let digest = allowed.change.digest(key);
        match allowed.ground {
            Ground::Free => {}
            Ground::Approval => {
                let writes = self.approved_writes.entry(digest.clone()).or_default();
                *writes += 1;
                let (writes, approvals) = (*writes, self.approvals.get(&digest).copied().unwrap_or_default());
                self.break_if(writes > approvals, Promise::Approval, || {
                    format!("{digest} of {key} was written {writes} times with {approvals} approvals")
                });
            }
            Ground::Window => {
                let Allowed { at, change, .. } = allowed;
                self.landed.push(Landed { key: key.clone(), at, change });
                self.check_window(key.instance(), at);
                if self.is_share_limited {
                    self.check_share(key.instance(), at);
                }
            }
        }
    }

    /// Checks every window that contains a write at `at`.
    fn check_window(&mut self, instance: &str, at: Time) {
        let mut exceeded = None;
        for last in self.landed.iter().filter(|one| one.at >= at && one.at < at + SURE_WINDOW) {
            let is_in = |one: &&Landed| {
                one.key.instance() == instance && one.at <= last.at && one.at > last.at - SURE_WINDOW
            };
            for risk in Risk::ALL {
                let Some(limit) = LIMITS.of(risk) else { continue };
                let reached = self.landed.iter().filter(is_in).map(|one| one.change.risks().count(risk));
                let reached: u32 = reached.sum();
                if reached > limit {
                    exceeded = Some((risk, reached, limit));
                }
            }
        }
        if let Some((risk, reached, limit)) = exceeded {
            self.break_if(true, Promise::Window, || {
                format!(
                    "{reached} {} of {instance} in a window, and the limit is {limit}",
                    risk.noun(reached)
                )
            });
        }
    }

    /// Checks every window that contains a write at `at`. The function counts the repositories
    /// where one aspect has lost or weakened something.
    fn check_share(&mut self, instance: &str, at: Time) {
        let mut exceeded = None;
        for last in self.landed.iter().filter(|one| one.at >= at && one.at < at + SURE_WINDOW) {
            let mut reached: BTreeMap<&str, BTreeSet<&Key>> = BTreeMap::new();
            for one in &self.landed {
                let is_in =
                    one.key.instance() == instance && one.at <= last.at && one.at > last.at - SURE_WINDOW;
                let loses =
                    one.change.fields.iter().any(|field| matches!(field.risk, Risk::Removes | Risk::Weakens));
                if is_in && loses {
                    reached.entry(&one.change.aspect).or_default().insert(&one.key);
                }
            }
            let most = reached.into_iter().max_by_key(|(_, keys)| keys.len());
            if let Some((aspect, keys)) = most.filter(|(_, keys)| keys.len() as u64 > u64::from(SHARE)) {
                exceeded = Some((aspect.to_owned(), keys.len()));
            }
        }
        if let Some((aspect, count)) = exceeded {
            self.break_if(true, Promise::Window, || {
                format!("{aspect} lost something in {count} repositories of {instance} in a window, and {SHARE} may")
            });
        }
    }

    /// Returns the keys that did not run after their last mark.
    pub(crate) fn uncovered(&self) -> Vec<Key> {
        let is_uncovered =
            |(key, marked): &(&Key, &u64)| self.covered.get(*key).is_none_or(|covered| covered < *marked);
        self.marked.iter().filter(is_uncovered).map(|(key, _)| key.clone()).collect()
    }
}
