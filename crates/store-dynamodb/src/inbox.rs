//! Stores the inbox in DynamoDB. A delivery is durable before its keys are marked. If the marking
//! is interrupted, a later call completes the marking.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use beadle_engine::store::json_reason;
use beadle_engine::{
    Accepted, Delivery, DeliveryRow, Key, Lane, Listing, Mark, StoreError, Time, refused_delivery,
};
use futures::future::try_join_all;

use crate::items::{
    Item, LARGEST, LEVEL, Range, bytes, corrupt, failed, get, get_json, get_number, gone, json, number,
    padded, send_again, shard, text, unavailable,
};
use crate::{DynamoStore, SHARDS};

/// The maximum size of one part, if a body is stored in parts. An item has at most 400 KB,
/// including its other attributes.
const PART: usize = 350_000;
/// How old an interrupted delivery must be before another process completes it. Until then, the
/// process that received the delivery can still complete it.
const INTERRUPTED: std::time::Duration = std::time::Duration::from_secs(60);
/// A part of the index. This part contains each delivery until all keys of the delivery are marked.
const UNMARKED: &str = "unmarked";

fn name(source: &str, id: &str) -> String {
    format!("delivery#{source}#{id}")
}

fn part(token: &str, n: usize) -> String {
    format!("body#{token}#{n:05}")
}

fn marks_part(token: &str, n: usize) -> String {
    format!("marks#{token}#{n:05}")
}

/// Returns the part of the index that contains a delivery. Incompletely marked deliveries have a
/// separate part.
fn place(pk: &str, is_marked: bool) -> String {
    let what = if is_marked { "delivery" } else { UNMARKED };
    format!("{what}#{}", shard(pk))
}

impl DynamoStore {
    pub(crate) async fn keep(&self, delivery: Delivery, marks: Vec<Mark>) -> Result<Accepted, StoreError> {
        const DOING: &str = "storing a delivery";
        let pk = name(&delivery.source, &delivery.id);
        let token = format!("{:032x}", rand::random::<u128>());
        // The store writes the parts of the body first. If the process ends before it writes the
        // head, nobody finds these parts, and the parts expire.
        let parts = self.put_body(DOING, &pk, &token, &delivery).await?;
        let head = self.head(DOING, &token, &delivery, parts, &marks, marks.is_empty()).await?;
        match self.put_head(DOING, head, &token).await? {
            None => {
                self.mark_some(DOING, &marks, delivery.received).await?;
                if !marks.is_empty() {
                    self.set_marked(DOING, &pk).await?;
                }
                Ok(Accepted::Stored)
            }
            Some(known) => {
                self.finish(DOING, &pk, &known, delivery.received).await?;
                Ok(Accepted::Duplicate)
            }
        }
    }

    /// Stores a delivery that comes from another store, and marks no keys.
    pub(crate) async fn take_delivery(
        &self,
        doing: &'static str,
        row: &DeliveryRow,
        body: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        let pk = name(&row.source, &row.id);
        let token = format!("{:032x}", rand::random::<u128>());
        let is_there = body.is_some();
        let delivery = row.with_body(body.unwrap_or_default());
        let parts = if is_there { self.put_body(doing, &pk, &token, &delivery).await? } else { 0 };
        let marks: Vec<Mark> = row.keys.iter().map(|key| Mark::new(key.clone(), Lane::Event)).collect();
        let head = self.head(doing, &token, &delivery, parts, &marks, true).await?;
        self.put_head(doing, head, &token).await.map(drop)
    }

    /// Builds the item of a delivery. If the marks do not fit into the item, the marks are in
    /// separate items.
    async fn head(
        &self,
        doing: &'static str,
        token: &str,
        delivery: &Delivery,
        parts: usize,
        marks: &[Mark],
        is_marked: bool,
    ) -> Result<Item, StoreError> {
        let pk = name(&delivery.source, &delivery.id);
        let keys: Vec<&Key> = marks.iter().map(|mark| &mark.key).collect();
        let mut head = Item::from([
            ("pk".to_owned(), text(&pk)),
            ("sk".to_owned(), text("head")),
            ("source".to_owned(), text(&delivery.source)),
            ("id".to_owned(), text(&delivery.id)),
            ("event".to_owned(), text(&delivery.event)),
            ("instance".to_owned(), text(&delivery.instance)),
            ("received".to_owned(), number(delivery.received.0)),
            ("keys".to_owned(), json(doing, &keys)?),
            ("token".to_owned(), text(token)),
            ("parts".to_owned(), number(parts)),
            ("gone".to_owned(), gone(delivery.received, self.settings.ids)),
            ("g".to_owned(), text(place(&pk, is_marked))),
            ("gs".to_owned(), text(padded(delivery.received.0))),
        ]);
        if let Some(actor) = &delivery.actor {
            head.insert("actor".into(), text(actor));
        }
        self.put_marks(doing, &pk, token, marks, &mut head).await?;
        Ok(head)
    }

