//! The row of a key. The store reads the row, changes it according to the engine's rules, and
//! writes it back. The write fails if another process has written the row in the meantime.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use beadle_engine::store::json_reason;
use beadle_engine::{Key, Lease, Row, StoreError, Time};
use serde_json::{Map, Value};

use crate::DynamoStore;
use crate::items::{
    Item, TRIES, corrupt, failed, get, get_json, get_number, json, number, padded, pause, shard, text,
};

/// The fields of a row in its stored form.
type Fields = Map<String, Value>;

pub(crate) fn name(key: &Key) -> String {
    format!("row#{key}")
}

/// Returns the part of the index that contains the due keys of a lane.
pub(crate) fn due(lane: beadle_engine::Lane, shard: u64) -> String {
    format!("due#{}#{shard}", lane as usize)
}

/// Returns the part of the index that contains the parked keys.
pub(crate) fn parked(shard: u64) -> String {
    format!("parked#{shard}")
}

/// Returns the place of a row in the index: the part and the sort key. Returns `None` if no list
/// contains the row.
fn place(row: &Row) -> Option<(String, String)> {
    let shard = shard(row.key.as_str());
    match (&row.parked, row.due_at()) {
        (Some(set_aside), _) => Some((parked(shard), padded(set_aside.since.0))),
        (None, Some(at)) => Some((due(row.lane, shard), padded(at.0))),
        (None, None) => None,
    }
}

/// Returns the stored form of a row that this version has changed. The stored form keeps the fields
/// that only a newer version knows. The stored form also keeps the values that this version did not
/// change. This version can read an unknown word of a newer version as another word, and must not
/// store that other word.
fn merged(stored: &str, before: &Row, after: &Row) -> serde_json::Result<Fields> {
    let mut merged: Fields = serde_json::from_str(stored)?;
    let (before, mut after) = (fields(before)?, fields(after)?);
    merged.retain(|name, _| after.contains_key(name) || !before.contains_key(name));
    after.retain(|name, value| before.get(name) != Some(&*value));
    merged.append(&mut after);
    Ok(merged)
}

fn fields(row: &Row) -> serde_json::Result<Fields> {
    serde_json::from_value(serde_json::to_value(row)?)
}

/// Reads the row of a key from the item of the row.
pub(crate) fn of(doing: &'static str, item: &Item) -> Result<Row, StoreError> {
    get_json(doing, item, "row").map_err(|error| match error {
        StoreError::Corrupt { doing, why } => {
            StoreError::Corrupt { doing, why: format!("the row of {}: {why}", key_of(item)) }
        }
        other => other,
    })
}

/// Readable rows, and the keys of the unreadable rows, each with the reason.
#[derive(Default)]
pub(crate) struct Sorted {
    /// The rows that can be read.
    pub(crate) rows: Vec<Row>,
    /// The keys of the unreadable rows, as texts.
    pub(crate) damaged: Vec<(String, String)>,
}

/// Separates the readable rows from the damaged rows. A damaged row must not block the other keys.
pub(crate) fn sort<'a>(
    doing: &'static str,
    items: impl Iterator<Item = &'a Item>,
) -> Result<Sorted, StoreError> {
    let mut sorted = Sorted::default();
    for item in items {
        match of(doing, item) {
            Ok(row) => sorted.rows.push(row),
            Err(StoreError::Corrupt { why, .. }) => sorted.damaged.push((key_of(item).to_owned(), why)),
            Err(other) => return Err(other),
        }
    }
    Ok(sorted)
}

/// Returns the key of a row, from the name of the row's item.
fn key_of(item: &Item) -> &str {
    get(item, "pk").and_then(|pk| pk.strip_prefix("row#")).unwrap_or_default()
}

impl DynamoStore {
    /// Returns the row of a key, if it has one.
    pub(crate) async fn load(&self, doing: &'static str, key: &Key) -> Result<Option<Row>, StoreError> {
        let item = self.read(doing, &name(key), "row").await?;
        item.map(|item| of(doing, &item)).transpose()
    }

    /// Changes the row of a key, and returns the result of `change`.
    pub(crate) async fn change<T>(
        &self,
        doing: &'static str,
        key: &Key,
        change: impl Fn(&mut Row) -> T,
    ) -> Result<T, StoreError> {
        Ok(self.change_from(doing, key, change).await?.0)
    }

    /// Changes the row of a key, and tries again if another process has written the row in the
    /// meantime. Returns the result of `change`, and the row before and after the change.
    pub(crate) async fn change_from<T>(
        &self,
        doing: &'static str,
        key: &Key,
        change: impl Fn(&mut Row) -> T,
    ) -> Result<(T, [Row; 2]), StoreError> {
        for attempt in 0..TRIES {
            let item = self.read(doing, &name(key), "row").await?;
            let version = item.as_ref().and_then(|item| get_number(item, "v")).unwrap_or(0);
            let before = match &item {
                Some(item) => of(doing, item)?,
                None => Row::new(key.clone()),
            };
            let mut row = before.clone();
            let result = change(&mut row);
            if row == before {
                return Ok((result, [before, row]));
            }
            let stored = item.as_ref().and_then(|item| get(item, "row"));
            let value = match stored.map(|stored| merged(stored, &before, &row)).transpose() {
                Ok(Some(fields)) => json(doing, &fields)?,
                Ok(None) => json(doing, &row)?,
                Err(error) => return Err(corrupt(doing, &json_reason(&error))),
            };
            if self.write(doing, &row, value, version).await? {
                return Ok((result, [before, row]));
            }
            pause(attempt).await;
        }
        let why = format!("other processes keep writing {key}");
        Err(StoreError::Unavailable { doing, why })
    }

