//! Implements the engine's storage traits. Each call is one query or one transaction.

use async_trait::async_trait;
use beadle_engine::guard::{Decision, Ruling};
use beadle_engine::store::prelude::*;
use beadle_engine::{
    Accepted, Begun, Claim, Delivery, DeliveryRow, Depth, End, Entry, GuardReservation, History, Hold,
    HoldList, Intent, Key, KeyScope, Lane, Lease, Limits, Listing, Mark, Outcome, Pause, Retention, Row,
    RowList, StoreError, StoreRecord, Time, Timing, Verdict, is_called,
};
use deadpool_postgres::Client;

use crate::failed::{Failed, error_of};
use crate::queue::Claimed;
use crate::requests::{Accept, Append, Finish, MarkKeys, Renew};
use crate::retry::{repeat, transaction};
use crate::rows::Sorted;
use crate::{
    PostgresStore, bodies, guard, holds, inbox, journal, notes, partitions, pauses, queue, rows, sql,
};

impl PostgresStore {
    /// Claims keys on one connection. The claim leaves out the rows that recent claims could not
    /// read.
    async fn claim_once(&self, limit: usize, instances: &[String], now: Time) -> Result<Claimed, Failed> {
        let client = self.pool.get().await?;
        let damaged = self.damaged.keys();
        queue::claim(&client, limit, (instances, &damaged), now, &self.timing).await
    }

    /// Returns a connection for one query.
    async fn client(&self, doing: &'static str) -> Result<Client, StoreError> {
        self.pool.get().await.map_err(|error| Failed::from(error).into_error(doing))
    }

    /// Returns a list of rows. From now on, each claim skips the unreadable rows.
    fn listed(&self, sorted: Sorted) -> RowList {
        let list = RowList::new(sorted.rows, &sorted.damaged);
        self.damaged.add(sorted.damaged);
        list
    }

    /// Sends a notification, if a changed row makes a notification necessary.
    async fn announce_if(&self, wakes: bool) {
        if wakes {
            self.announce().await;
        }
    }
}

#[async_trait]
impl Inbox for PostgresStore {
    async fn accept(&self, mut delivery: Delivery, marks: Vec<Mark>) -> Result<Accepted, StoreError> {
        const DOING: &str = "storing a delivery";
        // The compression needs no connection, so the store compresses before the transaction
        // begins.
        let body = bodies::compress(&delivery.body).map_err(|error| Failed::from(error).into_error(DOING))?;
        delivery.body = Vec::new();
        let keys: Vec<&Key> = marks.iter().map(|mark| &mark.key).collect();
        let keys = serde_json::to_string(&keys).map_err(|error| Failed::from(error).into_error(DOING))?;
        let arrived = inbox::Arrived { delivery, body: Some(body), keys };
        let (accepted, damaged) = self.intake.write(Accept { arrived, marks }).await?.output;
        self.damaged.add(damaged);
        Ok(accepted)
    }

    async fn deliveries(&self, listing: Listing) -> Result<Vec<DeliveryRow>, StoreError> {
        const DOING: &str = "listing deliveries";
        let client = self.client(DOING).await?;
        inbox::list(&client, &listing).await.map_err(error_of(DOING))
    }

    async fn body(&self, source: &str, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        const DOING: &str = "reading a delivery";
        let client = self.client(DOING).await?;
        let body = inbox::body(&client, source, id).await.map_err(error_of(DOING))?;
        body.map(|body| bodies::decompress(&body))
            .transpose()
            .map_err(|error| StoreError::Corrupt { doing: DOING, why: error.to_string() })
    }
}

#[async_trait]
impl Queue for PostgresStore {
    async fn mark_readable(&self, marks: Vec<Mark>, now: Time) -> Result<Vec<String>, StoreError> {
        let damaged = self.intake.write(MarkKeys { marks, now }).await?.output;
        let skipped = damaged.iter().map(|(_, why)| why.clone()).collect();
        self.damaged.add(damaged);
        Ok(skipped)
    }

