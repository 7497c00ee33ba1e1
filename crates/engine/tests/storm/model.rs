//! The inbox, the queue, the journal and the notes of a store in memory. The store follows the same
//! pure functions as the stores in SQLite and DynamoDB. It loads a row, calls the engine, and
//! writes the row back. Each method is one transaction.

use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::queue::oldest_share;
use beadle_engine::{
    Accepted, Claim, Delivery, DeliveryRow, Depth, Entry, GuardReservation, History, Hold, Key, KeyScope,
    Lane, Lease, Listing, Mark, Outcome, Pause, Row, Time, Timing,
};

use crate::sabotage::Sabotage;

/// The stored data.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) timing: Timing,
    pub(crate) sabotage: Option<Sabotage>,
    pub(crate) rows: BTreeMap<Key, Row>,
    /// The deliveries in the order of their arrival.
    pub(crate) inbox: Vec<(DeliveryRow, Option<Vec<u8>>)>,
    pub(crate) known: BTreeSet<(String, String)>,
    pub(crate) pauses: BTreeMap<String, Time>,
    pub(crate) windows: BTreeMap<String, Vec<GuardReservation>>,
    pub(crate) holds: BTreeMap<String, Hold>,
    pub(crate) journal: Vec<Entry>,
    pub(crate) notes: BTreeMap<String, String>,
}

impl Model {
    pub(crate) fn is_sabotaged(&self, by: Sabotage) -> bool {
        self.sabotage == Some(by)
    }

    pub(crate) fn accept(&mut self, delivery: &Delivery, marks: &[Mark]) -> Accepted {
        if !self.known.insert((delivery.source.clone(), delivery.id.clone())) {
            return Accepted::Duplicate;
        }
        let row = DeliveryRow {
            source: delivery.source.clone(),
            id: delivery.id.clone(),
            event: delivery.event.clone(),
            actor: delivery.actor.clone(),
            instance: delivery.instance.clone(),
            received: delivery.received,
            keys: marks.iter().map(|mark| mark.key.clone()).collect(),
        };
        self.inbox.push((row, Some(delivery.body.clone())));
        if !self.is_sabotaged(Sabotage::DeliveryWithoutMarks) {
            self.mark(marks, delivery.received);
        }
        Accepted::Stored
    }

    pub(crate) fn deliveries(&self, listing: &Listing) -> Vec<DeliveryRow> {
        let has = |row: &&DeliveryRow| {
            listing.since.is_none_or(|since| row.received >= since)
                && listing.key.as_ref().is_none_or(|key| row.keys.iter().any(|other| other.as_str() == key))
        };
        let mut found: Vec<&DeliveryRow> = self.inbox.iter().rev().map(|(row, _)| row).filter(has).collect();
        found.sort_by_key(|row| std::cmp::Reverse(row.received));
        found.into_iter().skip(count(listing.after)).take(limit(listing.limit)).cloned().collect()
    }

    pub(crate) fn body(&self, source: &str, id: &str) -> Option<Vec<u8>> {
        let is_it = |row: &DeliveryRow| row.source == source && row.id == id;
        self.inbox.iter().find(|(row, _)| is_it(row)).and_then(|(_, body)| body.clone())
    }

    pub(crate) fn mark(&mut self, marks: &[Mark], now: Time) {
        for mark in marks {
            let row = self.rows.entry(mark.key.clone()).or_insert_with(|| Row::new(mark.key.clone()));
            row.mark(mark, now, &self.timing);
        }
    }

    fn is_paused(&self, key: &Key, now: Time) -> bool {
        [key.as_str(), key.instance()]
            .iter()
            .any(|scope| self.pauses.get(*scope).is_some_and(|until| *until > now))
    }

    pub(crate) fn claim(&mut self, limit: usize, except: &[String], now: Time) -> Vec<Claim> {
        let timing = self.timing;
        for row in self.rows.values_mut() {
            if row.due_at().is_some() {
                row.clamp(now, &timing);
            }
            if self.sabotage == Some(Sabotage::LeasesIgnored) {
                row.lease_until = None;
            }
        }
        let may = |row: &&Row| {
            let is_stuck = self.is_sabotaged(Sabotage::LeasesNeverEnd) && row.lease_until.is_some();
            row.due_at().is_some_and(|due| due <= now)
                && !is_stuck
                && !self.is_paused(&row.key, now)
                && !except.iter().any(|instance| instance == row.key.instance())
        };
        let mut due: Vec<&Row> = self.rows.values().filter(may).collect();
        due.sort_by_key(|row| row.first_dirty);
        let mut chosen: Vec<Key> =
            due.iter().take(oldest_share(limit, now)).map(|row| row.key.clone()).collect();
        due.sort_by_key(|row| row.rank());
        for row in &due {
            if chosen.len() < limit && !chosen.contains(&row.key) {
                chosen.push(row.key.clone());
            }
        }
        chosen.sort_by_key(|key| self.rows.get(key).map(Row::rank));
        let mut claims = Vec::new();
        for key in chosen {
            claims.extend(self.rows.get_mut(&key).and_then(|row| row.claim(now, &timing)));
        }
        claims
    }

    pub(crate) fn claim_key(&mut self, key: &Key, now: Time) -> Option<Claim> {
        let mut row = self.rows.get(key).cloned().unwrap_or_else(|| Row::new(key.clone()));
        row.mark(&Mark::new(key.clone(), Lane::Manual), now, &self.timing);
        let claim = row.claim(now, &self.timing)?;
        self.rows.insert(key.clone(), row);
        Some(claim)
    }

