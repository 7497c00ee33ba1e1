//! The trait's own test suite: every store has to pass it. Each check gets a store with nothing in it.

#![expect(clippy::unwrap_used, reason = "a check that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::clock::Time;
use crate::delivery::{Accepted, Delivery, Mark};
use crate::guard::window::{Begun, End, Intent};
use crate::guard::{Hold, Limits, Verdict};
use crate::journal::{Entry, EntryKind};
use crate::key::{Key, Lane};
use crate::mode::Mode;
use crate::plan::{Change, Field, Risk};
use crate::queue::{Outcome, ParkReason};
use crate::revive::{paused, revive, revive_paused};
use crate::store::{Listing, Retention, Store};
use crate::transfer::{Copied, CopyError};

type Shared = Arc<dyn Store>;

/// Later than every debounce.
const LATER: Time = Time(1_000_000);

fn key(n: u64) -> Key {
    Key::new("repository", "acme", n)
}

fn delivery(id: &str, at: Time) -> Delivery {
    Delivery {
        source: "github".into(),
        id: id.into(),
        actor: None,
        event: "repository.created".into(),
        instance: "acme".into(),
        received: at,
        body: br#"{"action":"created"}"#.to_vec(),
    }
}

fn hold(n: u64, digest: &str, risk: Risk, generation: &str) -> Hold {
    let field = Field { name: "x".into(), before: json!(true), after: json!(null), asked: None, risk };
    let (aspect, what, mode) = ("teams".to_owned(), "team a".to_owned(), Mode::Enforce);
    Hold {
        digest: digest.into(),
        key: key(n),
        subject: "acme/widgets".into(),
        since: Time(0),
        why: String::new(),
        contested: false,
        approved_by: None,
        spent: false,
        generation: generation.into(),
        change: Change {
            aspect,
            what,
            fields: vec![field],
            mode,
            after: Vec::new(),
            stop: None,
            reaches: 1,
            write: (),
        },
    }
}

fn entry(kind: EntryKind, at: Time, intent: Option<u64>) -> Entry {
    Entry {
        seq: 0,
        at,
        kind,
        key: key(1).to_string(),
        subject: "acme/widgets".into(),
        intent,
        detail: json!({"n": 1}),
    }
}

/// Begins the write of a change that the guard let pass.
async fn begin(store: &Shared, n: u64, digest: &str, now: Time) -> Begun {
    let spends = Some((digest.to_owned(), Limits::default().window));
    let intent = Intent { entry: entry(EntryKind::Intent, now, None), spends };
    store.begin(None, &key(n), intent, now).await.unwrap()
}

async fn end(store: &Shared, digest: &str, end: End) {
    store.conclude("acme", vec![(digest.to_owned(), end)]).await.unwrap();
}

fn all() -> Listing {
    Listing { limit: 1000, ..Listing::default() }
}

/// Runs every check, each on a store that `open` makes.
pub async fn suite(open: impl AsyncFn() -> Shared) {
    a_delivery_is_kept_once_and_marks_once(open().await).await;
    a_claimed_key_is_nobody_elses(open().await).await;
    urgent_lanes_go_first_and_raise_what_is_queued(open().await).await;
    a_mark_during_a_run_causes_one_more(open().await).await;
    a_lost_lease_changes_nothing(open().await).await;
    an_operators_claim_waits_for_nobody_and_takes_from_nobody(open().await).await;
    a_named_key_is_claimed_when_it_is_due(open().await).await;
    a_pause_holds_back_and_keeps(open().await).await;
    the_window_lets_through_its_limit_and_holds_the_rest(open().await).await;
    an_approval_passes_once_and_a_generation_forgets(open().await).await;
    an_intent_needs_the_lease_and_stays_open_without_a_result(open().await).await;
    a_park_is_seen_and_retried(open().await).await;
    what_a_stop_set_aside_or_delayed_is_due_when_it_is_lifted(open().await).await;
    pruning_keeps_ids_longer_than_bodies(open().await).await;
    the_journal_is_read_from_a_time_on_and_page_by_page(open().await).await;
    what_was_released_is_not_approved(open().await).await;
    what_is_contested_is_held_until_it_is_approved(open().await).await;
    a_lost_answer_stays_spent_and_a_refusal_is_given_back(open().await).await;
    an_approval_whose_answer_was_lost_lets_nothing_pass(open().await).await;
    a_write_sees_a_pause_and_a_lost_lease(open().await).await;
    the_share_of_an_aspect_has_a_memory(open().await).await;
    notes_are_kept(open().await).await;
    what_is_copied_is_as_it_was(open().await, open().await).await;
}

