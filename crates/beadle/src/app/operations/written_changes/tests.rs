use beadle_engine::journal::{SweepSummary, WriteResult};
use beadle_engine::store::prelude::*;
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use serde_json::json;

use super::*;
use crate::app::operations::not_undone::NotUndone;
use crate::app::operations::overwritten_values::without_overwritten;
use crate::app::operations::shared_writes;

mod earlier;
mod repeated;

fn key() -> Key {
    Key::new("repository", "acme", 7)
}

/// Returns a change that adds a topic. The change for the text `no NAME` removes the topic NAME.
fn change(topic: &str) -> Change<()> {
    let (name, [before, after]) = match topic.strip_prefix("no ") {
        Some(name) => (name, [json!(true), json!(null)]),
        None => (topic, [json!(null), json!(true)]),
    };
    let field = json!({ "name": name, "before": before, "after": after, "asked": null, "risk": "adds" });
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
    write_of(store, (topic, "g"), written, at).await
}

/// Stores a write of a topic, with its result. A generation asked for this write. Returns the
/// number of the intent.
async fn write_of(store: &SqliteStore, of: (&str, &str), written: Happened, at: Time) -> u64 {
    let (topic, generation) = of;
    write_asked(store, (topic, generation, None), written, at).await
}

/// Stores a write of a topic, with its result. The write has the generation in force, and the
/// earlier generation that first asked for the write. Returns the number of the intent.
async fn write_asked(
    store: &SqliteStore,
    (topic, generation, first): (&str, &str, Option<&str>),
    written: Happened,
    at: Time,
) -> u64 {
    write_change(store, (change(topic), generation, first), written, at).await
}

async fn write_change(
    store: &SqliteStore,
    (change, generation, first): (Change<()>, &str, Option<&str>),
    written: Happened,
    at: Time,
) -> u64 {
    let generation = generation.to_owned();
    let first_asked = first.map(str::to_owned);
    let detail = Detail::Change(IntendedChange { change, generation, approved_by: None, first_asked });
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
        is_undo: false,
    };
    let entries = vec![entry(EntryKind::Run, None, Detail::Run(counts))];
    store.journal(None, entries, Time(1000)).await.unwrap().unwrap()[0]
}

