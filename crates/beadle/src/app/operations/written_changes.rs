//! Finds the writes of Beadle in the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, bail};
use beadle_engine::journal::{Happened, IntendedChange, OperatorAction, RunCounts, SweepEnd};
use beadle_engine::{Change, Detail, Entry, EntryKind, History, Key, Listing, Mode, Store, Time};

use crate::app::operations::key_names::PAGE;

/// The number of characters of a digest.
const DIGEST: usize = 12;

/// A change that Beadle wrote or might have written.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    /// The number of the journal entry that Beadle stored before the write.
    seq: u64,
    at: Time,
    pub(crate) key: Key,
    /// The name of the key at that time, such as `acme/widgets`.
    pub(crate) subject: String,
    pub(crate) change: Change<()>,
    /// True if the vendor confirmed the write.
    is_confirmed: bool,
}

/// Returns all writes after a time, from the oldest to the newest. The order of the entries is the
/// order of their numbers. The times of the entries can be in another order, because the clock
/// might have been ahead when Beadle stored an old entry. So the function finds the newest entry
/// that is older than the time, and returns only the writes after this entry.
pub(crate) async fn since(store: &dyn Store, since: Time) -> anyhow::Result<Vec<Written>> {
    let after = newest(store, History::default(), |entry| entry.at < since).await?;
    let listing = Listing { after, since: Some(since), limit: PAGE, ..Listing::default() };
    writes(store, listing, |_| true).await
}

/// Returns the number of the newest wanted entry of a list, or 0 if there is none. `is_wanted`
/// decides whether an entry is wanted.
async fn newest(
    store: &dyn Store,
    mut history: History,
    is_wanted: impl Fn(&Entry) -> bool,
) -> anyhow::Result<u64> {
    history.limit = PAGE;
    loop {
        let entries = store.newest_entries(history.clone()).await?;
        if let Some(found) = entries.iter().find(|entry| is_wanted(entry)) {
            return Ok(found.seq);
        }
        let Some(last) = entries.last() else { return Ok(0) };
        history.before = Some(last.seq);
    }
}

/// Returns the writes that these words specify, from the oldest to the newest. A word is the number
/// of an entry in the journal, the digest of a change, or the code of an approved group of changes.
pub(crate) async fn named(store: &dyn Store, words: &[String]) -> anyhow::Result<Vec<Written>> {
    let mut found: BTreeMap<u64, Written> = BTreeMap::new();
    let mut codes: Vec<String> = Vec::new();
    for word in words {
        if word.len() == DIGEST && word.chars().all(|c| c.is_ascii_hexdigit()) {
            codes.push(word.to_ascii_lowercase());
            continue;
        }
        let number = word.parse::<u64>().ok().filter(|number| *number > 0).with_context(|| {
            format!(
                "invalid run `{word}`: use the number of an entry in the journal, or the digest of a change or a group\n\
                 hint: see `beadle journal --numbers`"
            )
        })?;
        found.extend(of_entry(store, number).await?.into_iter().map(|one| (one.seq, one)));
    }
    if codes.is_empty() {
        return Ok(found.into_values().collect());
    }
    let digests = digests(store, codes).await?;
    let is_named = |own: &BTreeSet<String>, one: &Written| own.contains(&one.change.digest(&one.key));
    let is_wanted = |one: &Written| digests.values().any(|own| is_named(own, one));
    let all = writes(store, Listing { limit: PAGE, ..Listing::default() }, is_wanted).await?;
    for (code, own) in &digests {
        if !all.iter().any(|one| is_named(own, one)) {
            bail!("the journal has no write of a change or of an approved group with the code `{code}`");
        }
    }
    found.extend(all.into_iter().map(|one| (one.seq, one)));
    Ok(found.into_values().collect())
}

/// For each code, returns the digests of its changes. A code is either a digest itself, or the code
/// of a group of changes that an operator approved as a whole.
async fn digests(
    store: &dyn Store,
    codes: Vec<String>,
) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let mut digests: BTreeMap<String, BTreeSet<String>> =
        codes.into_iter().map(|code| (code.clone(), BTreeSet::from([code]))).collect();
    let mut listing = Listing { limit: PAGE, ..Listing::default() };
    loop {
        let entries = store.entries(listing.clone()).await?;
        let Some(last) = entries.last() else { return Ok(digests) };
        listing.after = last.seq;
        for entry in entries {
            if let Detail::Operator(OperatorAction::Approved { approved, group: Some(group), .. }) =
                entry.detail
                && let Some(own) = digests.get_mut(&group)
            {
                own.insert(approved);
            }
        }
    }
}