async fn a_delivery_is_kept_once_and_marks_once(store: Shared) {
    let marks = vec![Mark { key: key(1), lane: Lane::Event, hint: Some("R_1".into()) }];
    assert_eq!(store.accept(delivery("a", Time(5)), marks.clone()).await, Ok(Accepted::Stored));
    let claim = store.claim(10, LATER).await.unwrap().remove(0);
    assert_eq!(claim.hint.as_deref(), Some("R_1"));
    assert!(store.finish(&claim.lease, Outcome::Done, LATER).await.unwrap());
    assert_eq!(store.accept(delivery("a", LATER), marks).await, Ok(Accepted::Duplicate));
    assert!(
        store.claim(10, LATER + Duration::from_secs(60)).await.unwrap().is_empty(),
        "a repetition marks nothing"
    );
    let listed = store.deliveries(all()).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].received, &listed[0].keys), (Time(5), &vec![key(1)]));
    assert_eq!(store.body("github", "a").await.unwrap().as_deref(), Some(&br#"{"action":"created"}"#[..]));
    assert_eq!(store.body("github", "b").await.unwrap(), None);
}

async fn a_claimed_key_is_nobody_elses(store: Shared) {
    store.mark((0..5).map(|n| Mark::new(key(n), Lane::Event)).collect(), Time(0)).await.unwrap();
    let (one, other) = tokio::join!(store.claim(3, LATER), store.claim(5, LATER));
    let mut keys: Vec<Key> =
        one.unwrap().into_iter().chain(other.unwrap()).map(|claim| claim.lease.key).collect();
    keys.sort();
    assert_eq!(keys, (0..5).map(key).collect::<Vec<_>>());
    assert!(store.claim(5, LATER).await.unwrap().is_empty());
    let lease = store.timing().lease;
    assert_eq!(store.next_due().await.unwrap(), Some(LATER + lease), "nothing before the leases end");
    assert_eq!(
        store.claim(9, LATER + lease).await.unwrap().len(),
        5,
        "a lease that ran out is claimed again"
    );
}

async fn urgent_lanes_go_first_and_raise_what_is_queued(store: Shared) {
    store.mark(vec![Mark::new(key(1), Lane::Sweep)], Time(0)).await.unwrap();
    store.mark(vec![Mark::new(key(2), Lane::Sweep)], Time(1)).await.unwrap();
    store.mark(vec![Mark::new(key(3), Lane::Event)], Time(2)).await.unwrap();
    store.mark(vec![Mark::new(key(2), Lane::Event)], Time(3)).await.unwrap();
    let claims = store.claim(10, LATER).await.unwrap();
    let order: Vec<Key> = claims.iter().map(|claim| claim.lease.key.clone()).collect();
    assert_eq!(order, [key(2), key(3), key(1)], "what waited longest goes first within a lane");
}

async fn a_mark_during_a_run_causes_one_more(store: Shared) {
    store.mark(vec![Mark::new(key(1), Lane::Event)], Time(0)).await.unwrap();
    let claim = store.claim(1, LATER).await.unwrap().remove(0);
    for n in 0..3 {
        store.mark(vec![Mark::new(key(1), Lane::Event)], LATER + Duration::from_millis(n)).await.unwrap();
    }
    let now = LATER + Duration::from_secs(10);
    assert!(store.finish(&claim.lease, Outcome::Done, now).await.unwrap());
    let again = store.claim(5, now).await.unwrap();
    assert_eq!(again.len(), 1);
    assert!(store.finish(&again[0].lease, Outcome::Done, now).await.unwrap());
    assert_eq!(store.next_due().await.unwrap(), None);
}

async fn a_lost_lease_changes_nothing(store: Shared) {
    store.mark(vec![Mark::new(key(1), Lane::Event)], Time(0)).await.unwrap();
    let late = store.claim(1, LATER).await.unwrap().remove(0);
    let now = LATER + store.timing().lease;
    let current = store.claim(1, now).await.unwrap().remove(0);
    assert!(!store.finish(&late.lease, Outcome::Done, now).await.unwrap());
    assert_eq!(store.renew(&late.lease, now).await.unwrap(), None);
    let limits = Limits::default();
    let asked = vec![hold(1, "d", Risk::Removes, "g")];
    assert_eq!(store.reserve(Some(&late.lease), &limits, asked, now).await.unwrap(), None);
    assert!(store.renew(&current.lease, now).await.unwrap().is_some());
    assert!(store.finish(&current.lease, Outcome::Done, now).await.unwrap());
}

async fn an_operators_claim_waits_for_nobody_and_takes_from_nobody(store: Shared) {
    let claim = store.claim_key(&key(1), Time(0)).await.unwrap().expect("an unknown key can be claimed");
    assert_eq!(store.claim_key(&key(1), Time(1)).await.unwrap(), None);
    assert!(store.finish(&claim.lease, Outcome::Done, Time(2)).await.unwrap());
    assert_eq!(store.next_due().await.unwrap(), None, "the refused claim left no mark");
}

async fn a_named_key_is_claimed_when_it_is_due(store: Shared) {
    store.mark((0..4).map(|n| Mark::new(key(n), Lane::Sweep)).collect(), LATER).await.unwrap();
    store.pause(key(3).as_str(), LATER + Duration::from_secs(60)).await.unwrap();
    let named = [key(1), key(2), key(3), key(9)];
    assert!(store.claim_named(&named, Time(0)).await.unwrap().is_empty(), "nothing is due yet");
    let claims = store.claim_named(&named, LATER).await.unwrap();
    let mut claimed: Vec<Key> = claims.iter().map(|claim| claim.lease.key.clone()).collect();
    claimed.sort();
    assert_eq!(claimed, [key(1), key(2)], "neither a paused key nor one that nobody marked");
    assert!(store.claim_named(&named, LATER).await.unwrap().is_empty(), "they are being worked on");
    assert!(store.finish(&claims[0].lease, Outcome::Done, LATER).await.unwrap());
    let again = store.claim_named(std::slice::from_ref(&claims[0].lease.key), LATER).await.unwrap();
    assert!(again.is_empty(), "what was worked off is not due");
    assert_eq!(store.claim(9, LATER).await.unwrap().len(), 1, "the others are as they were");
}

async fn a_pause_holds_back_and_keeps(store: Shared) {
    store.mark(vec![Mark::new(key(1), Lane::Event), Mark::new(key(2), Lane::Event)], Time(0)).await.unwrap();
    let until = LATER + Duration::from_secs(60);
    store.pause("acme", until).await.unwrap();
    assert!(store.claim(5, LATER).await.unwrap().is_empty());
    assert!(store.resume("acme").await.unwrap());
    assert!(!store.resume("acme").await.unwrap());
    store.pause(key(1).as_str(), until).await.unwrap();
    assert_eq!(store.pauses(LATER).await.unwrap().len(), 1);
    assert_eq!(store.claim(5, LATER).await.unwrap().len(), 1);
    assert_eq!(store.claim(5, until).await.unwrap()[0].lease.key, key(1), "a pause ends by itself");
    assert!(store.pauses(until).await.unwrap().is_empty());
}

async fn the_window_lets_through_its_limit_and_holds_the_rest(store: Shared) {
    let limits = Limits { removes: 3, ..Limits::default() };
    let asked = |from: u64| {
        (from..from + 4).map(|n| hold(n, &format!("d{n}"), Risk::Removes, "g")).collect::<Vec<_>>()
    };
    let verdicts = store.reserve(None, &limits, asked(0), LATER).await.unwrap().unwrap();
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::Pass).count(), 3);
    assert!(matches!(&verdicts[3], Verdict::Hold(why) if !why.is_empty()));
    let held = store.holds().await.unwrap();
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].digest, "d3");
    // Another key, another process, the same window.
    let more =
        store.reserve(None, &limits, asked(10), LATER + Duration::from_secs(1)).await.unwrap().unwrap();
    assert!(more.iter().all(|verdict| *verdict != Verdict::Pass));
    // The window moves on, and what is held stays held.
    let next = LATER + limits.window + Duration::from_secs(1);
    let again =
        store.reserve(None, &limits, vec![hold(3, "d3", Risk::Removes, "g")], next).await.unwrap().unwrap();
    assert!(matches!(again[0], Verdict::Hold(_)), "a hold does not drain away by itself");
    let fresh = store.reserve(None, &limits, asked(20), next).await.unwrap().unwrap();
    assert_eq!(fresh.iter().filter(|verdict| **verdict == Verdict::Pass).count(), 3);
    let tried_again = store.reserve(None, &limits, asked(20), next).await.unwrap().unwrap();
    assert_eq!(tried_again, fresh, "what is tried again in the window is booked once");
    assert!(matches!(begin(&store, 20, "d20", next).await, Begun::Yes(_)));
    assert_eq!(begin(&store, 20, "d20", next).await, Begun::Lapsed, "room is for one write");
    end(&store, "d20", End::Written).await;
    let fought =
        store.reserve(None, &limits, vec![hold(20, "d20", Risk::Removes, "g")], next).await.unwrap().unwrap();
    assert!(
        matches!(fought[0], Verdict::Hold(_)),
        "what was written, and is to be written again, is booked again"
    );
    let other =
        store.reserve(None, &limits, vec![hold(40, "w", Risk::Weakens, "g")], LATER).await.unwrap().unwrap();
    assert_eq!(other, [Verdict::Pass], "each risk has its own limit");
}