    /// Marks the keys of a delivery after an interrupted marking. If the first process is still
    /// marking the keys, Beadle runs some keys again. This does no harm. Returns whether any key
    /// was not marked.
    async fn finish(
        &self,
        doing: &'static str,
        pk: &str,
        head: &Item,
        now: Time,
    ) -> Result<bool, StoreError> {
        if !get(head, "g").is_some_and(|part| part.starts_with(UNMARKED)) {
            return Ok(false);
        }
        let marks = self.marks(doing, pk, head).await?;
        self.mark_some(doing, &marks, now).await?;
        self.set_marked(doing, pk).await?;
        Ok(true)
    }

    /// Marks the keys of a delivery. If the rows of all keys are unreadable, returns an error, so that
    /// the delivery stays unmarked and the store tries again.
    async fn mark_some(&self, doing: &'static str, marks: &[Mark], now: Time) -> Result<(), StoreError> {
        let skipped = self.mark_all(doing, marks, now).await?;
        refused_delivery(marks, &skipped).map_or(Ok(()), |why| Err(corrupt(doing, &why)))
    }

    /// Records that all keys of a delivery are marked.
    async fn set_marked(&self, doing: &'static str, pk: &str) -> Result<(), StoreError> {
        let asked = self.client.update_item().table_name(&self.table);
        let asked = asked.key("pk", text(pk)).key("sk", text("head")).update_expression("SET g = :g");
        let asked = asked.expression_attribute_values(":g", text(place(pk, true)));
        // Without the condition, this write would create an expired delivery again.
        let asked = asked.condition_expression("attribute_exists(pk)");
        match send_again(|| asked.clone().send()).await {
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                Ok(())
            }
            sent => sent.map(drop).map_err(failed(doing)),
        }
    }

    /// Completes interrupted deliveries. An interrupted delivery is stored, but some of its keys
    /// are not marked. Returns the number of completed deliveries.
    pub(crate) async fn finish_interrupted(&self, now: Time) -> Result<u64, StoreError> {
        const DOING: &str = "finishing interrupted deliveries";
        let (mut count, mut failure) = (0, None);
        let range = Range { until: Some(padded((now - INTERRUPTED).0)), ..Range::default() };
        for shard in 0..SHARDS {
            let part = format!("{UNMARKED}#{shard}");
            for shown in self.query(DOING, (true, &part), &range, |_| false).await? {
                let Some(pk) = get(&shown, "pk") else { continue };
                // The index is eventually consistent, so the store reads the delivery again.
                let finished = match self.read(DOING, pk, "head").await {
                    Ok(Some(head)) => self.finish(DOING, pk, &head, now).await,
                    Ok(None) => Ok(false),
                    Err(error) => Err(error),
                };
                match finished {
                    Ok(finished) => count += u64::from(finished),
                    // If one delivery fails, the store still completes the other deliveries.
                    Err(error) => failure = Some(error),
                }
            }
        }
        failure.map_or(Ok(count), Err)
    }

    async fn put_body(
        &self,
        doing: &'static str,
        pk: &str,
        token: &str,
        delivery: &Delivery,
    ) -> Result<usize, StoreError> {
        let body = zstd::bulk::compress(&delivery.body, LEVEL).map_err(|error| unavailable(doing, &error))?;
        let puts = body.chunks(PART).enumerate().map(|(n, chunk)| {
            let mut item = Item::from([
                ("pk".to_owned(), text(pk)),
                ("sk".to_owned(), text(part(token, n))),
                ("bytes".to_owned(), bytes(chunk.to_vec())),
                ("gone".to_owned(), gone(delivery.received, self.settings.bodies)),
            ]);
            if n == 0 {
                item.insert("g".into(), text(format!("body#{}", shard(pk))));
                item.insert("gs".into(), text(padded(delivery.received.0)));
            }
            self.put_item(doing, item)
        });
        let puts: Vec<_> = puts.collect();
        let parts = puts.len();
        try_join_all(puts).await?;
        Ok(parts)
    }

    /// Writes marks to separate items if they do not fit into the item of their delivery.
    async fn put_marks(
        &self,
        doing: &'static str,
        pk: &str,
        token: &str,
        marks: &[Mark],
        head: &mut Item,
    ) -> Result<(), StoreError> {
        let all = serde_json::to_string(marks).map_err(|error| unavailable(doing, &error))?;
        if all.len() < PART / 4 {
            head.insert("marks".into(), text(all));
            return Ok(());
        }
        // The list of keys would not fit into the item either. The marks contain the same keys.
        head.remove("keys");
        let parts: Vec<_> = all.as_bytes().chunks(PART).enumerate().collect();
        head.insert("mark_parts".into(), number(parts.len()));
        let puts = parts.into_iter().map(|(n, chunk)| {
            let item = Item::from([
                ("pk".to_owned(), text(pk)),
                ("sk".to_owned(), text(marks_part(token, n))),
                ("bytes".to_owned(), bytes(chunk.to_vec())),
                ("gone".to_owned(), head["gone"].clone()),
            ]);
            self.put_item(doing, item)
        });
        try_join_all(puts).await.map(drop)
    }

    async fn marks(&self, doing: &'static str, pk: &str, head: &Item) -> Result<Vec<Mark>, StoreError> {
        if head.contains_key("marks") {
            return get_json(doing, head, "marks");
        }
        // The intake has permission to read single items, but not to query. So the store reads the
        // parts by their names.
        let (token, count) =
            (get(head, "token").unwrap_or_default(), get_number(head, "mark_parts").unwrap_or(0));
        let names = (0..count).map(|n| marks_part(token, n));
        let parts = names.map(|sk| async move { self.read(doing, pk, &sk).await });
        let mut all = Vec::new();
        for part in try_join_all(parts).await? {
            let part = part.ok_or_else(|| corrupt(doing, &format!("marks of {pk} are missing")))?;
            all.extend_from_slice(
                part.get("bytes").and_then(|bytes| bytes.as_b().ok()).map_or(&[], Blob::as_ref),
            );
        }
        serde_json::from_slice(&all).map_err(|error| corrupt(doing, &json_reason(&error)))
    }

    /// Reads a value that is stored in several parts. Returns the value and the number of parts.
    async fn parts(
        &self,
        doing: &'static str,
        pk: &str,
        prefix: String,
    ) -> Result<(Vec<u8>, usize), StoreError> {
        let range = Range { prefix: Some(prefix), ..Range::default() };
        let items = self.query(doing, (false, pk), &range, |_| false).await?;
        let parts = items.iter().filter_map(|item| item.get("bytes")?.as_b().ok());
        Ok((parts.flat_map(|part| part.as_ref().iter().copied()).collect(), items.len()))
    }

    /// Stores the item of a delivery. If the id is already stored, the function returns the stored
    /// item.
    async fn put_head(
        &self,
        doing: &'static str,
        head: Item,
        token: &str,
    ) -> Result<Option<Item>, StoreError> {
        let pk = get(&head, "pk").unwrap_or_default().to_owned();
        let put = self.client.put_item().table_name(&self.table).set_item(Some(head));
        let put = put.condition_expression("attribute_not_exists(pk)");
        let put = put.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match send_again(|| put.clone().send()).await {
            Ok(_) => Ok(None),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(refused)) => {
                    let known = match refused.item() {
                        Some(item) => Some(item.clone()),
                        None => self.read(doing, &pk, "head").await?,
                    };
                    // If an earlier attempt of this request stored the delivery and the answer was
                    // lost, the stored delivery has the same token.
                    Ok(known.filter(|known| get(known, "token") != Some(token)))
                }
                _ => Err(failed(doing)(error)),
            },
        }
    }

    pub(crate) async fn list_deliveries(&self, listing: &Listing) -> Result<Vec<DeliveryRow>, StoreError> {
        const DOING: &str = "listing deliveries";
        let most =
            usize::try_from(listing.after).unwrap_or(usize::MAX).saturating_add(listing.limit as usize);
        let range = Range {
            after: listing.since.map(|since| padded(since.0.saturating_sub(1))),
            backwards: true,
            ..Range::default()
        };
        let is_wanted = |item: &Item| {
            let quoted = listing.key.as_ref().map(|key| format!("\"{key}\""));
            // If the keys are in separate items, this filter keeps the delivery, and a later step
            // checks the keys.
            quoted.is_none_or(|key| get(item, "keys").is_none_or(|keys| keys.contains(&key)))
        };
        let (range, is_wanted) = (&range, &is_wanted);
        let parts =
            ["delivery", UNMARKED].into_iter().flat_map(|what| (0..SHARDS).map(move |shard| (what, shard)));
        let parts = parts.map(|(what, shard)| async move {
            // If the keys of a delivery are in separate items, it is not certain that the delivery
            // matches.
            let is_sure = |item: &&Item| listing.key.is_none() || item.contains_key("keys");
            let enough =
                |items: &[Item]| items.iter().filter(is_sure).filter(|item| is_wanted(item)).count() >= most;
            self.query(DOING, (true, &format!("{what}#{shard}")), range, enough).await
        });
        let mut found: Vec<Item> = try_join_all(parts).await?.into_iter().flatten().collect();
        found.retain(is_wanted);
        found.sort_by(|one, other| {
            (get(other, "gs"), get(one, "pk")).cmp(&(get(one, "gs"), get(other, "pk")))
        });
        // While the store marks a delivery, the index might show this delivery in both parts.
        found.dedup_by(|one, other| get(one, "pk") == get(other, "pk"));
        let mut skip = listing.after;
        let mut rows = Vec::new();
        for item in &found {
            if rows.len() >= listing.limit as usize {
                break;
            }
            let keys = self.keys(DOING, item).await?;
            if listing.key.as_ref().is_some_and(|wanted| !keys.iter().any(|key| key.as_str() == wanted)) {
                continue;
            }
            if skip > 0 {
                skip -= 1;
                continue;
            }
            let word = |name: &str| get(item, name).unwrap_or_default().to_owned();
            rows.push(DeliveryRow {
                source: word("source"),
                id: word("id"),
                event: word("event"),
                actor: get(item, "actor").map(str::to_owned),
                instance: word("instance"),
                received: Time(get_number(item, "received").unwrap_or(0)),
                keys,
            });
        }
        Ok(rows)
    }

    /// Returns the keys that a delivery marked as due. If the keys are in separate items that have
    /// already expired, the list is empty.
    async fn keys(&self, doing: &'static str, head: &Item) -> Result<Vec<Key>, StoreError> {
        if head.contains_key("keys") {
            return get_json(doing, head, "keys");
        }
        match self.marks(doing, get(head, "pk").unwrap_or_default(), head).await {
            Ok(marks) => Ok(marks.into_iter().map(|mark| mark.key).collect()),
            Err(StoreError::Corrupt { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn read_body(&self, source: &str, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        const DOING: &str = "reading a delivery";
        let pk = name(source, id);
        let Some(head) = self.read(DOING, &pk, "head").await? else { return Ok(None) };
        let token = get(&head, "token").unwrap_or_default();
        let (packed, count) = self.parts(DOING, &pk, format!("body#{token}#")).await?;
        // Some parts might have expired already. The function returns the body only if all its
        // parts still exist.
        if count == 0 || Some(count) != get_number(&head, "parts") {
            return Ok(None);
        }
        let body = zstd::bulk::decompress(&packed, LARGEST).map_err(|error| corrupt(DOING, &error))?;
        Ok(Some(body))
    }

    /// Deletes old bodies and deliveries, up to the given number. Returns the number of deleted
    /// bodies and deliveries.
    pub(crate) async fn prune_inbox(
        &self,
        bodies_before: Time,
        ids_before: Time,
        batch: usize,
    ) -> Result<u64, StoreError> {
        const DOING: &str = "pruning";
        let mut gone = 0;
        for (what, before) in [("body", bodies_before), ("delivery", ids_before)] {
            let mut left = batch;
            for shard in 0..SHARDS {
                let until = Some(padded(before.0.saturating_sub(1)));
                let range = Range { until, page: Some(left), ..Range::default() };
                let part = format!("{what}#{shard}");
                let items = self.query(DOING, (true, &part), &range, |items| items.len() >= left).await?;
                for item in items.iter().take(left) {
                    let (Some(pk), Some(sk)) = (get(item, "pk"), get(item, "sk")) else { continue };
                    self.delete(DOING, pk, sk).await?;
                    gone += 1;
                    left -= 1;
                }
            }
        }
        Ok(gone)
    }
}