    async fn claim_except(
        &self,
        limit: usize,
        instances: &[String],
        now: Time,
    ) -> Result<Vec<Claim>, StoreError> {
        // Most claims find no due key. So a claim first only reads, because a transaction would be
        // expensive.
        let client = self.client("looking for due keys").await?;
        let is_due = queue::is_due(&client, &self.damaged.keys(), now).await;
        if !is_due.map_err(error_of("looking for due keys"))? {
            return Ok(Vec::new());
        }
        // The transaction takes a connection from the pool, and the pool might have only one.
        drop(client);
        loop {
            let done = repeat!(&self.pool, self.claim_once(limit, instances, now));
            let claimed = done.map_err(error_of("claiming keys"))?;
            let is_over = !claimed.claims.is_empty() || claimed.damaged.is_empty();
            self.damaged.add(claimed.damaged);
            // The next claim skips the rows that cannot be read.
            if is_over {
                return Ok(claimed.claims);
            }
        }
    }

    async fn claim_key(&self, key: &Key, now: Time) -> Result<Option<Claim>, StoreError> {
        let done = transaction!(self, tx => queue::claim_key(&tx, key, now, &self.timing).await?);
        done.map_err(error_of("claiming a key"))
    }

    async fn claim_named(&self, keys: &[Key], now: Time) -> Result<Vec<Claim>, StoreError> {
        let done = transaction!(self, tx => queue::claim_named(&tx, keys, now, &self.timing).await?);
        let claimed = done.map_err(error_of("claiming keys by name"))?;
        self.damaged.add(claimed.damaged);
        Ok(claimed.claims)
    }

    async fn renew(&self, lease: &Lease, now: Time) -> Result<Option<Time>, StoreError> {
        Ok(self.runs.write(Renew { lease: lease.clone(), now }).await?.output)
    }

    async fn finish(&self, lease: &Lease, outcome: Outcome, now: Time) -> Result<bool, StoreError> {
        Ok(self.runs.write(Finish { lease: lease.clone(), outcome, now }).await?.output)
    }

    async fn next_due(&self) -> Result<Option<Time>, StoreError> {
        const DOING: &str = "looking for due keys";
        let client = self.client(DOING).await?;
        queue::next_due(&client, &self.damaged.keys()).await.map_err(error_of(DOING))
    }

    fn timing(&self) -> &Timing {
        &self.timing
    }

    async fn pause(&self, scope: &str, until: Time) -> Result<(), StoreError> {
        const DOING: &str = "pausing";
        let client = self.client(DOING).await?;
        pauses::set(&client, scope, until).await.map_err(error_of(DOING))
    }

    async fn resume(&self, scope: &str) -> Result<bool, StoreError> {
        const DOING: &str = "resuming";
        let client = self.client(DOING).await?;
        let ended = pauses::end(&client, scope).await.map_err(error_of(DOING))?;
        drop(client);
        // The keys of the scope can be claimed again.
        self.announce_if(ended).await;
        Ok(ended)
    }

    async fn pauses(&self, now: Time) -> Result<Vec<Pause>, StoreError> {
        const DOING: &str = "listing pauses";
        let client = self.client(DOING).await?;
        pauses::list(&client, now).await.map_err(error_of(DOING))
    }

    async fn all_rows(&self, limit: u32) -> Result<RowList, StoreError> {
        const DOING: &str = "listing the queue";
        let client = self.client(DOING).await?;
        Ok(self.listed(queue::list(&client, limit).await.map_err(error_of(DOING))?))
    }

    async fn troubled(&self) -> Result<RowList, StoreError> {
        const DOING: &str = "listing keys with a problem";
        let client = self.client(DOING).await?;
        Ok(self.listed(queue::troubled(&client).await.map_err(error_of(DOING))?))
    }

    async fn row(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        const DOING: &str = "reading a key";
        let client = self.client(DOING).await?;
        rows::load(&client, key).await.map_err(error_of(DOING))
    }

    async fn count_waiting(&self, scopes: &[KeyScope], since: Time, most: u32) -> Result<u64, StoreError> {
        const DOING: &str = "counting waiting keys";
        let client = self.client(DOING).await?;
        let counted = queue::count_waiting(&client, scopes, since, most).await;
        let (count, damaged) = counted.map_err(error_of(DOING))?;
        self.damaged.add(damaged);
        Ok(count)
    }

    async fn depth(&self, now: Time) -> Result<Depth, StoreError> {
        const DOING: &str = "measuring the queue";
        let client = self.client(DOING).await?;
        queue::depth(&client, now).await.map_err(error_of(DOING))
    }
}

#[async_trait]
impl GuardStore for PostgresStore {
    async fn reserve(
        &self,
        lease: Option<&Lease>,
        limits: &Limits,
        asked: Vec<Hold>,
        now: Time,
    ) -> Result<Option<Vec<Verdict>>, StoreError> {
        let done = transaction!(self, tx => {
            if queue::holds(&tx, lease, now).await? {
                Some(guard::reserve(&tx, limits, &asked, now).await?)
            } else {
                None
            }
        });
        done.map_err(error_of("asking the guard"))
    }

