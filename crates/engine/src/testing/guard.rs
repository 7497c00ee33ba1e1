//! The checks of a store's guard: the window, holds, approvals, and the conditions for a write.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{LATER, SharedStore, asked_hold, begin, begun, end, entry, key};
use crate::clock::Time;
use crate::delivery::Mark;
use crate::guard::window::{Begun, End, Intent};
use crate::guard::{Decision, Hold, Limits, Rejection, Spent, Verdict};
use crate::journal::EntryKind;
use crate::key::Lane;
use crate::plan::Risk;

pub(super) async fn the_window_lets_through_its_limit_and_holds_the_rest(store: SharedStore) {
    let limits = Limits { removes: 3, ..Limits::default() };
    let asked = |from: u64| {
        (from..from + 4).map(|n| asked_hold(n, &format!("d{n}"), Risk::Removes, "g")).collect::<Vec<_>>()
    };
    let verdicts = store.reserve(None, &limits, asked(0), LATER).await.unwrap().unwrap();
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::Pass).count(), 3);
    assert!(matches!(&verdicts[3], Verdict::Hold(why) if !why.is_empty()));
    let held = store.holds().await.unwrap();
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].digest, "d3");
    // Another key submits changes, as another process would do. Both keys share one window.
    let more =
        store.reserve(None, &limits, asked(10), LATER + Duration::from_secs(1)).await.unwrap().unwrap();
    assert!(more.iter().all(|verdict| *verdict != Verdict::Pass));
    // In the next window, the change is still held.
    let next = LATER + limits.window + Duration::from_secs(1);
    let again = store
        .reserve(None, &limits, vec![asked_hold(3, "d3", Risk::Removes, "g")], next)
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(again[0], Verdict::Hold(_)), "a hold does not drain away by itself");
    let fresh = store.reserve(None, &limits, asked(20), next).await.unwrap().unwrap();
    assert_eq!(fresh.iter().filter(|verdict| **verdict == Verdict::Pass).count(), 3);
    let tried_again = store.reserve(None, &limits, asked(20), next).await.unwrap().unwrap();
    assert_eq!(tried_again, fresh, "what is tried again in the window is booked once");
    let intent = begun(&store, 20, "d20", next).await;
    assert_eq!(begin(&store, 20, "d20", next).await, Begun::Lapsed, "room is for one write");
    end(&store, "d20", End::Written(intent)).await;
    let fought = store
        .reserve(None, &limits, vec![asked_hold(20, "d20", Risk::Removes, "g")], next)
        .await
        .unwrap()
        .unwrap();
    assert!(
        matches!(fought[0], Verdict::Hold(_)),
        "what was written, and is to be written again, is booked again"
    );
    let other = store
        .reserve(None, &limits, vec![asked_hold(40, "w", Risk::Weakens, "g")], LATER)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(other, [Verdict::Pass], "each risk has its own limit");
}

pub(super) async fn an_approval_passes_once_and_a_generation_forgets(store: SharedStore) {
    let limits = Limits { removes: 0, ..Limits::default() };
    let ask = |n: u64, digest: &str| vec![asked_hold(n, digest, Risk::Removes, "g1")];
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
    let intent = begun(&store, 1, "a", LATER).await;
    end(&store, "a", End::Written(intent)).await;
    assert!(store.holds_of(&key(1)).await.unwrap().is_empty());
    let second = store.reserve(None, &limits, ask(1, "a"), LATER).await.unwrap().unwrap();
    assert!(matches!(second[0], Verdict::Hold(_)), "an approval is for one time");
    assert_eq!(store.forget_holds("other", "g2").await.unwrap(), 0);
    assert_eq!(store.forget_holds("acme", "g1").await.unwrap(), 0, "holds of the generation in force stay");
    assert_eq!(store.forget_holds("acme", "g2").await.unwrap(), 2);
    assert!(store.holds().await.unwrap().is_empty());
}

pub(super) async fn what_is_contested_is_held_until_it_is_approved(store: SharedStore) {
    let fought = Hold { why: "contested".into(), ..asked_hold(1, "c1", Risk::Changes, "g1") };
    let limits = Limits::default();
    let ask = || store.reserve(None, &limits, vec![fought.clone()], Time(0));
    assert_eq!(ask().await.unwrap().unwrap(), [Verdict::Hold("contested".into())]);
    assert_eq!(store.holds().await.unwrap().len(), 1);
    store.approve(&fought.digest, "ann", Time(0)).await.unwrap().unwrap();
    assert_eq!(ask().await.unwrap().unwrap(), [Verdict::Pass]);
}

