//! Stores notes and pauses. A note is a small value with a name.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{ConditionCheck, TransactWriteItem};
use beadle_engine::{Key, Pause, StoreError, Time};

use crate::DynamoStore;
use crate::items::{
    Item, Range, failed, get, get_number, number, packed, send_again, text, unavailable, unpacked,
};

/// The maximum number of items that one request can read.
const MOST: usize = 100;

impl DynamoStore {
    pub(crate) async fn note(&self, name: &str) -> Result<Option<String>, StoreError> {
        const DOING: &str = "reading a note";
        let item = self.read(DOING, "note", name).await?;
        item.map(|item| unpacked(DOING, &item, "value")).transpose()
    }

    pub(crate) async fn notes_named(&self, names: &[String]) -> Result<Vec<Option<String>>, StoreError> {
        const DOING: &str = "reading notes by their names";
        // DynamoDB refuses a request that names an item twice.
        let different: BTreeSet<&String> = names.iter().collect();
        let different: Vec<&String> = different.into_iter().collect();
        let mut found: HashMap<String, String> = HashMap::new();
        for part in different.chunks(MOST) {
            for item in self.read_all(DOING, "note", part).await? {
                let (name, value) = named(DOING, &item)?;
                found.insert(name, value);
            }
        }
        Ok(names.iter().map(|name| found.get(name).cloned()).collect())
    }

