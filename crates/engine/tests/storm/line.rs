//! The connection of one process to the store. Each call can fail, hang, lose its answer, or happen
//! twice. The witness sees what the store really did.

use std::sync::Arc;

use async_trait::async_trait;
use beadle_engine::guard::{Decision, Ruling};
use beadle_engine::store::prelude::*;
use beadle_engine::{
    Accepted, Begun, Claim, Delivery, DeliveryRow, Depth, End, Entry, GuardReservation, History, Hold,
    HoldList, Intent, Key, KeyScope, Lane, Lease, Limits, Listing, Mark, Outcome, Pause, Retention, Row,
    RowList, StoreError, StoreRecord, Time, Timing, Verdict,
};

use crate::world::{Fate, State, World, wait};

pub(crate) struct Line {
    pub(crate) world: Arc<World>,
    /// The number of the process, for the report.
    pub(crate) process: usize,
    pub(crate) timing: Timing,
}

impl Line {
    /// Makes a call. The store might do the work of the call twice.
    async fn call<T: Send>(
        &self,
        doing: &'static str,
        run: impl FnMut(&mut State) -> T + Send,
    ) -> Result<T, StoreError> {
        self.make(doing, true, run).await
    }

    async fn make<T: Send>(
        &self,
        doing: &'static str,
        may_double: bool,
        mut run: impl FnMut(&mut State) -> T + Send,
    ) -> Result<T, StoreError> {
        let call = self.world.lock().store_call(may_double);
        wait(call.before).await;
        let unavailable = || StoreError::Unavailable { doing, why: "the store is away".into() };
        let now = self.world.now();
        let answer = {
            let mut guard = self.world.lock();
            let state: &mut State = &mut guard;
            let process = self.process;
            if call.fate != Fate::Works || doing != READING {
                state.say(now, || format!("p{process} {doing} {:?}", call.fate));
            }
            if call.fate == Fate::FailsBefore {
                return Err(unavailable());
            }
            let first = run(state);
            if call.fate == Fate::Doubled { run(state) } else { first }
        };
        wait(call.after).await;
        if call.fate == Fate::AnswerLost { Err(unavailable()) } else { Ok(answer) }
    }
}

/// The name of all calls that only read.
const READING: &str = "reading";

#[async_trait]
impl Inbox for Line {
    async fn accept(&self, delivery: Delivery, marks: Vec<Mark>) -> Result<Accepted, StoreError> {
        self.call("accept", |state| {
            let accepted = state.model.accept(&delivery, &marks);
            if accepted == Accepted::Stored {
                state.marked(&marks);
            }
            accepted
        })
        .await
    }

    async fn deliveries(&self, listing: Listing) -> Result<Vec<DeliveryRow>, StoreError> {
        self.call(READING, |state| state.model.deliveries(&listing)).await
    }

    async fn body(&self, source: &str, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.call(READING, |state| state.model.body(source, id)).await
    }
}

/// Tells the witness about the claimed keys, and about the keys that were parked instead.
fn claimed(state: &mut State, claims: &[Claim], now: Time) {
    for claim in claims {
        state.promises.claimed(claim, now);
    }
    for row in state.model.rows.values().filter(|row| row.parked.is_some()) {
        state.promises.parked(&row.key);
    }
}

#[async_trait]
impl Queue for Line {
    async fn mark_readable(&self, marks: Vec<Mark>, now: Time) -> Result<Vec<String>, StoreError> {
        self.call("mark", |state| {
            state.model.mark(&marks, now);
            state.marked(&marks);
            Vec::new()
        })
        .await
    }

    async fn claim_except(
        &self,
        limit: usize,
        instances: &[String],
        now: Time,
    ) -> Result<Vec<Claim>, StoreError> {
        self.call("claim", |state| {
            let claims = state.model.claim(limit, instances, now);
            claimed(state, &claims, now);
            claims
        })
        .await
    }

    async fn claim_key(&self, key: &Key, now: Time) -> Result<Option<Claim>, StoreError> {
        self.call("claim of a key", |state| {
            let claim = state.model.claim_key(key, now);
            claimed(state, claim.as_slice(), now);
            claim
        })
        .await
    }

