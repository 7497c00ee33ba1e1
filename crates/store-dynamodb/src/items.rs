//! Reads and builds the attributes of items, reads pages of queries, and converts errors.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use beadle_engine::store::json_reason;
use beadle_engine::{StoreError, Time};
use futures::future::try_join_all;
use rand::RngExt as _;

use crate::{DynamoStore, SHARDS};

/// The attributes of an item, by name.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// The level of compression. The level is low, as in the SQLite store, so that compression is fast.
pub(crate) const LEVEL: i32 = 1;
/// The maximum size of a value after decompression.
pub(crate) const LARGEST: usize = 64 * 1024 * 1024;
/// The minimum length of a value that the store compresses.
const LONG: usize = 4096;

/// The maximum number of attempts for a write if other processes write the same item repeatedly.
pub(crate) const TRIES: u32 = 40;

/// Sends a write again as long as the write conflicts with a transaction of another request. The
/// SDK does not repeat a write after such a conflict.
pub(crate) async fn send_again<T, E, R, F>(send: impl Fn() -> F) -> Result<T, SdkError<E, R>>
where
    SdkError<E, R>: ProvideErrorMetadata,
    F: Future<Output = Result<T, SdkError<E, R>>>,
{
    for attempt in 1..TRIES {
        match send().await {
            Err(error) if error.code() == Some("TransactionConflictException") => pause(attempt).await,
            sent => return sent,
        }
    }
    send().await
}

pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(crate) fn number(value: impl Display + Copy) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(crate) fn bytes(value: Vec<u8>) -> AttributeValue {
    AttributeValue::B(Blob::new(value))
}

/// Returns a number as text with leading zeros, so that texts sort in the order of their numbers.
pub(crate) fn padded(value: i64) -> String {
    format!("{value:020}")
}

/// Returns the index shard for an item with this name.
pub(crate) fn shard(of: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish() % SHARDS
}

/// Returns the time when an item expires, in seconds since the Unix epoch. DynamoDB deletes the
/// item after that time.
pub(crate) fn gone(at: Time, kept: Duration) -> AttributeValue {
    number((at + kept).0.div_euclid(1000))
}

pub(crate) fn corrupt(doing: &'static str, why: &dyn Display) -> StoreError {
    StoreError::Corrupt { doing, why: why.to_string() }
}

pub(crate) fn unavailable(doing: &'static str, error: &dyn std::error::Error) -> StoreError {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let why = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    StoreError::Unavailable { doing, why }
}

pub(crate) fn failed<E, R>(doing: &'static str) -> impl Fn(SdkError<E, R>) -> StoreError
where
    SdkError<E, R>: std::error::Error,
{
    move |error| unavailable(doing, &error)
}

/// Sleeps before the next attempt of a write. The length of the sleep is random and grows with each
/// attempt. So two processes that failed at the same moment do not retry at the same moment.
pub(crate) async fn pause(attempt: u32) {
    let most = 4 << attempt.min(6);
    let wait = rand::rng().random_range(1..=most);
    tokio::time::sleep(Duration::from_millis(wait)).await;
}

/// Returns the value of a text attribute.
pub(crate) fn get<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

/// Returns the value of a number attribute.
pub(crate) fn get_number<T: std::str::FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// Reads an attribute that is stored as JSON.
pub(crate) fn get_json<T: serde::de::DeserializeOwned>(
    doing: &'static str,
    item: &Item,
    name: &str,
) -> Result<T, StoreError> {
    let stored = get(item, name).ok_or_else(|| corrupt(doing, &format!("an item has no `{name}`")))?;
    serde_json::from_str(stored).map_err(|error| corrupt(doing, &json_reason(&error)))
}

/// Returns the JSON text of a value.
pub(crate) fn json<T: serde::Serialize>(
    doing: &'static str,
    value: &T,
) -> Result<AttributeValue, StoreError> {
    serde_json::to_string(value).map(text).map_err(|error| unavailable(doing, &error))
}

/// Returns an attribute for a text of any length. The function compresses a long text, because an
/// item has at most 400 KB.
pub(crate) fn packed(doing: &'static str, value: String) -> Result<AttributeValue, StoreError> {
    if value.len() < LONG {
        return Ok(text(value));
    }
    let packed = zstd::bulk::compress(value.as_bytes(), LEVEL);
    packed.map(bytes).map_err(|error| unavailable(doing, &error))
}

/// Returns the text of an attribute that [`packed`] made.
pub(crate) fn unpacked(doing: &'static str, item: &Item, name: &str) -> Result<String, StoreError> {
    match item.get(name) {
        Some(AttributeValue::S(value)) => Ok(value.clone()),
        Some(AttributeValue::B(packed)) => {
            let value = zstd::bulk::decompress(packed.as_ref(), LARGEST);
            let value = value.map_err(|error| corrupt(doing, &error))?;
            String::from_utf8(value).map_err(|error| corrupt(doing, &error))
        }
        _ => Err(corrupt(doing, &format!("an item has no `{name}`"))),
    }
}

/// Selects the items that a query returns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Range {
    /// If set, the query returns only items with a greater sort key.
    pub(crate) after: Option<String>,
    /// If set, the query returns only items up to this sort key. This key has no effect if `after`
    /// is set.
    pub(crate) until: Option<String>,
    /// If set, the query returns only items with a sort key that begins with this text.
    pub(crate) prefix: Option<String>,
    /// True if the query returns the items in reverse order.
    pub(crate) backwards: bool,
    /// The maximum number of items that one page contains.
    pub(crate) page: Option<usize>,
}