/// Returns the writes of the run, sweep or write with this number in the journal.
async fn of_entry(store: &dyn Store, number: u64) -> anyhow::Result<Vec<Written>> {
    let listing = Listing { after: number - 1, limit: 1, ..Listing::default() };
    let entry = store.entries(listing).await?.into_iter().find(|entry| entry.seq == number);
    let entry = entry.with_context(|| format!("the journal has no entry with the number {number}"))?;
    let of_key = Listing { key: Some(entry.key.clone()), limit: PAGE, ..Listing::default() };
    match (&entry.detail, entry.kind) {
        (Detail::Run(counts), _) => Ok(of_run(writes(store, of_key, |_| true).await?, number, counts)),
        (Detail::Sweep(end), _) => of_sweep(store, &entry, end).await,
        (_, EntryKind::Intent | EntryKind::Result) => {
            let intent = entry.intent.unwrap_or(number);
            writes(store, of_key, |one| one.seq == intent).await
        }
        (_, kind) => bail!(
            "entry {number} of the journal has the kind `{}`: specify a run, a sweep or a write",
            kind.as_str()
        ),
    }
}

/// Selects the writes of a run from all writes of the run's key. These are the newest writes before
/// the entry of the run.
fn of_run(all: Vec<Written>, number: u64, counts: &RunCounts) -> Vec<Written> {
    let mut left = counts.written;
    let mut found: Vec<Written> = Vec::new();
    for one in all.into_iter().rev().filter(|one| one.seq < number) {
        if left == 0 {
            break;
        }
        left -= usize::from(one.is_confirmed);
        found.push(one);
    }
    found.reverse();
    found
}

/// Returns the writes to an organisation or a target during a sweep.
async fn of_sweep(store: &dyn Store, entry: &Entry, end: &SweepEnd) -> anyhow::Result<Vec<Written>> {
    // The key of the entry is `sweep:ORG`, because a sweep has no id.
    let instance = entry.key.split_once(':').map(|(_, instance)| instance);
    let instance = instance.with_context(|| format!("entry {} does not name its organisation", entry.seq))?;
    // The stored duration is rounded down.
    let begun = entry.at - Duration::from_secs(end.took_s + 1);
    // If the clock jumped during the sweep, the duration is wrong. But the sweep began after the
    // end of the previous sweep.
    let of_key = History { before: Some(entry.seq), key: Some(entry.key.clone()), ..History::default() };
    let after = newest(store, of_key, |other| matches!(other.detail, Detail::Sweep(_))).await?;
    let listing = Listing { after, since: Some(begun), limit: PAGE, ..Listing::default() };
    let is_its = |one: &Written| one.seq < entry.seq && one.at <= entry.at && one.key.instance() == instance;
    writes(store, listing, is_its).await
}

/// Returns the wanted writes of a list, from the oldest to the newest. Leaves out the writes that
/// certainly did not happen. Returns an error if this version cannot read a wanted write. Without
/// that write, the result would be incomplete. The function would also assign writes of the
/// previous run to this run.
async fn writes(
    store: &dyn Store,
    mut listing: Listing,
    is_wanted: impl Fn(&Written) -> bool,
) -> anyhow::Result<Vec<Written>> {
    let mut found: BTreeMap<u64, Written> = BTreeMap::new();
    loop {
        let entries = store.entries(listing.clone()).await?;
        let Some(last) = entries.last() else { break };
        listing.after = last.seq;
        for entry in entries {
            match (entry.detail, entry.intent) {
                (Detail::Change(IntendedChange { change, .. }), None) => {
                    let Ok(key) = entry.key.parse::<Key>() else { continue };
                    let (seq, at, subject) = (entry.seq, entry.at, entry.subject);
                    let one = Written { seq, at, key, subject, change, is_confirmed: false };
                    if is_wanted(&one) {
                        found.insert(seq, one);
                    }
                }
                (Detail::Result(result), Some(intent)) => {
                    if result.written == Happened::No && result.unknown != Some(true) {
                        found.remove(&intent);
                    } else if let Some(one) = found.get_mut(&intent) {
                        one.is_confirmed = result.written == Happened::Yes;
                    }
                }
                // If only a newer version knows the kind of an entry, the entry might also be a
                // write.
                (Detail::Other(_), None) if matches!(entry.kind, EntryKind::Intent | EntryKind::Other) => {
                    let Ok(key) = entry.key.parse::<Key>() else { continue };
                    let (seq, at, subject) = (entry.seq, entry.at, entry.subject);
                    let one = Written { seq, at, key, subject, change: unread(), is_confirmed: false };
                    if is_wanted(&one) {
                        bail!(newer(seq));
                    }
                }
                (Detail::Other(_), Some(intent)) if found.contains_key(&intent) => bail!(newer(entry.seq)),
                _ => {}
            }
        }
    }
    Ok(found.into_values().collect())
}

