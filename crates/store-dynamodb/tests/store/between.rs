//! Tests with two processes and one hold. The first process reads the hold. The second process then
//! changes the hold. After that, the first process continues.

use std::time::Duration;

use beadle_emulate::{Moto, Proxy};
use beadle_engine::guard::Decision;
use beadle_engine::store::prelude::*;
use beadle_engine::{
    Begun, Change, End, Entry, EntryKind, Field, Hold, Intent, Key, Limits, Mode, Risk, Spent, Time, Verdict,
};
use beadle_store_dynamodb::{DynamoSettings, DynamoStore};
use serde_json::json;

const NOW: Time = Time(1_000_000);

/// Returns limits that allow no removal, so that the guard holds every removal.
fn limits() -> Limits {
    Limits { removes: 0, ..Limits::default() }
}

fn key() -> Key {
    Key::new("repository", "acme", 1)
}

fn hold(generation: &str) -> Hold {
    let risk = Risk::Removes;
    let field = Field { name: "x".into(), before: json!(true), after: json!(null), asked: None, risk };
    let change = Change {
        aspect: "teams".into(),
        what: "team a".into(),
        fields: vec![field],
        mode: Mode::Enforce,
        after: Vec::new(),
        stop: None,
        undone: false,
        reaches: 1,
        write: (),
    };
    Hold { digest: "a".into(), ..Hold::new(&key(), "acme/shop", generation, change, NOW) }
}

async fn ask(store: &DynamoStore) -> Verdict {
    store.reserve(None, &limits(), vec![hold("g")], NOW).await.unwrap().unwrap().remove(0)
}

async fn begin(store: &DynamoStore) -> Begun {
    let entry = Entry {
        seq: 0,
        at: NOW,
        kind: EntryKind::Intent,
        key: key().to_string(),
        subject: "acme/shop".into(),
        intent: None,
        trace: None,
        detail: json!({}).into(),
    };
    let intent = Intent { entry, spends: Some(("a".to_owned(), limits().window)) };
    store.begin(None, &key(), intent, NOW).await.unwrap()
}