/// Returns the writes that a word specifies.
async fn writes_of(store: &SqliteStore, word: &str) -> anyhow::Result<Vec<Written>> {
    Ok(named(store, &[word.to_owned()]).await?.writes)
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
        super::named(&store, &words).await.map(|found| found.writes)
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
async fn a_policy_has_exactly_the_writes_that_its_generation_asked_for() {
    let (_folder, store) = temporary();
    let (first, second, based) = ("d3ffdfc7c73a", "0a1b2c3d4e5f", "d3ffdfc7c73a+0a1b2c3d4e5f");
    let write = async |topic: &str, generation: &str, written: Happened| {
        write_of(&store, (topic, generation), written, Time(1000)).await
    };
    let of_first = in_force(&store, first, "Acme").await;
    write("one", first, Happened::Yes).await;
    write("refused", first, Happened::No).await;
    let of_second = in_force(&store, second, "acme").await;
    write("two", second, Happened::Yes).await;
    // A run of the first policy ends after the second policy came into force.
    write("late", first, Happened::Unknown).await;
    write("base", based, Happened::Yes).await;
    write("undone", "undo of 1", Happened::Yes).await;
    let named = async |word: &str| writes_of(&store, word).await;
    for word in [first, "D3FFDFC7C73A", of_first.as_str()] {
        assert_eq!(topics(&named(word).await.unwrap()), ["one", "late"], "{word}");
    }
    assert_eq!(topics(&named(second).await.unwrap()), ["two"]);
    assert_eq!(topics(&named(&of_second).await.unwrap()), ["two"]);
    assert_eq!(topics(&named(based).await.unwrap()), ["base"]);
    // Another organisation can have the same policy.
    let of_other = in_force(&store, first, "other").await;
    assert!(named(&of_other).await.unwrap().is_empty());
    let idle = "ffffffffffff";
    assert!(named(idle).await.unwrap_err().to_string().contains("the policy wrote nothing"));
    let of_idle = in_force(&store, idle, "acme").await;
    for word in [idle.to_owned(), of_idle] {
        let found = super::named(&store, &[word]).await.unwrap();
        assert!(found.writes.is_empty() && found.idle.contains(idle), "{found:?}");
        assert_eq!(found.titles, ["policy ffffffffffff"]);
    }
    for word in ["d3ffdfc7c73a+", "d3ffdfc7c73a+1", "1+d3ffdfc7c73a"] {
        assert!(named(word).await.unwrap_err().to_string().contains("invalid run"), "{word}");
    }
    let held = json!({ "held_generation": first, "plan": "p", "why": "w", "held_by": "service" });
    let held = entry(EntryKind::Policy, None, held.into());
    let held = store.journal(None, vec![held], Time(1000)).await.unwrap().unwrap()[0].to_string();
    let why = named(&held).await.unwrap_err().to_string();
    assert!(why.contains("a policy that came into force"), "{why}");
}

/// Stores that a generation of a policy came into force. Returns the number of the entry.
async fn in_force(store: &SqliteStore, generation: &str, organisation: &str) -> String {
    let detail = json!({
        "in_force": generation, "repository": "acme/admin", "commit": "c", "author": "mona",
        "subject": "Add a team",
    });
    let entry = entry(EntryKind::Policy, None, detail.into());
    let entry = Entry { key: "-".into(), subject: organisation.to_owned(), ..entry };
    store.journal(None, vec![entry], Time(1000)).await.unwrap().unwrap()[0].to_string()
}

#[tokio::test]
async fn a_write_belongs_to_the_policy_that_first_asked_for_it() {
    let (_folder, store) = temporary();
    let (first, second, third) = ("d3ffdfc7c73a", "0a1b2c3d4e5f", "ffffffffffff");
    let of_first = in_force(&store, first, "acme").await;
    write_of(&store, ("at once", first), Happened::Yes, Time(1000)).await;
    let of_second = in_force(&store, second, "acme").await;
    for topic in ["held", "failed"] {
        write_asked(&store, (topic, second, Some(first)), Happened::Yes, Time(1000)).await;
    }
    write_asked(&store, ("older", second, Some(third)), Happened::Yes, Time(1000)).await;
    let refused = write_asked(&store, ("refused", second, Some(first)), Happened::No, Time(1000)).await;
    write_of(&store, ("own", second), Happened::Yes, Time(1000)).await;
    let found = async |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let found = named(&store, &words).await.unwrap();
        let own = (found.writes.as_slice(), found.of_others.as_slice());
        let notes = shared_writes::notes(&store, &found.policies, own).await.unwrap();
        let names = |writes: &[Written]| topics(writes).join(", ");
        (names(&found.writes), names(&found.of_others), notes)
    };
    let was_late = "policy d3ffdfc7c73a first asked for 2 writes that Beadle did while policy 0a1b2c3d4e5f was in \
                    force; the undo contains these writes";
    for word in [first, of_first.as_str()] {
        let expected = ("at once, held, failed".to_owned(), String::new(), vec![was_late.to_owned()]);
        assert_eq!(found(&[word]).await, expected, "{word}");
    }
    let left_out = [
        "policy 0a1b2c3d4e5f was in force during 4 writes; policy d3ffdfc7c73a (commit c of acme/admin by mona: Add a \
         team) first asked for 2 of them, so the undo leaves these writes out; to undo them: `beadle undo \
         d3ffdfc7c73a`",
        "policy 0a1b2c3d4e5f was in force during 4 writes; policy ffffffffffff first asked for 1 of them, so the undo \
         leaves this write out; to undo it: `beadle undo ffffffffffff`",
    ];
    for word in [second, of_second.as_str()] {
        let (own, others, notes) = found(&[word]).await;
        assert_eq!((own.as_str(), others.as_str()), ("own", "held, failed, older"), "{word}");
        assert_eq!(notes, left_out, "{word}");
    }
    // The first word names some of the writes that the second word leaves out.
    let (own, others, _) = found(&[first, second]).await;
    assert_eq!((own.as_str(), others.as_str()), ("at once, held, failed, own", "older"));
    // Beadle did all writes of this policy while a later policy was in force.
    let (own, others, notes) = found(&[third]).await;
    assert_eq!((own.as_str(), others.as_str(), notes.len()), ("older", "", 1));
    assert_eq!(found(&[&refused.to_string()]).await.0, "", "the write did not happen");
}

#[tokio::test]
async fn a_write_that_may_belong_to_a_policy_is_not_left_out() {
    let (_folder, store) = temporary();
    write_of(&store, ("one", "d3ffdfc7c73a"), Happened::Yes, Time(1000)).await;
    let mut detail = serde_json::to_value(change("two")).unwrap();
    detail["generation"] = "0a1b2c3d4e5f".into();
    detail["colour"] = "green".into();
    let newer = entry(EntryKind::Intent, None, detail.into());
    store.journal(None, vec![newer], Time(1000)).await.unwrap();
    let named = async |word: &str| writes_of(&store, word).await;
    assert_eq!(topics(&named("d3ffdfc7c73a").await.unwrap()), ["one"]);
    let why = named("0a1b2c3d4e5f").await.unwrap_err().to_string();
    assert!(why.contains("cannot read entry"), "{why}");
    // This version does not know which generation asked for this write.
    let newer = entry(EntryKind::Other, None, json!({ "transferred": "acme" }).into());
    store.journal(None, vec![newer], Time(1000)).await.unwrap();
    assert!(named("d3ffdfc7c73a").await.is_err());
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
    let named = async |word: String| writes_of(&store, &word).await;
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
        let detail = Detail::Sweep(SweepEnd { summary: SweepSummary::default(), took_s, unreadable: 0 });
        let end = Entry { key: "sweep:acme".into(), ..entry(EntryKind::Sweep, None, detail) };
        store.journal(None, vec![end], Time(1000)).await.unwrap().unwrap()[0]
    };
    write(&store, "one", Happened::Yes).await;
    sweep(1).await;
    // The sweep took less than a second.
    write_at(&store, "two", Happened::Yes, Time(100)).await;
    write_of(&store, ("undone", "undo of 1"), Happened::Yes, Time(100)).await;
    let short = sweep(0).await;
    assert_eq!(topics(&writes_of(&store, &short.to_string()).await.unwrap()), ["two"]);
    write(&store, "second", Happened::Yes).await;
    let last = sweep(1_800_000_000).await;
    write(&store, "three", Happened::Yes).await;
    let found = writes_of(&store, &last.to_string()).await.unwrap();
    assert_eq!(topics(&found), ["second"]);
}

