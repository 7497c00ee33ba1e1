//! Finds the results of the writes in the journal. Before a write, Beadle stores an entry of the kind
//! `intent`. The result is a later entry.

use std::collections::BTreeMap;

use beadle_engine::journal::Happened;
use beadle_engine::{Detail, Entry, EntryKind, Listing, Store, StoreError};

use super::detail::result_text;
use super::html::{Html, text};

/// The maximum number of later entries about a key that one read of the store returns. Beadle
/// searches these entries for the result of a write.
const LATER: u32 = 200;

/// The results of writes as texts, by the numbers of the intents. Each result has the number of the
/// journal entry that contains the result.
#[derive(Debug, Default)]
pub(super) struct WriteResults(BTreeMap<u64, (u64, String)>);

impl WriteResults {
    /// Returns the results that these entries contain.
    pub(super) fn among(entries: &[Entry]) -> Self {
        let mut results = Self::default();
        results.add(entries);
        results
    }

    /// Returns the results of the writes in these entries. `entries` begins with the newest entry.
    /// Reads the results that `entries` does not contain.
    pub(super) async fn of(store: &dyn Store, entries: &[Entry]) -> Result<Self, StoreError> {
        let mut results = Self::among(entries);
        // The later entries about a key often have the results of several writes.
        for intent in entries.iter().rev().filter(|entry| entry.kind == EntryKind::Intent) {
            if !results.0.contains_key(&intent.seq) {
                let key = Some(intent.key.clone());
                let listing = Listing { after: intent.seq, key, limit: LATER, ..Listing::default() };
                results.add(&store.entries(listing).await?);
            }
        }
        Ok(results)
    }

    fn add(&mut self, entries: &[Entry]) {
        for entry in entries {
            let Some(intent) = entry.intent else { continue };
            // A process might hang, and store a result after another process has stored that the
            // result is unknown. The newest result counts.
            if self.0.get(&intent).is_none_or(|(seq, _)| *seq < entry.seq) {
                self.0.insert(intent, (entry.seq, end(&entry.detail)));
            }
        }
    }

    /// Returns the result of a write for the row of its intent. Returns nothing for other entries.
    pub(super) fn html(&self, entry: &Entry) -> Html {
        if entry.kind != EntryKind::Intent {
            return Html::default();
        }
        match self.0.get(&entry.seq) {
            Some((_, result)) => text(format!(" result: {result}")),
            None => text(" result: not known yet"),
        }
    }
}

/// Returns the text for the result of a write.
fn end(detail: &Detail) -> String {
    match detail {
        Detail::Result(result) => result_text(result),
        Detail::Dispatched(_) => "started".to_owned(),
        Detail::NotDispatched(result) if result.dispatched == Happened::Unknown => {
            format!("unknown whether it was started: {}", result.why)
        }
        Detail::NotDispatched(result) => format!("not started: {}", result.why),
        // Another version of Beadle wrote the result.
        _ => "unknown whether it was written".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Key, Time};
    use serde_json::{Value, json};

    use super::*;
    use crate::exchange;

    fn entry(kind: EntryKind, intent: Option<u64>, detail: Value) -> Entry {
        Entry {
            seq: 0,
            at: Time(1_000),
            kind,
            key: Key::new("repository", "acme", 1).to_string(),
            subject: "acme/shop".into(),
            intent,
            trace: None,
            detail: detail.into(),
        }
    }

    #[tokio::test]
    async fn the_row_of_a_write_has_its_result_from_a_later_entry() {
        let folder = tempfile::tempdir().unwrap();
        let store = exchange::store(&folder);
        let change = json!({
            "aspect": "topics", "what": "", "mode": "enforce", "after": [], "write": null, "generation": "g",
            "fields": [],
        });
        for one in [
            entry(EntryKind::Intent, None, change.clone()),
            entry(EntryKind::Intent, None, change.clone()),
            entry(EntryKind::Result, Some(1), json!({ "written": true })),
            entry(EntryKind::Result, Some(2), json!({ "written": false, "why": "403" })),
            entry(EntryKind::Intent, None, change),
        ] {
            store.journal(None, vec![one], Time(1_000)).await.unwrap();
        }
        let all = store.entries(Listing { limit: 10, ..Listing::default() }).await.unwrap();
        // The page shows only the intents.
        let page: Vec<Entry> = all.iter().rev().filter(|one| one.intent.is_none()).cloned().collect();
        let results = WriteResults::of(store.as_ref(), &page).await.unwrap();
        let shown: Vec<String> = page.iter().map(|one| results.html(one).as_str().to_owned()).collect();
        assert_eq!(shown, [" result: not known yet", " result: not written: 403", " result: written"]);
        assert_eq!(results.html(&all[2]), Html::default(), "this entry is a result");
        let of_page = WriteResults::among(&page);
        assert_eq!(of_page.html(&page[2]).as_str(), " result: not known yet");
    }

    #[test]
    fn the_newest_of_two_results_counts_in_every_order() {
        let intent = Entry { seq: 1, ..entry(EntryKind::Intent, None, json!({})) };
        let result = |seq: u64, written: Value| Entry {
            seq,
            ..entry(EntryKind::Result, Some(1), json!({ "written": written }))
        };
        let mut results = [result(2, json!("unknown")), result(3, json!(true))];
        for _ in 0..2 {
            assert_eq!(WriteResults::among(&results).html(&intent).as_str(), " result: written");
            results.reverse();
        }
    }
}
