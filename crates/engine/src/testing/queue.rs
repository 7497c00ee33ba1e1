//! The checks of the queue: claims, lanes, leases, pauses and parked keys.

use std::time::Duration;

use super::{LATER, SharedStore, asked_hold, key};
use crate::clock::Time;
use crate::delivery::Mark;
use crate::guard::Limits;
use crate::key::{Key, KeyScope, Lane};
use crate::plan::Risk;
use crate::queue::{Outcome, ParkReason};
use crate::revive::{paused, revive, revive_paused};

pub(super) async fn a_claimed_key_is_nobody_elses(store: SharedStore) {
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

pub(super) async fn a_claim_passes_over_the_keys_of_some_instances(store: SharedStore) {
    let other = Key::new("repository", "other", 1);
    store.mark((0..30).map(|n| Mark::new(key(n), Lane::Event)).collect(), Time(0)).await.unwrap();
    store.mark(vec![Mark::new(other.clone(), Lane::Sweep)], Time(1)).await.unwrap();
    let claims = store.claim_except(5, &["acme".to_owned()], LATER).await.unwrap();
    let claimed: Vec<&Key> = claims.iter().map(|claim| &claim.lease.key).collect();
    assert_eq!(claimed, [&other], "the others are more urgent, and take no place");
    assert_eq!(store.claim(40, LATER).await.unwrap().len(), 30);
}

pub(super) async fn urgent_lanes_go_first_and_raise_what_is_queued(store: SharedStore) {
    store.mark(vec![Mark::new(key(1), Lane::Sweep)], Time(0)).await.unwrap();
    store.mark(vec![Mark::new(key(2), Lane::Sweep)], Time(1)).await.unwrap();
    store.mark(vec![Mark::new(key(3), Lane::Event)], Time(2)).await.unwrap();
    store.mark(vec![Mark::new(key(2), Lane::Event)], Time(3)).await.unwrap();
    let claims = store.claim(10, LATER).await.unwrap();
    let order: Vec<Key> = claims.iter().map(|claim| claim.lease.key.clone()).collect();
    assert_eq!(order, [key(2), key(3), key(1)], "what waited longest goes first within a lane");
}

pub(super) async fn a_mark_during_a_run_causes_one_more(store: SharedStore) {
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

pub(super) async fn a_mark_from_a_clock_that_was_ahead_does_not_wait_for_that_time(store: SharedStore) {
    let ahead = LATER + Duration::from_secs(3600);
    store.mark(vec![Mark::new(key(1), Lane::Event)], ahead).await.unwrap();
    // The store looks for such keys at a claim, or at the next settlement.
    store.claim(5, LATER).await.unwrap();
    store.settle(LATER).await.unwrap();
    let now = LATER + store.timing().ceiling;
    let claims = store.claim(5, now).await.unwrap();
    assert_eq!(claims.len(), 1, "the key waits for its debounce only");
    assert!(store.finish(&claims[0].lease, Outcome::Done, now).await.unwrap());
    // A key that was parked by the wrong clock is due at once when an operator marks it, and its mark
    // still has the wrong time. The claims of all keys go on.
    store.mark(vec![Mark::new(key(3), Lane::Event)], ahead).await.unwrap();
    let then = ahead + store.timing().ceiling;
    let claim = store.claim(1, then).await.unwrap().remove(0);
    let park = Outcome::Park(ParkReason::Failed, "refused".into());
    assert!(store.finish(&claim.lease, park, then).await.unwrap());
    store.mark(vec![Mark::new(key(3), Lane::Manual), Mark::new(key(4), Lane::Manual)], now).await.unwrap();
    let claims = store.claim(5, now).await.unwrap();
    assert_eq!(claims.len(), 2, "both keys are claimed");
    for claim in claims {
        assert!(store.finish(&claim.lease, Outcome::Done, now).await.unwrap());
    }
    // A vendor's limit still delays a key, and a small difference between two clocks is fine.
    store.mark(vec![Mark::new(key(2), Lane::Event)], now + Duration::from_secs(3)).await.unwrap();
    let later = now + Duration::from_secs(3) + store.timing().ceiling;
    let claim = store.claim(5, later).await.unwrap().remove(0);
    let until = later + Duration::from_secs(3600);
    let limited = Outcome::RateLimited { until, spares_events: false, why: "429".into() };
    assert!(store.finish(&claim.lease, limited, later).await.unwrap());
    store.settle(later).await.unwrap();
    assert!(store.claim(5, until - Duration::from_millis(1)).await.unwrap().is_empty());
    assert_eq!(store.claim(5, until).await.unwrap().len(), 1);
}

pub(super) async fn a_lost_lease_changes_nothing(store: SharedStore) {
    store.mark(vec![Mark::new(key(1), Lane::Event)], Time(0)).await.unwrap();
    let late = store.claim(1, LATER).await.unwrap().remove(0);
    let now = LATER + store.timing().lease;
    let current = store.claim(1, now).await.unwrap().remove(0);
    assert!(!store.finish(&late.lease, Outcome::Done, now).await.unwrap());
    assert_eq!(store.renew(&late.lease, now).await.unwrap(), None);
    let limits = Limits::default();
    let asked = vec![asked_hold(1, "d", Risk::Removes, "g")];
    assert_eq!(store.reserve(Some(&late.lease), &limits, asked, now).await.unwrap(), None);
    assert!(store.renew(&current.lease, now).await.unwrap().is_some());
    assert!(store.finish(&current.lease, Outcome::Done, now).await.unwrap());
}

pub(super) async fn an_operators_claim_waits_for_nobody_and_takes_from_nobody(store: SharedStore) {
    let claim = store.claim_key(&key(1), Time(0)).await.unwrap().expect("an unknown key can be claimed");
    assert_eq!(store.claim_key(&key(1), Time(1)).await.unwrap(), None);
    assert!(store.finish(&claim.lease, Outcome::Done, Time(2)).await.unwrap());
    assert_eq!(store.next_due().await.unwrap(), None, "the refused claim left no mark");
}

pub(super) async fn a_named_key_is_claimed_when_it_is_due(store: SharedStore) {
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

pub(super) async fn a_pause_holds_back_and_keeps(store: SharedStore) {
    store.mark(vec![Mark::new(key(1), Lane::Event), Mark::new(key(2), Lane::Event)], Time(0)).await.unwrap();
    let until = LATER + Duration::from_secs(60);
    store.pause("acme", until).await.unwrap();
    assert!(store.claim(5, LATER).await.unwrap().is_empty());
    let depth = store.depth(LATER).await.unwrap();
    assert_eq!((depth.lane(Lane::Event), depth.oldest), (2, None), "paused keys have no age");
    assert!(store.resume("acme").await.unwrap());
    assert!(!store.resume("acme").await.unwrap());
    store.pause(key(1).as_str(), until).await.unwrap();
    assert_eq!(store.pauses(LATER).await.unwrap().len(), 1);
    assert!(store.depth(LATER).await.unwrap().oldest.is_some(), "the other key waits");
    assert_eq!(store.claim(5, LATER).await.unwrap().len(), 1);
    assert_eq!(store.depth(LATER).await.unwrap().oldest, None);
    assert!(store.depth(until).await.unwrap().oldest.is_some(), "a pause ends by itself");
    assert_eq!(store.claim(5, until).await.unwrap()[0].lease.key, key(1), "a pause ends by itself");
    assert!(store.pauses(until).await.unwrap().is_empty());
}

pub(super) async fn waiting_keys_are_counted_by_scope_and_age(store: SharedStore) {
    let scopes = [KeyScope::new("repository", "acme"), KeyScope::new("repository", "other")];
    let other = Key::new("repository", "other", 1);
    store.mark((0..4).map(|n| Mark::new(key(n), Lane::Sweep)).collect(), LATER).await.unwrap();
    store.mark(vec![Mark::new(other, Lane::Event)], LATER).await.unwrap();
    let before = Time(LATER.0 - 1);
    assert_eq!(store.count_waiting(&scopes, LATER, 10).await.unwrap(), 5);
    assert_eq!(store.count_waiting(&scopes, LATER, 3).await.unwrap(), 3);
    assert_eq!(store.count_waiting(&scopes, before, 10).await.unwrap(), 0, "they became due later");
    assert_eq!(store.count_waiting(&[], LATER, 10).await.unwrap(), 0);
    let count = async || store.count_waiting(&scopes[..1], LATER, 10).await.unwrap();
    assert_eq!(count().await, 4);
    let claims = store.claim_named(&[key(0), key(1)], LATER).await.unwrap();
    assert_eq!(count().await, 4, "a key waits until its run ends");
    assert!(store.finish(&claims[0].lease, Outcome::Done, LATER).await.unwrap());
    let parked = Outcome::Park(ParkReason::Failed, "403".into());
    assert!(store.finish(&claims[1].lease, parked, LATER).await.unwrap());
    assert_eq!(count().await, 2, "neither a key that is done nor a parked key waits");
}

pub(super) async fn a_park_is_seen_and_retried(store: SharedStore) {
    store.mark(vec![Mark::new(key(1), Lane::Event)], Time(0)).await.unwrap();
    let lease = store.claim(1, LATER).await.unwrap().remove(0).lease;
    let parked = Outcome::Park(ParkReason::Failed, "403".into());
    assert!(store.finish(&lease, parked, LATER).await.unwrap());
    let row = store.row(&key(1)).await.unwrap().unwrap();
    assert_eq!(row.parked.as_ref().map(|parked| parked.why.as_str()), Some("403"));
    assert_eq!(store.rows(10).await.unwrap(), std::slice::from_ref(&row));
    // A key with a failed run also counts as troubled. A key that is due, or waits for a budget, is
    // not troubled.
    store.mark((2..5).map(|n| Mark::new(key(n), Lane::Event)).collect(), Time(0)).await.unwrap();
    let failed = store.claim_key(&key(2), LATER).await.unwrap().unwrap().lease;
    assert!(store.finish(&failed, Outcome::Retry("502".into()), LATER).await.unwrap());
    let until = LATER + Duration::from_secs(60);
    let limited = Outcome::RateLimited { until, spares_events: false, why: "budget".into() };
    let waits = store.claim_key(&key(3), LATER).await.unwrap().unwrap().lease;
    assert!(store.finish(&waits, limited, LATER).await.unwrap());
    let mut troubled = store.troubled().await.unwrap().rows;
    troubled.sort_by(|one, other| one.key.cmp(&other.key));
    assert_eq!(troubled, [row, store.row(&key(2)).await.unwrap().unwrap()]);
    for n in 2..5 {
        let lease = store.claim_key(&key(n), until).await.unwrap().unwrap().lease;
        assert!(store.finish(&lease, Outcome::Done, until).await.unwrap());
    }
    assert_eq!(store.troubled().await.unwrap().count(), 1, "only the parked key is left");
    let depth = store.depth(LATER).await.unwrap();
    assert_eq!((depth.parked, depth.leased, depth.lane(Lane::Event)), (1, 0, 0));
    assert!(store.claim(1, LATER + Duration::from_secs(99_999)).await.unwrap().is_empty());
    store.mark(vec![Mark::new(key(1), Lane::Manual)], LATER).await.unwrap();
    assert_eq!(store.claim(1, LATER).await.unwrap().len(), 1);
    assert_eq!(store.depth(LATER).await.unwrap().leased, 1);
}

pub(super) async fn what_a_stop_set_aside_or_delayed_is_due_when_it_is_lifted(store: SharedStore) {
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