    pub(crate) fn claim_named(&mut self, keys: &[Key], now: Time) -> Vec<Claim> {
        let timing = self.timing;
        let mut claims = Vec::new();
        for key in keys {
            if !self.is_paused(key, now) {
                claims.extend(self.rows.get_mut(key).and_then(|row| row.claim(now, &timing)));
            }
        }
        claims
    }

    pub(crate) fn renew(&mut self, lease: &Lease, now: Time) -> Option<Time> {
        let (timing, sabotage) = (self.timing, self.sabotage);
        let row = self.rows.get_mut(&lease.key)?;
        if sabotage == Some(Sabotage::RenewalIgnoresEpoch) {
            let latest = Lease { epoch: row.epoch, ..lease.clone() };
            return row.renew(&latest, now, &timing);
        }
        row.renew(lease, now, &timing)
    }

    pub(crate) fn finish(&mut self, lease: &Lease, outcome: &Outcome, now: Time) -> bool {
        let (timing, sabotage) = (self.timing, self.sabotage);
        let Some(row) = self.rows.get_mut(&lease.key) else { return false };
        let mut lease = lease.clone();
        if sabotage == Some(Sabotage::EpochIgnored) {
            lease.epoch = row.epoch;
        }
        let finished = row.finish(&lease, outcome.clone(), now, &timing);
        if finished && *outcome == Outcome::Done && sabotage == Some(Sabotage::DoneIsWanted) {
            row.done = row.wanted;
        }
        finished
    }

    /// Returns whether a lease is valid. If there is no lease to check, the result is `true`.
    pub(crate) fn is_valid(&self, lease: Option<&Lease>, now: Time) -> bool {
        lease.is_none_or(|lease| self.rows.get(&lease.key).is_some_and(|row| row.holds(lease, now)))
    }

    pub(crate) fn next_due(&self) -> Option<Time> {
        self.rows.values().filter_map(Row::due_at).min()
    }

    pub(crate) fn pauses(&self, now: Time) -> Vec<Pause> {
        let pauses = self.pauses.iter().filter(|(_, until)| **until > now);
        pauses.map(|(scope, until)| Pause { scope: scope.clone(), until: *until }).collect()
    }

    pub(crate) fn list(&self, most: u32) -> Vec<Row> {
        let shown = |row: &&Row| row.due_at().is_some() || row.parked.is_some() || row.lease_until.is_some();
        let mut rows: Vec<Row> = self.rows.values().filter(shown).cloned().collect();
        rows.sort_by_key(|row| (row.parked.is_none(), row.rank()));
        rows.truncate(limit(most));
        rows
    }

    pub(crate) fn count_waiting(&self, scopes: &[KeyScope], since: Time, most: u32) -> u64 {
        let waits = |row: &&Row| row.waits_since(since) && scopes.iter().any(|scope| scope.covers(&row.key));
        self.rows.values().filter(waits).take(limit(most)).count() as u64
    }

    pub(crate) fn depth(&self, now: Time) -> Depth {
        let mut depth = Depth::default();
        for row in self.rows.values() {
            let is_leased = row.lease_until.is_some_and(|until| until > now);
            depth.leased += u64::from(is_leased);
            depth.parked += u64::from(row.parked.is_some());
            if row.due_at().is_none() || is_leased {
                continue;
            }
            depth.due[row.lane as usize] += 1;
            if !self.is_paused(&row.key, now) {
                let oldest = depth.oldest.map_or(row.first_dirty, |oldest| oldest.min(row.first_dirty));
                depth.oldest = Some(oldest);
            }
        }
        depth
    }

    pub(crate) fn append(&mut self, entries: &[Entry]) -> Vec<u64> {
        let mut numbers = Vec::new();
        for entry in entries {
            let seq = self.journal.last().map_or(1, |last| last.seq + 1);
            self.journal.push(Entry { seq, ..entry.clone() });
            numbers.push(seq);
        }
        numbers
    }

    pub(crate) fn entries(&self, listing: &Listing) -> Vec<Entry> {
        let has = |entry: &&Entry| {
            entry.seq > listing.after
                && listing.since.is_none_or(|since| entry.at >= since)
                && listing.key.as_ref().is_none_or(|key| entry.key == *key)
        };
        self.journal.iter().filter(has).take(limit(listing.limit)).cloned().collect()
    }

    pub(crate) fn newest_entries(&self, history: &History) -> Vec<Entry> {
        let has = |entry: &&Entry| history.has(entry);
        self.journal.iter().rev().filter(has).take(limit(history.limit)).cloned().collect()
    }

    pub(crate) fn open_intents(&self) -> Vec<Entry> {
        let ended: BTreeSet<u64> = self.journal.iter().filter_map(|entry| entry.intent).collect();
        let is_open =
            |entry: &&Entry| entry.kind == beadle_engine::EntryKind::Intent && !ended.contains(&entry.seq);
        self.journal.iter().filter(is_open).cloned().collect()
    }

    pub(crate) fn notes_page(&self, prefix: &str, after: &str, most: u32) -> Vec<(String, String)> {
        let has = |(name, _): &(&String, &String)| {
            name.starts_with(prefix) && (after.is_empty() || name.as_str() > after)
        };
        let found = self.notes.iter().filter(has).take(limit(most));
        found.map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

pub(crate) fn limit(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

fn count(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