pub(super) async fn a_lost_answer_stays_spent_and_a_refusal_is_given_back(store: SharedStore) {
    let limits = Limits { removes: 2, ..Limits::default() };
    let ask = |n: u64, digest: &'static str| {
        let (store, asked) = (store.clone(), vec![asked_hold(n, digest, Risk::Removes, "g")]);
        async move { store.reserve(None, &limits, asked, LATER).await.unwrap().unwrap().remove(0) }
    };
    assert_eq!(ask(1, "a").await, Verdict::Pass);
    assert!(matches!(begin(&store, 1, "a", LATER).await, Begun::Yes(_)));
    // The answer is lost or the process is killed, so a retry must reserve more room.
    assert_eq!(ask(1, "a").await, Verdict::Pass);
    assert!(matches!(ask(2, "b").await, Verdict::Hold(_)), "both are spent");
    let intent = begun(&store, 1, "a", LATER).await;
    end(&store, "a", End::Refused(intent)).await;
    assert_eq!(ask(3, "c").await, Verdict::Pass, "what was refused is given back");
    assert!(matches!(ask(4, "d").await, Verdict::Hold(_)), "what was lost is not");
    end(&store, "c", End::NotBegun).await;
    assert_eq!(begin(&store, 3, "c", LATER).await, Begun::Lapsed);
    assert_eq!(ask(5, "e").await, Verdict::Pass, "what was not begun is given back");
}

pub(super) async fn an_approval_whose_answer_was_lost_lets_nothing_pass(store: SharedStore) {
    let limits = Limits { removes: 0, ..Limits::default() };
    let ask = || store.reserve(None, &limits, vec![asked_hold(1, "a", Risk::Removes, "g")], LATER);
    ask().await.unwrap();
    store.approve("a", "ann", LATER).await.unwrap().unwrap();
    let intent = begun(&store, 1, "a", LATER).await;
    end(&store, "a", End::Refused(intent)).await;
    assert_eq!(ask().await.unwrap().unwrap(), [Verdict::Pass], "a refused write needs no second approval");
    assert!(matches!(begin(&store, 1, "a", LATER).await, Begun::Yes(_)));
    assert_eq!(begin(&store, 1, "a", LATER).await, Begun::Lapsed);
    let verdicts = ask().await.unwrap().unwrap();
    assert!(
        matches!(&verdicts[0], Verdict::Hold(why) if why.contains("ann approved this change")),
        "{verdicts:?}"
    );
    store.approve("a", "ann", LATER).await.unwrap().unwrap();
    assert_eq!(ask().await.unwrap().unwrap(), [Verdict::Pass]);
}

pub(super) async fn the_end_of_a_write_frees_only_its_own_room_and_only_once(store: SharedStore) {
    let limits = Limits { removes: 9, ..Limits::default() };
    let mut intents = Vec::new();
    for _ in 0..3 {
        // The answer to each write is lost or late, so each retry needs its own room.
        let asked = vec![asked_hold(1, "a", Risk::Removes, "g")];
        assert_eq!(store.reserve(None, &limits, asked, LATER).await.unwrap().unwrap(), [Verdict::Pass]);
        intents.push(begun(&store, 1, "a", LATER).await);
    }
    for (what, ended, used) in [
        ("the second is refused", End::Refused(intents[1]), [true, false, true]),
        ("the call is repeated", End::Refused(intents[1]), [true, false, true]),
        ("the third is written", End::Written(intents[2]), [true, false, true]),
        ("the call is repeated", End::Written(intents[2]), [true, false, true]),
        ("a written change cannot be refused", End::Refused(intents[2]), [true, false, true]),
        ("no write is left that did not begin", End::NotBegun, [true, false, true]),
        ("the first is refused late", End::Refused(intents[0]), [false, false, true]),
    ] {
        end(&store, "a", ended).await;
        let bookings = store.bookings(Time(0)).await.unwrap();
        let is_used = |intent: &u64| {
            bookings.iter().any(|one| one.intent == Some(*intent) && one.state != Spent::Refused)
        };
        assert_eq!([0, 1, 2].map(|n| is_used(&intents[n])), used, "{what}");
    }
}

