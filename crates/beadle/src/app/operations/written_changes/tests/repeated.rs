//! Tests of writes that repeat an earlier write.

use beadle_engine::Note;
use beadle_repositories::controls::{ControlLine, ControlLines, ControlState};
use serde_json::Value;

use super::*;

#[tokio::test]
async fn the_repair_of_a_value_belongs_to_the_policy_that_wrote_the_value_first() {
    let (_folder, store) = temporary();
    let (first, second, third) = ("aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc");
    for (topic, generation) in [
        ("old", first),
        ("new", second),
        // Another writer removed both topics.
        ("old", second),
        ("new", third),
        ("old", third),
    ] {
        write_of(&store, (topic, generation), Happened::Yes, Time(1000)).await;
    }
    for (generation, own, others) in [
        (first, vec!["old", "old", "old"], vec![]),
        (second, vec!["new", "new"], vec!["old"]),
        (third, vec![], vec!["new", "old"]),
    ] {
        let found = named(&store, &[generation.to_owned()]).await.unwrap();
        assert_eq!((topics(&found.writes), topics(&found.of_others)), (own, others), "{generation}");
    }
}

#[tokio::test]
async fn the_repair_of_drift_restores_nothing_of_its_own() {
    let (_folder, store) = temporary();
    let (first, second) = ("aaaaaaaaaaaa", "bbbbbbbbbbbb");
    let removal = |before: &str| {
        let mut change = change("no eve");
        change.fields[0].before = json!(before);
        change
    };
    // Somebody gave eve another role after the removal, and Beadle removed her again.
    for (before, generation) in [("pull", first), ("admin", second)] {
        write_change(&store, (removal(before), generation, None), Happened::Yes, Time(1000)).await;
    }
    let found = writes_of(&store, first).await.unwrap();
    let befores: Vec<&Value> = found.iter().map(|one| &one.change.fields[0].before).collect();
    assert_eq!(befores, [&json!("pull"), &Value::Null]);
}

/// Records a run with a policy that declares exactly these topics for the repository.
async fn record_topics(store: &SqliteStore, at: i64, topics: &[&str]) {
    // The note of a later time comes first in a list of notes.
    let moment = format!("{:016x}", i64::MAX - at);
    let (at, digest) = (Time(at), format!("digest-{at}"));
    let line = || ControlLine { value: "true".into(), line: 1 };
    let mut controls: BTreeMap<String, ControlLine> =
        topics.iter().map(|topic| (format!("repository.topics[{topic}]"), line())).collect();
    // The list must not contain any other topic.
    let none = ControlLine { value: "\"no other entries\"".into(), line: 1 };
    controls.insert("repository.topics".to_owned(), none);
    let lines = ControlLines { at, file: "settings.yml".into(), commit: "c".into(), controls };
    Note::of(&["acme", &digest, &moment]).put(store, &lines).await.unwrap();
    let state = ControlState { at, lines: vec![digest], ..ControlState::default() };
    Note::of(&["acme", key().id(), &moment]).put(store, &state).await.unwrap();
}

#[tokio::test]
async fn the_repair_of_a_value_that_a_policy_declares_again_belongs_to_this_policy() {
    let (_folder, store) = temporary();
    let (first, third, fourth) = ("aaaaaaaaaaaa", "cccccccccccc", "dddddddddddd");
    for topic in ["dropped", "kept"] {
        write_of(&store, (topic, first), Happened::Yes, Time(1000)).await;
    }
    record_topics(&store, 1001, &["dropped", "kept"]).await;
    // The second policy no longer has one of the topics. Then, another writer removes both.
    record_topics(&store, 2000, &["kept"]).await;
    for topic in ["dropped", "kept"] {
        write_of(&store, (topic, third), Happened::Yes, Time(3000)).await;
    }
    record_topics(&store, 3001, &["dropped", "kept"]).await;
    // Another writer removes the topic again.
    write_of(&store, ("dropped", fourth), Happened::Yes, Time(4000)).await;
    for (generation, own, others) in [
        (first, vec!["dropped", "kept", "kept"], vec![]),
        (third, vec!["dropped", "dropped"], vec!["kept"]),
        (fourth, vec![], vec!["dropped"]),
    ] {
        let found = named(&store, &[generation.to_owned()]).await.unwrap();
        assert_eq!((topics(&found.writes), topics(&found.of_others)), (own, others), "{generation}");
    }
}

#[tokio::test]
async fn a_late_repair_belongs_to_the_policy_that_wrote_the_value_first() {
    let (_folder, store) = temporary();
    let (first, second, third) = ("aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc");
    write_of(&store, ("no eve", first), Happened::Yes, Time(1000)).await;
    // The guard held the repair under the second policy.
    write_asked(&store, ("no eve", third, Some(second)), Happened::Yes, Time(2000)).await;
    let found = writes_of(&store, first).await.unwrap();
    let befores: Vec<&Value> = found.iter().map(|one| &one.change.fields[0].before).collect();
    assert_eq!(befores, [&json!(true), &Value::Null]);
    assert!(writes_of(&store, second).await.is_err(), "this policy has no write");
    assert!(writes_of(&store, third).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_removal_after_a_policy_with_the_entry_belongs_to_the_later_policy() {
    let (first, second, third) = ("aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc");
    for is_unconfirmed in [false, true] {
        let (_folder, store) = temporary();
        write_of(&store, ("no old", first), Happened::Yes, Time(1000)).await;
        if is_unconfirmed {
            write_of(&store, ("old", second), Happened::Unknown, Time(1500)).await;
        } else {
            // Somebody added the topic by hand before Beadle did.
            record_topics(&store, 1001, &["new"]).await;
            record_topics(&store, 1500, &["new", "old"]).await;
        }
        write_of(&store, ("no old", third), Happened::Yes, Time(2000)).await;
        let found = writes_of(&store, third).await.unwrap();
        let befores: Vec<&Value> = found.iter().map(|one| &one.change.fields[0].before).collect();
        assert_eq!(befores, [&json!(true)], "{is_unconfirmed}");
        assert_eq!(writes_of(&store, first).await.unwrap().len(), 1, "{is_unconfirmed}");
    }
}
