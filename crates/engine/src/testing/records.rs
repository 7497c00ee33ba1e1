//! The checks of stored data: deliveries, the journal, notes, the deletion of old data, and copies
//! between stores.

use std::time::Duration;

use super::{LATER, SharedStore, all, asked_hold, begun, change, delivery, entry, key};
use crate::clock::Time;
use crate::delivery::{Accepted, Delivery, Mark};
use crate::guard::{Limits, Verdict};
use crate::journal::{Detail, Entry, EntryKind, IntendedChange};
use crate::key::{Key, Lane};
use crate::plan::Risk;
use crate::queue::{Outcome, ParkReason};
use crate::store::{History, Listing, Retention};
use crate::trace::{TraceContext, TraceId};
use crate::transfer::{Copied, CopyError};

/// Returns the place of a span, or `None` for the number 0.
fn trace(n: u64) -> Option<TraceContext> {
    TraceId::new(n.into()).map(|trace| TraceContext { trace, span: n, is_sampled: n % 2 == 1 })
}

pub(super) async fn a_delivery_is_kept_once_and_marks_once(store: SharedStore) {
    let marks = vec![Mark { hint: Some("R_1".into()), trace: trace(1), ..Mark::new(key(1), Lane::Event) }];
    assert_eq!(store.accept(delivery("a", Time(5)), marks.clone()).await, Ok(Accepted::Stored));
    let claim = store.claim(10, LATER).await.unwrap().remove(0);
    assert_eq!((claim.hint.as_deref(), claim.trace), (Some("R_1"), trace(1)));
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

pub(super) async fn an_intent_needs_the_lease_and_stays_open_without_a_result(store: SharedStore) {
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

pub(super) async fn pruning_keeps_ids_longer_than_bodies(store: SharedStore) {
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

pub(super) async fn notes_are_kept(store: SharedStore) {
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
    let names = ["b:é", "missing", "a", "b:é"].map(str::to_owned);
    let values = [Some("x"), None, Some("2"), Some("x")].map(|value| value.map(str::to_owned));
    assert_eq!(store.get_all(&names).await.unwrap(), values);
    assert!(store.get_all(&[]).await.unwrap().is_empty());
    store.ready().await.unwrap();
}

pub(super) async fn a_note_is_replaced_only_while_it_is_as_it_was_read(store: SharedStore) {
    let long = "x".repeat(100_000);
    for (before, value, expected) in [
        (Some("1"), "2", false),
        (None, "1", true),
        (None, "2", false),
        (Some("2"), "3", false),
        (Some("1"), long.as_str(), true),
        (Some("1"), "4", false),
        (Some(long.as_str()), "5", true),
    ] {
        assert_eq!(store.replace("n", before, value).await.unwrap(), expected);
    }
    assert_eq!(store.get("n").await.unwrap().as_deref(), Some("5"));
    // Several processes replace the same value at the same time.
    for (before, after) in [(Some("5"), "6"), (None, "6")] {
        let name = if before.is_some() { "n" } else { "new" };
        let tries = (0..8).map(|n| {
            let (store, value) = (store.clone(), format!("{after} of {n}"));
            async move { store.replace(name, before, &value).await.unwrap().then_some(value) }
        });
        let stored: Vec<String> = futures::future::join_all(tries).await.into_iter().flatten().collect();
        assert_eq!(stored.len(), 1, "{stored:?}");
        assert_eq!(store.get(name).await.unwrap().as_ref(), stored.first());
    }
}

/// PostgreSQL cannot store the character U+0000. A delivery or a name with this character must not
/// stop the other keys.
pub(super) async fn the_character_nul_stops_nothing(store: SharedStore) {
    let odd = Key::new("group", "okta", "a\0b");
    let marks = vec![
        Mark { hint: Some("a\0b".into()), ..Mark::new(odd.clone(), Lane::Event) },
        Mark::new(key(1), Lane::Event),
    ];
    let delivered =
        Delivery { actor: Some("a\0b".into()), event: "a\0b".into(), ..delivery("a\0b", Time(0)) };
    assert_eq!(store.accept(delivered.clone(), marks).await, Ok(Accepted::Stored));
    assert_eq!(store.accept(delivered, Vec::new()).await, Ok(Accepted::Duplicate));
    assert!(store.body("github", "a\0b").await.unwrap().is_some());
    for before in [None, Some("1")] {
        assert!(store.replace("odd", before, "a\0b").await.unwrap());
        store.put("odd", "1").await.unwrap();
    }
    let claims = store.claim(10, LATER).await.unwrap();
    let mut claimed: Vec<Key> = claims.iter().map(|claim| claim.lease.key.clone()).collect();
    claimed.sort();
    assert_eq!(claimed, [odd, key(1)]);
    for claim in claims {
        assert!(store.finish(&claim.lease, Outcome::Retry("a\0b".into()), LATER).await.unwrap());
    }
    let one = Entry { subject: "acme/a\0b".into(), ..entry(EntryKind::Run, LATER, None) };
    store.journal(None, vec![one], LATER).await.unwrap().unwrap();
    store.put("odd", "a\0b").await.unwrap();
    store.pause("a\0b", LATER + Duration::from_secs(60)).await.unwrap();
    assert!(store.resume("a\0b").await.unwrap());
    // These searches find nothing, and they are not errors.
    let listing = Listing { key: Some("a\0b".into()), ..all() };
    assert!(store.deliveries(listing.clone()).await.unwrap().is_empty());
    assert!(store.entries(listing).await.unwrap().is_empty());
    let history = History { key: Some("a\0b".into()), limit: 10, ..History::default() };
    assert!(store.newest_entries(history).await.unwrap().is_empty());
    assert!(store.keys_called("c\0d").await.unwrap().is_empty());
    assert_eq!(store.approve("a\0b", "ann", LATER).await.unwrap(), None);
}

pub(super) async fn notes_are_listed_page_by_page(store: SharedStore) {
    let names = ["a", "b", "b:1", "b:2", "b:22", "b:3", "b:é", "b;", "c:1"];
    for name in names {
        store.put(name, &format!("value of {name}")).await.unwrap();
    }
    for limit in 1..7 {
        let (mut read, mut after) = (Vec::new(), String::new());
        loop {
            let page = store.notes_page("b:", &after, limit).await.unwrap();
            assert!(page.len() <= limit as usize);
            assert!(page.iter().all(|(name, value)| *value == format!("value of {name}")));
            let is_last = page.len() < limit as usize;
            read.extend(page.into_iter().map(|(name, _)| name));
            if is_last {
                break;
            }
            after = read.last().cloned().unwrap();
        }
        assert_eq!(read, ["b:1", "b:2", "b:22", "b:3", "b:é"], "{limit} in a page");
    }
    let of = async |prefix: &str, after: &str, limit: u32| -> Vec<String> {
        let page = store.notes_page(prefix, after, limit).await.unwrap();
        page.into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(of("", "", 100).await, names);
    assert_eq!(of("", "b:22", 2).await, ["b:3", "b:é"]);
    assert_eq!(of("b:", "a", 2).await, ["b:1", "b:2"], "a name before the prefix");
    assert!(of("b:", "c:1", 2).await.is_empty(), "a name after the prefix");
    store.forget("b:2").await.unwrap();
    assert_eq!(of("b:", "b:2", 2).await, ["b:22", "b:3"], "the name was deleted");
}

pub(super) async fn what_is_copied_is_as_it_was(from: SharedStore, to: SharedStore) {
    let mark = |n| Mark { hint: Some(format!("R_{n}")), trace: trace(n), ..Mark::new(key(n), Lane::Event) };
    let marks = (0..4).map(mark).collect();
    from.accept(delivery("a", Time(5)), marks).await.unwrap();
    from.accept(Delivery { actor: Some("ann".into()), ..delivery("b", Time(6)) }, Vec::new()).await.unwrap();
    let claims = from.claim(3, LATER).await.unwrap();
    from.finish(&claims[0].lease, Outcome::Done, LATER).await.unwrap();
    from.finish(&claims[1].lease, Outcome::Park(ParkReason::Failed, "403".into()), LATER).await.unwrap();
    let traced =
        Entry { trace: trace(1).map(|context| context.trace), ..entry(EntryKind::Intent, Time(7), None) };
    let numbers = from.journal(None, vec![traced], LATER).await.unwrap().unwrap();
    let entries =
        vec![entry(EntryKind::Result, Time(8), Some(numbers[0])), entry(EntryKind::Intent, Time(9), None)];
    from.journal(None, entries, LATER).await.unwrap();
    let limits = Limits { removes: 2, window: Duration::from_secs(60), ..Limits::default() };
    let ask = |store: SharedStore, n: u64| async move {
        let asked = vec![asked_hold(n, &format!("h{n}"), Risk::Removes, "g1")];
        store.reserve(None, &limits, asked, LATER).await.unwrap().unwrap().remove(0)
    };
    // This reservation is older than the window.
    from.reserve(None, &limits, vec![asked_hold(9, "h9", Risk::Removes, "g1")], Time(0)).await.unwrap();
    for n in 0..3 {
        ask(from.clone(), n).await;
    }
    begun(&from, 0, "h0", LATER).await;
    from.approve("h2", "ann", LATER).await.unwrap();
    from.pause("acme", LATER + Duration::from_secs(60)).await.unwrap();
    let long = "x".repeat(100_000);
    from.put("cursor", &long).await.unwrap();
    from.put("settled-intents", "0").await.unwrap();
    from.ready().await.unwrap();
    to.ready().await.unwrap();
    let copied =
        crate::transfer::copy(from.as_ref(), to.as_ref(), limits.window, LATER, &|_, _| {}).await.unwrap();
    let expected = Copied { keys: 3, deliveries: 2, entries: 4, holds: 1, notes: 1, pauses: 1 };
    assert_eq!(copied, expected);
    assert_eq!(to.get("settled-intents").await, Ok(None), "the journal of the other store has its own");
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
    // The journal of the copy continues after the last entry of the source. The next entry gets the
    // next number, the window has the same free room, and the delivery is known.
    let next = to.journal(None, vec![entry(EntryKind::Run, Time(9), None)], LATER).await.unwrap().unwrap();
    assert!(next[0] > numbers[0] + 2, "{next:?}");
    assert!(matches!(ask(to.clone(), 3).await, Verdict::Hold(_)));
    assert_eq!(to.accept(delivery("a", LATER), Vec::new()).await, Ok(Accepted::Duplicate));
    let again = crate::transfer::copy(from.as_ref(), to.as_ref(), limits.window, LATER, &|_, _| {}).await;
    assert_eq!(again, Err(CopyError::NotEmpty("keys")), "two states are not mixed");
}

pub(super) async fn the_journal_is_read_from_a_time_on_and_page_by_page(store: SharedStore) {
    // The numbers are minutes. The entry of minute 55 comes from a process with a clock that was
    // behind.
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

pub(super) async fn the_journal_is_read_backwards_page_by_page(store: SharedStore) {
    // Every third entry is the intent of a removal, and every second entry is about another key.
    for n in 0..12_u64 {
        let at = Time(i64::try_from(n).unwrap() * 3_600_000);
        let mut one = entry(EntryKind::Run, at, None);
        one.key = key(n % 2).to_string();
        if n % 3 == 0 {
            let intended = IntendedChange {
                change: change("teams", "team a", &[Risk::Adds, Risk::Removes]),
                generation: "g".into(),
                approved_by: None,
                first_asked: None,
            };
            one = Entry { kind: EntryKind::Intent, detail: Detail::Change(intended), ..one };
        }
        store.journal(None, vec![one], at).await.unwrap();
    }
    let read = async |history: History| {
        let (mut history, mut read) = (history, Vec::new());
        loop {
            let page = store.newest_entries(history.clone()).await.unwrap();
            assert!(page.len() <= history.limit as usize);
            let Some(last) = page.last() else { return read };
            history.before = Some(last.seq);
            read.extend(page.iter().map(|entry| entry.at.0 / 3_600_000));
        }
    };
    for limit in [1, 3, 5, 100] {
        let all = History { limit, ..History::default() };
        assert_eq!(read(all.clone()).await, (0..12).rev().collect::<Vec<_>>(), "{limit} in a page");
        let of_key = History { key: Some(key(1).to_string()), ..all.clone() };
        assert_eq!(read(of_key.clone()).await, [11, 9, 7, 5, 3, 1]);
        let since = History { since: Some(Time(7 * 3_600_000)), ..of_key };
        assert_eq!(read(since).await, [11, 9, 7]);
        let removed = History { risks: vec![Risk::Removes], ..all.clone() };
        assert_eq!(read(removed.clone()).await, [9, 6, 3, 0]);
        assert_eq!(read(History { key: Some(key(1).to_string()), ..removed.clone() }).await, [9, 3]);
        let intents = History { kind: Some(EntryKind::Intent), ..all.clone() };
        assert_eq!(read(intents.clone()).await, [9, 6, 3, 0]);
        assert_eq!(read(History { key: Some(key(1).to_string()), ..intents }).await, [9, 3]);
        assert_eq!(read(History { kind: Some(EntryKind::Sweep), ..all.clone() }).await, [0_i64; 0]);
        assert_eq!(read(History { kind: Some(EntryKind::Run), ..removed }).await, [0_i64; 0]);
        let exposed = History { risks: vec![Risk::Exposes], ..all.clone() };
        assert_eq!(read(exposed).await, [0_i64; 0]);
        let newest = store.newest_entries(History { limit: 3, ..all.clone() }).await.unwrap();
        let after = History { after: newest[2].seq, ..all };
        assert_eq!(read(after).await, [11, 10]);
    }
}

pub(super) async fn a_key_is_found_by_every_name_that_it_had(store: SharedStore) {
    for (n, subject) in
        [(1, "acme/widgets"), (2, "acme/shop"), (1, "acme/Gadgets"), (3, "other/shop"), (4, "aws/Ops/EU")]
    {
        let one = Entry {
            key: key(n).to_string(),
            subject: subject.into(),
            ..entry(EntryKind::Run, Time(1), None)
        };
        store.journal(None, vec![one.clone(), one], Time(1)).await.unwrap();
    }
    let sweep =
        Entry { key: "-".into(), subject: "acme/shop".into(), ..entry(EntryKind::Sweep, Time(1), None) };
    store.journal(None, vec![sweep], Time(1)).await.unwrap();
    for (name, expected) in [
        ("acme/widgets", &[1][..]),
        ("WIDGETS", &[1]),
        ("acme/gadgets", &[1]),
        ("acme/shop", &[2]),
        ("shop", &[2, 3]),
        ("Ops/EU", &[4]),
        ("aws/ops/eu", &[4]),
        ("EU", &[]),
        ("acme", &[]),
        ("widget", &[]),
        ("acme/%", &[]),
    ] {
        let found = store.keys_called(name).await.unwrap();
        let expected: Vec<_> = expected.iter().map(|n| key(*n)).collect();
        assert_eq!(found, expected, "{name}");
    }
    let subjects = store.subjects(100).await.unwrap();
    for subject in ["acme/widgets", "acme/Gadgets", "aws/Ops/EU"] {
        assert!(subjects.iter().any(|known| known == subject), "{subject}: {subjects:?}");
    }
    assert_eq!(store.subjects(2).await.unwrap().len(), 2);
    // A company's directory can have names that are too long for an index entry.
    let parts: Vec<String> =
        (1..4_000_u64).map(|n| format!("{:x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect();
    let long = parts.concat();
    let one = Entry { subject: format!("acme/{long}"), ..entry(EntryKind::Run, Time(1), None) };
    store.journal(None, vec![one], Time(1)).await.unwrap();
    assert_eq!(store.keys_called(&long).await.unwrap(), [key(1)]);
    assert!(store.keys_called(&long[1..]).await.unwrap().is_empty());
    assert!(store.keys_called(&format!("{long}a")).await.unwrap().is_empty());
}