    async fn claim_named(&self, keys: &[Key], now: Time) -> Result<Vec<Claim>, StoreError> {
        self.call("claim by name", |state| {
            let claims = state.model.claim_named(keys, now);
            claimed(state, &claims, now);
            claims
        })
        .await
    }

    async fn renew(&self, lease: &Lease, now: Time) -> Result<Option<Time>, StoreError> {
        self.call("renew", |state| {
            let until = state.model.renew(lease, now);
            if let Some(until) = until {
                state.promises.renewed(lease, until);
            }
            until
        })
        .await
    }

    async fn finish(&self, lease: &Lease, outcome: Outcome, now: Time) -> Result<bool, StoreError> {
        self.call("finish", |state| {
            let finished = state.model.finish(lease, &outcome, now);
            if finished {
                let State { model, promises, .. } = state;
                promises.finished(lease, outcome == Outcome::Done, model.rows.get(&lease.key));
            }
            finished
        })
        .await
    }

    async fn next_due(&self) -> Result<Option<Time>, StoreError> {
        self.call(READING, |state| state.model.next_due()).await
    }

    fn timing(&self) -> &Timing {
        &self.timing
    }

    async fn pause(&self, scope: &str, until: Time) -> Result<(), StoreError> {
        self.call("pause", |state| {
            state.model.pauses.insert(scope.to_owned(), until);
        })
        .await
    }

    async fn resume(&self, scope: &str) -> Result<bool, StoreError> {
        self.call("resume", |state| state.model.pauses.remove(scope).is_some()).await
    }

    async fn pauses(&self, now: Time) -> Result<Vec<Pause>, StoreError> {
        self.call(READING, |state| state.model.pauses(now)).await
    }

    async fn all_rows(&self, limit: u32) -> Result<RowList, StoreError> {
        let rows = self.call(READING, |state| state.model.list(limit)).await?;
        Ok(RowList::new(rows, &[]))
    }

    async fn row(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        self.call(READING, |state| state.model.rows.get(key).cloned()).await
    }

    async fn count_waiting(&self, scopes: &[KeyScope], since: Time, most: u32) -> Result<u64, StoreError> {
        self.call(READING, |state| state.model.count_waiting(scopes, since, most)).await
    }

    async fn depth(&self, now: Time) -> Result<Depth, StoreError> {
        self.call(READING, |state| state.model.depth(now)).await
    }
}

#[async_trait]
impl GuardStore for Line {
    async fn reserve(
        &self,
        lease: Option<&Lease>,
        limits: &Limits,
        asked: Vec<Hold>,
        now: Time,
    ) -> Result<Option<Vec<Verdict>>, StoreError> {
        self.call("reserve", |state| {
            let verdicts = state.model.reserve(lease, limits, &asked, now)?;
            state.promises.reserved(&asked, &verdicts);
            Some(verdicts)
        })
        .await
    }

    async fn all_holds(&self) -> Result<HoldList, StoreError> {
        let holds = self.call(READING, |state| state.model.list_holds()).await?;
        Ok(HoldList { holds, unreadable: Vec::new() })
    }

    async fn all_holds_of(&self, key: &Key) -> Result<HoldList, StoreError> {
        let holds: Vec<Hold> = self
            .call(READING, |state| {
                state.model.holds.values().filter(|hold| hold.key == *key).cloned().collect()
            })
            .await?;
        Ok(HoldList { holds, unreadable: Vec::new() })
    }

    async fn begin(
        &self,
        lease: Option<&Lease>,
        key: &Key,
        intent: Intent,
        now: Time,
    ) -> Result<Begun, StoreError> {
        self.call("begin", |state| {
            let begun = state.model.begin(lease, key, &intent, now);
            if let Begun::Yes(number) = begun {
                let is_paused = state.model.pauses(now).iter().any(|pause| pause.covers(key));
                let true_now = self.world.now();
                state.promises.begun((lease, is_paused), key, (&intent, number), (now, true_now));
            }
            begun
        })
        .await
    }

    async fn conclude(&self, instance: &str, ends: Vec<(String, End)>) -> Result<(), StoreError> {
        self.call("conclude", |state| {
            state.model.conclude(instance, &ends);
            state.promises.concluded(&ends);
        })
        .await
    }

