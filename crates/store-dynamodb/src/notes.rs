//! Small values by name, and pauses.

use beadle_engine::{Pause, StoreError, Time};

use crate::DynamoStore;
use crate::inbox::{LARGEST, LEVEL};
use crate::items::{Item, Range, bytes, corrupt, failed, get, get_number, number, text, unavailable};

/// What is longer is compressed: an item holds 400 KB, and those who remember much write JSON.
const LARGE: usize = 4096;

fn value(doing: &'static str, item: &Item) -> Result<String, StoreError> {
    if let Some(value) = get(item, "value") {
        return Ok(value.to_owned());
    }
    let packed = item.get("packed").and_then(|packed| packed.as_b().ok());
    let packed = packed.ok_or_else(|| corrupt(doing, &"a note has no value"))?;
    let value = zstd::bulk::decompress(packed.as_ref(), LARGEST).map_err(|error| corrupt(doing, &error))?;
    String::from_utf8(value).map_err(|error| corrupt(doing, &error))
}

impl DynamoStore {
    pub(crate) async fn note(&self, name: &str) -> Result<Option<String>, StoreError> {
        const DOING: &str = "reading a note";
        let item = self.read(DOING, "note", name).await?;
        item.map(|item| value(DOING, &item)).transpose()
    }

    pub(crate) async fn notes_from(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreError> {
        const DOING: &str = "reading notes";
        let prefix = (!prefix.is_empty()).then(|| prefix.to_owned());
        let range = Range { prefix, ..Range::default() };
        let items = self.query(DOING, (false, "note"), &range, |_| false).await?;
        let pair = |item: &Item| Ok((get(item, "sk").unwrap_or_default().to_owned(), value(DOING, item)?));
        items.iter().map(pair).collect()
    }

    pub(crate) async fn set_note(&self, name: &str, value: &str) -> Result<(), StoreError> {
        const DOING: &str = "writing a note";
        let mut item = Item::from([("pk".to_owned(), text("note")), ("sk".to_owned(), text(name))]);
        if value.len() < LARGE {
            item.insert("value".into(), text(value));
        } else {
            let packed = zstd::bulk::compress(value.as_bytes(), LEVEL);
            item.insert("packed".into(), bytes(packed.map_err(|error| unavailable(DOING, &error))?));
        }
        self.put_item(DOING, item).await
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
        let answer = asked.send().await.map_err(failed("resuming"))?;
        Ok(answer.attributes.is_some_and(|item| !item.is_empty()))
    }

    pub(crate) async fn pauses_at(&self, now: Time) -> Result<Vec<Pause>, StoreError> {
        let items = self.query("listing pauses", (false, "pause"), &Range::default(), |_| false).await?;
        let pause = |item: &Item| {
            Some(Pause { scope: get(item, "sk")?.to_owned(), until: Time(get_number(item, "until")?) })
        };
        Ok(items.iter().filter_map(pause).filter(|pause| pause.until > now).collect())
    }
}
