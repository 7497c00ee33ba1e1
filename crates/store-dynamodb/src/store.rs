//! Implements the engine's storage traits.

use async_trait::async_trait;
use beadle_engine::guard::Decision;
use beadle_engine::store::prelude::*;
use beadle_engine::{
    Accepted, Begun, Claim, Delivery, DeliveryRow, Depth, End, Entry, GuardReservation, History, Hold,
    HoldList, Intent, Key, KeyScope, Lease, Limits, Listing, Mark, Outcome, Pause, Retention, Row, RowList,
    StoreError, StoreRecord, Time, Timing, Verdict,
};

use crate::DynamoStore;
use crate::holds::hold_item;
use crate::items::json;

#[async_trait]
impl Inbox for DynamoStore {
    async fn accept(&self, delivery: Delivery, marks: Vec<Mark>) -> Result<Accepted, StoreError> {
        self.keep(delivery, marks).await
    }

    async fn deliveries(&self, listing: Listing) -> Result<Vec<DeliveryRow>, StoreError> {
        self.list_deliveries(&listing).await
    }

    async fn body(&self, source: &str, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read_body(source, id).await
    }
}

#[async_trait]
impl Queue for DynamoStore {
    async fn mark_readable(&self, marks: Vec<Mark>, now: Time) -> Result<Vec<String>, StoreError> {
        let skipped = self.mark_all("marking keys as due", &marks, now).await?;
        Ok(skipped.into_iter().map(|(_, why)| why).collect())
    }

    async fn claim_except(
        &self,
        limit: usize,
        instances: &[String],
        now: Time,
    ) -> Result<Vec<Claim>, StoreError> {
        self.claim_due(limit, instances, now).await
    }

    async fn claim_key(&self, key: &Key, now: Time) -> Result<Option<Claim>, StoreError> {
        self.claim_one(key, now).await
    }

    async fn claim_named(&self, keys: &[Key], now: Time) -> Result<Vec<Claim>, StoreError> {
        self.claim_those(keys, now).await
    }

    async fn renew(&self, lease: &Lease, now: Time) -> Result<Option<Time>, StoreError> {
        self.renew_lease(lease, now).await
    }

    async fn finish(&self, lease: &Lease, outcome: Outcome, now: Time) -> Result<bool, StoreError> {
        self.finish_run(lease, &outcome, now).await
    }

    async fn next_due(&self) -> Result<Option<Time>, StoreError> {
        self.first_due().await
    }

    fn timing(&self) -> &Timing {
        &self.settings.timing
    }

    async fn pause(&self, scope: &str, until: Time) -> Result<(), StoreError> {
        self.set_pause(scope, until).await
    }

    async fn resume(&self, scope: &str) -> Result<bool, StoreError> {
        self.end_pause(scope).await
    }

    async fn pauses(&self, now: Time) -> Result<Vec<Pause>, StoreError> {
        self.pauses_at(now).await
    }

    async fn all_rows(&self, limit: u32) -> Result<RowList, StoreError> {
        let mut list = self.list_rows("listing the queue").await?;
        list.rows.truncate(limit as usize);
        Ok(list)
    }

    async fn row(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        self.load("reading a key", key).await
    }

    async fn count_waiting(&self, scopes: &[KeyScope], since: Time, most: u32) -> Result<u64, StoreError> {
        self.count_due(scopes, since, most).await
    }

    async fn depth(&self, now: Time) -> Result<Depth, StoreError> {
        self.measure(now).await
    }
}

#[async_trait]
impl GuardStore for DynamoStore {
    async fn reserve(
        &self,
        lease: Option<&Lease>,
        limits: &Limits,
        asked: Vec<Hold>,
        now: Time,
    ) -> Result<Option<Vec<Verdict>>, StoreError> {
        self.ask(lease, limits, &asked, now).await
    }

    async fn all_holds(&self) -> Result<HoldList, StoreError> {
        self.list_holds().await
    }

    async fn all_holds_of(&self, key: &Key) -> Result<HoldList, StoreError> {
        self.holds_of_key(key).await
    }

