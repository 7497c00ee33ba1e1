//! Tests of rows that Beadle cannot read. The error names the row, the other rows are not affected,
//! and the unreadable row stays.

use beadle_engine::store::prelude::*;
use beadle_engine::testing::hold;
use beadle_engine::{
    Accepted, Delivery, Entry, EntryKind, Hold, Key, KeyScope, Lane, Limits, Listing, Mark, Outcome,
    Retention, StoreError, Time, Verdict, sweep,
};

use crate::cluster::{check, new_schema, open, run};

/// A time when no key waits for its debounce any more.
const LATER: Time = Time(1_000_000);

fn key(n: u64) -> Key {
    Key::new("repository", "acme", n)
}

/// Checks that an error contains the name of a row, its table, and an instruction.
fn check_names<T: std::fmt::Debug>(result: Result<T, StoreError>, row: &str, table: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    for part in [row, table, "correct the row in the database or restore it"] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_the_queue_that_cannot_be_read_blocks_no_other_key() {
    let url = new_schema().await;
    let store = open(&url).await;
    store.mark((0..5).map(|n| Mark::new(key(n), Lane::Event)).collect(), Time(0)).await.unwrap();
    run(&url, "UPDATE work SET epoch = -1, rank = -1, first_dirty = -1 WHERE key = 'repository:acme:2'")
        .await;
    // The damaged row comes first in every sort order, and the claim takes only one key.
    let mut claimed = Vec::new();
    for n in 0..4 {
        let claims = store.claim(1, LATER + std::time::Duration::from_millis(n)).await.unwrap();
        assert_eq!(claims.len(), 1, "{n}");
        claimed.extend(claims);
    }
    assert!(store.claim(5, LATER).await.unwrap().is_empty());
    assert_eq!(store.claim_named(&[key(2)], LATER).await.unwrap(), Vec::new());
    let depth = store.depth(LATER).await.unwrap();
    assert_eq!((depth.leased, depth.due), (4, [1, 0, 0]), "the damaged row still waits");
    for claim in claimed {
        assert!(store.finish(&claim.lease, Outcome::Done, LATER).await.unwrap());
    }
    assert_eq!(store.next_due().await.unwrap(), None, "a worker does not wake for the damaged row");
    check_names(store.row(&key(2)).await, "repository:acme:2", "`work`");
    check_names(store.rows(10).await, "repository:acme:2", "`work`");
    let list = store.all_rows(10).await.unwrap();
    assert_eq!((list.rows.len(), list.unreadable.len()), (0, 1));
    let names: Vec<&str> = list.unreadable_names().collect();
    assert_eq!(names, ["the row of repository:acme:2 in the table `work`"]);
    check_names(store.claim_key(&key(2), LATER).await, "repository:acme:2", "`work`");
    check_names(store.mark(vec![Mark::new(key(2), Lane::Event)], LATER).await, "repository:acme:2", "`work`");
    check(&url, "(SELECT epoch = -1 AND wanted = 1 FROM work WHERE key = 'repository:acme:2')").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_skips_a_row_that_cannot_be_read_and_a_sweep_ends_with_it() {
    let url = new_schema().await;
    let store = open(&url).await;
    let mark = |n: u64| Mark::new(key(n), Lane::Sweep);
    store.mark(vec![mark(2)], Time(0)).await.unwrap();
    // The damaged row comes first in every sort order.
    run(&url, "UPDATE work SET epoch = -1, rank = -1, first_dirty = -1").await;
    assert!(sweep::begin(&store, "acme", 3, Time(0)).await.unwrap());
    let skipped = store.mark_readable((1..=3).map(mark).collect(), Time(0)).await.unwrap();
    assert!(skipped.len() == 1 && skipped[0].contains("the row of repository:acme:2"), "{skipped:?}");
    let delivery = Delivery {
        source: "github".into(),
        id: "1".into(),
        event: "push".into(),
        actor: None,
        instance: "acme".into(),
        received: Time(5),
        body: Vec::new(),
    };
    assert_eq!(store.accept(delivery.clone(), vec![mark(2), mark(4)]).await.unwrap(), Accepted::Stored);
    let refused = Delivery { id: "2".into(), ..delivery };
    check_names(store.accept(refused, vec![mark(2), mark(2)]).await, "repository:acme:2", "`work`");
    let stored = store.deliveries(Listing { limit: 10, ..Listing::default() }).await.unwrap();
    let ids: Vec<&str> = stored.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, ["1"], "the sender sends the refused delivery again");
    let scopes = [KeyScope::new("repository", "acme")];
    for (most, expected) in [(1, 1), (10, 3)] {
        assert_eq!(store.count_waiting(&scopes, LATER, most).await.unwrap(), expected, "{most}");
    }
    assert_eq!(sweep::summarise(&store, "acme", &scopes, LATER).await.unwrap(), None);
    let claims = store.claim(9, LATER).await.unwrap();
    let mut keys: Vec<Key> = claims.iter().map(|claim| claim.lease.key.clone()).collect();
    keys.sort();
    assert_eq!(keys, [key(1), key(3), key(4)]);
    for claim in &claims {
        assert!(store.finish(&claim.lease, Outcome::Done, LATER).await.unwrap());
    }
    let summary = sweep::summarise(&store, "acme", &scopes, LATER).await.unwrap();
    assert_eq!(summary.map(|summary| summary.failed), Some(1), "the sweep ends, and names the key as failed");
    let list = store.all_rows(10).await.unwrap();
    let names: Vec<&str> = list.unreadable_names().collect();
    assert_eq!(names, ["the row of repository:acme:2 in the table `work`"]);
    // An approval marks its key in a transaction of its own.
    let limits = Limits { removes: 0, ..Limits::default() };
    store.reserve(None, &limits, vec![hold(2)], LATER).await.unwrap().unwrap();
    check_names(store.approve("d2", "ann", LATER).await, "repository:acme:2", "`work`");
    assert_eq!(store.holds().await.unwrap()[0].approved_by, None, "the approval is not stored");
    check(&url, "(SELECT epoch = -1 AND wanted = 1 FROM work WHERE key = 'repository:acme:2')").await;
}

// The test has one thread, so the writer begins only after both requests have arrived. Both
// requests are then in one group.
#[tokio::test]
async fn a_missing_counter_of_the_journal_fails_only_the_requests_that_need_it() {
    let url = new_schema().await;
    let store = open(&url).await;
    store.mark(vec![Mark::new(key(1), Lane::Event)], Time(0)).await.unwrap();
    let claim = store.claim(1, LATER).await.unwrap().remove(0);
    run(&url, "DELETE FROM journal_counter").await;
    let entry = Entry {
        seq: 0,
        at: LATER,
        kind: EntryKind::Run,
        key: key(1).to_string(),
        subject: "acme/widgets".into(),
        intent: None,
        trace: None,
        detail: serde_json::json!({}).into(),
    };
    let (written, ended) = tokio::join!(
        store.journal(None, vec![entry], LATER),
        store.finish(&claim.lease, Outcome::Done, LATER)
    );
    let error = written.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("journal_counter must have one row"), "{error}");
    assert!(ended.unwrap(), "the end of the run is stored, and stored once");
    check(&url, "NOT EXISTS (SELECT 1 FROM journal)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_or_a_hold_that_cannot_be_read_is_named_and_stays() {
    let url = new_schema().await;
    let store = open(&url).await;
    let intent = |n: u64| Entry {
        seq: 0,
        at: Time(1),
        kind: EntryKind::Intent,
        key: key(n).to_string(),
        subject: "acme/widgets".into(),
        intent: None,
        trace: None,
        detail: serde_json::json!({ "n": n }).into(),
    };
    store.journal(None, vec![intent(1), intent(2)], Time(1)).await.unwrap().unwrap();
    let limits = Limits { removes: 0, ..Limits::default() };
    for n in [1, 2] {
        let asked = Hold { why: String::new(), ..hold(n) };
        let verdicts = store.reserve(None, &limits, vec![asked], Time(1)).await.unwrap().unwrap();
        assert!(matches!(verdicts.as_slice(), [Verdict::Hold(_)]), "{verdicts:?}");
    }
    run(
        &url,
        "UPDATE journal SET detail = '{' WHERE seq = 1; UPDATE hold SET hold = '{' WHERE digest = 'd1'",
    )
    .await;
    let open_intents = store.open_intents().await.unwrap();
    assert_eq!(open_intents.iter().map(|entry| entry.seq).collect::<Vec<u64>>(), [2]);
    let all = Listing { limit: 10, ..Listing::default() };
    check_names(store.entries(all).await, "entry 1 ", "`journal`");
    let error = store.holds().await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("the hold d1 in the table `hold` is unreadable"), "{error}");
    let list = store.all_holds().await.unwrap();
    let digests: Vec<&str> = list.holds.iter().map(|hold| hold.digest.as_str()).collect();
    assert_eq!((digests, list.unreadable.len()), (vec!["d2"], 1));
    assert!(list.unreadable[0].contains("the hold d1 "), "{:?}", list.unreadable);
    let names: Vec<&str> = list.unreadable_names().collect();
    assert_eq!(names, ["the hold d1 in the table `hold`"]);
    let own = store.all_holds_of(&hold(1).key).await.unwrap();
    assert_eq!((own.holds.len(), &own.unreadable), (0, &list.unreadable));
    assert_eq!(store.all_holds_of(&hold(2).key).await.unwrap().holds.len(), 1);
    store.forget_holds("acme", "another generation").await.unwrap();
    let retention =
        Retention { bodies_before: Time(0), ids_before: Time(0), journal_before: Time(0), batch: 10 };
    store.prune(retention).await.unwrap();
    check(&url, "(SELECT count(*) FROM journal) = 2").await;
    check(&url, "EXISTS (SELECT 1 FROM hold WHERE digest = 'd1')").await;
}