async fn an_approval_passes_once_and_a_generation_forgets(store: Shared) {
    let limits = Limits { removes: 0, ..Limits::default() };
    let ask = |n: u64, digest: &str| vec![hold(n, digest, Risk::Removes, "g1")];
    store.reserve(None, &limits, ask(1, "a"), LATER).await.unwrap();
    store.reserve(None, &limits, ask(2, "b"), LATER).await.unwrap();
    assert_eq!(store.approve("unknown", "ann", LATER).await.unwrap(), None);
    let approved = store.approve("a", "ann", LATER).await.unwrap().unwrap();
    assert_eq!(approved.approved_by.as_deref(), Some("ann"));
    assert_eq!(store.claim(5, LATER).await.unwrap()[0].lease.key, key(1), "an approval makes its key due");
    assert_eq!(store.reserve(None, &limits, ask(1, "a"), LATER).await.unwrap().unwrap(), [Verdict::Pass]);
    assert_eq!(
        store.reserve(None, &limits, ask(1, "a"), LATER).await.unwrap().unwrap(),
        [Verdict::Pass],
        "a write that failed needs no second approval"
    );
    assert_eq!(store.holds_of(&key(1)).await.unwrap().len(), 1);
    assert!(matches!(begin(&store, 1, "a", LATER).await, Begun::Yes(_)));
    end(&store, "a", End::Written).await;
    assert!(store.holds_of(&key(1)).await.unwrap().is_empty());
    let second = store.reserve(None, &limits, ask(1, "a"), LATER).await.unwrap().unwrap();
    assert!(matches!(second[0], Verdict::Hold(_)), "an approval is for one time");
    assert_eq!(store.forget_holds("other", "g2").await.unwrap(), 0);
    assert_eq!(store.forget_holds("acme", "g1").await.unwrap(), 0, "holds of the generation in force stay");
    assert_eq!(store.forget_holds("acme", "g2").await.unwrap(), 2);
    assert!(store.holds().await.unwrap().is_empty());
}

