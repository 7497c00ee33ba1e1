//! Simulates killed processes. The life of a test's process ends at a chosen point. This point is
//! before or after a call to GitHub or to the store. At this point, the process stops forever, and
//! the test drops it. The simulated GitHub and the store keep their state.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use beadle_engine::guard::Decision;
use beadle_engine::store::prelude::*;
use beadle_engine::{
    Accepted, Begun, Claim, Delivery, DeliveryRow, Depth, End, Entry, GuardReservation, History, Hold,
    HoldList, Intent, Key, KeyScope, Lease, Limits, Listing, Mark, Outcome, Pause, Retention, Row, RowList,
    Store, StoreError, StoreRecord, Time, Timing, Verdict,
};
use beadle_sim::Sim;
use beadle_transport::{Exchanged, Wire};
use bytes::Bytes;
use serde_json::Value;
use tokio::sync::Notify;

/// The life of a simulated process.
pub(super) struct Life {
    passed: AtomicUsize,
    last: usize,
    died: Notify,
}

impl Life {
    /// Creates the life of a process. The process passes `points` points, and dies at the next
    /// point.
    pub(super) fn of(points: usize) -> Arc<Self> {
        Arc::new(Self { passed: AtomicUsize::new(0), last: points, died: Notify::new() })
    }

    /// Returns the number of points that the process has reached.
    pub(super) fn passed(&self) -> usize {
        self.passed.load(Ordering::SeqCst)
    }

    /// Runs a process until it ends or dies. Returns `true` if the process died.
    pub(super) async fn run(&self, process: impl Future<Output = ()>) -> bool {
        tokio::select! {
            biased;
            () = self.died.notified() => true,
            () = process => false,
        }
    }