    pub(crate) async fn notes_from(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreError> {
        const DOING: &str = "reading notes";
        let prefix = (!prefix.is_empty()).then(|| prefix.to_owned());
        let range = Range { prefix, ..Range::default() };
        let items = self.query(DOING, (false, "note"), &range, |_| false).await?;
        items.iter().map(|item| named(DOING, item)).collect()
    }

    pub(crate) async fn notes_after(
        &self,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        const DOING: &str = "reading a page of notes";
        let mut range = Range { page: Some(limit), ..Range::default() };
        // A query allows only one condition on the sort key. Names are sorted, so if `after` does
        // not come before the prefix, the next names after `after` are the names with the prefix.
        if after.is_empty() || after < prefix {
            range.prefix = (!prefix.is_empty()).then(|| prefix.to_owned());
        } else {
            range.after = Some(after.to_owned());
        }
        let items = self.query(DOING, (false, "note"), &range, |items| items.len() >= limit).await?;
        let is_meant = |item: &&Item| get(item, "sk").is_some_and(|name| name.starts_with(prefix));
        items.iter().take_while(is_meant).take(limit).map(|item| named(DOING, item)).collect()
    }

    pub(crate) async fn set_note(&self, name: &str, value: &str) -> Result<(), StoreError> {
        const DOING: &str = "writing a note";
        let item = Item::from([
            ("pk".to_owned(), text("note")),
            ("sk".to_owned(), text(name)),
            ("value".to_owned(), packed(DOING, value.to_owned())?),
        ]);
        self.put_item(DOING, item).await
    }

    pub(crate) async fn replace_note(
        &self,
        name: &str,
        before: Option<&str>,
        value: &str,
    ) -> Result<bool, StoreError> {
        const DOING: &str = "replacing a note";
        let token = format!("{:032x}", rand::random::<u128>());
        let item = Item::from([
            ("pk".to_owned(), text("note")),
            ("sk".to_owned(), text(name)),
            ("value".to_owned(), packed(DOING, value.to_owned())?),
            ("token".to_owned(), text(&token)),
        ]);
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let put = match before {
            None => put.condition_expression("attribute_not_exists(pk)"),
            Some(before) => {
                // The condition contains the stored bytes. The condition does not contain `before`
                // in a new compressed form, because another version might compress a long value
                // differently.
                let Some(stored) = self.read(DOING, "note", name).await? else { return Ok(false) };
                if unpacked(DOING, &stored, "value")? != before {
                    return Ok(false);
                }
                let Some(form) = stored.get("value").cloned() else { return Ok(false) };
                put.condition_expression("#value = :before")
                    .expression_attribute_names("#value", "value")
                    .expression_attribute_values(":before", form)
            }
        };
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(
                    PutItemError::ConditionalCheckFailedException(_)
                    | PutItemError::TransactionConflictException(_),
                ) => {
                    // An earlier attempt of this write might have succeeded, although no answer
                    // arrived.
                    let stored = self.read(DOING, "note", name).await?;
                    Ok(stored.is_some_and(|item| get(&item, "token") == Some(&token)))
                }
                _ => Err(failed(DOING)(error)),
            },
        }
    }

    pub(crate) async fn set_pause(&self, scope: &str, until: Time) -> Result<(), StoreError> {
        let item = Item::from([
            ("pk".to_owned(), text("pause")),
            ("sk".to_owned(), text(scope)),
            ("until".to_owned(), number(until.0)),
        ]);
        self.put_item("pausing", item).await
    }

    pub(crate) async fn end_pause(&self, scope: &str) -> Result<bool, StoreError> {
        let asked = self.client.delete_item().table_name(&self.table);
        let asked = asked.key("pk", text("pause")).key("sk", text(scope));
        let asked = asked.return_values(aws_sdk_dynamodb::types::ReturnValue::AllOld);
        let answer = send_again(|| asked.clone().send()).await.map_err(failed("resuming"))?;
        Ok(answer.attributes.is_some_and(|item| !item.is_empty()))
    }

    /// Returns the conditions that make a transaction fail if the key or its instance is paused.
    pub(crate) fn unpaused(
        &self,
        doing: &'static str,
        key: &Key,
        now: Time,
    ) -> Result<Vec<TransactWriteItem>, StoreError> {
        let unpaused = |scope: &str| -> Result<TransactWriteItem, StoreError> {
            let check = ConditionCheck::builder()
                .table_name(&self.table)
                .key("pk", text("pause"))
                .key("sk", text(scope))
                .condition_expression("attribute_not_exists(pk) OR #until <= :now")
                .expression_attribute_names("#until", "until")
                .expression_attribute_values(":now", number(now.0))
                .build()
                .map_err(|error| unavailable(doing, &error))?;
            Ok(TransactWriteItem::builder().condition_check(check).build())
        };
        [key.as_str(), key.instance()].into_iter().map(unpaused).collect()
    }

    pub(crate) async fn pauses_at(&self, now: Time) -> Result<Vec<Pause>, StoreError> {
        let items = self.query("listing pauses", (false, "pause"), &Range::default(), |_| false).await?;
        Ok(items.iter().filter_map(pause).filter(|pause| pause.until > now).collect())
    }
}

/// Reads a pause. If the end of the pause cannot be read, the pause has no end, and only an
/// operator can end the pause.
fn pause(item: &Item) -> Option<Pause> {
    let until = get_number(item, "until").unwrap_or(i64::MAX);
    Some(Pause { scope: get(item, "sk")?.to_owned(), until: Time(until) })
}

/// Returns the name and the value of a note, from the item of the note.
fn named(doing: &'static str, item: &Item) -> Result<(String, String), StoreError> {
    Ok((get(item, "sk").unwrap_or_default().to_owned(), unpacked(doing, item, "value")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_whose_end_cannot_be_read_pauses() {
        let of = |until: aws_sdk_dynamodb::types::AttributeValue| {
            let item = Item::from([("sk".to_owned(), text("acme")), ("until".to_owned(), until)]);
            pause(&item).map(|pause| (pause.scope, pause.until))
        };
        assert_eq!(of(number(7)), Some(("acme".to_owned(), Time(7))));
        for unread in [text("2026-01-01T00:00:00Z"), number("7.5")] {
            assert_eq!(of(unread), Some(("acme".to_owned(), Time(i64::MAX))));
        }
    }
}
