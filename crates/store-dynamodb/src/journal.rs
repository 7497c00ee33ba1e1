//! The journal in DynamoDB: entries in the order of their numbers, and intents that have no result.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{Delete, Put, ReturnValue, TransactWriteItem};
use beadle_engine::journal::{Entry, EntryKind};
use beadle_engine::{History, Lease, Listing, StoreError, Time};
use futures::future::try_join_all;

use crate::items::{
    Item, Range, TRIES, failed, get, get_json, get_number, gone, json, number, pause, send_again, text,
    unavailable,
};
use crate::{DynamoStore, SHARDS};

/// The maximum number of entries in one transaction. A transaction has at most 100 actions. Each
/// entry needs two actions, and the check of the lease needs one action.
const AT_ONCE: usize = 45;

/// The maximum expected difference between the clocks of two writers.
const APART: Duration = Duration::from_secs(600);

/// Returns the part of the index that contains the entry with this number. The index contains the
/// entries of all keys.
fn part(seq: u64) -> String {
    format!("journal#{}", seq % SHARDS)
}

/// Returns the partition that contains the entries of a key. The entries show whether Beadle has
/// already done something. So Beadle reads them consistently.
fn of_key(entry: &Entry) -> String {
    format!("journal#{}", entry.key)
}

fn sort(seq: u64) -> String {
    format!("{seq:020}")
}

/// Returns the positions of the actions whose condition failed. Returns `None` if the transaction
/// failed for another reason.
pub(crate) fn refused(error: &TransactWriteItemsError) -> Option<Vec<usize>> {
    let TransactWriteItemsError::TransactionCanceledException(canceled) = error else { return None };
    let reasons = canceled.cancellation_reasons().iter().enumerate();
    let refused: Vec<usize> =
        reasons.filter(|(_, one)| one.code() == Some("ConditionalCheckFailed")).map(|(at, _)| at).collect();
    (!refused.is_empty()).then_some(refused)
}

/// Returns whether a retry can succeed, because other processes wrote the same items, or because
/// there were too many requests.
pub(crate) fn may_try_again(error: &TransactWriteItemsError) -> bool {
    match error {
        TransactWriteItemsError::TransactionCanceledException(canceled) => {
            let codes = canceled.cancellation_reasons().iter().filter_map(|one| one.code());
            codes.into_iter().any(|code| {
                matches!(code, "TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded")
            })
        }
        TransactWriteItemsError::TransactionInProgressException(_) => true,
        _ => false,
    }
}

impl DynamoStore {
    pub(crate) fn put_action(
        &self,
        doing: &'static str,
        item: Item,
    ) -> Result<TransactWriteItem, StoreError> {
        let put = Put::builder().table_name(&self.table).set_item(Some(item)).build();
        Ok(TransactWriteItem::builder().put(put.map_err(|error| unavailable(doing, &error))?).build())
    }

    /// Reserves `count` consecutive numbers for entries. Returns the first number.
    async fn numbers(&self, doing: &'static str, count: usize) -> Result<u64, StoreError> {
        let asked = self.client.update_item().table_name(&self.table);
        let asked = asked.key("pk", text("counter")).key("sk", text("journal"));
        let asked = asked.update_expression("ADD n :n").expression_attribute_values(":n", number(count));
        let asked = asked.return_values(ReturnValue::UpdatedNew);
        let answer = send_again(|| asked.clone().send()).await.map_err(failed(doing))?;
        let last: u64 = answer.attributes.as_ref().and_then(|item| get_number(item, "n")).unwrap_or(0);
        Ok(last.saturating_sub(count as u64) + 1)
    }

    pub(crate) async fn append(
        &self,
        lease: Option<&Lease>,
        entries: Vec<Entry>,
        now: Time,
    ) -> Result<Option<Vec<u64>>, StoreError> {
        const DOING: &str = "writing the journal";
        if entries.is_empty() {
            return Ok(self.holds_lease(DOING, lease, now).await?.then(Vec::new));
        }
        let first = self.numbers(DOING, entries.len()).await?;
        let numbers: Vec<u64> = (first..).take(entries.len()).collect();
        let numbered: Vec<Entry> =
            entries.into_iter().zip(&numbers).map(|(entry, seq)| Entry { seq: *seq, ..entry }).collect();
        for part in numbered.chunks(AT_ONCE) {
            if !self.append_some(DOING, lease, part, now).await? {
                return Ok(None);
            }
        }
        Ok(Some(numbers))
    }