/// Returns a table and two stores. One store uses the table directly, and the other store uses the
/// table through a proxy. The proxy stops the first transaction.
async fn world() -> (Moto, DynamoStore, Proxy, DynamoStore) {
    let moto = Moto::start().await;
    let direct = moto.store(DynamoSettings::default()).await;
    let proxy = Proxy::stopping(&moto.url, "TransactWriteItems").await;
    let stopped = moto.by(&proxy.url, DynamoSettings::default()).await;
    (moto, direct, proxy, stopped)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_is_given_between_the_reads_and_the_write_of_another_process_is_not_lost() {
    let (_moto, direct, proxy, stopped) = world().await;
    assert!(matches!(ask(&direct).await, Verdict::Hold(_)));
    direct.approve("a", "ann", NOW).await.unwrap().unwrap();
    let begun = tokio::spawn(async move { begin(&stopped).await });
    proxy.until_stopped().await;
    direct.approve("a", "bob", NOW).await.unwrap().unwrap();
    proxy.go_on();
    assert!(matches!(begun.await.unwrap(), Begun::Yes(_)), "it is approved, by whomever");
    let holds = direct.holds().await.unwrap();
    assert_eq!((holds[0].approved_by.as_deref(), holds[0].spent), (Some("ann"), true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_between_the_reads_and_the_write_of_an_approval_stays() {
    let (_moto, direct, proxy, stopped) = world().await;
    ask(&direct).await;
    let approved = tokio::spawn(async move { stopped.approve("a", "ann", NOW).await });
    proxy.until_stopped().await;
    let rejected = direct.decide("a", &Decision::reject("bob", None), NOW).await.unwrap().unwrap();
    proxy.go_on();
    assert_eq!(approved.await.unwrap().unwrap().as_ref(), Some(&rejected));
    assert_eq!(direct.holds().await.unwrap(), [rejected]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_released_between_the_reads_and_the_write_does_not_begin_and_does_not_come_back() {
    let (_moto, direct, proxy, stopped) = world().await;
    ask(&direct).await;
    direct.approve("a", "ann", NOW).await.unwrap().unwrap();
    let begun = tokio::spawn(async move { begin(&stopped).await });
    proxy.until_stopped().await;
    direct.release(direct.holds().await.unwrap()).await.unwrap();
    proxy.go_on();
    assert_eq!(begun.await.unwrap(), Begun::Lapsed);
    assert!(direct.holds().await.unwrap().is_empty());
    assert!(direct.open_intents().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_between_the_read_and_the_deletion_of_a_release_stays() {
    let (_moto, direct, proxy, stopped) = world().await;
    ask(&direct).await;
    let seen = direct.holds().await.unwrap();
    let released = tokio::spawn(async move { stopped.release(seen).await });
    proxy.until_stopped().await;
    let rejected = direct.decide("a", &Decision::reject("bob", None), NOW).await.unwrap().unwrap();
    proxy.go_on();
    released.await.unwrap().unwrap();
    assert_eq!(direct.holds().await.unwrap(), [rejected]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_another_run_put_back_and_somebody_approved_is_not_put_back_again() {
    let (_moto, direct, proxy, stopped) = world().await;
    ask(&direct).await;
    direct.approve("a", "ann", NOW).await.unwrap().unwrap();
    // The answer to the write is lost, so the next run needs another approval.
    assert!(matches!(begin(&direct).await, Begun::Yes(_)));
    let asked = tokio::spawn(async move { ask(&stopped).await });
    proxy.until_stopped().await;
    assert!(matches!(ask(&direct).await, Verdict::Hold(_)));
    direct.approve("a", "bob", NOW).await.unwrap().unwrap();
    proxy.go_on();
    assert_eq!(asked.await.unwrap(), Verdict::Pass);
    assert_eq!(direct.holds().await.unwrap()[0].approved_by.as_deref(), Some("bob"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_during_the_write_that_was_approved_lets_nothing_more_pass() {
    let (_moto, direct, proxy, stopped) = world().await;
    ask(&direct).await;
    direct.approve("a", "ann", NOW).await.unwrap().unwrap();
    let Begun::Yes(number) = begin(&direct).await else { panic!("it is approved") };
    let ends = vec![("a".to_owned(), End::Written(number))];
    let ended = tokio::spawn(async move { stopped.conclude("acme", ends).await });
    proxy.until_stopped().await;
    direct.approve("a", "bob", NOW).await.unwrap().unwrap();
    proxy.go_on();
    ended.await.unwrap().unwrap();
    assert!(direct.holds().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_is_recorded_twice_frees_the_room_of_one_write() {
    let (_moto, direct, proxy, stopped) = world().await;
    let wide = Limits { removes: 9, ..limits() };
    let mut intents = Vec::new();
    for _ in 0..2 {
        let verdicts = direct.reserve(None, &wide, vec![hold("g")], NOW).await.unwrap().unwrap();
        assert_eq!(verdicts, [Verdict::Pass]);
        let Begun::Yes(number) = begin(&direct).await else { panic!("the window has room") };
        intents.push(number);
    }
    // The answer to the first write is lost. The vendor refuses the second write.
    let ends = vec![("a".to_owned(), End::Refused(intents[1]))];
    let again = ends.clone();
    let ended = tokio::spawn(async move { stopped.conclude("acme", again).await });
    proxy.until_stopped().await;
    direct.conclude("acme", ends).await.unwrap();
    proxy.go_on();
    ended.await.unwrap().unwrap();
    let bookings = direct.bookings(Time(0)).await.unwrap();
    let used = bookings.iter().filter(|booking| booking.state != Spent::Refused);
    assert_eq!(used.map(|booking| booking.intent).collect::<Vec<_>>(), [Some(intents[0])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_is_set_between_the_reads_and_the_write_stops_it_and_spends_nothing() {
    let (_moto, direct, proxy, stopped) = world().await;
    ask(&direct).await;
    direct.approve("a", "ann", NOW).await.unwrap().unwrap();
    let until = NOW + Duration::from_secs(60);
    let begun = tokio::spawn(async move { begin(&stopped).await });
    proxy.until_stopped().await;
    direct.pause("acme", until).await.unwrap();
    proxy.go_on();
    assert_eq!(begun.await.unwrap(), Begun::Paused { scope: "acme".to_owned(), until });
    assert!(direct.open_intents().await.unwrap().is_empty());
    direct.resume("acme").await.unwrap();
    assert!(matches!(begin(&direct).await, Begun::Yes(_)), "the approval was not spent");
}