/// Returns a placeholder for a change that this version cannot read.
fn unread() -> Change<()> {
    Change {
        aspect: String::new(),
        what: String::new(),
        fields: Vec::new(),
        mode: Mode::Observe,
        after: Vec::new(),
        stop: None,
        undone: false,
        reaches: 1,
        write: (),
    }
}

fn newer(seq: u64) -> String {
    format!(
        "this version of Beadle cannot read entry {seq} of the journal, because another version wrote it\n\
         hint: use the newest version of Beadle that has used this store, or name later writes"
    )
}

#[cfg(test)]
mod tests {
    use beadle_engine::journal::{SweepSummary, WriteResult};
    use beadle_engine::store::prelude::*;
    use beadle_store_sqlite::{SqliteSettings, SqliteStore};
    use serde_json::json;

    use super::*;

    fn key() -> Key {
        Key::new("repository", "acme", 7)
    }

    fn change(topic: &str) -> Change<()> {
        let field = json!({ "name": topic, "before": null, "after": true, "asked": null, "risk": "adds" });
        let change = json!({
            "aspect": "topics", "what": "", "fields": [field], "mode": "enforce", "after": [], "write": null,
        });
        serde_json::from_value(change).unwrap()
    }

    fn entry(kind: EntryKind, intent: Option<u64>, detail: Detail) -> Entry {
        let (key, subject) = (key().to_string(), "acme/shop".to_owned());
        Entry { seq: 0, at: Time(1000), kind, key, subject, intent, trace: None, detail }
    }

    async fn write(store: &SqliteStore, topic: &str, written: Happened) -> u64 {
        write_at(store, topic, written, Time(1000)).await
    }

    /// Stores a write with its result, and returns the number of its intent.
    async fn write_at(store: &SqliteStore, topic: &str, written: Happened, at: Time) -> u64 {
        let (change, generation) = (change(topic), "g".into());
        let detail = Detail::Change(IntendedChange { change, generation, approved_by: None });
        let intent = Entry { at, ..entry(EntryKind::Intent, None, detail) };
        let seq = store.journal(None, vec![intent], Time(1000)).await.unwrap().unwrap()[0];
        let result = Detail::Result(WriteResult { written, unknown: None, why: None });
        let result = Entry { at, ..entry(EntryKind::Result, Some(seq), result) };
        store.journal(None, vec![result], Time(1000)).await.unwrap();
        seq
    }

    async fn run(store: &SqliteStore, written: usize) -> u64 {
        let counts = RunCounts {
            changes: 2,
            written,
            held: 0,
            withheld: Some(0),
            undone: None,
            failed: 0,
            postponed: Some(0),
            unknown: Vec::new(),
            unwritten: None,
            after: Some(Vec::new()),
        };
        let entries = vec![entry(EntryKind::Run, None, Detail::Run(counts))];
        store.journal(None, entries, Time(1000)).await.unwrap().unwrap()[0]
    }

    fn topics(found: &[Written]) -> Vec<&str> {
        found.iter().map(|one| one.change.fields[0].name.as_str()).collect()
    }

