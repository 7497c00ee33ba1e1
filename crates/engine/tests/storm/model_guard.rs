//! The guard's windows and holds of the store in memory.

use std::collections::BTreeMap;

use beadle_engine::guard::{Decision, Ruling, decide, may_let_pass, window};
use beadle_engine::{Begun, End, Hold, Intent, Key, Lane, Lease, Limits, Mark, Time, Verdict};

use crate::model::Model;
use crate::sabotage::Sabotage;

impl Model {
    pub(crate) fn reserve(
        &mut self,
        lease: Option<&Lease>,
        limits: &Limits,
        asked: &[Hold],
        now: Time,
    ) -> Option<Vec<Verdict>> {
        if !self.is_valid(lease, now) {
            return None;
        }
        let mut verdicts: BTreeMap<usize, Verdict> = BTreeMap::new();
        for (instance, places) in window::by_instance(asked) {
            let its: Vec<&Hold> = places.iter().map(|at| &asked[*at]).collect();
            let mut known: BTreeMap<String, Hold> = BTreeMap::new();
            for hold in &its {
                if let Some(stored) = self.holds.get(&hold.digest) {
                    known.insert(hold.digest.clone(), stored.clone());
                }
            }
            if self.is_sabotaged(Sabotage::RejectionIgnored) {
                for hold in known.values_mut().filter(|hold| hold.rejected.is_some()) {
                    hold.approved_by = Some("nobody".into());
                }
            }
            let bookings = self.windows.entry(instance).or_default();
            let judged = window::check_guard(bookings, &known, limits, &its, now);
            for hold in judged.held {
                self.holds.insert(hold.digest.clone(), hold);
            }
            verdicts.extend(places.into_iter().zip(judged.verdicts));
        }
        Some(verdicts.into_values().collect())
    }

    pub(crate) fn begin(&mut self, lease: Option<&Lease>, key: &Key, intent: &Intent, now: Time) -> Begun {
        if !self.is_valid(lease, now) && !self.is_sabotaged(Sabotage::LeaseNotChecked) {
            return Begun::LeaseLost;
        }
        let paused = self.pauses(now).into_iter().find(|pause| pause.covers(key));
        if let Some(pause) = paused.filter(|_| !self.is_sabotaged(Sabotage::PauseNotChecked)) {
            return Begun::Paused { scope: pause.scope, until: pause.until };
        }
        if let Some((digest, length)) = &intent.spends {
            let (hold, empty) = (self.holds.get(digest), Vec::new());
            let bookings = self.windows.get(key.instance()).unwrap_or(&empty);
            let has_room = window::may_begin(bookings, hold, digest, *length, now);
            if !has_room && !self.is_sabotaged(Sabotage::RoomNotChecked) {
                return Begun::Lapsed;
            }
        }
        let number = if self.is_sabotaged(Sabotage::NoIntent) {
            0
        } else {
            let numbers = self.append(std::slice::from_ref(&intent.entry));
            let Some(number) = numbers.first().copied() else { return Begun::LeaseLost };
            number
        };
        if let Some((digest, length)) = &intent.spends {
            let mut hold = self.holds.get(digest).cloned();
            let bookings = self.windows.entry(key.instance().to_owned()).or_default();
            window::begin(bookings, hold.as_mut(), digest, *length, number, now);
            if let Some(mut hold) = hold {
                if self.is_sabotaged(Sabotage::ApprovalNotSpent) {
                    hold.spent = false;
                }
                self.holds.insert(digest.clone(), hold);
            }
        }
        Begun::Yes(number)
    }

    pub(crate) fn conclude(&mut self, instance: &str, ends: &[(String, End)]) {
        for (digest, end) in ends {
            let hold = self.holds.remove(digest);
            let is_freed = hold.is_none() && self.is_sabotaged(Sabotage::RoomFreed);
            let end = match *end {
                End::Written(intent) if is_freed => End::Refused(intent),
                end => end,
            };
            let bookings = self.windows.entry(instance.to_owned()).or_default();
            if let Some(kept) = window::conclude(bookings, hold, digest, end) {
                self.holds.insert(digest.clone(), kept);
            }
        }
    }

    pub(crate) fn decide(&mut self, digest: &str, decision: &Decision, now: Time) -> Option<Hold> {
        let hold = self.holds.get(digest)?.clone();
        let decided = decide(&hold, decision, now).unwrap_or(hold);
        self.holds.insert(digest.to_owned(), decided.clone());
        if decision.ruling == Ruling::Approve {
            self.mark(&[Mark::new(decided.key.clone(), Lane::Manual)], now);
        }
        Some(decided)
    }

    pub(crate) fn let_pass(&mut self, approved: &[Hold]) {
        for hold in approved {
            if may_let_pass(self.holds.get(&hold.digest)) {
                self.holds.insert(hold.digest.clone(), hold.clone());
            }
        }
    }

    /// Deletes the holds of other generations, and returns them.
    pub(crate) fn forget_holds(&mut self, instance: &str, generation: &str) -> Vec<Hold> {
        let is_outdated = |hold: &&Hold| {
            let is_forgotten = self.is_sabotaged(Sabotage::RejectionForgotten) && hold.rejected.is_some();
            hold.is_outdated(instance, generation) || (is_forgotten && hold.key.instance() == instance)
        };
        let outdated: Vec<Hold> = self.holds.values().filter(is_outdated).cloned().collect();
        for hold in &outdated {
            self.holds.remove(&hold.digest);
        }
        outdated
    }

    pub(crate) fn list_holds(&self) -> Vec<Hold> {
        let mut holds: Vec<Hold> = self.holds.values().cloned().collect();
        holds.sort_by(|one, other| (one.since, &one.digest).cmp(&(other.since, &other.digest)));
        holds
    }
}