    /// Writes a row if the version of the stored row is still `version`. `value` is the stored form
    /// of the row.
    pub(crate) async fn write(
        &self,
        doing: &'static str,
        row: &Row,
        value: AttributeValue,
        version: u64,
    ) -> Result<bool, StoreError> {
        let token = format!("{:032x}", rand::random::<u128>());
        let mut item = Item::from([
            ("pk".to_owned(), text(name(&row.key))),
            ("sk".to_owned(), text("row")),
            ("row".to_owned(), value),
            ("v".to_owned(), number(version + 1)),
            ("token".to_owned(), text(&token)),
            // A transaction uses these two attributes to check a lease.
            ("epoch".to_owned(), number(row.epoch)),
            ("lease".to_owned(), number(row.lease_until.unwrap_or(Time(0)).0)),
        ]);
        if let Some((part, at)) = place(row) {
            item.insert("g".into(), text(part));
            item.insert("gs".into(), text(at));
        }
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let put = if version == 0 {
            put.condition_expression("attribute_not_exists(pk)")
        } else {
            put.condition_expression("v = :v").expression_attribute_values(":v", number(version))
        };
        let put = put.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Err(error) = put.send().await else { return Ok(true) };
        // DynamoDB might have stored the row without a confirmation. This happens if the answer was
        // lost, and the repeated request met the stored row, a conflict or a time limit. If the
        // store then counted a claim as failed, the key would wait for the end of its lease.
        let is_ours = |item: &Item| get(item, "token") == Some(&token);
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(refused)) => match refused.item() {
                Some(item) => Ok(is_ours(item)),
                None => Ok(self.read(doing, &name(&row.key), "row").await?.as_ref().is_some_and(is_ours)),
            },
            Some(PutItemError::TransactionConflictException(_)) => {
                Ok(self.read(doing, &name(&row.key), "row").await?.as_ref().is_some_and(is_ours))
            }
            _ => match self.read(doing, &name(&row.key), "row").await {
                Ok(Some(item)) if is_ours(&item) => Ok(true),
                _ => Err(failed(doing)(error)),
            },
        }
    }

    /// Returns the condition for a transaction that the lease is valid.
    pub(crate) fn holding(
        &self,
        doing: &'static str,
        lease: &Lease,
        now: Time,
    ) -> Result<TransactWriteItem, StoreError> {
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .key("pk", text(name(&lease.key)))
            .key("sk", text("row"))
            .condition_expression("epoch = :epoch AND lease > :now")
            .expression_attribute_values(":epoch", number(lease.epoch))
            .expression_attribute_values(":now", number(now.0))
            .build()
            .map_err(|error| crate::items::unavailable(doing, &error))?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }

    /// Returns whether a lease is valid. If there is no lease to check, the result is `true`.
    pub(crate) async fn holds_lease(
        &self,
        doing: &'static str,
        lease: Option<&Lease>,
        now: Time,
    ) -> Result<bool, StoreError> {
        let Some(lease) = lease else { return Ok(true) };
        let row = self.load(doing, &lease.key).await?;
        Ok(row.is_some_and(|row| row.holds(lease, now)))
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Lane, Mark, Timing};
    use serde_json::json;

    use super::*;

    #[test]
    fn what_only_a_newer_version_knows_stays_in_a_row() {
        let key = Key::new("repository", "acme", 1);
        let mut row = Row::new(key.clone());
        row.mark(&Mark::new(key.clone(), Lane::Sweep), Time(0), &Timing::default());
        let mut stored = serde_json::to_value(&row).unwrap();
        stored["lane"] = "urgent".into();
        stored["colour"] = "green".into();
        stored["parked"] = json!({ "reason": "quarantined", "why": "x", "since": 5, "until": 9 });
        stored["trace"] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into();
        let before: Row = serde_json::from_value(stored.clone()).unwrap();
        let mut after = before.clone();
        after.mark(&Mark::new(key.clone(), Lane::Sweep), Time(10), &Timing::default());
        let mut expected = stored.clone();
        expected["wanted"] = 2.into();
        assert_eq!(Value::Object(merged(&stored.to_string(), &before, &after).unwrap()), expected);
        // If an operator makes the key due again, the row loses its trace.
        after.mark(&Mark::new(key, Lane::Manual), Time(20), &Timing::default());
        after.trace = None;
        let left = Value::Object(merged(&stored.to_string(), &before, &after).unwrap());
        assert_eq!((&left["parked"], &left["lane"]), (&json!(null), &json!("manual")));
        assert_eq!((&left["colour"], left.get("trace")), (&json!("green"), None));
        assert_eq!(serde_json::from_value::<Row>(left).unwrap(), after);
    }
}
