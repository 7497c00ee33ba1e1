//! Joins those entries of the journal that belong together. The newest entry comes first.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::journal::Cause;
use beadle_engine::{Detail, Entry, EntryKind, History, Key, Listing, Store, StoreError};

use super::approval::Approval;
use super::backwards::Backwards;
use super::story::Story;

/// The maximum time between a write and the entry about the end of its run. A killed run has no
/// entry about its end. In that case, the next entry about a run of the key belongs to a later run,
/// and contains the causes of the later run.
const RUN: Duration = Duration::from_secs(600);
/// The maximum number of later entries about the same key that Beadle reads to find the result of a
/// write.
const LATER: u32 = 200;

/// Reads the journal backwards and joins each write with its result and its causes.
pub(crate) struct Stories {
    store: Arc<dyn Store>,
    entries: Backwards,
    /// True if the reader gets only the entries that are intents. In that case, the reader must
    /// look up the result and the causes of each story.
    has_intents_only: bool,
    /// The results whose intent has not been read yet. An intent is older than its result.
    results: HashMap<u64, Detail>,
    /// For each key, the oldest run that the reader has read so far. Older writes to the key might
    /// belong to this run.
    runs: HashMap<String, Entry>,
}

impl Stories {
    /// Creates a reader for the stories whose entries match `history`. Without keys, the reader
    /// returns the stories of all keys.
    pub(crate) fn new(store: &Arc<dyn Store>, keys: &[Key], history: &History) -> Self {
        Self {
            store: store.clone(),
            entries: Backwards::new(store, keys, history),
            has_intents_only: !history.risks.is_empty(),
            results: HashMap::new(),
            runs: HashMap::new(),
        }
    }

    /// Returns the next story, or `None` after the oldest story.
    pub(crate) async fn next_story(&mut self) -> Result<Option<Story>, StoreError> {
        while let Some(entry) = self.entries.next_entry().await? {
            if let Some(intent) = entry.intent {
                self.results.insert(intent, entry.detail);
                continue;
            }
            if entry.kind == EntryKind::Run {
                self.runs.insert(entry.key.clone(), entry.clone());
            }
            if entry.kind != EntryKind::Intent {
                return Ok(Some(Story::of(entry)));
            }
            if self.has_intents_only {
                return self.looked_up(entry).await.map(Some);
            }
            let result = self.results.remove(&entry.seq);
            let causes = self.runs.get(&entry.key).and_then(|run| causes(&entry, run));
            let approval = Approval::find(self.store.as_ref(), &entry).await?;
            let causes = causes.unwrap_or_default();
            return Ok(Some(Story { result, causes, approval, ..Story::of(entry) }));
        }
        Ok(None)
    }

    /// Returns the story of an intent. Finds the result and the causes of the write in later
    /// entries about the same key.
    async fn looked_up(&self, entry: Entry) -> Result<Story, StoreError> {
        let key = Some(entry.key.clone());
        let listing = Listing { after: entry.seq, key, limit: LATER, ..Listing::default() };
        let later = self.store.entries(listing).await?;
        let causes = later.iter().find_map(|run| causes(&entry, run)).unwrap_or_default();
        let result = later.into_iter().find(|result| result.intent == Some(entry.seq));
        let approval = Approval::find(self.store.as_ref(), &entry).await?;
        let result = result.map(|result| result.detail);
        Ok(Story { result, causes, approval, ..Story::of(entry) })
    }
}

