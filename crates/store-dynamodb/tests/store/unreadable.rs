//! Tests of items that this version cannot read. An unreadable item does not affect other items,
//! and Beadle never loses an unreadable item.

use beadle_emulate::Moto;
use beadle_engine::store::prelude::*;
use beadle_engine::testing::hold;
use beadle_engine::{
    Accepted, Delivery, Hold, Key, KeyScope, Lane, Limits, Mark, Outcome, Pause, StoreError, Time, sweep,
};
use beadle_store_dynamodb::{DynamoSettings, DynamoStore};
use serde_json::{Value, json};

fn key(n: u64) -> Key {
    Key::new("repository", "acme", n)
}

fn delivery() -> Delivery {
    Delivery {
        source: "github".into(),
        id: "1".into(),
        event: "push".into(),
        actor: None,
        instance: "acme".into(),
        received: Time(5),
        body: Vec::new(),
    }
}

/// Sets an attribute of an item.
async fn set(moto: &Moto, table: &str, (pk, sk): (&str, &str), (name, value): (&str, Value)) {
    let body = json!({
        "TableName": table,
        "Key": { "pk": { "S": pk }, "sk": { "S": sk } },
        "UpdateExpression": "SET #name = :value",
        "ExpressionAttributeNames": { "#name": name },
        "ExpressionAttributeValues": { ":value": value },
    });
    moto.call("dynamodb", "DynamoDB_20120810.UpdateItem", &body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_read_stops_no_other_key() {
    let moto = Moto::start().await;
    let store: DynamoStore = moto.table("beadle", DynamoSettings::default()).await;
    let marks = (1..=3).map(|n| Mark::new(key(n), Lane::Event)).collect();
    store.mark(marks, Time(0)).await.unwrap();
    let row = ("row#repository:acme:2", "row");
    set(&moto, "beadle", row, ("row", json!({ "S": "[2]" }))).await;
    let mut claimed = Vec::new();
    for _ in 0..2 {
        let claims = store.claim(10, Time(60_000)).await.unwrap();
        claimed.extend(claims.into_iter().map(|claim| claim.lease.key));
    }
    claimed.sort();
    assert_eq!(claimed, [key(1), key(3)]);
    let error = store.row(&key(2)).await.unwrap_err().to_string();
    assert!(error.contains("the row of repository:acme:2"), "{error}");
    let list = store.all_rows(10).await.unwrap();
    assert_eq!((list.rows.len(), list.unreadable.len()), (2, 1));
    assert_eq!(list.unreadable_names().collect::<Vec<_>>(), ["the row of repository:acme:2"]);
    assert!(store.rows(10).await.is_err(), "a decision must know every row");
    let depth = store.depth(Time(60_000)).await.unwrap();
    assert_eq!((depth.leased, depth.lane(Lane::Event)), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_skips_a_row_that_cannot_be_read_and_a_sweep_ends_with_it() {
    const LATER: Time = Time(1_000_000);
    let moto = Moto::start().await;
    let store: DynamoStore = moto.table("beadle", DynamoSettings::default()).await;
    let mark = |n: u64| Mark::new(key(n), Lane::Sweep);
    store.mark(vec![mark(2)], Time(0)).await.unwrap();
    let row = ("row#repository:acme:2", "row");
    set(&moto, "beadle", row, ("row", json!({ "S": "[2]" }))).await;
    assert!(sweep::begin(&store, "acme", 3, Time(0)).await.unwrap());
    let skipped = store.mark_readable((1..=3).map(mark).collect(), Time(0)).await.unwrap();
    assert!(skipped.len() == 1 && skipped[0].contains("the row of repository:acme:2"), "{skipped:?}");
    assert_eq!(store.accept(delivery(), vec![mark(2), mark(4)]).await.unwrap(), Accepted::Stored);
    assert_eq!(store.settle(LATER).await.unwrap(), 0, "the delivery is complete");
    let scopes = [KeyScope::new("repository", "acme")];
    for (most, expected) in [(1, 1), (10, 3)] {
        assert_eq!(store.count_waiting(&scopes, LATER, most).await.unwrap(), expected, "{most}");
    }
    assert_eq!(sweep::summarise(&store, "acme", &scopes, LATER).await.unwrap(), None);
    let mut claims = Vec::new();
    for _ in 0..2 {
        claims.extend(store.claim(10, LATER).await.unwrap());
    }
    let mut keys: Vec<Key> = claims.iter().map(|claim| claim.lease.key.clone()).collect();
    keys.sort();
    assert_eq!(keys, [key(1), key(3), key(4)]);
    for claim in &claims {
        assert!(store.finish(&claim.lease, Outcome::Done, LATER).await.unwrap());
    }
    let summary = sweep::summarise(&store, "acme", &scopes, LATER).await.unwrap();
    assert_eq!(summary.map(|summary| summary.failed), Some(1), "the sweep ends, and names the key as failed");
    let list = store.all_rows(10).await.unwrap();
    assert_eq!(list.unreadable_names().collect::<Vec<_>>(), ["the row of repository:acme:2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_waits_for_the_only_row_of_its_keys_and_an_approval_fails() {
    const LATER: Time = Time(1_000_000);
    let moto = Moto::start().await;
    let store: DynamoStore = moto.table("beadle", DynamoSettings::default()).await;
    let mark = || Mark::new(key(2), Lane::Event);
    store.mark(vec![mark()], Time(0)).await.unwrap();
    let limits = Limits { removes: 0, ..Limits::default() };
    let asked = vec![Hold { why: String::new(), ..hold(2) }];
    store.reserve(None, &limits, asked, Time(1)).await.unwrap().unwrap();
    let readable = serde_json::to_string(&store.row(&key(2)).await.unwrap().unwrap()).unwrap();
    let row = ("row#repository:acme:2", "row");
    set(&moto, "beadle", row, ("row", json!({ "S": "[2]" }))).await;
    let mut errors = Vec::new();
    // The sender sends the delivery twice.
    for _ in 0..2 {
        errors.push(store.accept(delivery(), vec![mark(), mark()]).await.unwrap_err());
    }
    errors.push(store.settle(LATER).await.unwrap_err());
    errors.push(store.approve("d2", "ann", LATER).await.unwrap_err());
    for error in errors {
        let is_named = error.to_string().contains("the row of repository:acme:2");
        assert!(matches!(error, StoreError::Corrupt { .. }) && is_named, "{error}");
    }
    assert_eq!(store.holds().await.unwrap()[0].approved_by, None, "the approval is not stored");
    // Somebody corrects the row.
    set(&moto, "beadle", row, ("row", json!({ "S": readable }))).await;
    assert_eq!(store.settle(LATER).await.unwrap(), 1, "the store kept the delivery, and marks its key");
    let marked = store.row(&key(2)).await.unwrap().unwrap();
    assert_eq!(marked.wanted, 3, "the key has the first mark and the two marks of the delivery");
    let hold = store.approve("d2", "ann", LATER).await.unwrap().unwrap();
    assert_eq!(hold.approved_by.as_deref(), Some("ann"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_whose_end_cannot_be_read_lasts_until_an_operator_ends_it() {
    let moto = Moto::start().await;
    let store: DynamoStore = moto.table("beadle", DynamoSettings::default()).await;
    store.mark(vec![Mark::new(key(1), Lane::Event)], Time(0)).await.unwrap();
    store.pause("acme", Time(50_000)).await.unwrap();
    set(&moto, "beadle", ("pause", "acme"), ("until", json!({ "S": "2027-01-01" }))).await;
    let pauses = store.pauses(Time(60_000)).await.unwrap();
    assert_eq!(pauses, [Pause { scope: "acme".to_owned(), until: Time(i64::MAX) }]);
    assert!(store.claim(10, Time(60_000)).await.unwrap().is_empty());
    assert!(store.resume("acme").await.unwrap());
    assert_eq!(store.claim(10, Time(60_000)).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_cannot_be_read_stays_and_the_holds_of_other_generations_end() {
    let moto = Moto::start().await;
    let store: DynamoStore = moto.table("beadle", DynamoSettings::default()).await;
    let limits = Limits { removes: 0, ..Limits::default() };
    let asked = (1..=3).map(|n| Hold { why: String::new(), ..hold(n) }).collect();
    store.reserve(None, &limits, asked, Time(1)).await.unwrap().unwrap();
    set(&moto, "beadle", ("hold", "d1"), ("hold", json!({ "S": "\"hunter2\"" }))).await;
    let list = store.all_holds().await.unwrap();
    let digests: Vec<&str> = list.holds.iter().map(|hold| hold.digest.as_str()).collect();
    assert_eq!((digests, list.unreadable.len()), (vec!["d2", "d3"], 1));
    assert!(list.unreadable[0].contains("the hold d1"), "{:?}", list.unreadable);
    assert_eq!(list.unreadable_names().collect::<Vec<_>>(), ["the hold d1"]);
    let own = store.all_holds_of(&key(1)).await.unwrap();
    assert_eq!((own.holds.len(), own.unreadable), (0, list.unreadable));
    assert_eq!(store.all_holds_of(&key(2)).await.unwrap().complete().unwrap().len(), 1);
    assert_eq!(store.forget_holds("acme", "g2").await.unwrap(), 2);
    let error = store.holds().await.unwrap_err().to_string();
    assert!(error.contains("the hold d1") && !error.contains("hunter2"), "{error}");
    let asked = vec![Hold { why: String::new(), ..hold(1) }];
    let error = store.reserve(None, &limits, asked, Time(2)).await.unwrap_err().to_string();
    assert!(error.contains("the hold d1") && !error.contains("hunter2"), "{error}");
}