/// Stores that an operator began an undo in an organisation. Returns the number of the entry.
async fn begun(store: &SqliteStore, name: &str, organisation: &str) -> String {
    let action = OperatorAction::Undid { undid: name.to_owned(), by: "mona".to_owned(), reason: None };
    let begun = Entry::of_operator(action, (organisation, organisation), Time(1000));
    store.journal(None, vec![begun], Time(1000)).await.unwrap().unwrap()[0].to_string()
}

#[tokio::test]
async fn an_undo_has_exactly_its_own_writes() {
    let (_folder, store) = temporary();
    let (name, other) = ("undo of 1", "undo of 1, 2");
    let write = async |topic: &str, generation: &str, written: Happened| {
        write_of(&store, (topic, generation), written, Time(1000)).await
    };
    write("policy", "g", Happened::Yes).await;
    let first = begun(&store, name, "Acme").await;
    write("one", name, Happened::Yes).await;
    write("refused", name, Happened::No).await;
    write("between", "g", Happened::Yes).await;
    write("two", name, Happened::Yes).await;
    let longer = begun(&store, other, "Acme").await;
    write("longer", other, Happened::Yes).await;
    // The operator repeats the undo, for example after an approval.
    let again = begun(&store, name, "Acme").await;
    write("three", name, Happened::Yes).await;
    let elsewhere = begun(&store, name, "labs").await;
    for (number, expected) in [
        (&first, vec!["one", "two"]),
        (&longer, vec!["longer"]),
        (&again, vec!["three"]),
        (&elsewhere, vec![]),
    ] {
        let found = writes_of(&store, number).await.unwrap();
        assert_eq!(topics(&found), expected, "{number}");
    }
    // An undo of the undo does not belong to the undo.
    let twice = format!("undo of undo {first}");
    let undone = begun(&store, &twice, "Acme").await;
    write("one", &twice, Happened::Yes).await;
    assert_eq!(topics(&writes_of(&store, &first).await.unwrap()), ["one", "two"]);
    assert_eq!(topics(&writes_of(&store, &undone).await.unwrap()), ["one"]);
    let pause = OperatorAction::Resumed { resumed: true, by: "mona".to_owned(), reason: None };
    let pause = Entry::of_operator(pause, ("Acme", "Acme"), Time(1000));
    let pause = store.journal(None, vec![pause], Time(1000)).await.unwrap().unwrap()[0].to_string();
    let why = writes_of(&store, &pause).await.unwrap_err().to_string();
    assert!(why.contains("the beginning of an undo"), "{why}");
}

#[tokio::test]
async fn an_undo_leaves_a_value_that_a_later_policy_set_again() {
    let (_folder, store) = temporary();
    let (first, between, later) = ("d3ffdfc7c73a", "5e6f7a8b9c0d", "0a1b2c3d4e5f");
    for (topic, generation) in [("one", first), ("two", first), ("no one", between)] {
        write_of(&store, (topic, generation), Happened::Yes, Time(1000)).await;
    }
    let again = write_of(&store, ("one", later), Happened::Yes, Time(1000)).await;
    write_of(&store, ("two", later), Happened::No, Time(1000)).await;
    let selected = writes_of(&store, first).await.unwrap();
    let others = others_after(&store, &selected).await.unwrap();
    let (kept, left) = without_overwritten(selected, &others);
    assert_eq!(topics(&kept), ["two"]);
    let reasons: Vec<String> = left.iter().map(NotUndone::why).collect();
    assert_eq!(reasons, [format!("policy {later} changed it again (entry {again})")]);
    let all = since(&store, Time(0)).await.unwrap();
    let others = others_after(&store, &all).await.unwrap();
    let (kept, left) = without_overwritten(all, &others);
    assert_eq!((kept.len(), left.len()), (4, 0), "the undo contains the later write too");
}
