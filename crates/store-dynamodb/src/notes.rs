//! Small values by name, and pauses.

use beadle_engine::{Pause, StoreError, Time};

use crate::DynamoStore;
use crate::items::{Item, Range, failed, get, get_number, number, text};

impl DynamoStore {
    pub(crate) async fn note(&self, name: &str) -> Result<Option<String>, StoreError> {
        let item = self.read("reading a note", "note", name).await?;
        Ok(item.and_then(|item| get(&item, "value").map(str::to_owned)))
    }

    pub(crate) async fn notes_from(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreError> {
        let prefix = (!prefix.is_empty()).then(|| prefix.to_owned());
        let range = Range { prefix, ..Range::default() };
        let items = self.query("reading notes", (false, "note"), &range, |_| false).await?;
        let pair = |item: &Item| Some((get(item, "sk")?.to_owned(), get(item, "value")?.to_owned()));
        Ok(items.iter().filter_map(pair).collect())
    }

    pub(crate) async fn set_note(&self, name: &str, value: &str) -> Result<(), StoreError> {
        let item = Item::from([
            ("pk".to_owned(), text("note")),
            ("sk".to_owned(), text(name)),
            ("value".to_owned(), text(value)),
        ]);
        self.put_item("writing a note", item).await
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