    #[tokio::test]
    async fn a_run_has_its_own_writes_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("beadle.db"), SqliteSettings::default()).unwrap();
        write(&store, "applied", Happened::Yes).await;
        write(&store, "refused", Happened::No).await;
        let lost = write(&store, "lost", Happened::Unknown).await;
        write(&store, "one", Happened::Yes).await;
        let first = run(&store, 1).await;
        write(&store, "two", Happened::Yes).await;
        let second = run(&store, 1).await;
        let named = async |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            super::named(&store, &words).await
        };
        assert_eq!(topics(&named(&[&first.to_string()]).await.unwrap()), ["one"]);
        assert_eq!(topics(&named(&[&second.to_string()]).await.unwrap()), ["two"]);
        assert_eq!(topics(&named(&[&lost.to_string()]).await.unwrap()), ["lost"]);
        let both = [second.to_string(), change("applied").digest(&key())];
        let both: Vec<&str> = both.iter().map(String::as_str).collect();
        assert_eq!(topics(&named(&both).await.unwrap()), ["applied", "two"]);
        for topic in ["one", "lost"] {
            let digest = change(topic).digest(&key());
            let approval =
                json!({ "approved": digest, "by": "mona", "reason": "asked", "group": "aaaabbbbcccc" });
            let approval = entry(EntryKind::Operator, None, approval.into());
            store.journal(None, vec![approval], Time(1000)).await.unwrap();
        }
        assert_eq!(topics(&named(&["aaaabbbbcccc"]).await.unwrap()), ["lost", "one"]);
        let all = since(&store, Time(0)).await.unwrap();
        assert_eq!(topics(&all), ["applied", "lost", "one", "two"]);
        for word in ["0", "last", "999", "0123456789ab"] {
            assert!(named(&[word]).await.is_err(), "{word}");
        }
    }

    #[tokio::test]
    async fn a_write_that_only_a_newer_version_can_read_is_not_left_out() {
        let (_folder, store) = temporary();
        let earlier = write(&store, "earlier", Happened::Yes).await;
        write(&store, "one", Happened::Yes).await;
        let mut detail = serde_json::to_value(change("two")).unwrap();
        detail["generation"] = "g".into();
        detail["colour"] = "green".into();
        let intent = entry(EntryKind::Intent, None, detail.into());
        let newer = store.journal(None, vec![intent], Time(1000)).await.unwrap().unwrap()[0];
        let result = entry(EntryKind::Result, Some(newer), json!({ "written": true }).into());
        store.journal(None, vec![result], Time(1000)).await.unwrap();
        let run = run(&store, 2).await;
        let named = async |word: String| super::named(&store, &[word]).await;
        let why = format!("cannot read entry {newer} of the journal");
        for word in [run.to_string(), newer.to_string()] {
            let error = named(word).await.unwrap_err().to_string();
            assert!(error.contains(&why), "{error}");
        }
        assert!(since(&store, Time(0)).await.unwrap_err().to_string().contains(&why));
        assert_eq!(topics(&named(earlier.to_string()).await.unwrap()), ["earlier"]);
        assert_eq!(topics(&named(change("one").digest(&key())).await.unwrap()), ["one"]);
        // This version can read the change, but not its result.
        let detail = json!({ "written": true, "colour": "green" });
        let result = entry(EntryKind::Result, Some(earlier), detail.into());
        store.journal(None, vec![result], Time(1000)).await.unwrap();
        assert!(named(earlier.to_string()).await.is_err());
    }

    #[tokio::test]
    async fn an_entry_of_a_kind_that_only_a_newer_version_knows_may_be_a_write() {
        let (_folder, store) = temporary();
        write(&store, "one", Happened::Yes).await;
        let newer = entry(EntryKind::Other, None, json!({ "transferred": "acme" }).into());
        store.journal(None, vec![newer], Time(1000)).await.unwrap().unwrap();
        let error = since(&store, Time(0)).await.unwrap_err().to_string();
        assert!(error.contains("cannot read entry"), "{error}");
    }

    fn temporary() -> (tempfile::TempDir, SqliteStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("beadle.db"), SqliteSettings::default()).unwrap();
        (folder, store)
    }

    #[tokio::test]
    async fn a_write_of_a_clock_that_was_ahead_is_not_since_a_later_time() {
        let (_folder, store) = temporary();
        for (topic, at) in [("ahead", 9_000_000), ("before", 1000), ("after", 5000), ("later", 6000)] {
            write_at(&store, topic, Happened::Yes, Time(at)).await;
        }
        assert_eq!(topics(&since(&store, Time(4000)).await.unwrap()), ["after", "later"]);
        assert_eq!(topics(&since(&store, Time(5500)).await.unwrap()), ["later"]);
        assert_eq!(topics(&since(&store, Time(9_000_000)).await.unwrap()), Vec::<&str>::new());
    }

    #[tokio::test]
    async fn a_sweep_during_which_the_clock_jumped_has_no_writes_of_an_earlier_sweep() {
        let (_folder, store) = temporary();
        let sweep = async |took_s: u64| {
            let detail = Detail::Sweep(SweepEnd { summary: SweepSummary::default(), took_s });
            let end = Entry { key: "sweep:acme".into(), ..entry(EntryKind::Sweep, None, detail) };
            store.journal(None, vec![end], Time(1000)).await.unwrap().unwrap()[0]
        };
        write(&store, "one", Happened::Yes).await;
        sweep(1).await;
        // The sweep took less than a second.
        write_at(&store, "two", Happened::Yes, Time(100)).await;
        let short = sweep(0).await;
        assert_eq!(topics(&named(&store, &[short.to_string()]).await.unwrap()), ["two"]);
        write(&store, "second", Happened::Yes).await;
        let last = sweep(1_800_000_000).await;
        write(&store, "three", Happened::Yes).await;
        let found = named(&store, &[last.to_string()]).await.unwrap();
        assert_eq!(topics(&found), ["second"]);
    }
}