    /// Stores entries that come from another store, and keeps their numbers. Later entries get
    /// higher numbers.
    pub(crate) async fn take_entries(
        &self,
        doing: &'static str,
        entries: &[Entry],
    ) -> Result<(), StoreError> {
        let Some(last) = entries.iter().map(|entry| entry.seq).max() else { return Ok(()) };
        for part in entries.chunks(AT_ONCE) {
            self.append_some(doing, None, part, Time(0)).await?;
        }
        let asked = self.client.update_item().table_name(&self.table);
        let asked = asked.key("pk", text("counter")).key("sk", text("journal"));
        let asked = asked.update_expression("SET n = :n").expression_attribute_values(":n", number(last));
        send_again(|| asked.clone().send()).await.map(drop).map_err(failed(doing))
    }

    /// Reserves a number for an entry, and returns the entry with this number. The entry is not
    /// stored yet.
    pub(crate) async fn numbered(&self, doing: &'static str, entry: Entry) -> Result<Entry, StoreError> {
        Ok(Entry { seq: self.numbers(doing, 1).await?, ..entry })
    }

    /// Returns whether this entry is stored.
    pub(crate) async fn has_entry(&self, doing: &'static str, entry: &Entry) -> Result<bool, StoreError> {
        Ok(self.read(doing, &of_key(entry), &sort(entry.seq)).await?.is_some())
    }

    /// Returns an action for a transaction. The action stores an entry.
    pub(crate) fn entry_action(
        &self,
        doing: &'static str,
        entry: &Entry,
    ) -> Result<TransactWriteItem, StoreError> {
        let sk = sort(entry.seq);
        let item = Item::from([
            ("pk".to_owned(), text(of_key(entry))),
            ("sk".to_owned(), text(&sk)),
            ("entry".to_owned(), json(doing, entry)?),
            ("g".to_owned(), text(part(entry.seq))),
            ("gs".to_owned(), text(&sk)),
            ("gone".to_owned(), gone(entry.at, self.settings.journal)),
        ]);
        self.put_action(doing, item)
    }

    /// Returns an action for a transaction. The action records an intent as open. The intent stays
    /// open until its result is stored.
    pub(crate) fn open_action(
        &self,
        doing: &'static str,
        entry: &Entry,
    ) -> Result<TransactWriteItem, StoreError> {
        let item = Item::from([
            ("pk".to_owned(), text("intent")),
            ("sk".to_owned(), text(sort(entry.seq))),
            ("entry".to_owned(), json(doing, entry)?),
        ]);
        self.put_action(doing, item)
    }

    async fn append_some(
        &self,
        doing: &'static str,
        lease: Option<&Lease>,
        entries: &[Entry],
        now: Time,
    ) -> Result<bool, StoreError> {
        let mut actions = Vec::new();
        if let Some(lease) = lease {
            actions.push(self.holding(doing, lease, now)?);
        }
        // A transaction cannot write the same item twice. If an intent and its result are in the
        // same transaction, the intent is never recorded as open.
        let mut closed: BTreeSet<u64> = entries.iter().filter_map(|entry| entry.intent).collect();
        for entry in entries {
            actions.push(self.entry_action(doing, entry)?);
            if entry.kind == EntryKind::Intent && !closed.remove(&entry.seq) {
                actions.push(self.open_action(doing, entry)?);
            }
        }
        for intent in closed {
            let delete = Delete::builder().table_name(&self.table);
            let delete = delete.key("pk", text("intent")).key("sk", text(sort(intent))).build();
            let delete = delete.map_err(|error| unavailable(doing, &error))?;
            actions.push(TransactWriteItem::builder().delete(delete).build());
        }
        for attempt in 0..TRIES {
            let sent =
                self.client.transact_write_items().set_transact_items(Some(actions.clone())).send().await;
            let Err(error) = sent else { return Ok(true) };
            let service = error.as_service_error();
            if service.is_some_and(|error| refused(error).is_some()) {
                return Ok(false);
            }
            if !service.is_some_and(may_try_again) {
                return Err(failed(doing)(error));
            }
            pause(attempt).await;
        }
        Err(StoreError::Unavailable { doing, why: "other processes keep writing the same items".into() })
    }