    async fn release(&self, seen: Vec<Hold>) -> Result<(), StoreError> {
        self.call("release", |state| {
            let is_unchanged = |hold: &&Hold| state.model.holds.get(&hold.digest) == Some(*hold);
            let unchanged = seen.iter().filter(is_unchanged).map(|hold| hold.digest.clone());
            let digests: Vec<String> = unchanged.collect();
            state.promises.released(&digests);
            state.model.holds.retain(|digest, _| !digests.contains(digest));
        })
        .await
    }

    async fn decide(&self, digest: &str, decision: &Decision, now: Time) -> Result<Option<Hold>, StoreError> {
        self.call("decide", |state| {
            let hold = state.model.decide(digest, decision, now)?;
            state.promises.decided(decision, &hold);
            if decision.ruling == Ruling::Approve {
                state.marked(&[Mark::new(hold.key.clone(), Lane::Manual)]);
            }
            Some(hold)
        })
        .await
    }

    async fn let_pass(&self, approved: Vec<Hold>) -> Result<(), StoreError> {
        self.call("let pass", |state| state.model.let_pass(&approved)).await
    }

    async fn forget_holds(&self, instance: &str, generation: &str) -> Result<u64, StoreError> {
        self.call("forget holds", |state| {
            let outdated = state.model.forget_holds(instance, generation);
            state.promises.forgotten(&outdated);
            outdated.len() as u64
        })
        .await
    }

    async fn bookings(&self, since: Time) -> Result<Vec<GuardReservation>, StoreError> {
        self.call(READING, |state| {
            let bookings = state.model.windows.values().flatten();
            bookings.filter(|booking| booking.at >= since).cloned().collect()
        })
        .await
    }
}

#[async_trait]
impl Journal for Line {
    async fn journal(
        &self,
        lease: Option<&Lease>,
        entries: Vec<Entry>,
        now: Time,
    ) -> Result<Option<Vec<u64>>, StoreError> {
        self.call("journal", |state| state.model.is_valid(lease, now).then(|| state.model.append(&entries)))
            .await
    }

    async fn entries(&self, listing: Listing) -> Result<Vec<Entry>, StoreError> {
        self.call(READING, |state| state.model.entries(&listing)).await
    }

    async fn newest_entries(&self, history: History) -> Result<Vec<Entry>, StoreError> {
        self.call(READING, |state| state.model.newest_entries(&history)).await
    }

    async fn open_intents(&self) -> Result<Vec<Entry>, StoreError> {
        self.call(READING, |state| state.model.open_intents()).await
    }
}

#[async_trait]
impl MetadataStore for Line {
    async fn get(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.call(READING, |state| state.model.notes.get(name).cloned()).await
    }

    async fn notes(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreError> {
        self.call(READING, |state| state.model.notes_page(prefix, "", u32::MAX)).await
    }

    async fn notes_page(
        &self,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<(String, String)>, StoreError> {
        self.call(READING, |state| state.model.notes_page(prefix, after, limit)).await
    }

    async fn forget(&self, name: &str) -> Result<(), StoreError> {
        self.call("forget a note", |state| {
            state.model.notes.remove(name);
        })
        .await
    }

    async fn put(&self, name: &str, value: &str) -> Result<(), StoreError> {
        self.call("put a note", |state| {
            state.model.notes.insert(name.to_owned(), value.to_owned());
        })
        .await
    }

    async fn replace(&self, name: &str, before: Option<&str>, value: &str) -> Result<bool, StoreError> {
        self.call("replace a note", |state| {
            let is_same = state.model.notes.get(name).map(String::as_str) == before;
            if is_same {
                state.model.notes.insert(name.to_owned(), value.to_owned());
            }
            is_same
        })
        .await
    }
}

#[async_trait]
impl Maintenance for Line {
    async fn prune(&self, retention: Retention) -> Result<u64, StoreError> {
        self.call("prune", |state| state.model.prune(&retention)).await
    }

    async fn settle(&self, _: Time) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn take(&self, record: StoreRecord) -> Result<(), StoreError> {
        self.make("take", false, |state| state.model.take(record.clone())).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