    async fn all_holds(&self) -> Result<HoldList, StoreError> {
        const DOING: &str = "listing holds";
        let client = self.client(DOING).await?;
        holds::list(&client).await.map_err(error_of(DOING))
    }

    async fn holds_version(&self) -> Result<String, StoreError> {
        const DOING: &str = "comparing holds";
        let client = self.client(DOING).await?;
        holds::version(&client).await.map_err(error_of(DOING))
    }

    async fn all_holds_of(&self, key: &Key) -> Result<HoldList, StoreError> {
        const DOING: &str = "listing holds";
        let client = self.client(DOING).await?;
        holds::of_key(&client, key.as_str()).await.map_err(error_of(DOING))
    }

    async fn begin(
        &self,
        lease: Option<&Lease>,
        key: &Key,
        intent: Intent,
        now: Time,
    ) -> Result<Begun, StoreError> {
        let done = transaction!(self, tx => {
            if queue::holds(&tx, lease, now).await? {
                guard::begin(&tx, key, &intent, now).await?
            } else {
                Begun::LeaseLost
            }
        });
        done.map_err(error_of("beginning a write"))
    }

    async fn conclude(&self, instance: &str, ends: Vec<(String, End)>) -> Result<(), StoreError> {
        let done = transaction!(self, tx => guard::conclude(&tx, instance, &ends).await?);
        done.map_err(error_of("ending a write"))
    }

    async fn release(&self, seen: Vec<Hold>) -> Result<(), StoreError> {
        let done = transaction!(self, tx => guard::release(&tx, &seen).await?);
        done.map_err(error_of("releasing holds"))
    }

    async fn decide(&self, digest: &str, decision: &Decision, now: Time) -> Result<Option<Hold>, StoreError> {
        let done = transaction!(self, tx => {
            // Every transaction locks the row of the key before the window, so the mark comes
            // before the decision. If somebody releases the hold in the meantime, the mark only
            // causes one more run.
            match holds::find(&tx, digest).await? {
                Some(found) => {
                    let wakes = if decision.ruling == Ruling::Approve {
                        let mark = Mark::new(found.key.clone(), Lane::Manual);
                        queue::mark_one(&tx, &mark, now, &self.timing).await?
                    } else {
                        false
                    };
                    guard::lock(&tx, found.key.instance()).await?;
                    (holds::settle(&tx, digest, decision, now).await?, wakes)
                }
                None => (None, false),
            }
        });
        let (hold, wakes) = done.map_err(error_of("storing a decision"))?;
        self.announce_if(wakes).await;
        Ok(hold)
    }

    async fn let_pass(&self, approved: Vec<Hold>) -> Result<(), StoreError> {
        let done = transaction!(self, tx => guard::let_pass(&tx, &approved).await?);
        done.map_err(error_of("storing approvals"))
    }

    async fn forget_holds(&self, instance: &str, generation: &str) -> Result<u64, StoreError> {
        let done = transaction!(self, tx => {
            guard::lock(&tx, instance).await?;
            holds::forget(&tx, instance, generation).await?
        });
        done.map_err(error_of("deleting holds of other generations"))
    }

    async fn bookings(&self, since: Time) -> Result<Vec<GuardReservation>, StoreError> {
        const DOING: &str = "reading the guard's windows";
        let client = self.client(DOING).await?;
        guard::bookings(&client, since).await.map_err(error_of(DOING))
    }
}

#[async_trait]
impl Journal for PostgresStore {
    async fn journal(
        &self,
        lease: Option<&Lease>,
        entries: Vec<Entry>,
        now: Time,
    ) -> Result<Option<Vec<u64>>, StoreError> {
        let count = entries.len();
        let written = self.runs.write(Append { lease: lease.cloned(), entries, now }).await?;
        Ok(written.output.map(|place| (written.first + place..).take(count).collect()))
    }

    async fn entries(&self, listing: Listing) -> Result<Vec<Entry>, StoreError> {
        const DOING: &str = "reading the journal";
        let client = self.client(DOING).await?;
        journal::entries(&client, &listing).await.map_err(error_of(DOING))
    }