async fn an_intent_needs_the_lease_and_stays_open_without_a_result(store: Shared) {
    store.mark(vec![Mark::new(key(1), Lane::Event)], Time(0)).await.unwrap();
    let lease = store.claim(1, LATER).await.unwrap().remove(0).lease;
    let intent = vec![entry(EntryKind::Intent, LATER, None)];
    let written = store.journal(Some(&lease), intent.clone(), LATER).await.unwrap().unwrap();
    let late = LATER + store.timing().lease;
    assert_eq!(
        store.journal(Some(&lease), intent, late).await.unwrap(),
        None,
        "no intent after the lease ran out"
    );
    assert_eq!(store.open_intents().await.unwrap().len(), 1);
    let result = vec![entry(EntryKind::Result, late, Some(written[0]))];
    store.journal(None, result, late).await.unwrap().expect("a result needs no lease");
    assert!(store.open_intents().await.unwrap().is_empty());
    let listed = store.entries(all()).await.unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[1].intent, Some(listed[0].seq));
    let after = store.entries(Listing { after: listed[0].seq, ..all() }).await.unwrap();
    assert_eq!(after, listed[1..]);
    let since = store.entries(Listing { since: Some(late), ..all() }).await.unwrap();
    assert_eq!(since, listed[1..]);
    assert!(store.entries(Listing { key: Some("-".into()), ..all() }).await.unwrap().is_empty());
}