    async fn begin(
        &self,
        lease: Option<&Lease>,
        key: &Key,
        intent: Intent,
        now: Time,
    ) -> Result<Begun, StoreError> {
        self.begin_write(lease, key, intent, now).await
    }

    async fn conclude(&self, instance: &str, ends: Vec<(String, End)>) -> Result<(), StoreError> {
        self.conclude_writes(instance, &ends).await
    }

    async fn release(&self, seen: Vec<Hold>) -> Result<(), StoreError> {
        self.release_seen(&seen).await
    }

    async fn decide(&self, digest: &str, decision: &Decision, now: Time) -> Result<Option<Hold>, StoreError> {
        self.settle_hold(digest, decision, now).await
    }

    async fn let_pass(&self, approved: Vec<Hold>) -> Result<(), StoreError> {
        self.store_approved(&approved).await
    }

    async fn forget_holds(&self, instance: &str, generation: &str) -> Result<u64, StoreError> {
        self.forget_generations(instance, generation).await
    }

    async fn bookings(&self, since: Time) -> Result<Vec<GuardReservation>, StoreError> {
        self.list_bookings(since).await
    }
}

#[async_trait]
impl Journal for DynamoStore {
    async fn journal(
        &self,
        lease: Option<&Lease>,
        entries: Vec<Entry>,
        now: Time,
    ) -> Result<Option<Vec<u64>>, StoreError> {
        self.append(lease, entries, now).await
    }

    async fn entries(&self, listing: Listing) -> Result<Vec<Entry>, StoreError> {
        self.list_entries(&listing).await
    }

    async fn newest_entries(&self, history: History) -> Result<Vec<Entry>, StoreError> {
        self.list_newest(&history).await
    }

    async fn open_intents(&self) -> Result<Vec<Entry>, StoreError> {
        self.intents().await
    }
}

#[async_trait]
impl MetadataStore for DynamoStore {
    async fn get(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.note(name).await
    }

    async fn get_all(&self, names: &[String]) -> Result<Vec<Option<String>>, StoreError> {
        self.notes_named(names).await
    }

    async fn notes(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreError> {
        self.notes_from(prefix).await
    }

    async fn notes_page(
        &self,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<(String, String)>, StoreError> {
        self.notes_after(prefix, after, limit as usize).await
    }

    async fn forget(&self, name: &str) -> Result<(), StoreError> {
        self.delete("deleting a note", "note", name).await
    }

    async fn put(&self, name: &str, value: &str) -> Result<(), StoreError> {
        self.set_note(name, value).await
    }

    async fn replace(&self, name: &str, before: Option<&str>, value: &str) -> Result<bool, StoreError> {
        self.replace_note(name, before, value).await
    }
}

#[async_trait]
impl Maintenance for DynamoStore {
    async fn prune(&self, retention: Retention) -> Result<u64, StoreError> {
        let batch = retention.batch as usize;
        let inbox = self.prune_inbox(retention.bodies_before, retention.ids_before, batch).await?;
        Ok(inbox + self.prune_journal(retention.journal_before, batch).await?)
    }

    async fn settle(&self, now: Time) -> Result<u64, StoreError> {
        // Both steps run, even if one of them fails.
        let (finished, taken_back) = (self.finish_interrupted(now).await, self.take_back(now).await);
        Ok(finished? + taken_back?)
    }

    async fn take(&self, piece: StoreRecord) -> Result<(), StoreError> {
        const DOING: &str = "storing a copied record";
        match piece {
            StoreRecord::Row(row) => self.write(DOING, &row, json(DOING, &row)?, 0).await.map(drop),
            StoreRecord::Delivery(row, body) => self.take_delivery(DOING, &row, body).await,
            StoreRecord::Entries(entries) => self.take_entries(DOING, &entries).await,
            StoreRecord::Hold(hold) => self.put_item(DOING, hold_item(DOING, &hold)?).await,
            StoreRecord::Bookings(bookings) => self.take_bookings(DOING, bookings).await,
        }
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.set_note("ready", "").await
    }
}