pub(super) async fn the_end_of_a_write_leaves_the_approval_of_another_write_alone(store: SharedStore) {
    let limits = Limits { removes: 0, ..Limits::default() };
    let ask = || store.reserve(None, &limits, vec![asked_hold(1, "a", Risk::Removes, "g")], LATER);
    ask().await.unwrap();
    store.approve("a", "ann", LATER).await.unwrap().unwrap();
    let first = begun(&store, 1, "a", LATER).await;
    // The first write hangs, and its run loses the lease.
    assert!(matches!(ask().await.unwrap().unwrap()[0], Verdict::Hold(_)));
    store.approve("a", "bob", LATER).await.unwrap().unwrap();
    let second = begun(&store, 1, "a", LATER).await;
    for late in [End::Refused(first), End::Written(first)] {
        end(&store, "a", late).await;
        assert_eq!(begin(&store, 1, "a", LATER).await, Begun::Lapsed, "{late:?}");
        assert_eq!(store.holds().await.unwrap().len(), 1, "{late:?}");
    }
    end(&store, "a", End::Refused(second)).await;
    let third = begun(&store, 1, "a", LATER).await;
    end(&store, "a", End::Refused(second)).await;
    assert_eq!(begin(&store, 1, "a", LATER).await, Begun::Lapsed, "the call was repeated");
    end(&store, "a", End::Written(third)).await;
    assert!(store.holds().await.unwrap().is_empty());
}

pub(super) async fn a_second_approval_lets_nothing_more_pass(store: SharedStore) {
    let limits = Limits { removes: 0, ..Limits::default() };
    let ask = || store.reserve(None, &limits, vec![asked_hold(1, "a", Risk::Removes, "g")], LATER);
    ask().await.unwrap();
    store.approve("a", "ann", LATER).await.unwrap().unwrap();
    let intent = begun(&store, 1, "a", LATER).await;
    assert_eq!(begin(&store, 1, "a", LATER).await, Begun::Lapsed, "an approval is for one write");
    // The approved write is in progress.
    let again = store.approve("a", "bob", LATER).await.unwrap().unwrap();
    assert_eq!((again.approved_by.as_deref(), again.spent), (Some("ann"), true));
    assert_eq!(begin(&store, 1, "a", LATER).await, Begun::Lapsed);
    end(&store, "a", End::Written(intent)).await;
    assert!(store.holds().await.unwrap().is_empty());
    assert!(matches!(ask().await.unwrap().unwrap()[0], Verdict::Hold(_)));
}