async fn a_park_is_seen_and_retried(store: Shared) {
    store.mark(vec![Mark::new(key(1), Lane::Event)], Time(0)).await.unwrap();
    let lease = store.claim(1, LATER).await.unwrap().remove(0).lease;
    let parked = Outcome::Park(ParkReason::Failed, "403".into());
    assert!(store.finish(&lease, parked, LATER).await.unwrap());
    let row = store.row(&key(1)).await.unwrap().unwrap();
    assert_eq!(row.parked.as_ref().map(|parked| parked.why.as_str()), Some("403"));
    assert_eq!(store.rows(10).await.unwrap(), [row]);
    let depth = store.depth(LATER).await.unwrap();
    assert_eq!((depth.parked, depth.leased, depth.lane(Lane::Event)), (1, 0, 0));
    assert!(store.claim(1, LATER + Duration::from_secs(99_999)).await.unwrap().is_empty());
    store.mark(vec![Mark::new(key(1), Lane::Manual)], LATER).await.unwrap();
    assert_eq!(store.claim(1, LATER).await.unwrap().len(), 1);
    assert_eq!(store.depth(LATER).await.unwrap().leased, 1);
}

async fn what_a_stop_set_aside_or_delayed_is_due_when_it_is_lifted(store: Shared) {
    const STOPPED: &str = "the target is stopped";
    store.mark((1..6).map(|n| Mark::new(key(n), Lane::Event)).collect(), Time(0)).await.unwrap();
    for claim in store.claim(9, LATER).await.unwrap() {
        let outcome = match claim.lease.key.id() {
            "1" => Outcome::Park(ParkReason::Failed, format!("{STOPPED}: it empties groups")),
            "2" => Outcome::Retry(format!("{STOPPED}: it empties groups")),
            "3" => Outcome::Park(ParkReason::Failed, "403".into()),
            "4" => Outcome::Retry(format!("{} tomorrow", paused("acme"))),
            _ => Outcome::Done,
        };
        assert!(store.finish(&claim.lease, outcome, LATER).await.unwrap());
    }
    let keys = async || {
        let claims = store.claim(9, LATER).await.unwrap();
        let mut keys: Vec<Key> = claims.into_iter().map(|claim| claim.lease.key).collect();
        keys.sort();
        keys
    };
    let of = |instance: &'static str| move |key: &Key| key.instance() == instance;
    assert_eq!(revive(store.as_ref(), STOPPED, &of("other"), LATER).await.unwrap(), 0);
    assert_eq!(revive_paused(store.as_ref(), "other", LATER).await.unwrap(), 0);
    assert!(keys().await.is_empty());
    assert_eq!(revive(store.as_ref(), STOPPED, &of("acme"), LATER).await.unwrap(), 2);
    assert_eq!(keys().await, [key(1), key(2)]);
    assert_eq!(revive_paused(store.as_ref(), "acme", LATER).await.unwrap(), 1);
    assert_eq!(keys().await, [key(4)]);
}