    pub(crate) async fn list_entries(&self, listing: &Listing) -> Result<Vec<Entry>, StoreError> {
        const DOING: &str = "reading the journal";
        let most = listing.limit as usize;
        // If a time is given, the query reads backwards from the newest entry. If the clocks of all
        // processes agree, an entry with a greater number has a later time.
        let since = listing.since.filter(|_| listing.after == 0);
        let range = &match since {
            Some(_) => Range { backwards: true, ..Range::default() },
            None => Range { after: Some(sort(listing.after)), ..Range::default() },
        };
        let is_wanted = |entry: &Entry| listing.since.is_none_or(|since| entry.at >= since);
        let entry = |item: &Item| get_json::<Entry>(DOING, item, "entry");
        let enough = |items: &[Item]| match (since, listing.since) {
            (Some(since), _) => {
                items.last().is_some_and(|last| entry(last).is_ok_and(|last| last.at < since - APART))
            }
            (None, None) => items.len() >= most,
            (None, Some(_)) => {
                items.iter().filter(|item| entry(item).is_ok_and(|one| is_wanted(&one))).count() >= most
            }
        };
        let parts = match &listing.key {
            Some(key) => vec![(false, format!("journal#{key}"))],
            None => (0..SHARDS).map(|shard| (true, part(shard))).collect(),
        };
        let (entry, enough) = (&entry, &enough);
        let found = parts.into_iter().map(|(index, of)| async move {
            let items = self.query(DOING, (index, &of), range, enough).await?;
            items.iter().map(entry).collect::<Result<Vec<Entry>, StoreError>>()
        });
        let mut entries: Vec<Entry> = try_join_all(found).await?.into_iter().flatten().collect();
        entries.retain(is_wanted);
        entries.sort_by_key(|entry| entry.seq);
        entries.truncate(most);
        Ok(entries)
    }

    /// Lists entries, with the newest entry first. No index contains the risks of changes. So a
    /// search for risks reads the entries backwards until it has found enough.
    pub(crate) async fn list_newest(&self, history: &History) -> Result<Vec<Entry>, StoreError> {
        const DOING: &str = "reading the journal";
        let most = history.limit as usize;
        let until = history.before.map(|before| sort(before.saturating_sub(1)));
        let range = &Range { until, backwards: true, page: Some(most), ..Range::default() };
        let entry = |item: &Item| get_json::<Entry>(DOING, item, "entry");
        let is_older = |entry: &Entry| {
            entry.seq <= history.after || history.since.is_some_and(|since| entry.at < since - APART)
        };
        let enough = |items: &[Item]| {
            items.last().is_some_and(|last| entry(last).is_ok_and(|last| is_older(&last)))
                || items.iter().filter(|item| entry(item).is_ok_and(|one| history.has(&one))).count() >= most
        };
        let parts = match &history.key {
            Some(key) => vec![(false, format!("journal#{key}"))],
            None => (0..SHARDS).map(|shard| (true, part(shard))).collect(),
        };
        let (entry, enough) = (&entry, &enough);
        let found = parts.into_iter().map(|(index, of)| async move {
            let items = self.query(DOING, (index, &of), range, enough).await?;
            items.iter().map(entry).collect::<Result<Vec<Entry>, StoreError>>()
        });
        let mut entries: Vec<Entry> = try_join_all(found).await?.into_iter().flatten().collect();
        entries.retain(|entry| history.has(entry));
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.seq));
        entries.truncate(most);
        Ok(entries)
    }

    pub(crate) async fn intents(&self) -> Result<Vec<Entry>, StoreError> {
        const DOING: &str = "looking for interrupted writes";
        let items = self.query(DOING, (false, "intent"), &Range::default(), |_| false).await?;
        items.iter().map(|item| get_json(DOING, item, "entry")).collect()
    }

    /// Deletes old entries, up to the given number. Returns the number of deleted entries.
    pub(crate) async fn prune_journal(&self, before: Time, batch: usize) -> Result<u64, StoreError> {
        const DOING: &str = "pruning";
        let mut left = batch;
        for shard in 0..SHARDS {
            let range = Range { page: Some(left), ..Range::default() };
            let items = self.query(DOING, (true, &part(shard)), &range, |items| items.len() >= left).await?;
            for item in items.iter().take(left) {
                let entry: Entry = get_json(DOING, item, "entry")?;
                // If the clocks of all processes agree, an entry with a greater number has a later
                // time. All further entries are then newer.
                if entry.at >= before {
                    break;
                }
                let (Some(pk), Some(sk)) = (get(item, "pk"), get(item, "sk")) else { continue };
                self.delete(DOING, pk, sk).await?;
                left -= 1;
            }
        }
        Ok((batch - left) as u64)
    }
}