/// Returns the causes of this run if the write might belong to the run.
fn causes(intent: &Entry, run: &Entry) -> Option<Vec<Cause>> {
    match &run.detail {
        Detail::Run(counts) if run.at.since(intent.at) <= RUN => {
            Some(counts.after.clone().unwrap_or_default())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::store::prelude::*;
    use beadle_engine::{Risk, Time};
    use beadle_store_sqlite::{SqliteSettings, SqliteStore};
    use serde_json::{Value, json};

    use super::super::story::WriteEnd;
    use super::*;

    fn entry(kind: EntryKind, key: u64, intent: Option<u64>, detail: Value) -> Entry {
        let key = Key::new("repository", "acme", key).to_string();
        Entry {
            seq: 0,
            at: Time(1000),
            kind,
            key,
            subject: "acme/shop".into(),
            intent,
            trace: None,
            detail: detail.into(),
        }
    }

    fn change(what: &str, risk: &str) -> Value {
        json!({
            "aspect": "teams", "what": what, "mode": "enforce", "after": [], "write": null, "generation": "g",
            "fields": [{ "name": "permission", "before": "admin", "after": null, "asked": null, "risk": risk }],
        })
    }

    fn run(by: &str) -> Value {
        json!({
            "changes": 1, "written": 1, "held": 0, "failed": 0, "unknown": [],
            "after": [{ "event": "team.edited", "by": by, "delivery": "d" }],
        })
    }

    /// Returns a store with two keys and a write without a result. The runs of the keys overlap.
    async fn store(folder: &tempfile::TempDir) -> Arc<dyn Store> {
        let path = folder.path().join("beadle.db");
        let store = SqliteStore::open(&path, SqliteSettings::default()).unwrap();
        let written = json!({ "written": true });
        for one in [
            entry(EntryKind::Intent, 1, None, change("team a", "removes")),
            entry(EntryKind::Intent, 2, None, change("team b", "adds")),
            entry(EntryKind::Result, 2, Some(2), written.clone()),
            entry(EntryKind::Result, 1, Some(1), json!({ "written": false, "unknown": false, "why": "403" })),
            entry(EntryKind::Run, 1, None, run("ann")),
            entry(EntryKind::Run, 2, None, run("bob")),
            entry(EntryKind::Intent, 1, None, change("team c", "removes")),
        ] {
            store.journal(None, vec![one], Time(1000)).await.unwrap();
        }
        Arc::new(store)
    }

    async fn told(mut stories: Stories) -> Vec<(String, String)> {
        let mut told = Vec::new();
        while let Some(story) = stories.next_story().await.unwrap() {
            let by = story.causes.iter().filter_map(|cause| cause.by.clone()).collect::<Vec<_>>().join(" ");
            let what = story.change().map_or("run", |change| change.what.as_str());
            let end = match story.end() {
                WriteEnd::Written => "written".to_owned(),
                WriteEnd::Failed(why) => why.to_owned(),
                WriteEnd::Unknown(_) => "unknown".to_owned(),
                WriteEnd::Open => String::new(),
            };
            told.push((format!("{what} {end}").trim().to_owned(), by));
        }
        told
    }

    fn pairs<const N: usize>(expected: [(&str, &str); N]) -> Vec<(String, String)> {
        expected.into_iter().map(|(what, by)| (what.to_owned(), by.to_owned())).collect()
    }

    #[tokio::test]
    async fn a_write_has_its_result_and_the_causes_of_its_run() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        let all = History { limit: 2, ..History::default() };
        assert_eq!(
            told(Stories::new(&store, &[], &all)).await,
            pairs([
                ("team c", ""),
                ("run", "bob"),
                ("run", "ann"),
                ("team b written", "bob"),
                ("team a 403", "ann"),
            ])
        );
        let keys = [Key::new("repository", "acme", 1), Key::new("repository", "acme", 2)];
        assert_eq!(
            told(Stories::new(&store, &keys, &all)).await,
            told(Stories::new(&store, &[], &all)).await,
            "the keys are all keys of the journal"
        );
        let removed = History { risks: vec![Risk::Removes], ..all };
        assert_eq!(
            told(Stories::new(&store, &[], &removed)).await,
            pairs([("team c", ""), ("team a 403", "ann")])
        );
    }

    #[tokio::test]
    async fn an_approved_write_has_the_entry_of_its_approval() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("beadle.db");
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path, SqliteSettings::default()).unwrap());
        let mut approved = change("team a", "removes");
        approved["approved_by"] = json!("sec");
        let intent = entry(EntryKind::Intent, 1, None, approved);
        let digest = Story::of(intent.clone()).change().unwrap().digest(&Key::new("repository", "acme", 1));
        let approval = |by: &str, digest: &str| json!({ "approved": digest, "by": by });
        for one in [
            entry(EntryKind::Operator, 1, None, approval("sec", &digest)),
            entry(EntryKind::Operator, 1, None, approval("sec", "another")),
            entry(EntryKind::Operator, 2, None, approval("sec", &digest)),
            intent,
            entry(EntryKind::Intent, 1, None, change("team a", "removes")),
            entry(EntryKind::Operator, 1, None, approval("sec", &digest)),
        ] {
            store.journal(None, vec![one], Time(1000)).await.unwrap();
        }
        for risks in [vec![], vec![Risk::Removes]] {
            let mut stories = Stories::new(&store, &[], &History { limit: 10, risks, ..History::default() });
            let mut found = Vec::new();
            while let Some(story) = stories.next_story().await.unwrap() {
                if story.change().is_some() {
                    assert_eq!(story.is_about("sec"), story.approval.is_some());
                    found.push(story.approval.map(|approval| approval.text()));
                }
            }
            let text = "approved by sec at 1970-01-01T00:00:01Z (entry 1)".to_owned();
            assert_eq!(found, [None, Some(text)]);
        }
    }

    #[test]
    fn a_run_long_after_a_write_is_not_its_run() {
        let intent = entry(EntryKind::Intent, 1, None, change("team a", "removes"));
        let mut end = entry(EntryKind::Run, 1, None, run("ann"));
        assert!(causes(&intent, &end).is_some());
        end.at = intent.at + RUN + Duration::from_secs(1);
        assert_eq!(causes(&intent, &end), None);
    }
}