async fn pruning_keeps_ids_longer_than_bodies(store: Shared) {
    for n in 0..10 {
        store.accept(delivery(&format!("d{n}"), Time(n * 100)), Vec::new()).await.unwrap();
        store.journal(None, vec![entry(EntryKind::Run, Time(n * 100), None)], Time(n)).await.unwrap();
    }
    let retention =
        Retention { bodies_before: Time(700), ids_before: Time(300), journal_before: Time(500), batch: 2 };
    let mut calls = 0;
    while store.prune(retention).await.unwrap() > 0 {
        calls += 1;
    }
    assert!(calls >= 3, "in batches: {calls}");
    let ids: Vec<String> = store.deliveries(all()).await.unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(ids, ["d9", "d8", "d7", "d6", "d5", "d4", "d3"]);
    assert_eq!(store.body("github", "d6").await.unwrap(), None);
    assert!(store.body("github", "d7").await.unwrap().is_some());
    assert_eq!(store.accept(delivery("d4", LATER), Vec::new()).await.unwrap(), Accepted::Duplicate);
    assert_eq!(store.entries(all()).await.unwrap().len(), 5);
}

async fn what_is_contested_is_held_until_it_is_approved(store: Shared) {
    let fought = Hold { why: "contested".into(), ..hold(1, "c1", Risk::Changes, "g1") };
    let limits = Limits::default();
    let ask = || store.reserve(None, &limits, vec![fought.clone()], Time(0));
    assert_eq!(ask().await.unwrap().unwrap(), [Verdict::Hold("contested".into())]);
    assert_eq!(store.holds().await.unwrap().len(), 1);
    store.approve(&fought.digest, "ann", Time(0)).await.unwrap().unwrap();
    assert_eq!(ask().await.unwrap().unwrap(), [Verdict::Pass]);
}

async fn a_lost_answer_stays_spent_and_a_refusal_is_given_back(store: Shared) {
    let limits = Limits { removes: 2, ..Limits::default() };
    let ask = |n: u64, digest: &'static str| {
        let (store, asked) = (store.clone(), vec![hold(n, digest, Risk::Removes, "g")]);
        async move { store.reserve(None, &limits, asked, LATER).await.unwrap().unwrap().remove(0) }
    };
    assert_eq!(ask(1, "a").await, Verdict::Pass);
    assert!(matches!(begin(&store, 1, "a", LATER).await, Begun::Yes(_)));
    // The answer is lost, or the process is killed: a retry takes room of its own.
    assert_eq!(ask(1, "a").await, Verdict::Pass);
    assert!(matches!(ask(2, "b").await, Verdict::Hold(_)), "both are spent");
    assert!(matches!(begin(&store, 1, "a", LATER).await, Begun::Yes(_)));
    end(&store, "a", End::Refused).await;
    assert_eq!(ask(3, "c").await, Verdict::Pass, "what was refused is given back");
    assert!(matches!(ask(4, "d").await, Verdict::Hold(_)), "what was lost is not");
    end(&store, "c", End::NotBegun).await;
    assert_eq!(begin(&store, 3, "c", LATER).await, Begun::Lapsed);
    assert_eq!(ask(5, "e").await, Verdict::Pass, "what was not begun is given back");
}

async fn an_approval_whose_answer_was_lost_lets_nothing_pass(store: Shared) {
    let limits = Limits { removes: 0, ..Limits::default() };
    let ask = || store.reserve(None, &limits, vec![hold(1, "a", Risk::Removes, "g")], LATER);
    ask().await.unwrap();
    store.approve("a", "ann", LATER).await.unwrap().unwrap();
    assert!(matches!(begin(&store, 1, "a", LATER).await, Begun::Yes(_)));
    end(&store, "a", End::Refused).await;
    assert_eq!(ask().await.unwrap().unwrap(), [Verdict::Pass], "a refused write needs no second approval");
    assert!(matches!(begin(&store, 1, "a", LATER).await, Begun::Yes(_)));
    assert_eq!(begin(&store, 1, "a", LATER).await, Begun::Lapsed);
    let verdicts = ask().await.unwrap().unwrap();
    assert!(matches!(&verdicts[0], Verdict::Hold(why) if why.contains("ann approved it")), "{verdicts:?}");
    store.approve("a", "ann", LATER).await.unwrap().unwrap();
    assert_eq!(ask().await.unwrap().unwrap(), [Verdict::Pass]);
}

