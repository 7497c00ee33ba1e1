//! The tests that every store must pass, and changes for tests of plans. Each test of a store gets
//! an empty store.

#![expect(clippy::unwrap_used, reason = "a check that cannot go on has failed")]

mod changes;
mod guard;
mod queue;
mod records;

pub use changes::{change, hold};

use std::sync::Arc;

use serde_json::json;

use crate::clock::Time;
use crate::delivery::Delivery;
use crate::guard::window::{Begun, End, Intent};
use crate::guard::{Hold, Limits};
use crate::journal::{Entry, EntryKind};
use crate::key::Key;
use crate::plan::Risk;
use crate::store::{Listing, Store};

type SharedStore = Arc<dyn Store>;

/// A time after the debounce of every key.
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

/// Returns a change in the form that a caller submits to the guard.
fn asked_hold(n: u64, digest: &str, risk: Risk, generation: &str) -> Hold {
    Hold {
        digest: digest.into(),
        subject: "acme/widgets".into(),
        why: String::new(),
        generation: generation.into(),
        change: change("teams", "team a", &[risk]),
        ..hold(n)
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
        trace: None,
        detail: json!({"n": 1}).into(),
    }
}

/// Begins the write of a change that the guard has allowed.
async fn begin(store: &SharedStore, n: u64, digest: &str, now: Time) -> Begun {
    let spends = Some((digest.to_owned(), Limits::default().window));
    let intent = Intent { entry: entry(EntryKind::Intent, now, None), spends };
    store.begin(None, &key(n), intent, now).await.unwrap()
}

/// Begins the write of a change that the guard has allowed, and returns the number of the write's
/// intent.
async fn begun(store: &SharedStore, n: u64, digest: &str, now: Time) -> u64 {
    match begin(store, n, digest, now).await {
        Begun::Yes(number) => number,
        other => panic!("the write of {digest} does not begin: {other:?}"),
    }
}

async fn end(store: &SharedStore, digest: &str, end: End) {
    store.conclude("acme", vec![(digest.to_owned(), end)]).await.unwrap();
}

fn all() -> Listing {
    Listing { limit: 1000, ..Listing::default() }
}

/// Runs every check. Each check gets a new store from `open`.
pub async fn suite(open: impl AsyncFn() -> SharedStore) {
    records::a_delivery_is_kept_once_and_marks_once(open().await).await;
    queue::a_claimed_key_is_nobody_elses(open().await).await;
    queue::a_claim_passes_over_the_keys_of_some_instances(open().await).await;
    queue::urgent_lanes_go_first_and_raise_what_is_queued(open().await).await;
    queue::a_mark_during_a_run_causes_one_more(open().await).await;
    queue::a_lost_lease_changes_nothing(open().await).await;
    queue::a_mark_from_a_clock_that_was_ahead_does_not_wait_for_that_time(open().await).await;
    queue::an_operators_claim_waits_for_nobody_and_takes_from_nobody(open().await).await;
    queue::a_named_key_is_claimed_when_it_is_due(open().await).await;
    queue::a_pause_holds_back_and_keeps(open().await).await;
    guard::the_window_lets_through_its_limit_and_holds_the_rest(open().await).await;
    guard::an_approval_passes_once_and_a_generation_forgets(open().await).await;
    records::an_intent_needs_the_lease_and_stays_open_without_a_result(open().await).await;
    queue::waiting_keys_are_counted_by_scope_and_age(open().await).await;
    queue::a_park_is_seen_and_retried(open().await).await;
    queue::what_a_stop_set_aside_or_delayed_is_due_when_it_is_lifted(open().await).await;
    records::pruning_keeps_ids_longer_than_bodies(open().await).await;
    records::the_journal_is_read_from_a_time_on_and_page_by_page(open().await).await;
    guard::what_was_released_is_not_approved(open().await).await;
    guard::a_release_deletes_only_a_hold_that_is_as_its_caller_saw_it(open().await).await;
    guard::what_is_contested_is_held_until_it_is_approved(open().await).await;
    guard::a_lost_answer_stays_spent_and_a_refusal_is_given_back(open().await).await;
    guard::an_approval_whose_answer_was_lost_lets_nothing_pass(open().await).await;
    guard::the_end_of_a_write_frees_only_its_own_room_and_only_once(open().await).await;
    guard::the_end_of_a_write_leaves_the_approval_of_another_write_alone(open().await).await;
    guard::a_second_approval_lets_nothing_more_pass(open().await).await;
    guard::a_rejected_change_stays_held_until_it_is_approved_or_no_longer_planned(open().await).await;
    guard::a_rejection_withdraws_an_approval_before_the_write_begins(open().await).await;
    guard::an_approval_ends_only_a_rejection_that_its_operator_saw(open().await).await;
    guard::the_approval_of_a_generation_ends_no_rejection(open().await).await;
    guard::a_write_sees_a_pause_and_a_lost_lease(open().await).await;
    guard::the_share_of_an_aspect_has_a_memory(open().await).await;
    guard::the_version_of_the_holds_tells_each_change(open().await).await;
    records::notes_are_kept(open().await).await;
    records::a_note_is_replaced_only_while_it_is_as_it_was_read(open().await).await;
    records::notes_are_listed_page_by_page(open().await).await;
    records::the_character_nul_stops_nothing(open().await).await;
    records::the_journal_is_read_backwards_page_by_page(open().await).await;
    records::a_key_is_found_by_every_name_that_it_had(open().await).await;
    records::what_is_copied_is_as_it_was(open().await, open().await).await;
}