    async fn newest_entries(&self, history: History) -> Result<Vec<Entry>, StoreError> {
        const DOING: &str = "reading the journal";
        let client = self.client(DOING).await?;
        journal::newest(&client, &history).await.map_err(error_of(DOING))
    }

    fn has_index_of_kinds(&self) -> bool {
        true
    }

    async fn open_intents(&self) -> Result<Vec<Entry>, StoreError> {
        const DOING: &str = "looking for interrupted writes";
        let client = self.client(DOING).await?;
        journal::open_intents(&client).await.map_err(error_of(DOING))
    }

    async fn keys_called(&self, name: &str) -> Result<Vec<Key>, StoreError> {
        const DOING: &str = "looking for a name in the journal";
        let client = self.client(DOING).await?;
        let mut found = journal::named(&client, name).await.map_err(error_of(DOING))?;
        found.retain(|(_, subject)| is_called(subject, name));
        // Some entries are about an organisation or about no key at all.
        let mut keys: Vec<Key> = found.into_iter().filter_map(|(key, _)| key.parse().ok()).collect();
        keys.sort();
        keys.dedup();
        Ok(keys)
    }

    async fn subjects(&self, limit: u32) -> Result<Vec<String>, StoreError> {
        const DOING: &str = "listing the names of the journal";
        let client = self.client(DOING).await?;
        journal::subjects(&client, limit).await.map_err(error_of(DOING))
    }
}

#[async_trait]
impl MetadataStore for PostgresStore {
    async fn get(&self, name: &str) -> Result<Option<String>, StoreError> {
        const DOING: &str = "reading a note";
        let client = self.client(DOING).await?;
        notes::read(&client, name).await.map_err(error_of(DOING))
    }

    async fn get_all(&self, names: &[String]) -> Result<Vec<Option<String>>, StoreError> {
        const DOING: &str = "reading notes by their names";
        let client = self.client(DOING).await?;
        notes::read_all(&client, names).await.map_err(error_of(DOING))
    }

    async fn notes(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreError> {
        const DOING: &str = "reading notes";
        let client = self.client(DOING).await?;
        notes::list(&client, prefix, "", None).await.map_err(error_of(DOING))
    }

    async fn notes_page(
        &self,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<(String, String)>, StoreError> {
        const DOING: &str = "reading a page of notes";
        let client = self.client(DOING).await?;
        notes::list(&client, prefix, after, Some(limit)).await.map_err(error_of(DOING))
    }

    async fn forget(&self, name: &str) -> Result<(), StoreError> {
        const DOING: &str = "deleting a note";
        let client = self.client(DOING).await?;
        notes::delete(&client, name).await.map_err(error_of(DOING))
    }

    async fn put(&self, name: &str, value: &str) -> Result<(), StoreError> {
        const DOING: &str = "writing a note";
        let client = self.client(DOING).await?;
        notes::write(&client, name, value).await.map_err(error_of(DOING))
    }

    async fn replace(&self, name: &str, before: Option<&str>, value: &str) -> Result<bool, StoreError> {
        const DOING: &str = "replacing a note";
        let client = self.client(DOING).await?;
        notes::replace(&client, name, before, value).await.map_err(error_of(DOING))
    }
}

#[async_trait]
impl Maintenance for PostgresStore {
    async fn prune(&self, retention: Retention) -> Result<u64, StoreError> {
        let rest = partitions::keep_up(&self.pool, retention.journal_before).await;
        let done = transaction!(self, tx => inbox::prune(&tx, &retention, rest).await?);
        done.map_err(error_of("pruning"))
    }

    async fn settle(&self, _: Time) -> Result<u64, StoreError> {
        // A transaction is stored either wholly or not at all, so no call can be interrupted
        // between two steps.
        Ok(0)
    }

    async fn take(&self, piece: StoreRecord) -> Result<(), StoreError> {
        self.take_record(piece).await.map_err(error_of("storing a copied record"))
    }

    async fn ready(&self) -> Result<(), StoreError> {
        const DOING: &str = "checking the store";
        let client = self.client(DOING).await?;
        notes::write(&client, "ready", "").await.map_err(error_of(DOING))
    }

    async fn clock(&self) -> Result<Option<Time>, StoreError> {
        const DOING: &str = "reading the clock of the server";
        let client = self.client(DOING).await?;
        let read = async {
            let query = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
            sql::get::<i64>(&sql::one(&client, query, &[]).await?, 0)
        };
        read.await.map(|at| Some(Time(at))).map_err(error_of(DOING))
    }
}