async fn a_write_sees_a_pause_and_a_lost_lease(store: Shared) {
    store.mark(vec![Mark::new(key(1), Lane::Event)], Time(0)).await.unwrap();
    let lease = store.claim(1, LATER).await.unwrap().remove(0).lease;
    let until = LATER + Duration::from_secs(60);
    let write = |now: Time| {
        let intent = Intent { entry: entry(EntryKind::Intent, now, None), spends: None };
        store.begin(Some(&lease), &lease.key, intent, now)
    };
    assert!(matches!(write(LATER).await.unwrap(), Begun::Yes(_)));
    for scope in ["acme", key(1).as_str()] {
        store.pause(scope, until).await.unwrap();
        assert_eq!(write(LATER).await.unwrap(), Begun::Paused { scope: scope.to_owned(), until });
        store.resume(scope).await.unwrap();
    }
    store.pause("another", until).await.unwrap();
    assert!(matches!(write(LATER).await.unwrap(), Begun::Yes(_)));
    assert_eq!(write(LATER + store.timing().lease).await.unwrap(), Begun::LeaseLost);
    assert_eq!(store.open_intents().await.unwrap().len(), 2, "what was not begun is not in the journal");
}

async fn the_share_of_an_aspect_has_a_memory(store: Shared) {
    let limits = Limits { repositories: 2, among: Some(20), ..Limits::default() };
    let mut passed = 0;
    for n in 0..10 {
        // One at a time, as drift comes.
        let asked = vec![hold(n, &format!("s{n}"), Risk::Removes, "g")];
        let verdict = store.reserve(None, &limits, asked, LATER).await.unwrap().unwrap().remove(0);
        passed += u32::from(verdict == Verdict::Pass);
    }
    assert_eq!(passed, 4, "a fifth of the repositories");
    let why = &store.holds().await.unwrap()[0].why;
    assert!(why.contains("`teams`") && why.contains("4 of 20 repositories"), "{why}");
}

async fn notes_are_kept(store: Shared) {
    for name in ["b:1", "b:2", "b:é", "b", "c:1"] {
        store.put(name, "x").await.unwrap();
    }
    store.forget("b:2").await.unwrap();
    let names: Vec<String> = store.notes("b:").await.unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["b:1", "b:é"]);
    assert_eq!(store.get("a").await.unwrap(), None);
    store.put("a", "1").await.unwrap();
    store.put("a", "2").await.unwrap();
    assert_eq!(store.get("a").await.unwrap().as_deref(), Some("2"));
    store.ready().await.unwrap();
}