    async fn point(&self) {
        if self.passed.fetch_add(1, Ordering::SeqCst) >= self.last {
            self.died.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

/// The network of a simulated process. After each call that reached GitHub, the network checks the
/// state.
pub(super) struct MortalWire {
    pub(super) sim: Arc<Sim>,
    pub(super) life: Arc<Life>,
    pub(super) check: fn(&Value),
}

#[async_trait]
impl Wire for MortalWire {
    async fn exchange(&self, request: http::Request<Bytes>) -> Result<Exchanged, String> {
        self.life.point().await;
        let answer = self.sim.exchange(request).await;
        self.sim.look(self.check);
        self.life.point().await;
        answer.ok_or_else(|| "the connection broke".to_owned())
    }
}

/// The store of a simulated process.
pub(super) struct MortalStore {
    pub(super) inner: Arc<dyn Store>,
    pub(super) life: Arc<Life>,
}

/// Makes a call to the store. The life of the process can end before or after this call.
macro_rules! passes {
    ($this:ident, $call:expr) => {{
        $this.life.point().await;
        let answer = $call.await;
        $this.life.point().await;
        answer
    }};
}

#[async_trait]
impl Inbox for MortalStore {
    async fn accept(&self, delivery: Delivery, marks: Vec<Mark>) -> Result<Accepted, StoreError> {
        passes!(self, self.inner.accept(delivery, marks))
    }

    async fn deliveries(&self, listing: Listing) -> Result<Vec<DeliveryRow>, StoreError> {
        passes!(self, self.inner.deliveries(listing))
    }

    async fn body(&self, source: &str, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        passes!(self, self.inner.body(source, id))
    }
}

#[async_trait]
impl Queue for MortalStore {
    async fn mark_readable(&self, marks: Vec<Mark>, now: Time) -> Result<Vec<String>, StoreError> {
        passes!(self, self.inner.mark_readable(marks, now))
    }

    async fn claim_except(
        &self,
        limit: usize,
        instances: &[String],
        now: Time,
    ) -> Result<Vec<Claim>, StoreError> {
        passes!(self, self.inner.claim_except(limit, instances, now))
    }

    async fn claim_key(&self, key: &Key, now: Time) -> Result<Option<Claim>, StoreError> {
        passes!(self, self.inner.claim_key(key, now))
    }

    async fn claim_named(&self, keys: &[Key], now: Time) -> Result<Vec<Claim>, StoreError> {
        passes!(self, self.inner.claim_named(keys, now))
    }

    async fn renew(&self, lease: &Lease, now: Time) -> Result<Option<Time>, StoreError> {
        passes!(self, self.inner.renew(lease, now))
    }

    async fn finish(&self, lease: &Lease, outcome: Outcome, now: Time) -> Result<bool, StoreError> {
        passes!(self, self.inner.finish(lease, outcome, now))
    }

    async fn next_due(&self) -> Result<Option<Time>, StoreError> {
        passes!(self, self.inner.next_due())
    }

    fn timing(&self) -> &Timing {
        self.inner.timing()
    }

    async fn pause(&self, scope: &str, until: Time) -> Result<(), StoreError> {
        passes!(self, self.inner.pause(scope, until))
    }

    async fn resume(&self, scope: &str) -> Result<bool, StoreError> {
        passes!(self, self.inner.resume(scope))
    }

    async fn pauses(&self, now: Time) -> Result<Vec<Pause>, StoreError> {
        passes!(self, self.inner.pauses(now))
    }

    async fn all_rows(&self, limit: u32) -> Result<RowList, StoreError> {
        passes!(self, self.inner.all_rows(limit))
    }

    async fn row(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        passes!(self, self.inner.row(key))
    }

    async fn count_waiting(&self, scopes: &[KeyScope], since: Time, most: u32) -> Result<u64, StoreError> {
        passes!(self, self.inner.count_waiting(scopes, since, most))
    }

    async fn depth(&self, now: Time) -> Result<Depth, StoreError> {
        passes!(self, self.inner.depth(now))
    }
}

#[async_trait]
impl GuardStore for MortalStore {
    async fn reserve(
        &self,
        lease: Option<&Lease>,
        limits: &Limits,
        asked: Vec<Hold>,
        now: Time,
    ) -> Result<Option<Vec<Verdict>>, StoreError> {
        passes!(self, self.inner.reserve(lease, limits, asked, now))
    }

    async fn all_holds(&self) -> Result<HoldList, StoreError> {
        passes!(self, self.inner.all_holds())
    }

    async fn all_holds_of(&self, key: &Key) -> Result<HoldList, StoreError> {
        passes!(self, self.inner.all_holds_of(key))
    }

    async fn begin(
        &self,
        lease: Option<&Lease>,
        key: &Key,
        intent: Intent,
        now: Time,
    ) -> Result<Begun, StoreError> {
        passes!(self, self.inner.begin(lease, key, intent, now))
    }

    async fn conclude(&self, instance: &str, ends: Vec<(String, End)>) -> Result<(), StoreError> {
        passes!(self, self.inner.conclude(instance, ends))
    }

    async fn release(&self, seen: Vec<Hold>) -> Result<(), StoreError> {
        passes!(self, self.inner.release(seen))
    }

    async fn decide(&self, digest: &str, decision: &Decision, now: Time) -> Result<Option<Hold>, StoreError> {
        passes!(self, self.inner.decide(digest, decision, now))
    }

    async fn let_pass(&self, approved: Vec<Hold>) -> Result<(), StoreError> {
        passes!(self, self.inner.let_pass(approved))
    }

    async fn forget_holds(&self, instance: &str, generation: &str) -> Result<u64, StoreError> {
        passes!(self, self.inner.forget_holds(instance, generation))
    }

    async fn bookings(&self, since: Time) -> Result<Vec<GuardReservation>, StoreError> {
        passes!(self, self.inner.bookings(since))
    }
}

#[async_trait]
impl Journal for MortalStore {
    async fn journal(
        &self,
        lease: Option<&Lease>,
        entries: Vec<Entry>,
        now: Time,
    ) -> Result<Option<Vec<u64>>, StoreError> {
        passes!(self, self.inner.journal(lease, entries, now))
    }

    async fn entries(&self, listing: Listing) -> Result<Vec<Entry>, StoreError> {
        passes!(self, self.inner.entries(listing))
    }

    async fn newest_entries(&self, history: History) -> Result<Vec<Entry>, StoreError> {
        passes!(self, self.inner.newest_entries(history))
    }

    async fn open_intents(&self) -> Result<Vec<Entry>, StoreError> {
        passes!(self, self.inner.open_intents())
    }
}

#[async_trait]
impl MetadataStore for MortalStore {
    async fn get(&self, name: &str) -> Result<Option<String>, StoreError> {
        passes!(self, self.inner.get(name))
    }

    async fn notes(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreError> {
        passes!(self, self.inner.notes(prefix))
    }

    async fn notes_page(
        &self,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<(String, String)>, StoreError> {
        passes!(self, self.inner.notes_page(prefix, after, limit))
    }

    async fn forget(&self, name: &str) -> Result<(), StoreError> {
        passes!(self, self.inner.forget(name))
    }

    async fn put(&self, name: &str, value: &str) -> Result<(), StoreError> {
        passes!(self, self.inner.put(name, value))
    }

    async fn replace(&self, name: &str, before: Option<&str>, value: &str) -> Result<bool, StoreError> {
        passes!(self, self.inner.replace(name, before, value))
    }
}

#[async_trait]
impl Maintenance for MortalStore {
    async fn prune(&self, retention: Retention) -> Result<u64, StoreError> {
        passes!(self, self.inner.prune(retention))
    }

    async fn settle(&self, now: Time) -> Result<u64, StoreError> {
        passes!(self, self.inner.settle(now))
    }

    async fn take(&self, record: StoreRecord) -> Result<(), StoreError> {
        passes!(self, self.inner.take(record))
    }

    async fn flush(&self) -> Result<(), StoreError> {
        passes!(self, self.inner.flush())
    }

    async fn ready(&self) -> Result<(), StoreError> {
        passes!(self, self.inner.ready())
    }
}
