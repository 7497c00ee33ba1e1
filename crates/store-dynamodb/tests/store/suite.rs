//! Runs the tests that every store must pass, and further tests that are only for DynamoDB.

use std::sync::Arc;
use std::time::Duration;

use beadle_emulate::{Moto, Proxy};
use beadle_engine::store::prelude::*;
use beadle_engine::{Accepted, Delivery, Entry, EntryKind, Key, Lane, Listing, Mark, Store, Time};
use beadle_store_dynamodb::DynamoSettings;

fn delivery(id: &str, body: Vec<u8>) -> Delivery {
    Delivery {
        source: "github".into(),
        id: id.into(),
        event: "installation_repositories.added".into(),
        actor: Some("octocat".into()),
        instance: "acme".into(),
        received: Time(5),
        body,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_passes_the_engines_suite() {
    let moto = Moto::start().await;
    beadle_engine::testing::suite(async || {
        Arc::new(moto.store(DynamoSettings::default()).await) as Arc<dyn Store>
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_larger_than_an_item_is_kept_in_parts() {
    let moto = Moto::start().await;
    let store = moto.store(DynamoSettings::default()).await;
    // The body is random, so that compression cannot make it smaller.
    let body: Vec<u8> = (0..1_000_000).map(|_| rand::random()).collect();
    let marks: Vec<Mark> = (0..3000)
        .map(|n| {
            let key = Key::new("repository", "acme", n);
            Mark { hint: Some(format!("R_kgDO{n:08}")), ..Mark::new(key, Lane::Event) }
        })
        .collect();
    let stored = store.accept(delivery("large", body.clone()), marks[..300].to_vec()).await.unwrap();
    assert_eq!(stored, Accepted::Stored);
    assert_eq!(store.body("github", "large").await.unwrap(), Some(body));
    // moto would need minutes to mark the keys one by one, so the test checks only the stored data.
    let stored = store.accept(delivery("many", b"{}".to_vec()), marks[..1200].to_vec()).await.unwrap();
    assert_eq!(stored, Accepted::Stored);
    let listed = store.deliveries(Listing { limit: 10, ..Listing::default() }).await.unwrap();
    let many = listed.iter().find(|row| row.id == "many").unwrap();
    assert_eq!((many.keys.len(), many.actor.as_deref()), (1200, Some("octocat")));
    assert_eq!(store.depth(Time(10)).await.unwrap().lane(Lane::Event), 1200);
    let of = |n: u64| Listing { key: Some(format!("repository:acme:{n}")), limit: 10, ..Listing::default() };
    for (n, expected) in [(7, 2), (1100, 1), (2000, 0)] {
        assert_eq!(store.deliveries(of(n)).await.unwrap().len(), expected, "{n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_ahead_is_taken_back() {
    let moto = Moto::start().await;
    let store = moto.store(DynamoSettings::default()).await;
    let ahead = Time(1_000_000_000);
    store.mark(vec![Mark::new(Key::new("repository", "acme", 1), Lane::Event)], ahead).await.unwrap();
    assert!(store.claim(5, Time(1000)).await.unwrap().is_empty());
    assert_eq!(store.settle(Time(1000)).await.unwrap(), 1);
    let later = Time(1000) + store.timing().backoff_cap + Duration::from_secs(1);
    assert_eq!(store.claim(5, later).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_is_cut_off_anywhere_is_all_there_or_not_at_all() {
    let moto = Moto::start().await;
    let direct = moto.store(DynamoSettings::default()).await;
    let (mut stored, mut settled) = (0, 0);
    for cut in 0..12 {
        let proxy = Proxy::closing(&moto.url, cut).await;
        let store = moto.by(&proxy.url, DynamoSettings::default()).await;
        let id = format!("d{cut}");
        let keys = [Key::new("repository", "acme", cut), Key::new("repository", "acme", 100 + cut)];
        let marks = keys.clone().map(|key| Mark::new(key, Lane::Event)).to_vec();
        let answered = store.accept(delivery(&id, b"{}".to_vec()), marks.clone()).await;
        // The first process might still be marking the keys. So the store does not complete the
        // delivery yet.
        assert_eq!(direct.settle(Time(6)).await.unwrap(), 0, "{cut}");
        settled += direct.settle(Time(5) + Duration::from_secs(61)).await.unwrap();
        let listed = direct.deliveries(Listing { limit: 100, ..Listing::default() }).await.unwrap();
        let is_there = listed.iter().any(|row| row.id == id);
        for key in &keys {
            let row = direct.row(key).await.unwrap();
            assert_eq!(row.is_some_and(|row| row.is_pending()), is_there, "{cut}: {key}");
        }
        assert!(is_there || answered.is_err(), "{cut}: what was answered is there");
        stored += u32::from(is_there);
        // If the sender sends the delivery again, the delivery is stored in any case.
        direct.accept(delivery(&id, b"{}".to_vec()), marks).await.unwrap();
        assert!(direct.row(&keys[1]).await.unwrap().is_some_and(|row| row.is_pending()), "{cut}");
        assert_eq!(
            direct.settle(Time(5) + Duration::from_secs(61)).await.unwrap(),
            0,
            "{cut}: nothing is left"
        );
    }
    assert!((4..12).contains(&stored) && settled >= 3, "{stored} stored, {settled} settled");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_interrupted_is_due_where_it_is_copied_to() {
    let moto = Moto::start().await;
    let from = moto.store(DynamoSettings::default()).await;
    // The proxy closes the connection after two writes: the body and the head.
    let proxy = Proxy::closing(&moto.url, 2).await;
    let cut = moto.by(&proxy.url, DynamoSettings::default()).await;
    let key = Key::new("repository", "acme", 1);
    let marks = vec![Mark::new(key.clone(), Lane::Event)];
    assert!(cut.accept(delivery("d", b"{}".to_vec()), marks.clone()).await.is_err());
    assert_eq!(from.row(&key).await.unwrap(), None);
    let to = moto.store(DynamoSettings::default()).await;
    let hour = Duration::from_secs(3600);
    beadle_engine::copy(&from, &to, hour, Time(6), &|_, _| {}).await.unwrap();
    assert!(to.row(&key).await.unwrap().is_some_and(|row| row.is_pending()));
    assert_eq!(to.accept(delivery("d", b"{}".to_vec()), marks).await, Ok(Accepted::Duplicate));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_cannot_read_several_items_is_refused_once() {
    let moto = Moto::start().await;
    let direct = moto.store(DynamoSettings::default()).await;
    for name in ["a", "b"] {
        direct.put(name, name).await.unwrap();
    }
    let proxy = Proxy::denying(&moto.url, "BatchGetItem").await;
    let store = moto.by(&proxy.url, DynamoSettings::default()).await;
    for _ in 0..3 {
        let found = store.get_all(&["a".into(), "c".into(), "b".into()]).await.unwrap();
        assert_eq!(found, [Some("a".to_owned()), None, Some("b".to_owned())]);
    }
    assert_eq!(proxy.count("denied"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_is_read_back_to_a_time_and_no_further() {
    let moto = Moto::start().await;
    let store = moto.store(DynamoSettings::default()).await;
    let day = |n: i64| Time(n * 24 * 3600 * 1000);
    // A page of a query has at most one megabyte, so the old entries fill more than two pages in
    // each part of the index.
    let long = "x".repeat(200_000);
    for n in 0..48 {
        let entry = Entry {
            seq: 0,
            at: day(if n < 44 { 0 } else { 3 }),
            kind: EntryKind::Run,
            key: format!("repository:acme:{n}"),
            subject: "acme/widgets".into(),
            intent: None,
            trace: None,
            detail: serde_json::json!(long).into(),
        };
        store.journal(None, vec![entry], day(3)).await.unwrap();
    }
    let queries = || moto.calls_of("any").into_iter().filter(|call| call == "dynamodb:Query").count();
    let before = queries();
    let listing = Listing { since: Some(day(2)), limit: 10, ..Listing::default() };
    assert_eq!(store.entries(listing).await.unwrap().len(), 4);
    assert_eq!(queries() - before, 4, "a page of each part");
    let before = queries();
    assert_eq!(store.entries(Listing { limit: 100, ..Listing::default() }).await.unwrap().len(), 48);
    assert!(queries() - before > 8, "all of it is more pages");
}