async fn what_is_copied_is_as_it_was(from: Shared, to: Shared) {
    let marks =
        (0..4).map(|n| Mark { key: key(n), lane: Lane::Event, hint: Some(format!("R_{n}")) }).collect();
    from.accept(delivery("a", Time(5)), marks).await.unwrap();
    from.accept(Delivery { actor: Some("ann".into()), ..delivery("b", Time(6)) }, Vec::new()).await.unwrap();
    let claims = from.claim(3, LATER).await.unwrap();
    from.finish(&claims[0].lease, Outcome::Done, LATER).await.unwrap();
    from.finish(&claims[1].lease, Outcome::Park(ParkReason::Failed, "403".into()), LATER).await.unwrap();
    let numbers =
        from.journal(None, vec![entry(EntryKind::Intent, Time(7), None)], LATER).await.unwrap().unwrap();
    let entries =
        vec![entry(EntryKind::Result, Time(8), Some(numbers[0])), entry(EntryKind::Intent, Time(9), None)];
    from.journal(None, entries, LATER).await.unwrap();
    let limits = Limits { removes: 2, window: Duration::from_secs(60), ..Limits::default() };
    let ask = |store: Shared, n: u64| async move {
        let asked = vec![hold(n, &format!("h{n}"), Risk::Removes, "g1")];
        store.reserve(None, &limits, asked, LATER).await.unwrap().unwrap().remove(0)
    };
    // One of long ago.
    from.reserve(None, &limits, vec![hold(9, "h9", Risk::Removes, "g1")], Time(0)).await.unwrap();
    for n in 0..3 {
        ask(from.clone(), n).await;
    }
    from.approve("h2", "ann", LATER).await.unwrap();
    from.pause("acme", LATER + Duration::from_secs(60)).await.unwrap();
    let long = "x".repeat(100_000);
    from.put("cursor", &long).await.unwrap();
    from.ready().await.unwrap();
    to.ready().await.unwrap();
    let copied =
        crate::transfer::copy(from.as_ref(), to.as_ref(), limits.window, LATER, &|_, _| {}).await.unwrap();
    let expected = Copied { keys: 3, deliveries: 2, entries: 3, holds: 1, notes: 1, pauses: 1 };
    assert_eq!(copied, expected);
    assert_eq!(to.rows(10).await, from.rows(10).await);
    assert_eq!(to.deliveries(all()).await, from.deliveries(all()).await);
    assert_eq!(to.body("github", "a").await, from.body("github", "a").await);
    assert_eq!(to.entries(all()).await, from.entries(all()).await);
    assert_eq!(to.open_intents().await, from.open_intents().await);
    assert_eq!(to.holds().await, from.holds().await);
    let since = LATER - limits.window;
    assert_eq!(to.bookings(since).await, from.bookings(since).await);
    assert_eq!(to.bookings(Time(0)).await.unwrap().len(), 2, "what no longer counts is left where it was");
    assert_eq!(to.pauses(LATER).await, from.pauses(LATER).await);
    assert_eq!(to.get("cursor").await.unwrap(), Some(long));
    // It goes on from there: a number after the last one, a window that is as full, a delivery that is known.
    let next = to.journal(None, vec![entry(EntryKind::Run, Time(9), None)], LATER).await.unwrap().unwrap();
    assert!(next[0] > numbers[0] + 2, "{next:?}");
    assert!(matches!(ask(to.clone(), 3).await, Verdict::Hold(_)));
    assert_eq!(to.accept(delivery("a", LATER), Vec::new()).await, Ok(Accepted::Duplicate));
    let again = crate::transfer::copy(from.as_ref(), to.as_ref(), limits.window, LATER, &|_, _| {}).await;
    assert_eq!(again, Err(CopyError::NotEmpty("keys")), "two states are not mixed");
}

async fn the_journal_is_read_from_a_time_on_and_page_by_page(store: Shared) {
    // In minutes; a clock that was behind wrote one of them.
    for at in [0, 20, 40, 60, 55, 80, 100].map(|minutes: i64| minutes * 60_000) {
        store.journal(None, vec![entry(EntryKind::Run, Time(at), None)], Time(at)).await.unwrap();
    }
    let since = Some(Time(40 * 60_000));
    for of in [None, Some(key(1).to_string())] {
        let mut listing = Listing { since, key: of, limit: 3, ..Listing::default() };
        let mut read = Vec::new();
        loop {
            let page = store.entries(listing.clone()).await.unwrap();
            let Some(last) = page.last() else { break };
            assert!(page.len() <= 3);
            listing.after = last.seq;
            read.extend(page.iter().map(|entry| entry.at.0 / 60_000));
        }
        assert_eq!(read, [40, 60, 55, 80, 100]);
    }
}

async fn what_was_released_is_not_approved(store: Shared) {
    let limits = Limits { removes: 0, ..Limits::default() };
    let asked = vec![hold(1, "r1", Risk::Removes, "g1")];
    store.reserve(None, &limits, asked, Time(0)).await.unwrap();
    assert_eq!(store.holds().await.unwrap().len(), 1);
    store.release(vec!["r1".into()]).await.unwrap();
    assert_eq!(store.approve("r1", "ann", Time(0)).await.unwrap(), None);
    assert!(store.holds().await.unwrap().is_empty());
}
