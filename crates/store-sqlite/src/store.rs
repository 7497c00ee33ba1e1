//! Implements the engine's storage traits. Each call is one read or one transaction.

use async_trait::async_trait;
use beadle_engine::guard::{Decision, Ruling};
use beadle_engine::store::prelude::*;
use beadle_engine::{
    Accepted, Begun, Claim, Delivery, DeliveryRow, Depth, End, Entry, GuardReservation, History, Hold,
    HoldList, Intent, Key, KeyScope, Lane, Lease, Limits, Listing, Mark, Outcome, Pause, Row, RowList,
    StoreError, Time, Timing, Verdict, is_called, refused_delivery,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::queue::LeftOut;
use crate::rows::{self, Sorted};
use crate::{SqliteStore, bodies, guard, journal, queue};

impl SqliteStore {
    /// Returns a list of rows. From now on, each claim skips the unreadable rows.
    fn listed(&self, sorted: Sorted) -> RowList {
        let list = RowList::new(sorted.rows, &sorted.damaged);
        self.damaged.add(sorted.damaged);
        list
    }
}

#[async_trait]
impl Inbox for SqliteStore {
    async fn accept(&self, mut delivery: Delivery, marks: Vec<Mark>) -> Result<Accepted, StoreError> {
        const DOING: &str = "storing a delivery";
        // The compression needs no lock, so the store compresses before the request reaches the
        // writer's thread.
        let unavailable = |why: String| StoreError::Unavailable { doing: DOING, why };
        let body = bodies::compress(&delivery.body).map_err(|error| unavailable(error.to_string()))?;
        delivery.body = Vec::new();
        let keys: Vec<&Key> = marks.iter().map(|mark| &mark.key).collect();
        let keys = serde_json::to_string(&keys).map_err(|error| unavailable(error.to_string()))?;
        let timing = self.timing;
        let (accepted, damaged) = self
            .writer
            .write(DOING, move |connection| {
                if !queue::insert(connection, &delivery, Some(&body), &keys)? {
                    return Ok((Accepted::Duplicate, Vec::new()));
                }
                let damaged = queue::mark(connection, &marks, delivery.received, &timing)?;
                match refused_delivery(&marks, &damaged) {
                    // The error undoes the transaction.
                    Some(why) => Err(rows::damaged(0, why)),
                    None => Ok((Accepted::Stored, damaged)),
                }
            })
            .await?;
        self.damaged.add(damaged);
        Ok(accepted)
    }

    async fn deliveries(&self, listing: Listing) -> Result<Vec<DeliveryRow>, StoreError> {
        self.read("listing deliveries", move |connection| journal::deliveries(connection, &listing)).await
    }

    async fn body(&self, source: &str, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        const DOING: &str = "reading a delivery";
        let (source, id) = (source.to_owned(), id.to_owned());
        let body = self.read(DOING, move |connection| queue::body(connection, &source, &id)).await?;
        body.map(|body| bodies::decompress(&body))
            .transpose()
            .map_err(|error| StoreError::Corrupt { doing: DOING, why: error.to_string() })
    }
}

#[async_trait]
impl Queue for SqliteStore {
    async fn mark_readable(&self, marks: Vec<Mark>, now: Time) -> Result<Vec<String>, StoreError> {
        let timing = self.timing;
        let mark = move |connection: &Connection| queue::mark(connection, &marks, now, &timing);
        let damaged = self.writer.write("marking keys as due", mark).await?;
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
        let timing = self.timing;
        loop {
            let left_out = LeftOut::new(instances, &self.damaged.keys());
            // Most claims find no due key. So a claim first only reads, because a transaction would
            // be expensive.
            let except = left_out.clone();
            let due = move |connection: &Connection| queue::is_due(connection, &except, now);
            if !self.read("looking for due keys", due).await? {
                return Ok(Vec::new());
            }
            let claim =
                move |connection: &Connection| queue::claim(connection, limit, &left_out, now, &timing);
            let claimed = self.writer.write("claiming keys", claim).await?;
            // The next claim skips the rows that cannot be read. The claim cannot skip a row whose
            // key is not readable.
            let has_news = self.damaged.add(claimed.damaged);
            if !claimed.claims.is_empty() || !has_news {
                return Ok(claimed.claims);
            }
        }
    }

    async fn claim_key(&self, key: &Key, now: Time) -> Result<Option<Claim>, StoreError> {
        let (key, timing) = (key.clone(), self.timing);
        self.writer
            .write("claiming a key", move |connection| queue::claim_key(connection, &key, now, &timing))
            .await
    }

    async fn claim_named(&self, keys: &[Key], now: Time) -> Result<Vec<Claim>, StoreError> {
        let (keys, timing) = (keys.to_vec(), self.timing);
        let claim = move |connection: &Connection| queue::claim_named(connection, &keys, now, &timing);
        let claimed = self.writer.write("claiming keys by name", claim).await?;
        self.damaged.add(claimed.damaged);
        Ok(claimed.claims)
    }

    async fn renew(&self, lease: &Lease, now: Time) -> Result<Option<Time>, StoreError> {
        let (lease, timing) = (lease.clone(), self.timing);
        self.writer
            .write("renewing a lease", move |connection| queue::renew(connection, &lease, now, &timing))
            .await
    }

    async fn finish(&self, lease: &Lease, outcome: Outcome, now: Time) -> Result<bool, StoreError> {
        let (lease, timing) = (lease.clone(), self.timing);
        self.writer
            .write("ending a run", move |connection| {
                queue::finish(connection, &lease, &outcome, now, &timing)
            })
            .await
    }

    async fn next_due(&self) -> Result<Option<Time>, StoreError> {
        let left_out = LeftOut::new(&[], &self.damaged.keys());
        let due = move |connection: &Connection| queue::next_due(connection, &left_out);
        self.read("looking for due keys", due).await
    }

    fn timing(&self) -> &Timing {
        &self.timing
    }

    async fn pause(&self, scope: &str, until: Time) -> Result<(), StoreError> {
        let scope = scope.to_owned();
        self.writer
            .write("pausing", move |connection| {
                connection
                    .execute("INSERT OR REPLACE INTO pause VALUES (?1, ?2)", params![scope, until.0])
                    .map(drop)
            })
            .await
    }

    async fn resume(&self, scope: &str) -> Result<bool, StoreError> {
        let scope = scope.to_owned();
        self.writer
            .write("resuming", move |connection| {
                connection.execute("DELETE FROM pause WHERE scope = ?1", [&scope]).map(|gone| gone > 0)
            })
            .await
    }

    async fn pauses(&self, now: Time) -> Result<Vec<Pause>, StoreError> {
        self.read("listing pauses", move |connection| queue::pauses(connection, now)).await
    }

    async fn all_rows(&self, limit: u32) -> Result<RowList, StoreError> {
        let listed = self.read("listing the queue", move |connection| queue::list(connection, limit)).await?;
        Ok(self.listed(listed))
    }

    async fn troubled(&self) -> Result<RowList, StoreError> {
        Ok(self.listed(self.read("listing keys with a problem", queue::troubled).await?))
    }

    async fn row(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        let key = key.clone();
        self.read("reading a key", move |connection| queue::row(connection, &key)).await
    }

    async fn count_waiting(&self, scopes: &[KeyScope], since: Time, most: u32) -> Result<u64, StoreError> {
        let scopes = scopes.to_vec();
        let count = move |connection: &Connection| queue::count_waiting(connection, &scopes, since, most);
        let (count, damaged) = self.read("counting waiting keys", count).await?;
        self.damaged.add(damaged);
        Ok(count)
    }

    async fn depth(&self, now: Time) -> Result<Depth, StoreError> {
        self.read("measuring the queue", move |connection| queue::depth(connection, now)).await
    }
}

#[async_trait]
impl GuardStore for SqliteStore {
    async fn reserve(
        &self,
        lease: Option<&Lease>,
        limits: &Limits,
        asked: Vec<Hold>,
        now: Time,
    ) -> Result<Option<Vec<Verdict>>, StoreError> {
        let (lease, limits) = (lease.cloned(), *limits);
        self.writer
            .write("asking the guard", move |connection| {
                if !queue::holds(connection, lease.as_ref(), now)? {
                    return Ok(None);
                }
                guard::reserve(connection, &limits, &asked, now).map(Some)
            })
            .await
    }

    async fn all_holds(&self) -> Result<HoldList, StoreError> {
        self.read("listing holds", guard::list).await
    }

    async fn holds_version(&self) -> Result<String, StoreError> {
        self.read("comparing holds", guard::version).await
    }

    async fn all_holds_of(&self, key: &Key) -> Result<HoldList, StoreError> {
        let key = key.clone();
        self.read("listing holds", move |connection| guard::of_key(connection, key.as_str())).await
    }

    async fn begin(
        &self,
        lease: Option<&Lease>,
        key: &Key,
        intent: Intent,
        now: Time,
    ) -> Result<Begun, StoreError> {
        let (lease, key) = (lease.cloned(), key.clone());
        self.writer
            .write("beginning a write", move |connection| {
                if !queue::holds(connection, lease.as_ref(), now)? {
                    return Ok(Begun::LeaseLost);
                }
                guard::begin(connection, &key, &intent, now)
            })
            .await
    }

    async fn conclude(&self, instance: &str, ends: Vec<(String, End)>) -> Result<(), StoreError> {
        let instance = instance.to_owned();
        self.writer
            .write("ending a write", move |connection| guard::conclude(connection, &instance, &ends))
            .await
    }

    async fn release(&self, seen: Vec<Hold>) -> Result<(), StoreError> {
        self.writer.write("releasing holds", move |connection| guard::release(connection, &seen)).await
    }

    async fn decide(&self, digest: &str, decision: &Decision, now: Time) -> Result<Option<Hold>, StoreError> {
        let (digest, decision, timing) = (digest.to_owned(), decision.clone(), self.timing);
        self.writer
            .write("storing a decision", move |connection| {
                let hold = guard::settle(connection, &digest, &decision, now)?;
                if let Some(hold) = hold.as_ref().filter(|_| decision.ruling == Ruling::Approve) {
                    queue::mark_one(connection, &Mark::new(hold.key.clone(), Lane::Manual), now, &timing)?;
                }
                Ok(hold)
            })
            .await
    }

    async fn let_pass(&self, approved: Vec<Hold>) -> Result<(), StoreError> {
        self.writer.write("storing approvals", move |connection| guard::let_pass(connection, &approved)).await
    }

    async fn forget_holds(&self, instance: &str, generation: &str) -> Result<u64, StoreError> {
        let (instance, generation) = (instance.to_owned(), generation.to_owned());
        self.writer
            .write("deleting holds of other generations", move |connection| {
                guard::forget(connection, &instance, &generation)
            })
            .await
    }

    async fn bookings(&self, since: Time) -> Result<Vec<GuardReservation>, StoreError> {
        self.read("reading the guard's windows", move |connection| guard::bookings(connection, since)).await
    }
}

#[async_trait]
impl Journal for SqliteStore {
    async fn journal(
        &self,
        lease: Option<&Lease>,
        entries: Vec<Entry>,
        now: Time,
    ) -> Result<Option<Vec<u64>>, StoreError> {
        let lease = lease.cloned();
        self.writer
            .write("writing the journal", move |connection| {
                if !queue::holds(connection, lease.as_ref(), now)? {
                    return Ok(None);
                }
                journal::append(connection, &entries).map(Some)
            })
            .await
    }

    async fn entries(&self, listing: Listing) -> Result<Vec<Entry>, StoreError> {
        self.read("reading the journal", move |connection| journal::entries(connection, &listing)).await
    }

    async fn newest_entries(&self, history: History) -> Result<Vec<Entry>, StoreError> {
        self.read("reading the journal", move |connection| journal::newest(connection, &history)).await
    }

    fn has_index_of_kinds(&self) -> bool {
        true
    }

    async fn open_intents(&self) -> Result<Vec<Entry>, StoreError> {
        let (open, until) = self.read("looking for interrupted writes", journal::open_intents).await?;
        let remember = move |connection: &Connection| journal::remember_settled(connection, until);
        // If the number cannot be stored, the next search takes longer. Nothing else changes.
        if let Err(error) = self.writer.write("remembering settled writes", remember).await {
            tracing::debug!(%error, "number of settled intents not stored");
        }
        Ok(open)
    }

    async fn keys_called(&self, name: &str) -> Result<Vec<Key>, StoreError> {
        let name = name.to_owned();
        self.read("looking for a name in the journal", move |connection| {
            let mut found = journal::called(connection, &name)?;
            found.retain(|(_, subject)| is_called(subject, &name));
            // Some entries are about an organisation or about no key at all.
            let mut keys: Vec<Key> = found.into_iter().filter_map(|(key, _)| key.parse().ok()).collect();
            keys.sort();
            keys.dedup();
            Ok(keys)
        })
        .await
    }

    async fn subjects(&self, limit: u32) -> Result<Vec<String>, StoreError> {
        self.read("listing the names of the journal", move |connection| journal::subjects(connection, limit))
            .await
    }
}

#[async_trait]
impl MetadataStore for SqliteStore {
    async fn get(&self, name: &str) -> Result<Option<String>, StoreError> {
        let name = name.to_owned();
        self.read("reading a note", move |connection| {
            connection
                .prepare_cached("SELECT value FROM note WHERE name = ?1")?
                .query_row([name], |row| row.get(0))
                .optional()
        })
        .await
    }

    async fn get_all(&self, names: &[String]) -> Result<Vec<Option<String>>, StoreError> {
        let names = names.to_vec();
        self.read("reading notes by their names", move |connection| {
            let mut statement = connection.prepare_cached("SELECT value FROM note WHERE name = ?1")?;
            names.iter().map(|name| statement.query_row([name], |row| row.get(0)).optional()).collect()
        })
        .await
    }

    async fn notes(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreError> {
        let prefix = prefix.to_owned();
        self.read("reading notes", move |connection| {
            // The index sorts names by their bytes, and U+10FFFF is the greatest character. So the
            // range contains all names with this prefix.
            let sql =
                "SELECT name, value FROM note WHERE name >= ?1 AND name < ?1 || char(1114111) ORDER BY name";
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            connection.prepare_cached(sql)?.query_map([prefix], row)?.collect()
        })
        .await
    }

    async fn notes_page(
        &self,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let (prefix, after) = (prefix.to_owned(), after.to_owned());
        self.read("reading a page of notes", move |connection| {
            // The query has a single lower bound, so that SQLite starts to read the index at the
            // first name of the page.
            let sql = "SELECT name, value FROM note WHERE name >= max(?1, ?2) AND name < ?1 || char(1114111)
                       AND name <> ?2 ORDER BY name LIMIT ?3";
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            connection.prepare_cached(sql)?.query_map(params![prefix, after, limit], row)?.collect()
        })
        .await
    }

    async fn forget(&self, name: &str) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.writer
            .write("deleting a note", move |connection| {
                connection.execute("DELETE FROM note WHERE name = ?1", [&name]).map(drop)
            })
            .await
    }

    async fn put(&self, name: &str, value: &str) -> Result<(), StoreError> {
        let (name, value) = (name.to_owned(), value.to_owned());
        self.writer
            .write("writing a note", move |connection| {
                connection.execute("INSERT OR REPLACE INTO note VALUES (?1, ?2)", [&name, &value]).map(drop)
            })
            .await
    }

    async fn replace(&self, name: &str, before: Option<&str>, value: &str) -> Result<bool, StoreError> {
        let (name, before, value) = (name.to_owned(), before.map(str::to_owned), value.to_owned());
        self.writer
            .write("replacing a note", move |connection| {
                let changed = match &before {
                    None => {
                        connection.execute("INSERT OR IGNORE INTO note VALUES (?1, ?2)", [&name, &value])?
                    }
                    Some(before) => connection.execute(
                        "UPDATE note SET value = ?3 WHERE name = ?1 AND value = ?2",
                        [&name, before, &value],
                    )?,
                };
                Ok(changed == 1)
            })
            .await
    }
}