impl DynamoStore {
    pub(crate) async fn read(
        &self,
        doing: &'static str,
        pk: &str,
        sk: &str,
    ) -> Result<Option<Item>, StoreError> {
        let asked = self.client.get_item().table_name(&self.table).consistent_read(true);
        let answer = asked.key("pk", text(pk)).key("sk", text(sk)).send().await.map_err(failed(doing))?;
        Ok(answer.item)
    }

    /// Reads the items with these sort keys, at most 100 different keys. The order of the result is
    /// undefined. If the role has no permission to read several items with one request, the
    /// function reads each item alone.
    pub(crate) async fn read_all(
        &self,
        doing: &'static str,
        pk: &str,
        sks: &[&String],
    ) -> Result<Vec<Item>, StoreError> {
        if self.reads_each.load(Ordering::Relaxed) {
            return self.read_each(doing, pk, sks).await;
        }
        let key =
            |sk: &&String| Item::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk.as_str()))]);
        let keys = KeysAndAttributes::builder().set_keys(Some(sks.iter().map(key).collect()));
        let keys = keys.consistent_read(true).build().map_err(|error| unavailable(doing, &error))?;
        let mut rest = HashMap::from([(self.table.clone(), keys)]);
        let mut items: Vec<Item> = Vec::new();
        for attempt in 1..=TRIES {
            let page = match self.client.batch_get_item().set_request_items(Some(rest)).send().await {
                // The role was made for an earlier version of Beadle.
                Err(error) if error.code() == Some("AccessDeniedException") => {
                    // Further requests of this process would also be refused.
                    if !self.reads_each.swap(true, Ordering::Relaxed) {
                        tracing::warn!(
                            table = self.table,
                            "the role has no permission dynamodb:BatchGetItem, Beadle reads notes one by one until it starts again"
                        );
                    }
                    return self.read_each(doing, pk, sks).await;
                }
                answer => answer.map_err(failed(doing))?,
            };
            items.extend(page.responses.unwrap_or_default().into_values().flatten());
            rest = page.unprocessed_keys.unwrap_or_default();
            if rest.is_empty() {
                return Ok(items);
            }
            pause(attempt).await;
        }
        Err(StoreError::Unavailable { doing, why: "DynamoDB does not return all items".to_owned() })
    }

    async fn read_each(
        &self,
        doing: &'static str,
        pk: &str,
        sks: &[&String],
    ) -> Result<Vec<Item>, StoreError> {
        let reads: Vec<_> = sks.iter().map(|sk| self.read(doing, pk, sk.as_str())).collect();
        Ok(try_join_all(reads).await?.into_iter().flatten().collect())
    }

    pub(crate) async fn put_item(&self, doing: &'static str, item: Item) -> Result<(), StoreError> {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        send_again(|| put.clone().send()).await.map(drop).map_err(failed(doing))
    }

    pub(crate) async fn delete(&self, doing: &'static str, pk: &str, sk: &str) -> Result<(), StoreError> {
        let asked = self.client.delete_item().table_name(&self.table);
        let asked = asked.key("pk", text(pk)).key("sk", text(sk));
        send_again(|| asked.clone().send()).await.map(drop).map_err(failed(doing))
    }

    /// Returns the sorted items of a partition or of a part of the index. The function reads pages
    /// until `enough` returns true. The last page can contain more items than necessary.
    pub(crate) async fn query(
        &self,
        doing: &'static str,
        (index, partition): (bool, &str),
        range: &Range,
        mut enough: impl FnMut(&[Item]) -> bool,
    ) -> Result<Vec<Item>, StoreError> {
        let (pk, sk) = if index { ("g", "gs") } else { ("pk", "sk") };
        let mut condition = "#p = :p".to_owned();
        let mut values = HashMap::from([(":p".to_owned(), text(partition))]);
        match (&range.prefix, &range.after, &range.until) {
            (Some(prefix), ..) => {
                condition += " AND begins_with(#s, :x)";
                values.insert(":x".into(), text(prefix));
            }
            (None, Some(after), _) => {
                condition += " AND #s > :x";
                values.insert(":x".into(), text(after));
            }
            (None, None, Some(until)) => {
                condition += " AND #s <= :x";
                values.insert(":x".into(), text(until));
            }
            (None, None, None) => {}
        }
        let ranged = condition.contains("#s");
        let mut items: Vec<Item> = Vec::new();
        let mut from = None;
        loop {
            let mut asked = self.client.query().table_name(&self.table).key_condition_expression(&condition);
            asked = asked.set_expression_attribute_values(Some(values.clone()));
            asked = asked.expression_attribute_names("#p", pk).scan_index_forward(!range.backwards);
            asked = asked.set_limit(range.page.map(|page| i32::try_from(page.max(1)).unwrap_or(i32::MAX)));
            if ranged {
                asked = asked.expression_attribute_names("#s", sk);
            }
            asked = if index { asked.index_name("ordered") } else { asked.consistent_read(true) };
            let page = asked.set_exclusive_start_key(from).send().await.map_err(failed(doing))?;
            items.extend(page.items.unwrap_or_default());
            from = page.last_evaluated_key;
            if from.is_none() || enough(&items) {
                return Ok(items);
            }
        }
    }
}