pub(super) async fn a_write_sees_a_pause_and_a_lost_lease(store: SharedStore) {
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

pub(super) async fn the_share_of_an_aspect_has_a_memory(store: SharedStore) {
    let limits = Limits { repositories: 2, among: Some(20), ..Limits::default() };
    let mut passed = 0;
    for n in 0..10 {
        // The changes arrive one at a time, as drift does.
        let asked = vec![asked_hold(n, &format!("s{n}"), Risk::Removes, "g")];
        let verdict = store.reserve(None, &limits, asked, LATER).await.unwrap().unwrap().remove(0);
        passed += u32::from(verdict == Verdict::Pass);
    }
    assert_eq!(passed, 4, "a fifth of the repositories");
    let why = &store.holds().await.unwrap()[0].why;
    assert!(why.contains("`teams`") && why.contains("4 of 20 repositories"), "{why}");
}

pub(super) async fn the_version_of_the_holds_tells_each_change(store: SharedStore) {
    let limits = Limits { removes: 0, ..Limits::default() };
    let held = |n: u64| asked_hold(n, &format!("d{n}"), Risk::Removes, "g1");
    let mut versions = vec![store.holds_version().await.unwrap()];
    store.reserve(None, &limits, vec![held(1), held(2)], LATER).await.unwrap();
    versions.push(store.holds_version().await.unwrap());
    store.reserve(None, &limits, vec![held(1), held(2)], LATER).await.unwrap();
    assert_eq!(versions[1], store.holds_version().await.unwrap(), "nothing changed");
    let rejected = store.decide("d1", &Decision::reject("mona", None), LATER).await.unwrap().unwrap();
    versions.push(store.holds_version().await.unwrap());
    store.decide("d1", &Decision::approve("mona", None).seeing(&rejected), LATER).await.unwrap();
    versions.push(store.holds_version().await.unwrap());
    store.release(store.holds_of(&key(1)).await.unwrap()).await.unwrap();
    versions.push(store.holds_version().await.unwrap());
    store.release(store.holds_of(&key(2)).await.unwrap()).await.unwrap();
    assert_eq!(store.holds_version().await.unwrap(), versions[0], "no hold is left");
    let different: BTreeSet<&String> = versions.iter().collect();
    assert_eq!(different.len(), versions.len(), "{versions:?}");
}

pub(super) async fn what_was_released_is_not_approved(store: SharedStore) {
    let limits = Limits { removes: 0, ..Limits::default() };
    let asked = vec![asked_hold(1, "r1", Risk::Removes, "g1")];
    store.reserve(None, &limits, asked, Time(0)).await.unwrap();
    let seen = store.holds().await.unwrap();
    assert_eq!(seen.len(), 1);
    store.release(seen).await.unwrap();
    assert_eq!(store.approve("r1", "ann", Time(0)).await.unwrap(), None);
    assert!(store.holds().await.unwrap().is_empty());
}

pub(super) async fn a_release_deletes_only_a_hold_that_is_as_its_caller_saw_it(store: SharedStore) {
    let limits = Limits { removes: 0, ..Limits::default() };
    let asked = |n: u64, digest: &str| asked_hold(n, digest, Risk::Removes, "g1");
    let all = vec![asked(1, "rejected"), asked(2, "approved"), asked(3, "withdrawn"), asked(4, "open")];
    store.reserve(None, &limits, all, LATER).await.unwrap();
    store.approve("withdrawn", "ann", LATER).await.unwrap().unwrap();
    let seen = store.holds().await.unwrap();
    assert_eq!(seen.len(), 4);
    // The operators decide between the caller's read and the release.
    let reject = Decision::reject("bob", Some("the team stays"));
    let mut kept = Vec::new();
    for (digest, decision) in
        [("rejected", &reject), ("approved", &Decision::approve("ann", None)), ("withdrawn", &reject)]
    {
        kept.push(store.decide(digest, decision, LATER).await.unwrap().unwrap());
    }
    store.release(seen).await.unwrap();
    kept.sort_by(|one, other| one.digest.cmp(&other.digest));
    let mut stored = store.holds().await.unwrap();
    stored.sort_by(|one, other| one.digest.cmp(&other.digest));
    assert_eq!(stored, kept, "the decisions stay, and the open hold is gone");
    // The next caller sees the decisions.
    store.release(stored).await.unwrap();
    assert!(store.holds().await.unwrap().is_empty());
}

pub(super) async fn a_rejected_change_stays_held_until_it_is_approved_or_no_longer_planned(
    store: SharedStore,
) {
    let limits = Limits { removes: 0, ..Limits::default() };
    let ask = |n: u64, digest: &str| vec![asked_hold(n, digest, Risk::Removes, "g1")];
    store.reserve(None, &limits, ask(1, "a"), LATER).await.unwrap();
    let reject = Decision::reject("bob", Some("the team stays"));
    assert_eq!(store.decide("unknown", &reject, LATER).await.unwrap(), None);
    let rejected = store.decide("a", &reject, LATER).await.unwrap().unwrap();
    let expected = Rejection { by: "bob".into(), reason: Some("the team stays".into()), at: LATER };
    assert_eq!(rejected.rejected, Some(expected));
    assert!(store.claim(5, LATER).await.unwrap().is_empty(), "a rejection makes no key due");
    assert_eq!(store.holds().await.unwrap(), std::slice::from_ref(&rejected), "the decision is stored");
    // Even a window with room does not let the change pass. Another generation does not let it pass
    // either.
    let wide = Limits { removes: 9, ..limits };
    assert_eq!(store.forget_holds("acme", "g2").await.unwrap(), 0);
    let verdicts = store.reserve(None, &wide, ask(1, "a"), LATER).await.unwrap().unwrap();
    assert_eq!(verdicts, [Verdict::Hold("rejected by bob: the team stays".into())]);
    assert_eq!(begin(&store, 1, "a", LATER).await, Begun::Lapsed);
    let approve = Decision::approve("ann", Some("asked for")).seeing(&rejected);
    let approved = store.decide("a", &approve, LATER).await.unwrap().unwrap();
    assert_eq!(
        (approved.approved_by.as_deref(), approved.approval_reason.as_deref(), approved.rejected),
        (Some("ann"), Some("asked for"), None)
    );
    assert_eq!(store.claim(5, LATER).await.unwrap()[0].lease.key, key(1), "an approval makes its key due");
    assert_eq!(store.reserve(None, &limits, ask(1, "a"), LATER).await.unwrap().unwrap(), [Verdict::Pass]);
    store.release(store.holds().await.unwrap()).await.unwrap();
    assert_eq!(store.decide("a", &reject, LATER).await.unwrap(), None, "the change is no longer planned");
}

pub(super) async fn a_rejection_withdraws_an_approval_before_the_write_begins(store: SharedStore) {
    let limits = Limits { removes: 0, ..Limits::default() };
    let ask = || store.reserve(None, &limits, vec![asked_hold(1, "a", Risk::Removes, "g")], LATER);
    let reject = Decision::reject("bob", None);
    ask().await.unwrap();
    store.approve("a", "ann", LATER).await.unwrap().unwrap();
    assert_eq!(ask().await.unwrap().unwrap(), [Verdict::Pass]);
    let rejected = store.decide("a", &reject, LATER).await.unwrap().unwrap();
    assert!(rejected.approved_by.is_none() && rejected.rejected.is_some());
    assert_eq!(begin(&store, 1, "a", LATER).await, Begun::Lapsed, "the run had asked before");
    let approve = Decision::approve("ann", None).seeing(&rejected);
    store.decide("a", &approve, LATER).await.unwrap().unwrap();
    let intent = begun(&store, 1, "a", LATER).await;
    let late = store.decide("a", &reject, LATER).await.unwrap().unwrap();
    assert!(late.rejected.is_none() && late.spent, "the write cannot be stopped any more");
    end(&store, "a", End::Written(intent)).await;
    assert!(store.holds().await.unwrap().is_empty());
}

pub(super) async fn an_approval_ends_only_a_rejection_that_its_operator_saw(store: SharedStore) {
    let limits = Limits { removes: 0, ..Limits::default() };
    store.reserve(None, &limits, vec![asked_hold(1, "a", Risk::Removes, "g")], LATER).await.unwrap();
    let open = store.holds().await.unwrap().remove(0);
    let (approve, reject) = (Decision::approve("ann", None), Decision::reject("bob", Some("the team stays")));
    let rejected = store.decide("a", &reject, LATER).await.unwrap().unwrap();
    // The rejection arrives after the operator has looked at the hold and before the operator
    // approves it.
    for decision in [approve.clone(), approve.seeing(&open)] {
        assert_eq!(store.decide("a", &decision, LATER).await.unwrap().as_ref(), Some(&rejected));
        assert_eq!(store.holds().await.unwrap(), std::slice::from_ref(&rejected), "nothing is stored");
    }
    let approved = store.decide("a", &approve.seeing(&rejected), LATER).await.unwrap().unwrap();
    assert_eq!((approved.approved_by.as_deref(), &approved.rejected), (Some("ann"), &None));
    let later = LATER + Duration::from_secs(1);
    let again = store.decide("a", &reject, later).await.unwrap().unwrap();
    let kept = store.decide("a", &approve.seeing(&rejected), later).await.unwrap().unwrap();
    assert_eq!(kept, again, "the operator saw an earlier rejection");
}

pub(super) async fn the_approval_of_a_generation_ends_no_rejection(store: SharedStore) {
    let limits = Limits { removes: 0, ..Limits::default() };
    let asked = |n: u64, digest: &str| asked_hold(n, digest, Risk::Removes, "g1");
    store.reserve(None, &limits, vec![asked(1, "a"), asked(2, "b")], LATER).await.unwrap();
    let rejected = store.decide("a", &Decision::reject("bob", None), LATER).await.unwrap().unwrap();
    let approved = |n: u64, digest: &str| Hold {
        approved_by: Some("ann".into()),
        generation: "g2".into(),
        ..asked(n, digest)
    };
    let all = vec![approved(1, "a"), approved(2, "b"), approved(3, "c")];
    store.let_pass(all.clone()).await.unwrap();
    let mut stored = store.holds().await.unwrap();
    stored.sort_by(|one, other| one.digest.cmp(&other.digest));
    assert_eq!(stored, [rejected, all[1].clone(), all[2].clone()]);
    let verdicts = store.reserve(None, &limits, vec![asked(1, "a"), asked(3, "c")], LATER).await.unwrap();
    let verdicts = verdicts.unwrap();
    assert!(matches!(verdicts[0], Verdict::Hold(_)) && verdicts[1] == Verdict::Pass, "{verdicts:?}");
}
